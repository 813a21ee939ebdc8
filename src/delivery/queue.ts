/**
 * The queue of deliveries. The row is the job:
 *
 *   queued ── claim ──▶ sending ── sent ──▶ sent
 *     ▲                   │ ├── failed ───▶ failed    the provider said never, or the channel is gone
 *     └──── retry later ──┘ ├── retry ────▶ dead      attempts used up
 *                           └───────────▶ expired   too old to be worth sending, now or at the next attempt
 *   skipped  from the start: the person has no address on this channel
 *   failed   from the start: the account named nobody
 *
 * A claim takes a lease with a token of its own; only its holder may settle. A lease that runs out (the worker died)
 * makes the row claimable again: at least once, with the same delivery id as dedupe key.
 */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { DeliveryState } from '../db/tables.ts'
import type { Outcome } from './channel.ts'
import type { ContentKind } from './content.ts'

/** Longer than claim, attempt and settlement may take together (worker.ts), so that a living worker never loses its row. */
const LEASE_SECONDS = 30
/** With the back-off below the last attempt comes three to six hours after the first: a mail server may be down so long. */
export const MAX_ATTEMPTS = 12
const BACK_OFF_FIRST_SECONDS = 2
const BACK_OFF_FACTOR = 4
const BACK_OFF_MOST_SECONDS = 3_600
/** Nobody wants yesterday's SMS. */
const MAX_AGE_SECONDS = 86_400
/** Of a provider's words and receipts so much is kept. */
const WORDS_LENGTH = 500

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
  kind: ContentKind
  content: Record<string, unknown>
  /** This one included. */
  attempts: number
  isTooOld: boolean
  lease: string
}

/**
 * Takes up to `limit` deliveries, leased to `lease` (a new one for every claim): first those whose worker died, so that a
 * long queue cannot keep them waiting, then what is due, high priority first.
 */
export function claim(db: Db, lease: string, limit: number): Promise<Claimed[]> {
  return query<Claimed>(
    db,
    sql`
      with orphaned as (
        select id from deliveries
        where state = 'sending' and lease_until < now()
        limit ${limit}
        for update skip locked
      ),
      ready as (
        select id from deliveries
        where state = 'queued' and due_at <= now()
        order by priority desc nulls first, due_at
        limit ${limit}
        for update skip locked
      ),
      due as (
        select id from orphaned union all select id from ready limit ${limit}
      )
      update deliveries
      set state = 'sending', attempts = attempts + 1, lease = ${lease},
        lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from due, contents
      where deliveries.id = due.id and contents.message_id = deliveries.message_id
        and contents.channel_id = deliveries.channel_id
      returning deliveries.id, deliveries.message_id as "messageId", deliveries.channel_id as "channelId",
        deliveries.address, contents.kind, contents.content, deliveries.attempts, deliveries.lease,
        deliveries.created_at < now() - make_interval(secs => ${MAX_AGE_SECONDS}) as "isTooOld"`,
  )
}

export type Settlement = {
  state: DeliveryState
  reason: string | null
  /** The provider's words. */
  error: string | null
  receipt: string | null
  /** Seconds until the next attempt. */
  delay: number
}

/** For a delivery that nobody wants any more. */
export const TOO_OLD: Settlement = { state: 'expired', reason: 'TOO_OLD', error: null, receipt: null, delay: 0 }

/** Where a delivery goes after its attempt number `attempts`. */
export function after(outcome: Outcome, attempts: number): Settlement {
  if (outcome.outcome === 'sent')
    return { state: 'sent', reason: null, error: null, receipt: outcome.receipt ?? null, delay: 0 }
  if (outcome.outcome === 'failed')
    return { state: 'failed', reason: outcome.reason, error: outcome.why, receipt: null, delay: 0 }
  if (attempts >= MAX_ATTEMPTS)
    return { state: 'dead', reason: 'ATTEMPTS_USED_UP', error: outcome.why, receipt: null, delay: 0 }
  return {
    state: 'queued',
    reason: 'RETRYING',
    error: outcome.why,
    receipt: null,
    delay: delayOf(outcome.afterSeconds, attempts),
  }
}

/** What the provider asks for, within reason: it may be any number that a server sent. Otherwise our own back-off. */
function delayOf(asked: number | undefined, attempts: number): number {
  if (asked === undefined || Number.isNaN(asked)) return backOff(attempts)
  return Math.min(Math.max(asked, BACK_OFF_FIRST_SECONDS), MAX_AGE_SECONDS)
}

/** Exponential with jitter, so that what failed together does not come back together. */
function backOff(attempts: number): number {
  const seconds = Math.min(BACK_OFF_FIRST_SECONDS * BACK_OFF_FACTOR ** (attempts - 1), BACK_OFF_MOST_SECONDS)
  return seconds * (0.5 + Math.random() / 2)
}

/**
 * Settles one attempt; false when the lease has meanwhile gone to another worker, whose word counts. A delivery that
 * would be too old at its next attempt expires now.
 */
export async function settle(db: Db, delivery: Pick<Claimed, 'id' | 'lease'>, to: Settlement): Promise<boolean> {
  const isQueued = sql`${to.state} = 'queued'`
  const endsTooOld = sql`(${isQueued} and created_at + make_interval(secs => ${MAX_AGE_SECONDS}) < now() + make_interval(secs => ${to.delay}))`
  const rows = await query(
    db,
    sql`
      update deliveries
      set state = case when ${endsTooOld} then ${TOO_OLD.state} else ${to.state} end,
        reason = case when ${endsTooOld} then ${TOO_OLD.reason} else ${to.reason} end,
        last_error = case when ${to.state} = 'expired' then last_error else ${words(to.error)} end,
        receipt = ${words(to.receipt)}, lease = null, lease_until = null,
        due_at = case when ${isQueued} then now() + make_interval(secs => ${to.delay}) else due_at end,
        settled_at = case when ${isQueued} and not ${endsTooOld} then null else now() end
      where id = ${delivery.id} and lease = ${delivery.lease} and state = 'sending'
      returning id`,
  )
  return rows.length > 0
}

/** A provider's words as PostgreSQL can store them: a server may send anything, and a row must not fail to settle for it. */
function words(text: string | null): string | null {
  return text === null ? null : text.replaceAll('\0', '').slice(0, WORDS_LENGTH).toWellFormed()
}

/** Gives the rows of a claim back as they were: nothing of it has been tried. */
export async function giveBack(db: Db, lease: string): Promise<void> {
  await query(
    db,
    sql`
      update deliveries set state = 'queued', attempts = attempts - 1, lease = null, lease_until = null
      where lease = ${lease} and state = 'sending'`,
  )
}
