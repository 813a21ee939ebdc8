/**
 * Everybody who is to look into an inbox looks together: what is asked while a statement is under way goes in the next,
 * and whoever asks the same shares the answer. There is no timer; who asks alone is answered at once.
 */
import type { Store } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import { eventOf, type InboxEvent } from './events.ts'
import type { InboxState } from './inbox.ts'
import { sinceMany, type Asker, type Since } from './since.ts'

/** Statements under way: while the database works at one, this process reads the other. */
const STATEMENTS = 2
const ASKERS_AT_ONCE = 1_000
/** Changes that one asker gets at a time, and about how many all of a statement get: they are in memory together. */
const CHANGES_EACH = 100
const CHANGES_AT_ONCE = 4_000

/** `events` tell everything up to the rev `upTo`; `revs` are those of each. */
export type News = { state: InboxState; events: InboxEvent[]; revs: number[]; upTo: number }

/** Gets the answer, or why there is none. A promise for each would cost as much as what it says. */
export type Hearer = { hear(news: News | undefined, error?: unknown): void }

export type Reads = {
  /** What happened in this user's inbox after this rev, read after the call. */
  read(user: string, after: number): Promise<News | undefined>
  /** The same for one who is told. */
  ask(user: string, after: number, hearer: Hearer): void
}

/** `other`: the person's tabs that stand elsewhere. */
type Ask = Asker & { hearer: Hearer; others: Hearer[] | undefined; other: Ask | undefined }

export function openReads(store: Pick<Store, 'run'>): Reads {
  let waiting = new Map<string, Ask>()
  let underWay = 0
  /** Fewer after a statement that failed, for it may have been too much; more again with every one that succeeds. */
  let atOnce = ASKERS_AT_ONCE

  function take(): Ask[] {
    const all = waiting
    // Nearly always everybody goes: to begin a new list is cheaper than to empty one.
    const isEverybody = all.size <= atOnce
    if (isEverybody) waiting = new Map()
    const asks: Ask[] = []
    for (const [user, first] of all) {
      if (!isEverybody) {
        if (asks.length >= atOnce) break
        all.delete(user)
      }
      for (let ask: Ask | undefined = first; ask !== undefined; ask = ask.other) asks.push(ask)
    }
    return asks
  }

  async function drain(): Promise<void> {
    underWay++
    // What wakes in this turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve))
    for (let asks = take(); asks.length > 0; asks = take()) await answer(asks)
    underWay--
  }

  async function answer(asks: Ask[]): Promise<void> {
    let answered = 0
    try {
      const limit = Math.min(CHANGES_EACH, Math.ceil(CHANGES_AT_ONCE / asks.length))
      for (const since of await sinceMany(store, asks, limit)) tell(asks[answered++], since && news(since))
      atOnce = Math.min(ASKERS_AT_ONCE, atOnce * 2)
    } catch (error) {
      const left = asks.slice(answered)
      const isAway = error instanceof Refusal && error.code === 'UNAVAILABLE'
      if (isAway) atOnce = Math.max(1, left.length >> 1)
      if (isAway || left.length === 1) return left.forEach((ask) => tell(ask, undefined, error))
      // One of them cannot be read: the halves leave the others out of it.
      const half = left.length >> 1
      await answer(left.slice(0, half))
      await answer(left.slice(half))
    }
  }

  function ask(user: string, after: number, hearer: Hearer): void {
    const first = waiting.get(user)
    for (let same = first; same !== undefined; same = same.other)
      if (same.after === after) return void (same.others ??= []).push(hearer)
    waiting.set(user, { user, after, hearer, others: undefined, other: first })
    if (underWay < STATEMENTS) void drain()
  }

  return {
    ask,
    read: (user, after) =>
      new Promise((resolve, reject) =>
        ask(user, after, { hear: (news, error) => (error === undefined ? resolve(news) : reject(error)) }),
      ),
  }
}

/** A listener that fails is told so, and the others hear. */
function tell(ask: Ask | undefined, news: News | undefined, error?: unknown): void {
  if (ask === undefined) return
  tellOne(ask.hearer, news, error)
  if (ask.others !== undefined) for (const hearer of ask.others) tellOne(hearer, news, error)
}

function tellOne(hearer: Hearer, news: News | undefined, error: unknown): void {
  try {
    hearer.hear(news, error)
  } catch (failure) {
    hearer.hear(undefined, failure)
  }
}

function news({ state, items, upTo }: Since): News {
  const events: InboxEvent[] = []
  const revs: number[] = []
  for (const item of items) {
    events.push(eventOf(state, item))
    revs.push(item.at)
  }
  return { state, events, revs, upTo }
}
