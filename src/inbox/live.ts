/**
 * The live inbox. A hint is only a doorbell: it says that somebody's inbox moved. What moved is read from the database,
 * after the last rev this subscriber got, so that a lost, doubled or late hint can neither lose nor double anything.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import type { Logger } from 'pino'
import type { Context } from '../context.ts'
import { query, texts, type Db, type Store } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Hints } from '../hints/hints.ts'
import { openAdmission, type Admission } from './admission.ts'
import { bringUpToDate, upToDate } from './broadcast.ts'
import { page, stateOf, type InboxState, type Item } from './inbox.ts'
import { openReads, type Read } from './reads.ts'
import { formatRev, readRev } from './rev.ts'
import type { Change } from './since.ts'

/** How often a node asks which of its connected users moved: what a lost hint costs at the most. */
const BEAT_MS = 2_000
/** Users asked about in one statement. */
const USERS_AT_ONCE = 1_000
/** A subscriber further behind than this gets a fresh snapshot: cheaper for both sides than the changes one by one. */
const TOO_FAR_BEHIND = 500
/** Items in a snapshot: a first page. */
export const SNAPSHOT_ITEMS = 20
/** How soon a subscriber looks again when the database was away. */
const RETRY_MS = 500

/** What a subscriber is told. Every one carries the rev to resume after. */
export type InboxEvent =
  | { type: 'InboxSnapshot'; state: InboxState; items: Item[]; hasMore: boolean; rev: string }
  | { type: 'ItemChanged'; state: InboxState; item: Change; rev: string }
  | { type: 'ItemsChanged'; state: InboxState; change: Change; rev: string }
  | { type: 'ItemGone'; state: InboxState; item: GoneItem; reason: 'deleted' | 'recalled'; rev: string }
  | { type: 'InboxLagged'; why: 'tooFarBehind' | 'ahead'; rev: string }
  | { type: 'InboxCaughtUp'; rev: string }

/** Of an item that is gone only its name is told, nothing of what it said. */
export type GoneItem = Pick<Item, 'messageId' | 'userCode'>

/** The doorbells of this node's connected users. */
export type Live = {
  watch(user: string): Bell
  /** Users with at least one subscriber here. */
  connected(): number
  /** Through here passes whoever begins. */
  starts: Admission
  /** Through here reads whoever follows, all of them together. */
  read: Read
  close(): void
}

/** Rings when the user's inbox may have moved. Rings that nobody waited for are remembered as one. */
export type Bell = {
  /** The rev its subscriber has got to: the beat rings it when the inbox stands elsewhere. */
  reached: number
  /** Waits for a ring, for the closing, or for so long. */
  rung(milliseconds?: number): Promise<void>
  ring(): void
  close(): void
  readonly closed: boolean
}

/** Hears the hint bus and, at a slow beat, the database itself, and rings the bells of those who moved. */
export function openLive({ store, hints, log }: { store: Store; hints: Hints; log: Logger }): Live {
  const { db } = store
  const bells = new Map<string, Set<Bell>>()

  /** Copies broadcasts for everybody connected here, in batches, and rings whoever is behind: also those whose hint was lost. */
  async function lookAround() {
    const users = [...bells.keys()]
    for (let from = 0; from < users.length; from += USERS_AT_ONCE) {
      const some = users.slice(from, from + USERS_AT_ONCE)
      await bringUpToDate(db, some)
      for (const { userCode, rev } of await revsOf(db, some)) {
        for (const bell of bells.get(userCode) ?? []) if (bell.reached !== rev) bell.ring()
      }
    }
  }

  let looking = false
  let again = false
  /** One look at a time; a hint during a look is answered by another one after it. */
  async function look() {
    again = true
    if (looking) return
    looking = true
    while (again) {
      again = false
      await lookAround().catch((error) =>
        log.warn({ err: error }, 'live: could not look at the database; the next beat will'),
      )
    }
    looking = false
  }

  hints.on((hint) => {
    if (hint.kind === 'broadcast' || hint.kind === 'gap') void look()
    else if (hint.kind === 'inbox') for (const user of hint.users) for (const bell of bells.get(user) ?? []) bell.ring()
  })
  const beat = setInterval(() => bells.size > 0 && void look(), BEAT_MS)
  beat.unref()

  return {
    watch(user) {
      const mine = bells.get(user) ?? new Set()
      const bell = newBell(() => {
        mine.delete(bell)
        if (mine.size === 0) bells.delete(user)
      })
      bells.set(user, mine.add(bell))
      return bell
    },
    connected: () => bells.size,
    starts: openAdmission(),
    read: openReads(store),
    close: () => clearInterval(beat),
  }
}

