/**
 * Delivery under faults, with real processes: workers killed over and over, one stopped past its leases, the database cut
 * off, crashed and back, providers that refuse, hang, break off, lose answers and go away. In the end every message has
 * come to its end, every inbox has it once, and a provider has a second copy only where nobody could know of the first.
 *
 * `npm run test:faults` runs it at full size; `npm test` a smaller one, without the stopped process.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { openStore, query } from '../../src/db/client.ts'
import { findBinaries, ownPostgres, type OwnPostgres } from '../kit/own-postgres.ts'
import { eventually } from '../kit/posthouse.ts'
import { stores, type Place } from '../kit/stores.ts'
import { killInTurn, mistreated, outage, stopOneWhile } from './acts.ts'
import type { Sizes } from './pushes.ts'
import type { Span } from './verdict.ts'
import { makeWorld, type World } from './world.ts'

const isFull = process.env['FAULTS'] === 'full'

/** About 20,000 deliveries, or 2,000. The large ones are too large to be fanned out as they are accepted. */
const SIZES: Sizes = isFull
  ? { departments: 160, custom: [1_200, ...Array.from({ length: 30 }, () => 200), 1_200] }
  : { departments: 20, custom: [520, 100, 100] }
/** Pushing goes on for so long, so that there is always something under way. */
const PUSHING_MS = isFull ? 75_000 : 12_000
const NODES = [0, 1, 2]
const OUTAGE_MS = isFull ? 10_000 : 3_000
/** Back-offs go by faster: every so often what waits for its next attempt is due. Leases stay what they are. */
const FASTER_MS = 2_000
/** Once the last fault is over. */
const END_MS = 150_000
const TEST_MS = 420_000

const binaries = await findBinaries()
const title = 'delivery on three nodes under faults'

describe.skipIf(binaries === undefined)(
  binaries ? title : `${title}: no PostgreSQL programs (initdb, pg_ctl) here`,
  () => {
    it(
      'brings every message to its end, once, and sends again only what nobody could know of',
      async () => {
        const server = await ownPostgres(binaries ?? '')
        const world = await makeWorld(SIZES, { DATABASE_URL: server.url('posthouse') })
        const { nodes, gateway, mail } = world
        const counts = { terminated: 0, restarts: 0, outages: 0, tooLate: 0 }
        const databaseAway: Span[] = []
        const database = mistreated(server, databaseAway, counts)
        const faster = setInterval(() => void timePasses(server).catch(() => {}), FASTER_MS)

        /** Everything but kills of all. */
        async function meanwhile(alive: readonly number[]) {
          const one = outage(gateway, OUTAGE_MS, counts)
          await killInTurn(world, alive)
          await one
          const other = outage(mail, OUTAGE_MS, counts)
          await database.restart()
          await database.terminate()
          await other
        }

        try {
          await Promise.all(NODES.map((at) => nodes.start(at)))
          const pushing = world.pushAll(PUSHING_MS, (tries) => nodes.node(tries % NODES.length).url)
          pushing.catch(() => {})
          await killInTurn(world, NODES)
          await database.terminate()
          if (isFull) counts.tooLate = await stopOneWhile(world, 2, () => meanwhile([0, 1]))
          else await meanwhile([0])
          if (isFull) await killInTurn(world, NODES)
          // All at once, while the database is away.
          await database.restart(() => Promise.all(NODES.map((at) => nodes.killAndStart(at))))

          const books = await pushing
          await eventually(() => isDone(server), END_MS)
          for (const at of NODES) expect(await nodes.node(at).kill('SIGTERM')).toMatchObject({ code: 0 })
          const store = await openStore({ databaseUrl: server.url('posthouse') })
          try {
            await world.check(store.db, books, { databaseAway, isLeaseReal: true, counts })
          } finally {
            await store.close()
          }
          // The faults were felt.
          expect(counts.terminated).toBeGreaterThan(0)
          expect(nodes.output()).toContain('ECONNREFUSED')
          if (isFull) expect(counts.tooLate).toBeGreaterThan(0)
        } finally {
          clearInterval(faster)
          await world.end()
          await server.remove()
        }
      },
      TEST_MS,
    )
  },
)

async function timePasses({ inside }: OwnPostgres): Promise<void> {
  await inside`update deliveries set due_at = now() where state = 'queued' and due_at > now() and lease is null`
}

async function isDone({ inside }: OwnPostgres): Promise<boolean> {
  const [row] = await inside`
    select not exists (select from deliveries where state = 'queued')
      and not exists (select from messages where state <> 'fanned_out') as is_done`
  return row?.['is_done'] as boolean
}

/** About 1,500 deliveries. */
const PGLITE_SIZES: Sizes = { departments: 14, custom: [520, 60] }
const PGLITE_PUSHING_MS = 10_000
const PGLITE_KILLS = 5
const COPIES_BETWEEN_KILLS = 120
/** Nothing was sent for so long: what is left waits for its time, or for an answer that will not come. */
const QUIET_MS = 1_500

describe('delivery in one process under faults, on PGlite', () => {
  it(
    'brings every message to its end, once, though it is killed over and over',
    async () => {
      const place = await stores[0]!.place()
      const world = await makeWorld(PGLITE_SIZES, place.env)
      const { nodes, ledger, gateway } = world
      const counts = { outages: 0 }
      try {
        await nodes.start(0)
        const pushing = world.pushAll(PGLITE_PUSHING_MS, () => nodes.node(0).url)
        pushing.catch(() => {})
        for (let round = 0; round < PGLITE_KILLS; round++) {
          if (round === 1) await outage(gateway, OUTAGE_MS, counts)
          const before = ledger.copies.length
          await eventually(() => ledger.copies.length >= before + COPIES_BETWEEN_KILLS, END_MS)
          await nodes.killAndStart(0, async () => void (await whileNobodyIsThere(place)))
        }
        const books = await pushing
        for (let left = 1; left > 0;) {
          await quiet(world)
          await nodes.killAndStart(0, async () => void (left = await whileNobodyIsThere(place)))
        }
        expect(await nodes.node(0).kill('SIGTERM')).toMatchObject({ code: 0 })
        const store = await openStore({ dataDir: place.env['DATA_DIR'] })
        try {
          await world.check(store.db, books, { databaseAway: [], isLeaseReal: false, counts })
        } finally {
          await store.close()
        }
      } finally {
        await world.end()
        await place.remove()
      }
    },
    TEST_MS,
  )
})

/**
 * Opens the store between two processes and lets time pass in it: back-offs are over, and the leases of the killed one.
 * Gives how many deliveries are under way.
 */
async function whileNobodyIsThere({ env }: Place): Promise<number> {
  const store = await openStore({ dataDir: env['DATA_DIR'] })
  try {
    await query(store.db, sql`update messages set lease_until = now() where lease_until > now()`)
    const rows = await query(
      store.db,
      sql`
        update deliveries set due_at = least(due_at, now()),
          lease_until = case when lease is not null then now() end
        where state = 'queued'
        returning id`,
    )
    return rows.length
  } finally {
    await store.close()
  }
}

async function quiet({ ledger }: World): Promise<void> {
  for (let before = -1; before !== ledger.copies.length;) {
    before = ledger.copies.length
    await sleep(QUIET_MS)
  }
}
