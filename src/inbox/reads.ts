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

/** What happened in this user's inbox after this rev, read after the call. */
export type Read = (user: string, after: number) => Promise<News | undefined>

/** `events` tell everything up to the rev `upTo`; `revs` are those of each. */
export type News = { state: InboxState; events: InboxEvent[]; revs: number[]; upTo: number }

type Ask = Asker & PromiseWithResolvers<News | undefined>

export function openReads(store: Pick<Store, 'run'>): Read {
  const waiting = new Map<string, Ask>()
  let underWay = 0
  /** Fewer after a statement that failed, for it may have been too much; more again with every one that succeeds. */
  let atOnce = ASKERS_AT_ONCE

  function take(): Ask[] {
    const asks = [...waiting.entries().take(atOnce)]
    for (const [key] of asks) waiting.delete(key)
    return asks.map(([, ask]) => ask)
  }

  async function drain(): Promise<void> {
    underWay++
    // What wakes in this turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve))
    for (let asks = take(); asks.length > 0; asks = take()) await answer(asks)
    underWay--
  }

  async function answer(asks: Ask[]): Promise<void> {
    try {
      const limit = Math.min(CHANGES_EACH, Math.ceil(CHANGES_AT_ONCE / asks.length))
      const answers = await sinceMany(store, asks, limit)
      atOnce = Math.min(ASKERS_AT_ONCE, atOnce * 2)
      for (const [index, { resolve }] of asks.entries()) resolve(news(answers[index]))
    } catch (error) {
      const isAway = error instanceof Refusal && error.code === 'UNAVAILABLE'
      if (isAway) atOnce = Math.max(1, Math.floor(asks.length / 2))
      if (isAway || asks.length === 1) return asks.forEach(({ reject }) => reject(error))
      // One of them cannot be read: the halves leave the others out of it.
      const half = asks.length >> 1
      await answer(asks.slice(0, half))
      await answer(asks.slice(half))
    }
  }

  return (user, after) => {
    const key = `${after} ${user}`
    const same = waiting.get(key)
    if (same !== undefined) return same.promise
    const ask = { user, after, ...Promise.withResolvers<News | undefined>() }
    waiting.set(key, ask)
    if (underWay < STATEMENTS) void drain()
    return ask.promise
  }
}

function news(since: Since | undefined): News | undefined {
  if (since === undefined) return undefined
  const { state, items, upTo } = since
  return { state, events: items.map((item) => eventOf(state, item)), revs: items.map(({ at }) => at), upTo }
}
