/**
 * The live inbox. A hint is only a doorbell: it says that somebody's inbox moved. What moved is read from the database,
 * after the last rev this subscriber got, so that a lost, doubled or late hint can neither lose nor double anything.
 */
import type { Logger } from 'pino'
import type { Db } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Hints } from '../hints.ts'
import { bringUpToDate } from './broadcast.ts'
import { page, since, type InboxState, type Item } from './inbox.ts'
import { formatRev, readRev } from './rev.ts'
import { query, json } from '../db/client.ts'
import { sql } from 'drizzle-orm'

/** How often a node asks which of its connected users moved: what a lost hint costs at the most. */
const BEAT_MS = 2_000
/** Users asked about in one statement. */
const USERS_AT_ONCE = 1_000
/** Changes read in one statement. */
const CHANGES_AT_ONCE = 100
/** A subscriber further behind than this gets a fresh snapshot: cheaper for both sides than the changes one by one. */
const TOO_FAR_BEHIND = 500
/** Items in a snapshot: a first page. */
export const SNAPSHOT_ITEMS = 20

/** What a subscriber is told. Every one carries the rev to resume after. */
export type InboxEvent =
  | { type: 'InboxSnapshot'; state: InboxState; items: Item[]; hasMore: boolean; rev: string }
  | { type: 'ItemChanged'; state: InboxState; item: Item; isNew: boolean; rev: string }
  | { type: 'ItemGone'; state: InboxState; messageId: string; userCode: string; reason: 'deleted'; rev: string }
  | { type: 'InboxLagged'; why: 'tooFarBehind' | 'ahead'; rev: string }
  | { type: 'InboxCaughtUp'; rev: string }

/** The doorbells of this node's connected users. */
export type Live = {
  watch(user: string): Bell
  /** Users with at least one subscriber here. */
  connected(): number
  close(): void
}

/** Rings when the user's inbox may have moved. Rings that nobody waited for are remembered as one. */
export type Bell = { rung(): Promise<void>; close(): void; closed: boolean }

/** Hears the hint bus and, at a slow beat, the database itself, and rings the bells of those who moved. */
export function openLive({ db, hints, log }: { db: Db; hints: Hints; log: Logger }): Live {
  const bells = new Map<string, Set<() => void>>()
  /** The rev last seen by the beat, to ring only those that moved. */
  const revs = new Map<string, number>()

  const ring = (users: Iterable<string>) => {
    for (const user of users) for (const toll of bells.get(user) ?? []) toll()
  }
  /** Copies broadcasts for everybody connected here, in batches, and rings whoever moved: also those whose hint was lost. */
  async function lookAround() {
    const users = [...bells.keys()]
    for (let from = 0; from < users.length; from += USERS_AT_ONCE) {
      const some = users.slice(from, from + USERS_AT_ONCE)
      ring(await bringUpToDate(db, some))
      for (const { userCode, rev } of await revsOf(db, some)) {
        if (revs.get(userCode) !== rev) ring([userCode])
        if (bells.has(userCode)) revs.set(userCode, rev)
      }
    }
  }
  const trouble = (error: unknown) => log.warn({ err: error }, 'live: could not look at the database; the next beat will')

  let looking: Promise<void> | undefined
  let again = false
  /** One look at a time; a hint during a look is answered by another one after it. */
  function look() {
    if (looking !== undefined) {
      again = true
      return
    }
    looking = lookAround()
      .catch(trouble)
      .finally(() => {
        looking = undefined
        if (again) {
          again = false
          look()
        }
      })
  }

  hints.on((hint) => {
    if (hint.kind === 'inbox') ring(hint.users)
    else if (hint.kind === 'broadcast' || hint.kind === 'gap') look()
  })
  const beat = setInterval(() => bells.size > 0 && look(), BEAT_MS)
  beat.unref()

  return {
    watch(user) {
      const { bell, toll } = newBell(() => {
        const tolls = bells.get(user)
        tolls?.delete(toll)
        if (tolls?.size !== 0) return
        bells.delete(user)
        revs.delete(user)
      })
      const tolls = bells.get(user) ?? new Set()
      bells.set(user, tolls.add(toll))
      return bell
    },
    connected: () => bells.size,
    close: () => clearInterval(beat),
  }
}

