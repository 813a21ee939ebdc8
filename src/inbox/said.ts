/** What an item says: its variant where it has one, otherwise what the message says to everybody. */
import { sql, type SQL } from 'drizzle-orm'

/**
 * Where `contents` of the site channel is at hand. Variants are looked at only for those who have one: nearly every message
 * says the same to all, and is read as if there were none.
 */
export function saidTo(variant: SQL): SQL {
  return sql`
    case when ${variant} is null then contents.content else (
      select variants.content from variants
      where variants.message_id = contents.message_id and variants.channel_id = contents.channel_id
        and variants.variant = ${variant}
    ) end`
}
