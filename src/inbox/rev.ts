import { Refusal } from '../errors.ts'

/**
 * A rev as callers see it: opaque, made of the inbox's own id and the number, so that a cursor of another inbox or of
 * another database is recognised instead of leaving a silent hole.
 */
export function formatRev(inbox: { id: string }, rev: number): string {
  return `${inbox.id.slice(0, 12)}-${rev}`
}

/** The number in a rev of this inbox; BAD_CURSOR for any other text. */
export function readRev(text: string, inbox: { id: string }): number {
  const [, id, rev] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(text) ?? []
  if (id !== inbox.id.slice(0, 12)) {
    throw new Refusal('BAD_CURSOR', {
      path: 'after',
      zh: '不是该收件箱的 rev，请不带 after 重新订阅',
      en: 'is no rev of this inbox: subscribe again without it and take the snapshot',
    })
  }
  return Number(rev)
}
