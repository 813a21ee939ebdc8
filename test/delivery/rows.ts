/** Deliveries put straight into a store, in any state, for tests of what happens to them there. */
import { sql } from 'drizzle-orm'
import { json, query, type Db } from '../../src/db/client.ts'
import type { DeliveryEvent, DeliveryState } from '../../src/db/tables.ts'

export type Put = {
  state: DeliveryState
  channelId?: string
  address?: string
  receipt?: string | null
  reason?: string | null
  priority?: 1 | 2 | 3
  maybeSent?: boolean
  /** Seconds until the lease ends; undefined: none. */
  leaseSeconds?: number
  dueInSeconds?: number
  ageSeconds?: number
}

/** What receipts change, and what they must not. */
export type Found = {
  id: string
  address: string
  state: DeliveryState
  reason: string | null
  lastError: string | null
  receipt: string | null
  attempts: number
  isLeased: boolean
  isSettled: boolean
  history: DeliveryEvent[]
}

/** Puts deliveries; gives their ids in order. */
export async function putDeliveries(db: Db, deliveries: Put[]): Promise<string[]> {
  const rows = await query<{ id: string }>(
    db,
    sql`
      insert into deliveries (
        id, message_id, app_id, channel_id, recipient, address, state, reason, priority, due_at, expires_at, created_at,
        attempts, maybe_sent, receipt, lease, lease_until, settled_at
      )
      select gen_random_uuid(), gen_random_uuid(), 'app', coalesce(put."channelId", '1001'), 'someone',
        coalesce(put.address, '+8613800138000'), put.state, put.reason, coalesce(put.priority, 2),
        now() + make_interval(secs => coalesce(put."dueInSeconds", 0)), now() + interval '1 day',
        now() - make_interval(secs => coalesce(put."ageSeconds", 60)), 1, coalesce(put."maybeSent", false), put.receipt,
        case when put."leaseSeconds" is not null then gen_random_uuid() end,
        now() + make_interval(secs => put."leaseSeconds"),
        case when put.state <> 'queued' then now() - interval '1 second' end
      from rows from (jsonb_to_recordset(${json(deliveries)}::jsonb) as (
        "channelId" text, address text, state text, reason text, priority int, receipt text, "maybeSent" boolean,
        "leaseSeconds" float8, "dueInSeconds" float8, "ageSeconds" float8
      )) with ordinality as put
      order by put.ordinality
      returning id`,
  )
  return rows.map(({ id }) => id)
}

export async function putDelivery(db: Db, delivery: Put): Promise<string> {
  const [id] = await putDeliveries(db, [delivery])
  return id!
}

export async function find(db: Db, id: string): Promise<Found> {
  const [row] = await query<Found>(
    db,
    sql`
      select id, address, state, reason, last_error as "lastError", receipt, attempts, lease is not null as "isLeased",
        settled_at is not null as "isSettled", history
      from deliveries where id = ${id}`,
  )
  if (row === undefined) throw new Error(`There is no delivery ${id}`)
  return row
}

export async function states(db: Db): Promise<Record<string, number>> {
  const rows = await query<{ state: string; count: number }>(
    db,
    sql`select state, count(*)::int as count from deliveries group by state`,
  )
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]))
}

/** How many receipts wait for a delivery. */
export async function waiting(db: Db): Promise<number> {
  const [row] = await query<{ count: number }>(db, sql`select count(*)::int as count from receipts`)
  return row!.count
}
