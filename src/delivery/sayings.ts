/** What messages say on a channel, kept for a while: all recipients of a message share it, and it never changes. */
import { sql } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { ContentKind } from './content.ts'

/** Contents kept, by each channel. */
const KEPT = 50
/** Most are small, but a mail may have a megabyte: bytes of them kept, as JSON. */
const KEPT_BYTES = 4 * 1024 * 1024

export type Saying = { kind: ContentKind; content: Record<string, unknown> }

/** Gives what these messages say on the channel, by message id. */
export function makeSayings(db: Db, channelId: string) {
  const kept = new Map<string, Saying & { bytes: number }>()
  let keptBytes = 0
  return async (messageIds: readonly string[]): Promise<ReadonlyMap<string, Saying>> => {
    const said = new Map<string, Saying>()
    const missing = new Set<string>()
    for (const id of messageIds) {
      const saying = kept.get(id)
      if (saying === undefined) missing.add(id)
      else said.set(id, saying)
    }
    if (missing.size === 0) return said
    const rows = await query<Saying & { messageId: string; bytes: number }>(
      db,
      sql`
        select message_id as "messageId", kind, content, octet_length(content::text) as bytes from contents
        where message_id = any(${texts([...missing])}::uuid[]) and channel_id = ${channelId}`,
    )
    for (const { messageId, ...saying } of rows) {
      said.set(messageId, saying)
      keptBytes += saying.bytes - (kept.get(messageId)?.bytes ?? 0)
      kept.set(messageId, saying)
    }
    for (const [id, { bytes }] of kept) {
      if (kept.size <= KEPT && keptBytes <= KEPT_BYTES) break
      kept.delete(id)
      keptBytes -= bytes
    }
    return said
  }
}
