/**
 * The queue of deliveries. The row is the job:
 *
 *   queued ── claim ──▶ sending ── sent ──▶ sent
 *     ▲                   │ ├── failed ───▶ failed    the provider said never
 *     └──── retry later ──┘ ├── retry ────▶ dead      attempts used up
 *                           └── retry ────▶ expired   too old to be worth sending
 *   skipped  from the start: the person has no address on this channel
 *   failed   from the start: the account named nobody
 *
 * A claim takes a lease with a token; only its holder may settle. A lease that runs out (the worker died) makes the row
 * claimable again: at least once, with the same delivery id as dedupe key.
 */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { DeliveryState } from '../db/tables.ts'
import type { Outcome } from './channel.ts'

/** Longer than any attempt may take (worker.ts), so that a living worker never loses its row. */
const LEASE_SECONDS = 30
export const MAX_ATTEMPTS = 8
/** Nobody wants yesterday's SMS. */
const MAX_AGE_HOURS = 24
const BACK_OFF_FIRST_SECONDS = 2
const BACK_OFF_MOST_SECONDS = 3_600

export type NewDelivery = {
  id: string
  channelId: string
  recipient: string
  userCode: string | null
  address: string | null
  state: Extract<DeliveryState, 'queued' | 'skipped' | 'failed'>
  reason: string | null
}

/** Fragment of the accept and fan-out statements: puts `:deliveries`. Expects a CTE `message (id, priority, due_at)`. */
export const putDeliveries = sql`
  put_deliveries as (
    insert into deliveries (
      id, message_id, channel_id, recipient, user_code, address, state, reason, priority, due_at, settled_at
    )
    select new.id, message.id, new."channelId", new.recipient, new."userCode", new.address, new.state, new.reason,
      message.priority, message.due_at, case when new.state <> 'queued' then now() end
    from message, jsonb_to_recordset(${sql.placeholder('deliveries')}::jsonb) as new (
      id uuid, "channelId" text, recipient text, "userCode" text, address text, state text, reason text
    )
  )`

export type Claimed = {
  id: string
  messageId: string
  channelId: string
  address: string
  content: Record<string, unknown>
  attempts: number
  lease: string
}

/** Takes up to `limit` due deliveries, and those whose worker died; each is leased to `lease`. */
export function claim(db: Db, lease: string, limit: number): Promise<Claimed[]> {
  return query<Claimed>(
    db,
    sql`
      with ready as (
        select id from deliveries
        where state = 'queued' and due_at <= now()
        order by priority desc nulls first, due_at
        limit ${limit}
        for update skip locked
      ),
      orphaned as (
        select id from deliveries
        where state = 'sending' and lease_until < now()
        limit ${limit}
        for update skip locked
      ),
      due as (
        select id from ready union all select id from orphaned limit ${limit}
      )
      update deliveries
      set state = 'sending', attempts = attempts + 1, lease = ${lease},
        lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from due, contents
      where deliveries.id = due.id and contents.message_id = deliveries.message_id
        and contents.channel_id = deliveries.channel_id
      returning deliveries.id, deliveries.message_id as "messageId", deliveries.channel_id as "channelId",
        deliveries.address, contents.content, deliveries.attempts, deliveries.lease`,
  )
}

/** Where a delivery goes after an attempt. */
export function after(outcome: Outcome, attempts: number): Settlement {
  if (outcome.outcome === 'sent') return { state: 'sent', reason: null, error: null, receipt: outcome.receipt ?? null, delay: 0 }
  if (outcome.outcome === 'failed') return { state: 'failed', reason: outcome.reason, error: outcome.why, receipt: null, delay: 0 }
  if (attempts >= MAX_ATTEMPTS) return { state: 'dead', reason: 'ATTEMPTS_USED_UP', error: outcome.why, receipt: null, delay: 0 }
  const delay = outcome.afterSeconds ?? backOff(attempts)
  return { state: 'queued', reason: 'RETRYING', error: outcome.why, receipt: null, delay }
}

export type Settlement = {
  state: DeliveryState
  reason: string | null
  error: string | null
  receipt: string | null
  /** Seconds until the next attempt. */
  delay: number
}

/** Exponential with full jitter, so that what failed together does not come back together. */
function backOff(attempts: number): number {
  return Math.min(BACK_OFF_FIRST_SECONDS * 2 ** (attempts - 1), BACK_OFF_MOST_SECONDS) * (0.5 + Math.random() / 2)
}

/** Settles one attempt; false when the lease has meanwhile gone to another worker, whose word counts. */
export async function settle(db: Db, delivery: Pick<Claimed, 'id' | 'lease'>, to: Settlement): Promise<boolean> {
  const rows = await query(
    db,
    sql`
      update deliveries
      set state = case when ${to.state} = 'queued' and created_at < now() - make_interval(hours => ${MAX_AGE_HOURS})
            then 'expired' else ${to.state} end,
        reason = ${to.reason}, last_error = left(${to.error}, 500), receipt = ${to.receipt}, lease = null, lease_until = null,
        due_at = case when ${to.state} = 'queued' then now() + make_interval(secs => ${to.delay}) else due_at end,
        settled_at = case when ${to.state} = 'queued' then null else now() end
      where id = ${delivery.id} and lease = ${delivery.lease} and state = 'sending'
      returning id`,
  )
  return rows.length > 0
}

/** Gives rows back unharmed: a worker that stops before it tried. */
export async function giveBack(db: Db, lease: string): Promise<void> {
  await query(
    db,
    sql`
      update deliveries set state = 'queued', attempts = attempts - 1, lease = null, lease_until = null
      where lease = ${lease} and state = 'sending'`,
  )
}
