/** Posthouse's own part of bench:delivery: a worker with one channel, and deliveries for it. */
import { randomUUIDv7 } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import type { Context } from '../src/context.ts'
import { openStore, query, type Store } from '../src/db/client.ts'
import { USUAL_LIMITS, type Carrier } from '../src/delivery/channel.ts'
import { startWorker } from '../src/delivery/worker.ts'
import { openHints } from '../src/hints/hints.ts'
import type { Contender } from './delivery-peers.ts'

const PUT_AT_ONCE = 10_000
/** The most a channel may have: nothing is waited for, and one half is claimed while the other is settled. */
const NO_OP_CONCURRENCY = 2_000
/** The lanes: a provider that takes so long over a call, with the usual ten slots. */
const CALL_MS = 20
const HIGH = 200
const HIGH_EVERY_MS = 25

/** A worker with one SMS channel. */
async function work(store: Store, send: Carrier['send'], concurrency: number) {
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
  const worker = startWorker({ store, db: store.db, log, hints, channels, config: {} } as unknown as Context)
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
async function put(store: Store, count: number, priority: number): Promise<string> {
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

/** Does `jobs` deliveries that are waiting already; gives how many a second. */
export const posthouse: Contender = async (url, jobs) => {
  const store = await openStore({ databaseUrl: url })
  await query(store.db, sql`truncate messages, contents, deliveries cascade`)
  await put(store, jobs, 2)
  await query(store.db, sql`vacuum analyze deliveries`)
  let done = 0
  const startedAt = performance.now()
  const worker = await work(store, async () => (done++, { outcome: 'sent' }), NO_OP_CONCURRENCY)
  let waiting = jobs
  while (waiting > 0) {
    await new Promise((resolve) => setTimeout(resolve, done < jobs ? 50 : 5))
    if (done < jobs) continue
    const [row] = await query<{ waiting: number }>(
      store.db,
      sql`select count(*)::int as waiting from deliveries where state = 'queued'`,
    )
    waiting = row?.waiting ?? 0
  }
  const seconds = (performance.now() - startedAt) / 1_000
  await worker.stop()
  await store.close()
  return jobs / seconds
}

/** Milliseconds from a high-priority delivery's commit and hint to its provider call, one after the other. */
export async function waits(store: Store, backlog: number): Promise<number[]> {
  await query(store.db, sql`truncate messages, contents, deliveries cascade`)
  if (backlog > 0) await put(store, backlog, 1)
  const begun = new Map<string, number>()
  const worker = await work(
    store,
    async ({ messageId }) => {
      begun.set(messageId, performance.now())
      await new Promise((resolve) => setTimeout(resolve, CALL_MS))
      return { outcome: 'sent' }
    },
    USUAL_LIMITS.concurrency,
  )
  await new Promise((resolve) => setTimeout(resolve, 500))
  const found: number[] = []
  for (let at = 0; at < HIGH; at++) {
    const id = await put(store, 1, 3)
    const putAt = performance.now()
    worker.hints.send({ kind: 'work' })
    while (!begun.has(id)) await new Promise((resolve) => setTimeout(resolve, 1))
    found.push(Math.max(0, (begun.get(id) ?? 0) - putAt))
    await new Promise((resolve) => setTimeout(resolve, HIGH_EVERY_MS))
  }
  await worker.stop()
  return found
}
