/**
 * The database taken away while pushes and a live subscriber go on. The books are kept here: whatever happens, what was
 * answered 200 is there, whole and once; every other answer is a 503, soon; and all comes back by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, type Client } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { openStore } from '../../src/db/client.ts'
import { launch, type Launched } from '../kit/process.ts'
import { eventually } from '../kit/posthouse.ts'
import { findBinaries, ownPostgres, type OwnPostgres } from '../kit/own-postgres.ts'
import { SUBSCRIPTION, type Event } from '../inbox/subscriber.ts'
import { pushed, whatIsWrong, type Book } from './books.ts'
import { silentProxy } from './proxy.ts'

/** Pushes under way at once: more than the connections a node has. */
const AT_ONCE = 16
const KILLS = 25
const KILL_EVERY_MS = 150
const RESTARTS = 3
/** No answer may take longer. */
const ANSWER_MS = 5_000
/** After the database answers again, so may we. */
const BACK_MS = 3_000
/** After a silent peer: it has to be found out first. */
const BACK_FROM_SILENCE_MS = 10_000
const TEST_MS = 120_000

const binaries = await findBinaries()
const title = 'the database taken away under load'

describe.skipIf(binaries === undefined)(
  binaries ? title : `${title}: no PostgreSQL programs (initdb, pg_ctl) here`,
  () => {
    let server: OwnPostgres
    let posthouse: Launched
    let books: Book[]

    beforeAll(async () => {
      server = await ownPostgres(binaries ?? '')
      posthouse = await launch({ DATABASE_URL: server.url('posthouse') })
      books = []
    }, TEST_MS)
    afterAll(async () => {
      await posthouse?.kill('SIGKILL')
      await server?.remove()
    })

    it(
      'loses and halves nothing while backends are terminated over and over',
      async () => {
        await underLoad(async () => {
          let killed = 0
          for (let round = 0; round < KILLS; round++) {
            const [row] = await server.admin`
          select count(pg_terminate_backend(pid))::int as killed from pg_stat_activity where application_name = 'posthouse'`
            killed += row?.['killed'] as number
            await sleep(KILL_EVERY_MS)
          }
          expect(killed).toBeGreaterThan(KILLS)
          return performance.now()
        })
      },
      TEST_MS,
    )

    it(
      'loses and halves nothing while the server crashes and starts again, three times',
      async () => {
        await underLoad(async () => {
          let backAt = 0
          for (let round = 0; round < RESTARTS; round++) {
            await sleep(500)
            await server.stop('immediate')
            const { status } = await fetch(`${posthouse.url}/readyz`)
            expect(status).toBe(503)
            expect((await fetch(`${posthouse.url}/healthz`)).status).toBe(200)
            const { errors } = await posthouse.graphql(await posthouse.token('USER001'), '{ inboxCounts { unread } }')
            expect(errors?.[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE' })
            await sleep(1_000)
            await server.start()
            backAt = performance.now()
            await eventually(async () => (await fetch(`${posthouse.url}/readyz`)).status === 200, BACK_MS)
          }
          return backAt
        })
      },
      TEST_MS,
    )

    it(
      'lets a subscriber in who asks while the database is away, once it is back',
      async () => {
        const token = await posthouse.token('USER001')
        const earlier = watch(posthouse, token)
        await eventually(() => earlier.isLive())
        await server.stop('immediate')
        // On the socket that is open already: the same client asks for another subscription, from the rev it has.
        const late = earlier.again()
        await sleep(1_500)
        expect(late.isLive()).toBe(false)
        await server.start()
        await eventually(() => late.isLive(), BACK_MS)
        expect([...earlier.errors(), ...late.errors()]).toEqual([])
        await late.stop()
        await earlier.stop()
      },
      TEST_MS,
    )

    it(
      'gives up a peer that has fallen silent, and hears the other nodes again afterwards',
      async () => {
        const proxy = await silentProxy(server.port)
        const behind = await launch({ DATABASE_URL: server.url('posthouse', proxy.port) })
        try {
          expect(await pushed(behind, 'before', 0)).toMatchObject({ outcome: 'acked' })
          proxy.fallSilent()
          for (let round = 0; round < 3; round++) {
            const some = await Promise.all(
              Array.from({ length: AT_ONCE }, (_, number) => pushed(behind, `silent-${round}-${number}`, number)),
            )
            expect(
              some.filter(({ outcome, milliseconds }) => outcome !== 'refused' || milliseconds > ANSWER_MS),
            ).toEqual([])
          }
          expect((await fetch(`${behind.url}/readyz`)).status).toBe(503)
          // Nothing piles up before the silent peer.
          expect(proxy.open()).toBeLessThan(2 * AT_ONCE)

          proxy.speak()
          const spokeAt = performance.now()
          await eventually(
            async () => (await pushed(behind, `back-${Math.random()}`, 0)).outcome === 'acked',
            BACK_FROM_SILENCE_MS,
          )
          // A push through the other node is heard by notice: the beat that finds lost ones would take longer.
          const watcher = watch(behind, await behind.token('USER020'))
          await eventually(() => watcher.isLive())
          await eventually(
            async () => {
              const startedAt = performance.now()
              const { body } = await posthouse.push(['USER020'], 'from the other node')
              await eventually(() => watcher.seen().includes(body.msgId ?? ''))
              return performance.now() - startedAt < 500
            },
            BACK_FROM_SILENCE_MS - (performance.now() - spokeAt),
          )
          await watcher.stop()
        } finally {
          proxy.close()
          await behind.kill('SIGKILL')
        }
      },
      TEST_MS,
    )

    /** Pushes and watches while `fault` goes on, which gives when the database was back; then holds all against the books. */
    async function underLoad(fault: () => Promise<number>): Promise<void> {
      const round = `${books.length}`
      const watcher = watch(posthouse, await posthouse.token('USER001'))
      await eventually(() => watcher.isLive())
      const earlier = new Set(await itemsOf('USER001'))
      let isOver = false
      let number = 0
      const pushers = Array.from({ length: AT_ONCE }, async () => {
        while (!isOver) {
          const mine = number++
          const book = await pushed(posthouse, `${round}-${mine}`, mine)
          books.push(book)
          // Callers that are refused come back, but not in a frenzy.
          if (book.outcome !== 'acked') await sleep(20)
        }
      })
      const before = books.length
      try {
        const backAt = await fault()
        await eventually(
          async () => (await posthouse.push(['USER010'], 'back')).status === 200,
          BACK_MS - (performance.now() - backAt),
        )
        // Life went on: every pusher gets through, however few could on a slow machine while it lasted.
        const overAt = books.length
        await eventually(() => books.slice(overAt).filter(({ outcome }) => outcome === 'acked').length > AT_ONCE)
      } finally {
        isOver = true
        await Promise.all(pushers)
      }
      const mine = books.slice(before)
      const { acked = [], refused = [], unknown = [] } = Object.groupBy(mine, ({ outcome }) => outcome)
      expect(posthouse.isAlive()).toBe(true)
      expect(unknown).toEqual([])
      expect(Math.max(...mine.map(({ milliseconds }) => milliseconds))).toBeLessThan(ANSWER_MS)
      expect(refused.length, 'the fault was felt').toBeGreaterThan(0)
      expect(acked.length).toBeGreaterThan(AT_ONCE)
      expect(
        refused.filter(
          ({ refusal }) => !(refusal?.status === 503 && refusal.code === 500 && Number(refusal.retryAfter) > 0),
        ),
      ).toEqual([])

      const store = await openStore({ databaseUrl: server.url('posthouse') })
      try {
        expect(await whatIsWrong(store.db, books)).toEqual([])
        const wanted = (await itemsOf('USER001')).filter((id) => !earlier.has(id))
        await eventually(() => watcher.seen().length >= wanted.length)
        expect(watcher.seen().toSorted()).toEqual(wanted)
        expect(watcher.errors()).toEqual([])
      } finally {
        await store.close()
        await watcher.stop()
      }
    }

    /** The messages in a person's inbox, in the order of their ids. */
    async function itemsOf(user: string): Promise<string[]> {
      const rows = await server.inside`
      select replace(message_id::text, '-', '') as id from items where user_code = ${user} order by message_id`
      return rows.map(({ id }) => id as string)
    }
  },
)

/** A front end: graphql-ws that comes back by itself with the last rev it got. */
function watch({ url }: Launched, token: string) {
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: () => sleep(200),
    shouldRetry: () => true,
  })
  return follow(client)
}

/** One subscription of a client, from `rev` on where there is one. */
function follow(client: Client, rev?: string) {
  let isLive = false
  const seen: string[] = []
  const errors: unknown[] = []
  const variables = {
    get after() {
      return rev
    },
  }
  const leave = client.subscribe<{ inboxChanges: Event }>(
    { query: SUBSCRIPTION, variables },
    {
      next({ data, errors: failed }) {
        if (failed !== undefined) errors.push(...failed)
        const event = data?.inboxChanges
        if (event === undefined) return
        rev = event.rev
        if (event.__typename === 'ItemChanged' && event.change === 'NEW') seen.push(event.item?.msgId ?? '')
        if (event.__typename === 'InboxLagged') errors.push(event)
        if (event.__typename === 'InboxCaughtUp') isLive = true
      },
      error: (error) => errors.push(error),
      complete: () => errors.push('completed'),
    },
  )
  return {
    /** Whether it has caught up once. */
    isLive: () => isLive,
    /** Every new message that it was told of since it caught up, as often as it was. */
    seen: () => seen,
    errors: () => errors,
    /** Another subscription on the same socket, from where this one stands. */
    again: () => follow(client, rev),
    async stop() {
      leave()
      await client.dispose()
    },
  }
}
