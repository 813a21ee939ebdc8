/**
 * The live inbox. A hint is only a doorbell: it says that somebody's inbox moved. What moved is read from the database,
 * after the last rev this subscriber got, so that a lost, doubled or late hint can neither lose nor double anything.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../context.ts'
import type { Db } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Direct, Handover } from '../graphql/direct.ts'
import type { Bell } from './bell.ts'
import { upToDate } from './broadcast.ts'
import type { InboxEvent } from './events.ts'
import { page, stateOf, type InboxState } from './inbox.ts'
import type { News, Reads } from './reads.ts'
import { formatRev, readRev } from './rev.ts'

/** A subscriber further behind than this gets a fresh snapshot: cheaper for both sides than the changes one by one. */
const TOO_FAR_BEHIND = 500
/** Items in a snapshot: a first page. */
export const SNAPSHOT_ITEMS = 20
/** How soon a subscriber looks again when the database was away. */
const RETRY_MS = 500

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
 * is away. Ends when the bell is closed. The bell hangs already: what comes between two looks rings it. Where a handover
 * is wanted it ends when it has caught up, and leaves there who goes on with the bell.
 */
export async function* changes(
  where: Where,
  user: string,
  reached: number | undefined,
  bell?: Bell,
  handover?: Handover,
): AsyncGenerator<InboxEvent> {
  const from = handover?.from
  let at = yield* upToNow(where, user, { reached: from ?? reached, isCaughtUp: from !== undefined }, bell)
  while (at !== undefined && bell !== undefined) {
    bell.reached = at
    if (handover?.isWanted) {
      handover.follow = (direct, toStream) => {
        void new Follower(where.live.reads, bell, direct, toStream)
        return () => bell.close()
      }
      return
    }
    await bell.rung()
    if (bell.closed) return
    at = yield* upToNow(where, user, { reached: bell.reached, isCaughtUp: true }, bell)
  }
}

/**
 * What there is to say now; gives the rev that leads to, or nothing for one who left meanwhile. Apart from the waiting:
 * a generator that sleeps keeps all it has read.
 */
async function* upToNow(
  where: Where,
  user: string,
  { reached, isCaughtUp }: { reached: number | undefined; isCaughtUp: boolean },
  bell?: Bell,
): AsyncGenerator<InboxEvent, number | undefined> {
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
  for (;;) {
    // Nobody holds a place while what was read is sent: a slow reader would keep the others waiting.
    if (reached === undefined) {
      const snapshot = await begin(() => takeSnapshot(where.db, user))
      if (snapshot === undefined) return undefined
      yield snapshot
      reached = snapshot.state.rev
    }
    const from = reached
    const look = () => found(where.live.reads.read(user, from))
    const looked = await (isCaughtUp ? read(look) : begin(look))
    if (looked === undefined) return undefined
    const { state, events, upTo } = looked
    const why = reasonToStartAnew(state, from)
    if (why !== undefined) {
      yield { type: 'InboxLagged', why, rev: formatRev(state, from) }
      reached = undefined
      isCaughtUp = false
      continue
    }
    yield* events
    reached = upTo
    if (upTo < state.rev) continue
    if (!isCaughtUp) yield { type: 'InboxCaughtUp', rev: formatRev(state, reached) }
    return reached
  }
}

/**
 * Says to a subscriber who has caught up what comes, past the stream, until there is something that only the stream can
 * say. One who takes nothing is not read for again until he does: he hears then how things stand. Without promises: an
 * event to a socket costs about as much as three of them. And what is kept here is kept for everybody to whom nothing
 * happens, and looked at when it is no longer near: one object, as the bell.
 */
class Follower {
  #reads: Reads
  #bell: Bell
  #direct: Direct
  #toStream: (from: number) => void
  #isLooking = false
  #again = false

  constructor(reads: Reads, bell: Bell, direct: Direct, toStream: (from: number) => void) {
    this.#reads = reads
    this.#bell = bell
    this.#direct = direct
    this.#toStream = toStream
    bell.tell(this)
  }

  rang(): void {
    this.#again = this.#isLooking
    if (!this.#isLooking) this.#look()
  }

  hear(news: News | undefined, error?: unknown): void {
    const bell = this.#bell
    if (bell.closed) return
    this.#isLooking = false
    if (isAway(error)) return void setTimeout(() => this.rang(), RETRY_MS)
    if (news === undefined || reasonToStartAnew(news.state, bell.reached) !== undefined) return this.#end()
    const said = sayAsMuch(news, bell, this.#direct)
    if (said === 'not all') return this.#end()
    if (said === 'what fits') {
      this.#isLooking = true
      void this.#direct.room().then(() => this.#look())
    } else if (this.#again || bell.reached < news.state.rev) this.rang()
  }

  #look(): void {
    if (this.#bell.closed) return
    this.#isLooking = true
    this.#again = false
    this.#reads.ask(this.#bell.user, this.#bell.reached, this)
  }

  /** Also after what has failed: a stream meets that as well, and says it. */
  #end(): void {
    this.#bell.close()
    this.#toStream(this.#bell.reached)
  }
}

/** Says what there is room for, and moves the bell's rev along. Not all: the next thing only the stream can say. */
function sayAsMuch({ events, revs, upTo }: News, bell: Bell, direct: Direct): 'all' | 'what fits' | 'not all' {
  let index = 0
  for (const event of events) {
    if (direct.isFull()) return 'what fits'
    if (!direct.say(event)) return 'not all'
    bell.reached = revs[index++] ?? bell.reached
  }
  bell.reached = upTo
  return 'all'
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
      if (!isAway(error) || bell?.closed) throw error
    }
    await (bell?.rung(RETRY_MS) ?? sleep(RETRY_MS))
  }
}

function isAway(error: unknown): boolean {
  return error instanceof Refusal && error.code === 'UNAVAILABLE'
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
