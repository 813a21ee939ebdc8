/**
 * npm run bench:delivery [-- --json]: deliveries a second through a provider that does nothing, on PostgreSQL, beside a bare
 * SKIP LOCKED loop, pg-boss and graphile-worker in the same run; then what a high-priority delivery waits while the low
 * lane is full. Needs PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us).
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { openStore, query } from '../src/db/client.ts'
import { migrate } from '../src/db/migrate.ts'
import { waits } from './delivery-house.ts'
import { median, percentile, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const ROUNDS = 5
const JOBS = 100_000
const BACKLOG = 20_000

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(SERVER, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
const store = await openStore({ databaseUrl: url })
await migrate(store)
await query(store.db, sql`insert into apps (id, name, grants) values ('app', 'app', '[]')`)

async function rate(contender: string): Promise<number> {
  const file = new URL('delivery-contender.ts', import.meta.url).pathname
  const { stdout } = await promisify(execFile)(process.execPath, [file, contender, url, String(JOBS)])
  return Number(stdout)
}

const rates = {
  posthouse: [] as number[],
  bareLoop: [] as number[],
  pgBoss: [] as number[],
  graphileWorker: [] as number[],
}
for (let round = 0; round < ROUNDS; round++) {
  for (const contender of ['bareLoop', 'posthouse', 'pgBoss', 'graphileWorker'] as const)
    rates[contender].push(await rate(contender))
}
const ratio = (others: number[]) => median(rates.posthouse.map((value, round) => value / (others[round] ?? value)))
const idle = await waits(store, 0)
const busy = await waits(store, BACKLOG)

report({
  deliveriesPerSecond: median(rates.posthouse),
  bareLoopPerSecond: median(rates.bareLoop),
  pgBossPerSecond: median(rates.pgBoss),
  graphileWorkerPerSecond: median(rates.graphileWorker),
  vsBareLoop: ratio(rates.bareLoop),
  vsPgBoss: ratio(rates.pgBoss),
  vsGraphileWorker: ratio(rates.graphileWorker),
  highIdleP50Ms: percentile(idle, 50),
  highIdleP99Ms: percentile(idle, 99),
  highUnderLowLoadP50Ms: percentile(busy, 50),
  highUnderLowLoadP99Ms: percentile(busy, 99),
})

await store.close()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