function newBell(onClose: () => void) {
  let hasRung = false
  let wake: (() => void) | undefined
  const toll = () => {
    hasRung = true
    wake?.()
  }
  const bell: Bell = {
    closed: false,
    async rung() {
      if (!hasRung && !bell.closed) await new Promise<void>((resolve) => (wake = resolve))
      hasRung = false
    },
    close() {
      if (bell.closed) return
      bell.closed = true
      onClose()
      wake?.()
    },
  }
  return { bell, toll }
}

function revsOf(db: Db, users: string[]) {
  return query<{ userCode: string; rev: number }>(
    db,
    sql`
      select user_code as "userCode", rev from inboxes
      where user_code in (select jsonb_array_elements_text(${json(users)}::jsonb))`,
  )
}

/**
 * Everything a subscriber is to know, in order and without a gap: a snapshot, or what came after `after`; then
 * `InboxCaughtUp`; then, while `bell` is given, every change as it comes. Ends when the bell is closed.
 * Throws BAD_CURSOR for a cursor of another inbox.
 */
export async function* changes(db: Db, user: string, after: string | undefined, bell?: Bell): AsyncGenerator<InboxEvent> {
  // The bell hangs before the first look: what comes between the two rings it.
  await bringUpToDate(db, [user])
  let reached: number
  const start = after === undefined ? undefined : await resume(db, user, after)
  if (start === undefined || start.lagged !== undefined) {
    if (start?.lagged !== undefined) yield start.lagged
    const snapshot = await takeSnapshot(db, user)
    yield snapshot
    reached = snapshot.state.rev
  } else {
    reached = start.rev
    for await (const event of tail(db, user, reached)) {
      yield event.event
      reached = event.reached
    }
  }
  const { state } = await look(db, user, reached, 0)
  yield { type: 'InboxCaughtUp', rev: formatRev(state, reached) }
  if (bell === undefined) return
  while (!bell.closed) {
    for await (const event of tail(db, user, reached)) {
      yield event.event
      reached = event.reached
    }
    await bell.rung()
  }
}

/** Where to resume: the rev, or that the subscriber has to start anew. */
async function resume(db: Db, user: string, after: string): Promise<{ rev: number; lagged?: InboxEvent }> {
  const { state } = await look(db, user, 0, 0)
  const rev = readRev(after, state)
  // Ahead of the database: it was set back to an older state.
  if (rev > state.rev) return { rev, lagged: { type: 'InboxLagged', why: 'ahead', rev: formatRev(state, state.rev) } }
  if (rev < state.rev - TOO_FAR_BEHIND) {
    return { rev, lagged: { type: 'InboxLagged', why: 'tooFarBehind', rev: formatRev(state, rev) } }
  }
  return { rev }
}

async function takeSnapshot(db: Db, user: string) {
  const found = await page(db, user, { limit: SNAPSHOT_ITEMS + 1 })
  if (found === undefined) throw new Refusal('NOT_FOUND')
  const { state, items } = found
  return {
    type: 'InboxSnapshot' as const,
    state,
    items: items.slice(0, SNAPSHOT_ITEMS),
    hasMore: items.length > SNAPSHOT_ITEMS,
    rev: formatRev(state, state.rev),
  }
}

/** The changes after `reached`, read in pages until there are none. */
async function* tail(db: Db, user: string, reached: number) {
  const from = reached
  for (;;) {
    const { state, items } = await look(db, user, reached, CHANGES_AT_ONCE)
    for (const item of items) {
      reached = item.rev
      yield { reached, event: eventOf(state, item, from) }
    }
    if (items.length < CHANGES_AT_ONCE) return
  }
}

function eventOf(state: InboxState, item: Item, from: number): InboxEvent {
  const rev = formatRev(state, item.rev)
  if (item.deletedAt !== null) {
    return { type: 'ItemGone', state, messageId: item.messageId, userCode: item.userCode, reason: 'deleted', rev }
  }
  return { type: 'ItemChanged', state, item, isNew: item.createdRev > from, rev }
}

async function look(db: Db, user: string, rev: number, limit: number) {
  const found = await since(db, user, rev, limit)
  if (found === undefined) throw new Refusal('NOT_FOUND')
  return found
}
