/** Rows and workers for the tests of delivery: everything real, put straight into a store. */
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import type { Context } from '../../src/context.ts'
import { json, query, type Db, type Store } from '../../src/db/client.ts'
import type { Carrier, Outcome } from '../../src/delivery/channel.ts'
import { startWorker } from '../../src/delivery/worker.ts'
import { openHints } from '../../src/hints.ts'

export type Row = {
  id: string
  recipient: string
  state: string
  reason: string | null
  lastError: string | null
  receipt: string | null
  attempts: number
  dueInSeconds: number
  isSettled: boolean
}

type Put = { addresses: string[]; priority?: number; dueInSeconds?: number; ageHours?: number; channelId?: string }

/** A fanned-out message with a mail for each address. */
export async function putMails(
  db: Db,
  { addresses, priority = 2, dueInSeconds = 0, ageHours = 0, channelId = '1003' }: Put,
): Promise<void> {
  await query(db, sql`insert into apps (id, name, grants) values ('app', 'app', '[]') on conflict do nothing`)
  const content = json({ title: 'title', content: '<p>text</p>', text: 'text' })
  await query(
    db,
    sql`
    with message as (
      insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
      values (gen_random_uuid(), 'app', 'custom', '{}', '{}', 'notice', ${priority}, now(), 'fanned_out', 'test')
      returning id
    ), said as (
      insert into contents (message_id, channel_id, kind, content) select id, ${channelId}, 'mail', ${content}::jsonb from message
    )
    insert into deliveries (id, message_id, channel_id, recipient, address, state, priority, due_at, created_at)
    select gen_random_uuid(), id, ${channelId}, address, address, 'queued', ${priority},
      now() + make_interval(secs => ${dueInSeconds}), now() - make_interval(hours => ${ageHours})
    from message, jsonb_array_elements_text(${json(addresses)}::jsonb) as address`,
  )
}

/** Removes messages and what hangs on them. */
export async function empty(db: Db): Promise<void> {
  await query(db, sql`truncate messages, contents, deliveries, items, inboxes, broadcasts cascade`)
}

/** Every delivery, in the order of recipients. */
export function rows(db: Db): Promise<Row[]> {
  return query<Row>(
    db,
    sql`
    select id, recipient, state, reason, last_error as "lastError", receipt, attempts, settled_at is not null as "isSettled",
      extract(epoch from due_at - now())::float8 as "dueInSeconds"
    from deliveries order by recipient`,
  )
}

export async function row(db: Db): Promise<Row> {
  const [only] = await rows(db)
  if (only === undefined) throw new Error('There is no delivery')
  return only
}

/** A worker on that store with one mail channel that is carried by `send`, and its log. */
export async function work(
  store: Pick<Store, 'db' | 'run' | 'kind' | 'notify' | 'listen'>,
  send: Carrier['send'],
  attemptMs?: number,
) {
  const lines: string[] = []
  const log = pino({ level: 'debug', base: undefined }, { write: (line: string) => void lines.push(line) })
  const hints = await openHints(store as Store)
  const carrier: Carrier = { send, close: async () => {} }
  const channels = new Map([['1003', { id: '1003', kind: 'mail', carrier }]])
  const worker = startWorker({ store, db: store.db, log, hints, channels } as unknown as Context, attemptMs)
  return {
    lines,
    hints,
    async stop() {
      await worker.stop()
      await hints.close()
    },
  }
}

export const sent = async (): Promise<Outcome> => ({ outcome: 'sent' })
