import { Refusal } from '../errors.ts'

/**
 * A rev as callers see it: opaque, made of the inbox's own id and the number, so that a cursor of another inbox or of
 * another database is recognised instead of leaving a silent hole.
 */
export function formatRev(inbox: { id: string }, rev: number): string {
  return `${inbox.id.slice(0, 12)}-${rev}`
}

/** The number in a rev of this inbox; BAD_CURSOR at `path` for any other text. */
export function readRev(text: string, inbox: { id: string } | undefined, path: string): number {
  const [, id, rev] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(text) ?? []
  if (inbox === undefined || id !== inbox.id.slice(0, 12)) {
    throw new Refusal('BAD_CURSOR', {
      path,
      zh: '不是该收件箱的 rev，请不带 after 重新获取快照',
      en: 'is no rev of this inbox: ask inboxChanges without `after`, which gives a snapshot and its rev',
    })
  }
  return Number(rev)
}
