/** Rows and workers for the tests of delivery: everything real, put straight into a store. */
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import type { Context } from '../../src/context.ts'
import { json, query, type Db, type Store } from '../../src/db/client.ts'
import { USUAL_LIMITS, type Carrier, type Limits, type Outcome } from '../../src/delivery/channel.ts'
import type { DeliveryEvent } from '../../src/db/tables.ts'
import { LANES } from '../../src/delivery/lanes.ts'
import { fireDue } from '../../src/delivery/due.ts'
import { fanOutNext } from '../../src/delivery/fan-out.ts'
import { toldState } from '../../src/delivery/deliveries.ts'
import { claim, type Claimed } from '../../src/delivery/queue.ts'
import { takeBackNext } from '../../src/delivery/recall.ts'
import { startWorker } from '../../src/delivery/worker.ts'
import { openHints } from '../../src/hints/hints.ts'

export type Row = {
  id: string
  recipient: string
  state: string
  reason: string | null
  lastError: string | null
  receipt: string | null
  attempts: number
  maybeSent: boolean
  history: DeliveryEvent[]
  dueInSeconds: number
  isSettled: boolean
}

type Put = {
  addresses: string[]
  priority?: number
  dueInSeconds?: number
  ageHours?: number
  channelId?: string
  appId?: string
}

/** A fanned-out message with a mail for each address. */
export async function putMails(
  db: Db,
  { addresses, priority = 2, dueInSeconds = 0, ageHours = 0, channelId = '1003', appId = 'app' }: Put,
): Promise<void> {
  await query(db, sql`insert into apps (id, name, grants) values (${appId}, ${appId}, '[]') on conflict do nothing`)
  const content = json({ title: 'title', content: '<p>text</p>', text: 'text' })
  await query(
    db,
    sql`
    with message as (
      insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
      values (gen_random_uuid(), ${appId}, 'custom', '{}', '{}', 'notice', ${priority}, now(), 'fanned_out', 'test')
      returning id
    ), said as (
      insert into contents (message_id, channel_id, kind, content) select id, ${channelId}, 'mail', ${content}::jsonb from message
    )
    insert into deliveries (id, message_id, app_id, channel_id, recipient, address, state, priority, due_at, created_at, expires_at)
    select gen_random_uuid(), id, ${appId}, ${channelId}, address, address, 'queued', ${priority},
      now() + make_interval(secs => ${dueInSeconds}), now() - make_interval(hours => ${ageHours}),
      now() + make_interval(hours => ${24 - ageHours})
    from message, jsonb_array_elements_text(${json(addresses)}::jsonb) as address`,
  )
}

/** Removes messages and what hangs on them. */
export async function empty(db: Db): Promise<void> {
  await query(
    db,
    sql`truncate messages, contents, deliveries, receipts, earlier_receipts, items, inboxes, broadcasts cascade`,
  )
}

/** Every delivery, in the order of recipients. */
export function rows(db: Db): Promise<Row[]> {
  return query<Row>(
    db,
    sql`
    select id, recipient, ${toldState} as state, reason, maybe_sent as "maybeSent", history, last_error as "lastError", receipt, attempts, settled_at is not null as "isSettled",
      extract(epoch from due_at - now())::float8 as "dueInSeconds"
    from deliveries order by recipient`,
  )
}

export async function row(db: Db): Promise<Row> {
  const [only] = await rows(db)
  if (only === undefined) throw new Error('There is no delivery')
  return only
}

/** One step of a worker with messages: a round of those that are due, or a chunk, or a recall. False: there was nothing. */
export async function step(node: Context): Promise<boolean> {
  return (await fireDue(node)).foundAny || (await fanOutNext(node)) || takeBackNext(node)
}

/** All that there is to do with messages. */
export async function workOff(node: Context): Promise<void> {
  while (await step(node));
}

/** A worker on that store with one mail channel that is carried by `send`, and its log. */
export async function work(
  store: Pick<Store, 'db' | 'run' | 'kind' | 'notify' | 'listen'>,
  send: Carrier['send'],
  attemptMs = 20_000,
  limits: Partial<Limits> = {},
  batch?: Carrier['batch'],
  wake: () => void = () => {},
) {
  const lines: string[] = []
  const log = pino({ level: 'debug', base: undefined }, { write: (line: string) => void lines.push(line) })
  const hints = await openHints(store as Store)
  const carrier: Carrier = { send, wake, close: async () => {}, ...(batch ? { batch } : {}) }
  const ownLimits = { ...USUAL_LIMITS, timeoutSeconds: attemptMs / 1_000, ...limits }
  const provider = { schemes: ['test'] }
  const channels = new Map([['1003', { id: '1003', kind: 'mail', carrier, provider, limits: ownLimits }]])
  const worker = startWorker({ store, db: store.db, log, hints, channels, config: {} } as unknown as Context)
  return {
    lines,
    hints,
    openCircuits: worker.openCircuits,
    async stop() {
      await worker.stop()
      await hints.close()
    },
  }
}

export const sent = async (): Promise<Outcome> => ({ outcome: 'sent' })

/** Claims on the mail channel as a worker with room for `total` would. */
export function claimSome(
  store: Store,
  total: number,
  { isSuspect, lease = randomUUID() }: { isSuspect?: boolean; lease?: string } = {},
): Promise<Claimed[]> {
  const lanes = LANES.map((priority) => ({ priority, kept: 0, isOwed: false, afterApp: '' }))
  return claim(store, '1003', { lanes, pool: total, total }, lease, isSuspect)
}
