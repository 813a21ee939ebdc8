/** Reading what was accepted and what became of it. */
import { and, desc, eq, sql, type SQL } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import { contents, messages, type DeliveryState } from '../db/tables.ts'

export type Message = typeof messages.$inferSelect

/** A message of this app; of any app when `appId` is undefined (the admin asks). Not there and not yours look the same. */
export async function findMessage(db: Db, appId: string | undefined, id: string): Promise<Message | undefined> {
  const [found] = await db
    .select()
    .from(messages)
    .where(and(eq(messages.id, id), appId === undefined ? undefined : eq(messages.appId, appId)))
  return found
}

export type MessagesPage = {
  appId: string | undefined
  businessId: string | null | undefined
  /** Only messages older than this one. */
  before: string | undefined
  limit: number
}

/** Messages, newest first. */
export function listMessages(db: Db, { appId, businessId, before, limit }: MessagesPage): Promise<Message[]> {
  // Compared in the database: a Date has milliseconds, the column microseconds.
  const older: SQL | undefined =
    before === undefined
      ? undefined
      : sql`(${messages.createdAt}, ${messages.id}) < (select m.created_at, m.id from messages as m where m.id = ${before})`
  return db
    .select()
    .from(messages)
    .where(
      and(
        appId === undefined ? undefined : eq(messages.appId, appId),
        businessId == null ? undefined : eq(messages.businessId, businessId),
        older,
      ),
    )
    .orderBy(sql`${desc(messages.createdAt)} nulls first, ${desc(messages.id)} nulls first`)
    .limit(limit)
}

export type ChannelStatus = {
  channelId: string
  kind: 'site' | 'sms' | 'mail'
  content: Record<string, unknown>
  totals: { state: string; count: number }[]
}

/**
 * What the message says on each channel, and how many recipients stand where. On the site channel the states are
 * `unread` and `read`; people who have not fetched a broadcast yet are in no total.
 */
export async function channelStatus(db: Db, messageId: string): Promise<ChannelStatus[]> {
  const said = await db.select().from(contents).where(eq(contents.messageId, messageId)).orderBy(contents.channelId)
  const totals = await query<{ channelId: string | null; state: string; count: number }>(
    db,
    sql`
      select channel_id as "channelId", state, count(*)::int as count
      from deliveries where message_id = ${messageId} group by channel_id, state
      union all
      select null, case when read_at is null then 'unread' else 'read' end as state, count(*)
      from items where message_id = ${messageId} group by 2
      order by 1, 2`,
  )
  return said.map(({ channelId, kind, content }) => ({
    channelId,
    kind,
    content,
    totals: totals
      .filter((total) => total.channelId === channelId || (total.channelId === null && kind === 'site'))
      .map(({ state, count }) => ({ state, count })),
  }))
}

export type Delivery = {
  id: string
  channelId: string
  recipient: string
  state: DeliveryState
  reason: string | null
  lastError: string | null
  attempts: number
  createdAt: Date
  settledAt: Date | null
}

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
      select id, channel_id as "channelId", recipient, state, reason, last_error as "lastError", attempts,
        created_at as "createdAt", settled_at as "settledAt"
      from deliveries
      where message_id = ${messageId} ${after === undefined ? sql`` : further}
      order by channel_id, recipient
      limit ${limit}`,
  )
}
