/** The link in each mail by which its reader switches the like of it off. */
import { sql } from 'drizzle-orm'
import type { Context, OpenChannel } from '../context.ts'
import { query, texts } from '../db/client.ts'
import { isMandatory } from '../preferences/switches.ts'
import { unsubscribeLink } from '../preferences/unsubscribe-link.ts'

const NONE: ReadonlyMap<string, string> = new Map()

/** Gives links by delivery id: to people whom we know, of types that somebody can switch off, where PUBLIC_URL is set. */
export function makeLinks(context: Context, channel: Pick<OpenChannel, 'id' | 'kind'>) {
  const { db, config } = context
  const publicUrl = config.PUBLIC_URL
  return async (ids: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    if (channel.kind !== 'mail' || publicUrl === undefined) return NONE
    const rows = await query<{ id: string; user: string; msgType: string }>(
      db,
      sql`
        select deliveries.id, user_code as "user", msg_type as "msgType"
        from deliveries join messages on messages.id = deliveries.message_id
        where deliveries.id = any(${texts(ids)}::uuid[]) and user_code is not null and not ${isMandatory(sql`msg_type`)}`,
    )
    const links = rows.map(async ({ id, user, msgType }) => {
      const link = await unsubscribeLink(context, publicUrl, { user, msgType, channelId: channel.id })
      return [id, link] as const
    })
    return new Map(await Promise.all(links))
  }
}
