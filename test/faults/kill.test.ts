/**
 * A process killed in the middle of many pushes, on either store. The books are kept here: what was answered 200 must be
 * there afterwards, whole and once; what got no answer may be there or not, but not in part.
 */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore, query, type Store } from '../../src/db/client.ts'
import { launch, type Launched } from '../kit/process.ts'
import { stores, type Place } from '../kit/stores.ts'
import { PEOPLE, pushed, whatIsWrong, type Book } from './books.ts'

const PUSHES = 1_000
/** Killed after so many answers of 200, one round each: PGlite on a busy machine gives few in a second. */
const KILL_AFTER = [10, 60, 200]
const SECONDS = 240

describe.each(stores)('kill -9 in the middle of 1,000 pushes at once, on $name', (store) => {
  let place: Place
  beforeAll(async () => {
    place = await store.place()
  })
  afterAll(() => place.remove())

  it(
    'loses, halves and doubles nothing that was answered 200, again and again',
    async () => {
      const books: Book[] = []
      for (const answers of KILL_AFTER) {
        // Each round starts on what the kill before has left.
        const round = await pushUntilKilled(await launch(place.env), answers)
        // The fault came in the middle: some were answered, some never will be. An overloaded machine may refuse some.
        const { acked = [], unknown = [], refused = [] } = Object.groupBy(round, ({ outcome }) => outcome)
        expect(acked.length).toBeGreaterThanOrEqual(answers)
        expect(unknown.length).toBeGreaterThan(0)
        expect(refused.filter(({ refusal }) => refusal?.status !== 503)).toEqual([])
        books.push(...round)
      }

      const again = await launch(place.env)
      const unread = await Promise.all(PEOPLE.map((user) => unreadOf(again, user)))
      expect((await again.push(['USER010'], 'and life goes on')).status).toBe(200)
      expect(await again.kill('SIGTERM')).toMatchObject({ code: 0 })

      // The store itself, now that no process has it.
      const opened = await openStore({ databaseUrl: place.env['DATABASE_URL'], dataDir: place.env['DATA_DIR'] })
      try {
        expect(await whatIsWrong(opened.db, books)).toEqual([])
        expect(await Promise.all(PEOPLE.map((user) => itemsOf(opened, user)))).toEqual(unread)
      } finally {
        await opened.close()
      }
    },
    SECONDS * 1_000,
  )
})

/** Pushes all at once and kills the process when so many were answered 200. */
async function pushUntilKilled(posthouse: Launched, answers: number): Promise<Book[]> {
  let acked = 0
  const round = await Promise.all(
    Array.from({ length: PUSHES }, async (_, number) => {
      const book = await pushed(posthouse, `${answers}-${number}`, number)
      if (book.outcome === 'acked' && ++acked === answers) void posthouse.kill('SIGKILL')
      return book
    }),
  )
  expect(await posthouse.kill('SIGKILL')).toMatchObject({ signal: 'SIGKILL' })
  return round
}

async function unreadOf({ graphql, token }: Launched, user: string): Promise<number> {
  const { data } = await graphql(await token(user), '{ inboxCounts { unread } }')
  return data?.['inboxCounts'].unread as number
}

async function itemsOf({ db }: Store, user: string): Promise<number> {
  const [row] = await query<{ items: number }>(
    db,
    sql`select count(*)::int as items from items where user_code = ${user}`,
  )
  return row?.items ?? 0
}
