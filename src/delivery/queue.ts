/**
 * The queue of deliveries. The row is the job:
 *
 *   queued ── claim ──▶ (leased) ── sent ──▶ sent ── receipt ──▶ delivered | undelivered
 *     ▲                   │ ├── failed ───▶ failed      the provider said never, or the channel is gone
 *     │                   │ ├── retry ────▶ dead        attempts used up
 *     └──── retry later ──┘ ├───────────▶ expired       too old to be worth sending, now or at the next attempt
 *     │                     └── recalled ─▶ cancelled
 *     ├── recall ─▶ cancelled
 *     ├── claimed, unwanted (hold.ts) ─▶ skipped, or in quiet hours queued | expired
 *   skipped  from the start: the person has no address on this channel
 *   failed   from the start: the account named nobody
 *   dead, failed, expired ── replay ──▶ queued
 *
 * A claim takes a lease with a token of its own; only its holder may settle. It leaves `state` alone, so that it changes
 * no indexed column and costs no index entry. A lease that runs out (the worker died) makes the row claimable again: at
 * least once, with the same delivery id as dedupe key. A row that has lost two workers in a row is taken alone from then
 * on: if it is what kills them, it takes no neighbours along.
 */
import { sql } from 'drizzle-orm'
import { hot, type Store } from '../db/client.ts'
import { wishes, type Wishes } from '../preferences/wishes.ts'
import type { Plan } from './lanes.ts'
import { sayingKey } from './sayings.ts'

/** A worker that is not heard of for so long is taken for dead. A living one renews its leases every third of it. */
export const LEASE_SECONDS = 30
/** Nobody wants yesterday's SMS. A message's own `expiresAt` may come before. */
export const MAX_AGE_SECONDS = 86_400
/**
 * Two nodes may know different channels for as long as a deployment takes: what one cannot send waits so long for another
 * before it fails.
 */
export const DEPLOYMENT_SECONDS = 900
/** So many workers lost in a row make a row suspect. */
const SUSPECT_AFTER = 2

/**
 * Ends a query that locks many deliveries, for an update that joins what it found. Whoever may have to wait for rows takes
 * them in this one order, or two such statements could each wait for what the other has. Joined by id: by its place a row
 * that had moved before it was locked would not be found. Not for a claim, which waits for nobody.
 */
export const inOrder = sql`order by deliveries.id for no key update of deliveries`

/** A row is free to be claimed: nobody has it, or whoever had it is taken for dead. */
export const isFree = sql`(lease_until is null or lease_until < now())`

/** As the index `deliveries_suspect` has it, word for word: a parameter would hide it from the planner. */
const isSuspicious = sql`losses >= ${sql.raw(String(SUSPECT_AFTER))}`

export type Claimed = {
  id: string
  messageId: string
  appId: string
  priority: number
  address: string
  /** Which of the message's variants it says; null: its content. */
  variant: string | null
  /** This one included. */
  attempts: number
  lease: string
  /** Null: the person has said nothing, or it is nobody we know. */
  wishes: Wishes | null
} & Past

type Past = {
  /** Workers lost in a row. */
  losses: number
  isTooOld: boolean
  /** Younger than a deployment takes, since it was put or replayed. */
  isNew: boolean
  /** Nobody has ever tried it, before a replay neither. */
  isUntried: boolean
  /** Who may have taken it: whom an attempt left without an answer, and nobody but whom has been tried since. */
  maybeVia: string | null
  /** It may have been taken by nobody knows whom: a worker was lost with it, or nothing is noted of who was silent. */
  maybeAnyone: boolean
}
/** That of nearly all. */
const NO_PAST = { losses: 0, isTooOld: false, isNew: true, isUntried: true, maybeVia: null, maybeAnyone: false }
type ClaimedRow = Omit<Claimed, keyof Past | 'lease'> & { past: Past | null }

/** Every column costs time on both sides, thousands of times a second: so the past comes only where there is one. */
const whole = ({ past, ...row }: ClaimedRow, lease: string): Claimed => ({ ...row, ...(past ?? NO_PAST), lease })

/**
 * What a claim does to a row. A lease that is still there is a dead worker's: nobody knows how far it had got. Losses are
 * forgotten when an attempt ends (settle.ts), not when a row is given back untried.
 */
