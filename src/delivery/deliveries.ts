/** Reading deliveries: those of a message, and those that ended without arriving. */
import { sql } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { DeliveryEvent, DeliveryState } from '../db/tables.ts'
import { email, phone } from '../directory/address.ts'

/** A delivery's state as people are told it: a queued one that a worker has is `sending`. */
type ToldState = DeliveryState | 'sending'
export const toldState = sql`case when deliveries.state = 'queued' and lease_until > now() then 'sending' else deliveries.state end`

/** One delivery as people are told of it. */
export type Delivery = {
  id: string
  messageId: string
  channelId: string
  recipient: string
  variant: string | null
  state: ToldState
  reason: string | null
  lastError: string | null
  attempts: number
  receipt: string | null
  history: DeliveryEvent[]
  dueAt: Date
  createdAt: Date
  settledAt: Date | null
}

/** Ended without arriving: what somebody may want to look at, or to have tried again. */
export const ENDED = ['dead', 'failed', 'expired', 'undelivered'] as const satisfies DeliveryState[]
export type EndedState = (typeof ENDED)[number]

/** Its history begins with its making, which stands in its other columns. */
export const toldHistory = sql`
  jsonb_build_array(jsonb_build_object(
    'at', deliveries.created_at, 'attempt', 0,
    'state', case when deliveries.history = '[]' and deliveries.state in ('skipped', 'failed') then deliveries.state else 'queued' end
  )) || deliveries.history`

const columns = sql`
  deliveries.id, deliveries.message_id as "messageId", deliveries.channel_id as "channelId", deliveries.recipient,
  deliveries.variant, ${toldState} as state, deliveries.reason, deliveries.last_error as "lastError", deliveries.attempts, deliveries.receipt,
  ${toldHistory} as history, deliveries.due_at as "dueAt", deliveries.created_at as "createdAt",
  deliveries.settled_at as "settledAt"`

/** The message's deliveries, by channel and recipient: the order of an index they have anyway. `after` is a delivery's id. */
export function listDeliveries(
  db: Db,
  messageId: string,
  after: string | undefined,
  limit: number,
): Promise<Delivery[]> {
  const further = sql`
    and (channel_id, recipient) > (
      select channel_id, recipient from deliveries where id = ${after} and message_id = ${messageId}
    )`
  return query<Delivery>(
    db,
    sql`
      select ${columns}
      from deliveries
      where message_id = ${messageId} ${after === undefined ? sql`` : further}
      order by channel_id, recipient
      limit ${limit}`,
  )
}

/**
 * The deliveries that a person has from a message, one a channel: under his code or, to custom accounts, at his address,
 * however that was written. Accounts that come to one address have one delivery, under the first of them.
 */
export function deliveriesTo(db: Db, messageId: string, user: string, isCustom: boolean): Promise<Delivery[]> {
  const written = [phone(user), email(user)].filter((address) => address !== undefined)
  const atAddress = sql`
    or address = any(${texts(written)})
    or address in (select unnest(array[phone, email]) from users where code = ${user})`
  return query<Delivery>(
    db,
    sql`
      select distinct on (channel_id) ${columns}
      from deliveries
      where message_id = ${messageId} and (
        user_code = ${user} or recipient = ${user} ${isCustom ? atAddress : sql``}
      )
      order by channel_id, recipient = ${user} desc, user_code = ${user} desc nulls last`,
  )
}

/** Which ended deliveries: of any app when `appId` is undefined (the admin asks). */
export type EndedFilter = {
  appId: string | undefined
  state: EndedState
  channelId?: string | null | undefined
  messageId?: string | null | undefined
  reason?: string | null | undefined
  since?: Date | null | undefined
  until?: Date | null | undefined
}

/** The condition of a filter, over `deliveries`. */
export function isEnded({ appId, state, channelId, messageId, reason, since, until }: EndedFilter) {
  const conditions = [
    sql`deliveries.state = ${state}`,
    // Said again, so that the planner knows it for the index of these states.
    sql`deliveries.state in ('dead', 'failed', 'expired', 'undelivered')`,
    appId === undefined ? undefined : sql`deliveries.app_id = ${appId}`,
    channelId == null ? undefined : sql`deliveries.channel_id = ${channelId}`,
    messageId == null ? undefined : sql`deliveries.message_id = ${messageId}`,
    reason == null ? undefined : sql`deliveries.reason = ${reason}`,
    since == null ? undefined : sql`deliveries.settled_at >= ${since.toISOString()}`,
    until == null ? undefined : sql`deliveries.settled_at < ${until.toISOString()}`,
  ].filter((condition) => condition !== undefined)
  return sql.join(conditions, sql` and `)
}

/** What ended so, latest first. `after` is a delivery's id. */
export function listEnded(db: Db, filter: EndedFilter, after: string | undefined, limit: number): Promise<Delivery[]> {
  const further = sql`
    and (settled_at, id) < (select last.settled_at, last.id from deliveries as last where last.id = ${after})`
  return query<Delivery>(
    db,
    sql`
      select ${columns}
      from deliveries
      where ${isEnded(filter)} ${after === undefined ? sql`` : further}
      order by settled_at desc nulls first, id desc nulls first
      limit ${limit}`,
  )
}
