/** How much waits, for whoever watches over us: /metrics and the admin's GraphQL read the same. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import { isFree } from './queue.ts'
import { turns } from './turns.ts'

/** What was seen is good for so long: however often somebody asks, the database is asked no more than that. */
const GOOD_MS = 1_000
/** Rows of a lane. */
const COUNTED_AT_MOST = 20_000

/** One lane of a channel's queue. Lanes with nothing in them are not told of. */
export type QueueLane = {
  channelId: string
  lane: 'high' | 'normal' | 'low'
  /** Queued and with no worker: due now, or for another attempt later. */
  waiting: number
  /** Of those, how many are due. */
  dueNow: number
  /** With a worker. */
  inFlight: number
  /** It has more than are counted here: the three counts and `oldestSeconds` are at least so much. */
  isAtLeast: boolean
  /** For how long the longest has been due without a worker; 0 when none is. */
  oldestDueSeconds: number
  /** The age of the oldest that is not finished, in flight and between attempts included. */
  oldestSeconds: number
}

/**
 * The lanes of all channels, as of now or a second ago. One look at a time. A lane's rows are counted in the order of their
 * index and no further than `COUNTED_AT_MOST`: where a million wait, nobody needs to know how many exactly, and counting them
 * would be felt by all else. What has been due longest is found by one probe for each lane and app, and is exact.
 */
export const queueDepth = sparingly((db) =>
  query<QueueLane>(
    db,
    sql`
      with recursive ${turns},
      lane as (
        select turn.channel_id, turn.priority, min(oldest.due_at) as oldest_due_at
        from turn left join lateral (
          select due_at from deliveries
          where state = 'queued' and channel_id = turn.channel_id and priority = turn.priority and app_id = turn.app_id
            and ${isFree}
          order by due_at
          limit 1
        ) as oldest on true
        group by turn.channel_id, turn.priority
      )
      select lane.channel_id as "channelId",
        case lane.priority when 3 then 'high' when 1 then 'low' else 'normal' end as lane,
        counted.waiting, counted."dueNow", counted."inFlight", counted."isAtLeast",
        coalesce(greatest(0, extract(epoch from now() - lane.oldest_due_at)), 0)::float8 as "oldestDueSeconds",
        extract(epoch from now() - counted.oldest_at)::float8 as "oldestSeconds"
      from lane cross join lateral (
        select (count(*) filter (where not is_in_flight))::int as waiting,
          (count(*) filter (where not is_in_flight and due_at <= now()))::int as "dueNow",
          (count(*) filter (where is_in_flight))::int as "inFlight",
          count(*) = ${COUNTED_AT_MOST} as "isAtLeast",
          min(created_at) as oldest_at
        from (
          select due_at, created_at, coalesce(lease_until > now(), false) as is_in_flight
          from deliveries
          where state = 'queued' and channel_id = lane.channel_id and priority = lane.priority
          order by app_id, due_at
          limit ${COUNTED_AT_MOST}
        ) as queued
      ) as counted
      order by lane.channel_id, lane.priority desc`,
  ),
)

/** A look that whoever asks meanwhile, or soon after, shares; also when it failed. */
function sparingly<Found>(look: (db: Db) => Promise<Found>): (db: Db) => Promise<Found> {
  const looks = new WeakMap<Db, { found: Promise<Found>; goodUntil: number }>()
  return (db) => {
    const last = looks.get(db)
    if (last !== undefined && performance.now() < last.goodUntil) return last.found
    const mine = { found: look(db), goodUntil: Infinity }
    looks.set(db, mine)
    const done = () => void (mine.goodUntil = performance.now() + GOOD_MS)
    mine.found.then(done, done)
    return mine.found
  }
}
