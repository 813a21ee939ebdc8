/** What messages say on a channel, kept for a while: all recipients of a message share it, and it never changes. */
import { sql } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { ContentKind } from './content.ts'

/** Contents kept: one may have half a megabyte. */
const KEPT = 50

export type Saying = { kind: ContentKind; content: Record<string, unknown> }

/** Gives what these messages say on the channel, by message id. */
export function makeSayings(db: Db, channelId: string) {
  const kept = new Map<string, Saying>()
  return async (messageIds: readonly string[]): Promise<ReadonlyMap<string, Saying>> => {
    const wanted = new Set(messageIds)
    const missing = [...wanted].filter((id) => !kept.has(id))
    if (missing.length > 0) {
      const rows = await query<Saying & { messageId: string }>(
        db,
        sql`
          select message_id as "messageId", kind, content from contents
          where message_id = any(${texts(missing)}::uuid[]) and channel_id = ${channelId}`,
      )
      for (const { messageId, kind, content } of rows) kept.set(messageId, { kind, content })
    }
    const said = new Map([...wanted].flatMap((id) => (kept.has(id) ? [[id, kept.get(id)!]] : [])) as [string, Saying][])
    for (const id of kept.keys()) {
      if (kept.size <= KEPT) break
      kept.delete(id)
    }
    return said
  }
}
