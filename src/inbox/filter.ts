/** Which items: what a page shows, and what an act on everything is about. */
import { sql, type SQL } from 'drizzle-orm'

/** By where items come from and when they came. What is left out does not matter. */
export type KindFilter = {
  msgType?: string | null | undefined
  appId?: string | null | undefined
  senderCode?: string | null | undefined
  /** Came then or later. */
  since?: Date | null | undefined
  /** Came before then. */
  until?: Date | null | undefined
}

/** Conditions on `items`. */
export function isOfKind({ msgType, appId, senderCode, since, until }: KindFilter): SQL[] {
  return [
    msgType == null ? undefined : sql`items.msg_type = ${msgType}`,
    appId == null ? undefined : sql`items.app_id = ${appId}`,
    senderCode == null
      ? undefined
      : sql`exists (select from messages where id = items.message_id and sender_code = ${senderCode})`,
    since == null ? undefined : sql`items.created_at >= ${instant(since)}`,
    until == null ? undefined : sql`items.created_at < ${instant(until)}`,
  ].filter((condition) => condition !== undefined)
}

/** As the database knows it. Nothing came before 1970, and what lies far before that is out of its range. */
function instant(date: Date): SQL {
  return sql`to_timestamp(${Math.max(0, date.getTime()) / 1_000}::float8)`
}
