/** New deliveries, as accept and fan-out put them. What becomes of them: queue.ts. */
import { sql } from 'drizzle-orm'
import type { DeliveryState } from '../db/tables.ts'
import { MAX_AGE_SECONDS } from './queue.ts'

export type NewDelivery = {
  id: string
  channelId: string
  recipient: string
  userCode: string | null
  address: string | null
  /** Which of the message's variants it says; undefined: its content. */
  variant?: string | undefined
  state: Extract<DeliveryState, 'queued' | 'skipped' | 'failed'>
  reason: string | null
  /** Why, in words, if there is more to say. */
  lastError?: string | undefined
}

/** Fragment of the accept and fan-out statements. Expects a CTE `message (id, app_id, priority, due_at, expires_at, deliveries)`. */
export const putDeliveries = sql`
  put_deliveries as (
    insert into deliveries (
      id, message_id, app_id, channel_id, recipient, user_code, address, variant, state, reason, last_error, priority, due_at,
      expires_at, settled_at
    )
    select new.id, message.id, message.app_id, new."channelId", new.recipient, new."userCode", new.address, new.variant,
      new.state, new.reason, new."lastError", message.priority, message.due_at, least(now() + ${sql.raw(`interval '${MAX_AGE_SECONDS} s'`)}, message.expires_at),
      case when new.state <> 'queued' then now() end
    from message, jsonb_to_recordset(message.deliveries) as new (
      id uuid, "channelId" text, recipient text, "userCode" text, address text, variant text, state text, reason text, "lastError" text
    )
  )`
