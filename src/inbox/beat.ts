/**
 * The slow beat that makes up for hints: a look at all who are connected to this node, which copies the broadcasts they
 * have not got, finds who moved, and of whom it is in doubt whether he may stay. A broadcast, or hints that may have been missed, bring the next look forward.
 */
import type { Logger } from 'pino'
import type { Db } from '../db/client.ts'
import { copyMissed, lookAfter } from './broadcast.ts'

/** What a lost hint costs at the most. */
const BEAT_MS = 2_000
/** Looked at in one statement. */
const PEOPLE_AT_ONCE = 1_000
/** Statements under way: a broadcast is copied to some while what the others got is read and said. */
const STATEMENTS = 2

/** Everybody connected, each with the rev he was told of, null: none; what to do when an inbox stands elsewhere, or its person may have to leave. */
type Connected = {
  db: Db
  log: Logger
  people: () => Iterable<One>
  ring: (user: string) => void
  doubt: (user: string) => Promise<void>
}
type One = { user: string; after: number | null }

/** What to look for: a new broadcast, or whatever there may be. */
type What = 'broadcast' | 'anything'

export function startBeat({ db, log, people, ring, doubt }: Connected): {
  look(what: What): Promise<void>
  stop(): void
} {
  /** To nearly everybody a new broadcast comes: who is copied to here or by another node has moved, without a question. */
  async function findMoved(page: One[], what: What): Promise<Iterable<string>> {
    if (what === 'anything') {
      const { moved, doubtful } = await lookAfter(db, page)
      for (const user of doubtful) await doubt(user)
      return moved
    }
    const users = new Set(page.map(({ user }) => user))
    await copyMissed(db, [...users])
    return users
  }

  async function lookAround(what: What) {
    const pages = pagesOf([...people()])
    const lookAtPages = async () => {
      for (const page of pages) for (const user of await findMoved(page, what)) ring(user)
    }
    await Promise.all(Array.from({ length: STATEMENTS }, lookAtPages))
  }

  let isLooking = false
  let next: What | undefined
  /** One look at a time; a hint during a look is answered by another one after it. */
  async function look(what: What) {
    next = next === 'anything' ? next : what
    if (isLooking) return
    isLooking = true
    while (next !== undefined) {
      const now = next
      next = undefined
      await lookAround(now).catch((error) =>
        log.warn({ err: error }, 'live: could not look at the database; the next beat will'),
      )
    }
    isLooking = false
  }

  const beat = setInterval(() => void look('anything'), BEAT_MS)
  beat.unref()
  return { look, stop: () => clearInterval(beat) }
}

function* pagesOf(all: One[]): Generator<One[]> {
  for (let from = 0; from < all.length; from += PEOPLE_AT_ONCE) yield all.slice(from, from + PEOPLE_AT_ONCE)
}