const takeOver = sql`
  attempts = attempts + 1,
  losses = case when deliveries.lease is null then losses else losses + 1 end,
  maybe_sent = maybe_sent or deliveries.lease is not null,
  history = case
    when deliveries.lease is null then history
    else history || jsonb_build_object('at', now(), 'state', 'queued', 'attempt', attempts, 'reason', 'WORKER_LOST')
  end,
  lease = ${sql.placeholder('lease')}::uuid,
  lease_until = now() + make_interval(secs => ${sql.raw(String(LEASE_SECONDS))})`

const isUntried = sql`(attempts = 1 and not maybe_sent and history = '[]')`
/** Put, or replayed: that gives it another day. */
const isNew = sql.raw(
  `(created_at > now() - interval '${DEPLOYMENT_SECONDS} s' or expires_at > now() + interval '${MAX_AGE_SECONDS - DEPLOYMENT_SECONDS} s')`,
)
const steps = sql`jsonb_array_elements(history) with ordinality`

/**
 * As long as somebody may have it, nobody else is asked (failover.ts). So a later step with another provider tells that
 * the one before has refused it, which is no step of its own.
 */
const claimedColumns = sql`
  deliveries.id, deliveries.message_id as "messageId", deliveries.app_id as "appId", deliveries.priority,
  deliveries.address, deliveries.variant, deliveries.attempts, ${wishes} as wishes,
  case when not (${isUntried} and ${isNew} and expires_at >= now()) then jsonb_build_object(
    'losses', losses,
    'isTooOld', expires_at < now(),
    'isNew', ${isNew},
    'isUntried', ${isUntried},
    'maybeVia', case when maybe_sent then (
      select step->>'provider' from ${steps} as silent (step, place)
      where step->>'reason' = 'AMBIGUOUS' and not exists (
        select from ${steps} as later (step, place)
        where later.place > silent.place and later.step->>'provider' <> silent.step->>'provider'
      )
      order by place desc limit 1
    ) end,
    'maybeAnyone', maybe_sent and (
      history @> '[{"reason": "WORKER_LOST"}]' or not history @> '[{"reason": "AMBIGUOUS"}]'
    )
  ) end as past`

/**
 * Lanes and apps with anything queued are found by one index probe each (`turn`), so that a long queue of one app costs
 * the others nothing. In a lane every app gets an equal part, beginning with the one after whom the last claim ended. An
 * owed lane goes first, then the higher one; what a lane takes beyond the slots kept for it comes out of the pool.
 * `allowed` hides the numbers from the planner, which would plan anew at every claim to make use of them.
 * The rows go by their place (ctid), as an array: a join with what has a LIMIT unknown to the planner would read the
 * whole table, and looking each up by id costs a tenth of all. Whoever moved between snapshot and lock is passed over.
 */
const claimStatement = hot<ClaimedRow, ClaimParams>(sql`
  with recursive turn as (
    (
      select priority, app_id from deliveries
      where channel_id = ${sql.placeholder('channelId')} and state = 'queued'
      order by priority, app_id
      limit 1
    )
    union all
    select next.priority, next.app_id
    from turn cross join lateral (
      select priority, app_id from deliveries
      where channel_id = ${sql.placeholder('channelId')} and state = 'queued'
        and (priority, app_id) > (turn.priority, turn.app_id)
      order by priority, app_id
      limit 1
    ) as next
  ),
  allowed as (select ${sql.placeholder('pool')}::int as pool, ${sql.placeholder('total')}::int as total),
  lane as (
    select * from jsonb_to_recordset(${sql.placeholder('lanes')}::jsonb) as given (
      priority smallint, kept int, "isOwed" boolean, "afterApp" text
    )
  ),
  part as (
    select turn.priority, turn.app_id, lane.kept, lane."isOwed",
      row_number() over (partition by turn.priority order by turn.app_id <= lane."afterApp", turn.app_id) as place,
      ceil(
        least(lane.kept + allowed.pool, allowed.total) / (count(*) over (partition by turn.priority))::numeric
      )::int as each
    from turn join lane using (priority) cross join allowed
  ),
  ready as (
    select part.priority, part.app_id, part.kept, part."isOwed", part.place, picked.row_at, row_number() over (partition by part.priority, part.app_id order by picked.due_at) as round
    from part cross join lateral (
      select ctid as row_at, due_at from deliveries
      where channel_id = ${sql.placeholder('channelId')} and state = 'queued' and priority = part.priority
        and app_id = part.app_id and due_at <= now() and ${isFree} and not recall_requested
        and not ${isSuspicious}
      order by due_at
      limit part.each
      for update skip locked
    ) as picked
  ),
  ranked as (
    select *, row_number() over (partition by priority order by round, place) as rank from ready
  ),
  shared as (
    select *, row_number() over (
      partition by rank > kept order by ("isOwed" and rank = 1) desc, priority desc, rank
    ) as place_in_pool
    from ranked
  ),
  chosen as (
    select row_at from shared
    where rank <= kept or place_in_pool <= (select pool from allowed)
    order by ("isOwed" and rank = 1) desc, priority desc, rank
    limit (select total from allowed)
  )
  update deliveries set ${takeOver}
  where deliveries.ctid = any(array(select row_at from chosen))
  returning ${claimedColumns}`)

