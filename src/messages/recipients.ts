/** Who a message reached or is to reach, on every channel, each with his story. */
import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { query, type Db } from '../db/client.ts'
import type { DeliveryEvent } from '../db/tables.ts'
import { toldHistory, toldState } from '../delivery/deliveries.ts'
import { Refusal } from '../errors.ts'
import { itemState } from './messages.ts'

/** Where a page of recipients ended. */
export type Place = { channel: string; recipient: string }

/** One step of a recipient's story: of a delivery an attempt, a receipt, a recall or a replay; of an item what was done to it. */
export type Step = Omit<DeliveryEvent, 'state'> & { state: string }

export type Recipient = Place & { state: string; reason: string | null; readAt: Date | null; history: Step[] }

/** An item's story, from the times it bears. */
const itemHistory = sql`
  (
    select jsonb_agg(jsonb_build_object('at', step.at, 'state', step.state, 'attempt', 0) order by step.at)
    from (
      values (items.created_at, 'unread'), (items.seen_at, 'seen'), (items.read_at, 'read'), (items.archived_at, 'archived'),
        (items.deleted_at, case when items.change in ('recalled', 'expired') then items.change else 'deleted' end)
    ) as step (at, state)
    where step.at is not null
  )`

/** Recipients of a message after a place, on all channels, in the order of channel and recipient. Of a broadcast, those who have looked since. */
export function recipientsAfter(
  db: Db,
  messageId: string,
  after: Place | undefined,
  limit: number,
): Promise<Recipient[]> {
  const { channel, recipient } = after ?? { channel: '', recipient: '' }
  return query<Recipient>(
    db,
    sql`
      select channel_id as channel, recipient, ${toldState} as state, reason, null::timestamptz as "readAt",
        ${toldHistory} as history
      from deliveries
      where message_id = ${messageId} and (channel_id, recipient) > (${channel}, ${recipient})
      union all
      select contents.channel_id, items.user_code collate "C", ${itemState}, null, items.read_at, ${itemHistory}
      from items
      join contents on contents.message_id = items.message_id and contents.kind = 'site'
      where items.message_id = ${messageId} and (contents.channel_id, items.user_code collate "C") > (${channel}, ${recipient})
      order by channel, recipient
      limit ${limit}`,
  )
}

/** A place as a cursor. */
export function formatPlace({ channel, recipient }: Place): string {
  return Buffer.from(JSON.stringify([channel, recipient])).toString('base64url')
}

/** The place that a cursor names; BAD_CURSOR for anything else. */
export function readPlace(text: string): Place {
  try {
    const [channel, recipient] = z
      .tuple([z.string(), z.string()])
      .parse(JSON.parse(Buffer.from(text, 'base64url').toString()))
    const place = { channel, recipient }
    if (formatPlace(place) === text && place.recipient.isWellFormed() && !/\0/.test(channel + recipient)) return place
  } catch {
    // Said below.
  }
  throw new Refusal('BAD_CURSOR', {
    path: 'after',
    zh: '不是有效的游标，请用上一页的 next',
    en: 'is no cursor of this list: use the next of a page',
  })
}
