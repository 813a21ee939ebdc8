/** What messages say on a channel, kept for a while: nearly always all recipients of a message share it, and it never changes. */
import { sql } from 'drizzle-orm'
import { json, query, texts, type Db } from '../db/client.ts'
import type { ContentKind } from './content.ts'

/** Contents kept, by each channel. */
const KEPT = 50
/** Most are small, but a mail may have a megabyte: bytes of them kept, as JSON. */
const KEPT_BYTES = 4 * 1024 * 1024

export type Saying = { kind: ContentKind; content: Record<string, unknown> }

/** What is said, of which message, and in which variant. */
export type Spoken = { messageId: string; variant: string | null }

/** Names what is said; a variant that is null for nearly all makes no name of its own. */
export function sayingKey({ messageId, variant }: Spoken): string {
  return variant === null ? messageId : `${messageId} ${variant}`
}

/** Gives what is said on the channel, by `sayingKey`. */
export function makeSayings(db: Db, channelId: string) {
  const kept = new Map<string, Saying & { bytes: number }>()
  let keptBytes = 0
  return async (wanted: readonly Spoken[]): Promise<ReadonlyMap<string, Saying>> => {
    const said = new Map<string, Saying>()
    const missing = new Map<string, Spoken>()
    for (const one of wanted) {
      const key = sayingKey(one)
      const saying = kept.get(key)
      if (saying === undefined) missing.set(key, one)
      else said.set(key, saying)
    }
    if (missing.size === 0) return said
    for (const { messageId, variant, ...saying } of await read(db, channelId, [...missing.values()])) {
      const key = sayingKey({ messageId, variant })
      said.set(key, saying)
      keptBytes += saying.bytes - (kept.get(key)?.bytes ?? 0)
      kept.set(key, saying)
    }
    for (const [id, { bytes }] of kept) {
      if (kept.size <= KEPT && keptBytes <= KEPT_BYTES) break
      kept.delete(id)
      keptBytes -= bytes
    }
    return said
  }
}

type Read = Saying & Spoken & { bytes: number }

/** Nearly always of no variant; then nobody looks for any. */
async function read(db: Db, channelId: string, wanted: readonly Spoken[]): Promise<Read[]> {
  const [common, varied] = [
    wanted.filter(({ variant }) => variant === null),
    wanted.filter(({ variant }) => variant !== null),
  ]
  const ofAll =
    common.length === 0
      ? []
      : await query<Read>(
          db,
          sql`
            select message_id as "messageId", null as variant, kind, content, octet_length(content::text) as bytes
            from contents
            where message_id = any(${texts(common.map(({ messageId }) => messageId))}::uuid[]) and channel_id = ${channelId}`,
        )
  if (varied.length === 0) return ofAll
  const ofSome = await query<Read>(
    db,
    sql`
      select contents.message_id as "messageId", variants.variant, contents.kind, variants.content,
        octet_length(variants.content::text) as bytes
      from jsonb_to_recordset(${json(varied)}::jsonb) as wanted ("messageId" uuid, variant text)
      join variants on variants.message_id = wanted."messageId" and variants.channel_id = ${channelId}
        and variants.variant = wanted.variant
      join contents on contents.message_id = variants.message_id and contents.channel_id = variants.channel_id`,
  )
  return [...ofAll, ...ofSome]
}
