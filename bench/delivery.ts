/**
 * npm run bench:delivery [-- --json]: deliveries a second through a provider that does nothing, on PostgreSQL, beside a bare
 * SKIP LOCKED loop, pg-boss and graphile-worker in the same run; then what a high-priority delivery waits while the low
 * lane is full. Needs PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us).
 */
import { randomUUID, randomUUIDv7 } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import postgres from 'postgres'
import type { Context } from '../src/context.ts'
import { openStore, query, type Store } from '../src/db/client.ts'
import { migrate } from '../src/db/migrate.ts'
import { USUAL_LIMITS, type Carrier } from '../src/delivery/channel.ts'
import { startWorker } from '../src/delivery/worker.ts'
import { openHints } from '../src/hints/hints.ts'
import { bareLoop, graphileWorker, pgBoss } from './delivery-peers.ts'
import { median, percentile, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const ROUNDS = 3
const JOBS = 100_000
const PUT_AT_ONCE = 10_000
/** The most a channel may have: nothing is waited for, and one half is claimed while the other is settled. */
const NO_OP_CONCURRENCY = 2_000
/** The lanes: a provider that takes so long over a call, with the usual ten slots. */
const CALL_MS = 20
const BACKLOG = 20_000
const HIGH = 200
const HIGH_EVERY_MS = 25

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(SERVER, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
const store = await openStore({ databaseUrl: url })
await migrate(store)
await query(store.db, sql`insert into apps (id, name, grants) values ('app', 'app', '[]')`)

/** A worker with one SMS channel. */
async function work(send: Carrier['send'], concurrency: number) {
  const hints = await openHints(store)
  const limits = { ...USUAL_LIMITS, concurrency }
  const channel = {
    id: '1001',
    kind: 'sms',
    provider: { schemes: ['bench'] },
    carrier: { send, close: async () => {} },
    limits,
  }
  const channels = new Map([['1001', channel]])
  const log = pino({ level: 'silent' })
  const worker = startWorker({ store, db: store.db, log, hints, channels } as unknown as Context)
  return {
    hints,
    async stop() {
      await worker.stop()
      await hints.close()
    },
  }
}

/** As they are made in production: in the order of time. */
const ids = (count: number) => JSON.stringify(Array.from({ length: count }, () => randomUUIDv7()))

/** A message with so many deliveries, all due; gives its id. */
async function put(count: number, priority: number): Promise<string> {
  const [message] = await query<{ id: string }>(
    store.db,
    sql`
      with message as (
        insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
        values (gen_random_uuid(), 'app', 'custom', '{}', '{}', 'notice', ${priority}, now(), 'fanned_out', 'bench')
        returning id
      ), said as (
        insert into contents (message_id, channel_id, kind, content)
        select id, '1001', 'sms', '{"content": "您的检验报告已出"}'::jsonb from message
      )
      select id from message`,
  )
  const id = message?.id ?? ''
  for (let from = 0; from < count; from += PUT_AT_ONCE) {
    await query(
      store.db,
      sql`
        insert into deliveries (id, message_id, app_id, channel_id, recipient, address, state, priority, due_at, expires_at)
        select delivery_id::uuid, ${id}, 'app', '1001', number + ${from}, '+8613900000000', 'queued', ${priority}, now(),
          now() + interval '1 day'
        from jsonb_array_elements_text(${ids(Math.min(PUT_AT_ONCE, count - from))}::jsonb)
          with ordinality as new (delivery_id, number)`,
    )
  }
  return id
}

async function posthouse(target: Store, jobs: number): Promise<number> {
  await query(target.db, sql`truncate messages, contents, deliveries cascade`)
  await put(jobs, 2)
  await admin_vacuum()
  let done = 0
  const startedAt = performance.now()
  const worker = await work(async () => (done++, { outcome: 'sent' }), NO_OP_CONCURRENCY)
  let waiting = jobs
  while (waiting > 0) {
    await new Promise((resolve) => setTimeout(resolve, done < jobs ? 50 : 5))
    if (done < jobs) continue
    const [row] = await query<{ waiting: number }>(
      target.db,
      sql`select count(*)::int as waiting from deliveries where state = 'queued'`,
    )
    waiting = row?.waiting ?? 0
  }
  const seconds = (performance.now() - startedAt) / 1_000
  await worker.stop()
  return jobs / seconds
}

async function admin_vacuum() {
  const inside = postgres(url, { max: 1, onnotice: () => {} })
  await inside`vacuum analyze deliveries`
  await inside.end()
}

/** Milliseconds from a high-priority delivery's commit and hint to its provider call, one after the other. */
async function waits(backlog: number): Promise<number[]> {
  await query(store.db, sql`truncate messages, contents, deliveries cascade`)
  if (backlog > 0) await put(backlog, 1)
  const begun = new Map<string, number>()
  const worker = await work(async ({ messageId }) => {
    begun.set(messageId, performance.now())
    await new Promise((resolve) => setTimeout(resolve, CALL_MS))
    return { outcome: 'sent' }
  }, USUAL_LIMITS.concurrency)
  await new Promise((resolve) => setTimeout(resolve, 500))
  const found: number[] = []
  for (let at = 0; at < HIGH; at++) {
    const id = await put(1, 3)
    const putAt = performance.now()
    worker.hints.send({ kind: 'work' })
    while (!begun.has(id)) await new Promise((resolve) => setTimeout(resolve, 1))
    found.push(Math.max(0, (begun.get(id) ?? 0) - putAt))
    await new Promise((resolve) => setTimeout(resolve, HIGH_EVERY_MS))
  }
  await worker.stop()
  return found
}

const rates = { posthouse: [] as number[], bare: [] as number[], boss: [] as number[], graphile: [] as number[] }
const contenders: [keyof typeof rates, () => Promise<number>][] = [
  ['bare', () => bareLoop(url, JOBS)],
  ['posthouse', () => posthouse(store, JOBS)],
  ['boss', () => pgBoss(url, JOBS)],
  ['graphile', () => graphileWorker(url, JOBS)],
]
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, rate] of contenders) {
    // Otherwise somebody's time has in it what another wrote, and all his pages go into the log whole once more.
    await admin`checkpoint`
    rates[name].push(await rate())
  }
}
const ratio = (others: number[]) => median(rates.posthouse.map((value, round) => value / (others[round] ?? value)))
const idle = await waits(0)
const busy = await waits(BACKLOG)

report({
  deliveriesPerSecond: median(rates.posthouse),
  bareLoopPerSecond: median(rates.bare),
  pgBossPerSecond: median(rates.boss),
  graphileWorkerPerSecond: median(rates.graphile),
  vsBareLoop: ratio(rates.bare),
  vsPgBoss: ratio(rates.boss),
  vsGraphileWorker: ratio(rates.graphile),
  highIdleP50Ms: percentile(idle, 50),
  highIdleP99Ms: percentile(idle, 99),
  highUnderLowLoadP50Ms: percentile(busy, 50),
  highUnderLowLoadP99Ms: percentile(busy, 99),
})

await store.close()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