function newBell(onClose: () => void): Bell {
  let hasRung = false
  let closed = false
  let wake = () => {}
  return {
    reached: 0,
    async rung(milliseconds) {
      if (!hasRung && !closed) {
        await new Promise<void>((resolve) => {
          const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      hasRung = false
    },
    ring() {
      hasRung = true
      wake()
    },
    close() {
      if (closed) return
      closed = true
      onClose()
      wake()
    },
    get closed() {
      return closed
    },
  }
}

function revsOf(db: Db, users: string[]) {
  return query<{ userCode: string; rev: number }>(
    db,
    sql`
      select user_code as "userCode", rev from inboxes
      where user_code = any(${texts(users)})`,
  )
}

type Where = Pick<Context, 'db' | 'hints' | 'live'>

/** Where a subscriber stands who comes with `after`; undefined for one without. BAD_CURSOR for a rev of another inbox. */
export async function position(
  { db, live }: Where,
  user: string,
  after: string | null | undefined,
): Promise<number | undefined> {
  return after == null ? undefined : live.starts.admit(async () => readRev(after, await stateOf(db, user), 'after'))
}

/**
 * Everything a subscriber who has got to `reached` is to know, in order and without a gap: a snapshot, or what came
 * after; then `InboxCaughtUp`; then, while `bell` is given, every change as it comes, also across times when the database
 * is away. Ends when the bell is closed. The bell hangs already: what comes between two looks rings it.
 */
export async function* changes(
  where: Where,
  user: string,
  reached: number | undefined,
  bell?: Bell,
): AsyncGenerator<InboxEvent> {
  const read = <Found>(look: () => Promise<Found>) => (bell === undefined ? look() : patiently(look, bell))
  let hasBroadcasts = false
  const begin = <Found>(look: () => Promise<Found>) =>
    read(() =>
      where.live.starts.admit(
        async () => {
          if (!hasBroadcasts) await upToDate(where, user)
          hasBroadcasts = true
          return look()
        },
        () => bell?.closed === true,
      ),
    )
  let isCaughtUp = false
  for (;;) {
    // Nobody holds a place while what was read is sent: a slow reader would keep the others waiting.
    if (reached === undefined) {
      const snapshot = await begin(() => takeSnapshot(where.db, user))
      if (snapshot === undefined) return
      yield snapshot
      reached = snapshot.state.rev
    }
    const from = reached
    const look = () => found(where.live.read(user, from))
    const looked = await (isCaughtUp ? read(look) : begin(look))
    if (looked === undefined) return
    const { state, items, upTo } = looked
    const why = reasonToStartAnew(state, from)
    if (why !== undefined) {
      yield { type: 'InboxLagged', why, rev: formatRev(state, from) }
      reached = undefined
      isCaughtUp = false
      continue
    }
    for (const item of items) yield eventOf(state, item)
    reached = upTo
    if (upTo < state.rev) continue
    if (!isCaughtUp) yield { type: 'InboxCaughtUp', rev: formatRev(state, reached) }
    isCaughtUp = true
    if (bell === undefined) return
    bell.reached = reached
    await bell.rung()
    if (bell.closed) return
  }
}

/** A database that was set back to an older state leaves subscribers ahead of it. */
function reasonToStartAnew(state: InboxState, reached: number): 'ahead' | 'tooFarBehind' | undefined {
  if (reached > state.rev) return 'ahead'
  return state.rev - reached > TOO_FAR_BEHIND ? 'tooFarBehind' : undefined
}

/** Looks until the database answers, or the subscriber leaves, where a bell can tell that. */
export async function patiently<Found>(look: () => Promise<Found>, bell?: Bell): Promise<Found> {
  for (;;) {
    try {
      return await look()
    } catch (error) {
      const isAway = error instanceof Refusal && error.code === 'UNAVAILABLE'
      if (!isAway || bell?.closed) throw error
    }
    await (bell?.rung(RETRY_MS) ?? sleep(RETRY_MS))
  }
}

async function takeSnapshot(db: Db, user: string) {
  const { state, items } = await found(page(db, user, { limit: SNAPSHOT_ITEMS + 1 }))
  return {
    type: 'InboxSnapshot' as const,
    state,
    items: items.slice(0, SNAPSHOT_ITEMS),
    hasMore: items.length > SNAPSHOT_ITEMS,
    rev: formatRev(state, state.rev),
  }
}

function eventOf(state: InboxState, item: Change): InboxEvent {
  const rev = formatRev(state, item.at)
  if (item.messageIds.length > 1) return { type: 'ItemsChanged', state, change: item, rev }
  if (item.deletedAt === null) return { type: 'ItemChanged', state, item, rev }
  const { messageId, userCode, change } = item
  const reason = change === 'recalled' ? 'recalled' : 'deleted'
  return { type: 'ItemGone', state, item: { messageId, userCode }, reason, rev }
}

async function found<Found>(looked: Promise<Found | undefined>): Promise<Found> {
  const inbox = await looked
  if (inbox === undefined)
    throw new Refusal('NOT_FOUND', {
      path: 'inbox',
      zh: '该用户不存在',
      en: 'there is none: this person is not in the directory',
    })
  return inbox
}
