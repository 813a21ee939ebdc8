/** What a recall came to, told from the rows as they stand. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { Message } from './messages.ts'

/** For a channel: its worst recipient, from the last to the first. */
export const RECALL_RESULTS = ['CANCELLED', 'RECALLED', 'TOO_LATE', 'PENDING'] as const
export type RecallResult = (typeof RECALL_RESULTS)[number]

/** Recipients of one channel, each in one of these; `read` is a part of `recalled`. */
export type RecallCounts = {
  /** Never went out, and never will. */
  cancelled: number
  /** Was in the inbox, and is gone from it. */
  recalled: number
  /** Of those, had been read before. */
  read: number
  /** With the provider already, or perhaps so. */
  tooLate: number
  /** Not decided yet. */
  pending: number
  /** Nothing to take back: had ended without going out, it had expired, or the person had deleted it. */
  ended: number
}

export type ChannelRecall = { channelId: string; result: RecallResult; counts: RecallCounts }

export type Recall = { at: Date; by: string; reason: string | null; channels: ChannelRecall[] }

/** What the recall of this message has come to by now; null when there was none. */
export async function recallOf(
  db: Db,
  { id, recalledAt, recalledBy, recallReason }: Pick<Message, 'id' | 'recalledAt' | 'recalledBy' | 'recallReason'>,
): Promise<Recall | null> {
  if (recalledAt === null) return null
  const channels = await countsOf(db, id)
  return {
    at: recalledAt,
    by: recalledBy ?? '',
    reason: recallReason,
    channels: channels.map(({ channelId, isOpen, ...counts }) => ({
      channelId,
      result: isOpen ? 'PENDING' : resultOf(counts),
      counts,
    })),
  }
}

/** The same in the words of the documented calls. */
export async function toldOf(db: Db, message: Parameters<typeof recallOf>[1]) {
  const recall = await recallOf(db, message)
  if (recall === null) return null
  const { at, by, reason, channels } = recall
  return {
    at: at.toISOString(),
    by,
    reason,
    channels: channels.map(({ channelId, result, counts }) => ({ channel: channelId, result, counts })),
  }
}

function resultOf({ pending, tooLate, recalled }: RecallCounts): RecallResult {
  if (pending > 0) return 'PENDING'
  if (tooLate > 0) return 'TOO_LATE'
  return recalled > 0 ? 'RECALLED' : 'CANCELLED'
}

/**
 * `maybe_sent` outweighs how a delivery ended: what may have gone out is never told as cancelled. `is_open`: the
 * broadcast can still be copied, to people of whom there is no row yet.
 */
function countsOf(db: Db, messageId: string) {
  return query<RecallCounts & { channelId: string; isOpen: boolean }>(
    db,
    sql`
      select contents.channel_id as "channelId", outbound.cancelled, site.recalled, site.read,
        outbound.too_late as "tooLate", outbound.pending + site.pending as pending, outbound.ended + site.ended as ended,
        contents.kind = 'site' and exists (
          select from broadcasts where broadcasts.message_id = contents.message_id and recalled_at is null
        ) as "isOpen"
      from contents
      cross join lateral (
        select
          count(*) filter (where state = 'cancelled' and not maybe_sent)::int as cancelled,
          count(*) filter (
            where state in ('sent', 'delivered', 'undelivered') or (state <> 'queued' and maybe_sent)
          )::int as too_late,
          count(*) filter (where state = 'queued')::int as pending,
          count(*) filter (where state in ('skipped', 'failed', 'dead', 'expired') and not maybe_sent)::int as ended
        from deliveries
        where deliveries.message_id = contents.message_id and deliveries.channel_id = contents.channel_id
      ) as outbound
      cross join lateral (
        select
          count(*) filter (where change = 'recalled')::int as recalled,
          count(*) filter (where change = 'recalled' and read_at is not null)::int as read,
          count(*) filter (where deleted_at is null)::int as pending,
          count(*) filter (where change in ('deleted', 'expired'))::int as ended
        from items
        where items.message_id = contents.message_id and contents.kind = 'site'
      ) as site
      where contents.message_id = ${messageId}
      order by contents.channel_id`,
  )
}
