/**
 * What the people behind claimed deliveries want of them, decided as each is about to be tried: switched off, it is skipped;
 * in quiet hours what is not of high priority waits for their end, unless its message is over by then. None of it counts
 * as an attempt.
 */
import { sql } from 'drizzle-orm'
import { Temporal } from 'temporal-polyfill'
import type { Context } from '../context.ts'
import { json, query, type Db } from '../db/client.ts'
import type { DeliveryState } from '../db/tables.ts'
import { zoneOr } from '../preferences/preferences.ts'
import { quietUntil } from '../preferences/quiet.ts'
import type { Wishes } from '../preferences/wishes.ts'
import { giveBack } from './leases.ts'
import { inOrder, MAX_AGE_SECONDS, type Claimed } from './queue.ts'

/** From this priority on, quiet hours do not count. */
export const HIGH = 3
/** What waits for the same moment goes out spread over so long after it; a message that is over sooner, up to so long before that. */
const SPREAD_SECONDS = 300
const MARGIN_SECONDS = 60

/** `waitSeconds` null: it is never to go out. */
type Held = Pick<Claimed, 'id' | 'lease'> & { waitSeconds: number | null; spreadSeconds: number }

/** Gives those of a claim that are to go out now, and lets go of the others. Rejects having let go of all of them. */
export async function holdBack(
  { db, config, log, metrics }: Context,
  channelId: string,
  claimed: readonly Claimed[],
): Promise<readonly Claimed[]> {
  const judge = makeJudge(config)
  const held = claimed.map(judge)
  const some = held.filter((one) => one !== undefined)
  if (some.length === 0) return claimed
  const settled = await hold(db, some).catch(async (error: unknown) => {
    // It may have been done all the same; what is not held any more is passed over.
    for (const lease of new Set(claimed.map(({ lease }) => lease))) await giveBack(db, lease).catch(() => {})
    throw error
  })
  for (const { state, count } of settled) metrics?.deliverySettled(channelId, state, count)
  log.info({ channelId, held: Object.fromEntries(settled.map(({ state, count }) => [state, count])) }, 'delivery: held')
  return claimed.filter((_, at) => held[at] === undefined)
}

/** Says of deliveries, all as of now, what is to be held back. */
function makeJudge(config: Context['config']): (one: Claimed) => Held | undefined {
  const now = Temporal.Now.instant()
  // Most people's hours are alike, and the clock of a place is no cheap thing to ask.
  const waits = new Map<string, number | undefined>()
  function waitOf({ quietHours, zone }: Wishes): number | undefined {
    const key = json([quietHours, zone])
    if (!waits.has(key)) {
      const until = quietUntil(quietHours, zoneOr(zone, config.TIME_ZONE), now)
      waits.set(key, until?.since(now).total('seconds'))
    }
    return waits.get(key)
  }
  return ({ id, lease, wishes, priority, isTooOld }) => {
    if (wishes === null || isTooOld) return undefined
    if (wishes.isOff) return { id, lease, waitSeconds: null, spreadSeconds: 0 }
    if (priority >= HIGH || wishes.quietHours.length === 0) return undefined
    const waitSeconds = waitOf(wishes)
    if (waitSeconds === undefined) return undefined
    return { id, lease, waitSeconds, spreadSeconds: Math.random() * SPREAD_SECONDS }
  }
}

/** A day to live begins anew at the end of the wait: it is the person who made it wait. */
function hold(db: Db, held: readonly Held[]): Promise<{ state: DeliveryState; count: number }[]> {
  const dueAt = sql`(now() + make_interval(secs => given."waitSeconds"))`
  return query(
    db,
    sql`
      with given as (
        select wanted.*, messages.expires_at as over_at,
          case
            when deliveries.recall_requested then 'cancelled'
            when wanted."waitSeconds" is null then 'skipped'
            when messages.expires_at <= now() + make_interval(secs => wanted."waitSeconds") then 'expired'
            else 'queued'
          end as state,
          case
            when deliveries.recall_requested then case when deliveries.maybe_sent then 'MAY_HAVE_GONE_OUT' else 'RECALLED' end
            when wanted."waitSeconds" is null then 'OPTED_OUT'
            else 'QUIET_HOURS'
          end as reason
        from jsonb_to_recordset(${json(held)}::jsonb) as wanted (
          id uuid, lease uuid, "waitSeconds" float8, "spreadSeconds" float8
        )
        join deliveries on deliveries.id = wanted.id and deliveries.lease = wanted.lease and deliveries.state = 'queued'
        left join messages on messages.id = deliveries.message_id
        ${inOrder}
      ),
      done as (
        update deliveries
        set state = given.state, reason = given.reason, attempts = attempts - 1, lease = null, lease_until = null,
          due_at = case when given.state <> 'queued' then due_at else least(
            ${dueAt} + make_interval(secs => given."spreadSeconds"),
            case when over_at is not null then greatest(${dueAt}, over_at - make_interval(secs => ${MARGIN_SECONDS})) end
          ) end,
          expires_at = case when given.state <> 'queued' then deliveries.expires_at else least(
            ${dueAt} + make_interval(secs => ${MAX_AGE_SECONDS}), over_at
          ) end,
          settled_at = case when given.state <> 'queued' then now() end,
          history = history || jsonb_build_object(
            'at', now(), 'state', given.state, 'attempt', attempts - 1, 'reason', given.reason
          )
        from given
        where deliveries.id = given.id
        returning deliveries.state
      )
      select state, count(*)::int as count from done group by state`,
  )
}
