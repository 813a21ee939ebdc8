/** Reading what was accepted and what became of it. */
import { and, desc, eq, sql, type SQL } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import { contents, messages } from '../db/tables.ts'
import { toldState } from '../delivery/deliveries.ts'
import type { ContentKind } from '../delivery/content.ts'

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
  kind: ContentKind
  content: Record<string, unknown>
  /** The same to people of other languages. */
  translations: Translation[]
  isPersonal: boolean
  totals: { state: string; count: number }[]
}

export type Translation = { locale: string; content: Record<string, unknown> }

/** A recipient's state on the site channel. */
export const itemState = sql`
  case when items.change in ('recalled', 'expired') then items.change when items.read_at is null then 'unread' else 'read' end`

/**
 * What the message says on each channel, and how many recipients stand where. On the site channel the states are
 * `unread`, `read`, `recalled` and `expired`; people who have not fetched a broadcast yet are in no total.
 */
export async function channelStatus(db: Db, messageId: string): Promise<ChannelStatus[]> {
  const said = await db.select().from(contents).where(eq(contents.messageId, messageId)).orderBy(contents.channelId)
  const totals = await query<{ channelId: string | null; state: string; count: number }>(
    db,
    sql`
      select channel_id as "channelId", ${toldState} as state, count(*)::int as count
      from deliveries where message_id = ${messageId} group by 1, 2
      union all
      select null, ${itemState} as state, count(*)
      from items where message_id = ${messageId} group by 2
      order by 1, 2`,
  )
  const translations = said.some(({ locales }) => locales !== null) ? await translationsOf(db, messageId) : []
  return said.map(({ channelId, kind, content, isPersonal }) => ({
    channelId,
    kind,
    content,
    translations: translations.filter((one) => one.channelId === channelId),
    isPersonal,
    totals: totals
      .filter((total) => total.channelId === channelId || (total.channelId === null && kind === 'site'))
      .map(({ state, count }) => ({ state, count })),
  }))
}

function translationsOf(db: Db, messageId: string): Promise<(Translation & { channelId: string })[]> {
  return query(
    db,
    sql`
      select contents.channel_id as "channelId", variants.variant as locale, variants.content
      from contents
      cross join lateral jsonb_array_elements_text(contents.locales) as said (locale)
      join variants on variants.message_id = contents.message_id and variants.channel_id = contents.channel_id
        and variants.variant = said.locale
      where contents.message_id = ${messageId}
      order by 1, 2`,
  )
}