type ClaimParams = {
  channelId: string
  lanes: string
  pool: number
  total: number
  lease: string
}

/** One suspect row of a lane that has room. There is hardly ever any: an index of its own knows, so that no queue is walked. */
const suspectStatement = hot<ClaimedRow, { channelId: string; lanes: string; lease: string }>(sql`
  with chosen as (
    select id from deliveries
    where channel_id = ${sql.placeholder('channelId')} and state = 'queued' and ${isSuspicious}
      and due_at <= now() and ${isFree} and not recall_requested
      and priority = any(string_to_array(${sql.placeholder('lanes')}, ',')::smallint[])
    order by due_at
    limit 1
    for update skip locked
  )
  update deliveries set ${takeOver}
  where deliveries.id = any(array(select id from chosen))
  returning ${claimedColumns}`)

/**
 * Takes what is due on a channel, as far as `plan` goes, leased to `lease` (a new one for every claim); with `isSuspect`
 * one suspect row instead.
 */
export async function claim(
  store: Pick<Store, 'run'>,
  channelId: string,
  { lanes, pool, total }: Plan,
  lease: string,
  isSuspect = false,
): Promise<Claimed[]> {
  const withRoom = lanes.filter(({ kept }) => kept > 0 || pool > 0).map(({ priority }) => priority)
  const rows = isSuspect
    ? await suspectStatement(store, { channelId, lanes: withRoom.join(), lease })
    : await claimStatement(store, { channelId, lanes: JSON.stringify(lanes), pool, total, lease })
  return rows.map((row) => whole(row, lease))
}

/**
 * Takes up to `most` more of the same message in the same words for each of `claimed`, to go out with it in one call. Fanned out together
 * they are due together: that is what finds them in the index. Only what was never tried: the rest goes out alone.
 */
export async function claimAlike(
  store: Pick<Store, 'run'>,
  channelId: string,
  claimed: readonly Claimed[],
  most: number,
  lease: string,
): Promise<Claimed[]> {
  const ids = [...new Map(claimed.map((one) => [sayingKey(one), one.id])).values()]
  const rows = await claimAlikeStatement(store, { channelId, ids: JSON.stringify(ids), most, lease })
  return rows.map((row) => whole(row, lease))
}

const claimAlikeStatement = hot<ClaimedRow, { channelId: string; ids: string; most: number; lease: string }>(sql`
  with chosen as (
    select more.id
    from deliveries as alike
    cross join lateral (
      select id from deliveries
      where channel_id = ${sql.placeholder('channelId')} and state = 'queued' and priority = alike.priority
        and app_id = alike.app_id and due_at = alike.due_at and message_id = alike.message_id
        and variant is not distinct from alike.variant and attempts = 0 and lease is null and due_at <= now() and not recall_requested
        and not maybe_sent and history = '[]'
      limit ${sql.placeholder('most')}::int
      for update skip locked
    ) as more
    where alike.id = any(array(select jsonb_array_elements_text(${sql.placeholder('ids')}::jsonb)::uuid))
  )
  update deliveries set ${takeOver}
  where deliveries.id = any(array(select id from chosen))
  returning ${claimedColumns}`)
