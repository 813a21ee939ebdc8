/** How much waits, for whoever watches over us: /metrics and the admin's GraphQL read the same. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'

/** What was seen is good for so long: however often somebody asks, the database is asked no more than that. */
const GOOD_MS = 1_000

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
  /** For how long the longest has been due without a worker; 0 when none is. */
  oldestDueSeconds: number
  /** The age of the oldest that is not finished, in flight and between attempts included. */
  oldestSeconds: number
}

/** The lanes of all channels, as of now or a second ago. One look at a time. */
export const queueDepth = sparingly((db) =>
  query<QueueLane>(
    db,
    sql`
      with queued as (
        select channel_id, priority, due_at, created_at, coalesce(lease_until > now(), false) as is_in_flight
        from deliveries
        where state = 'queued'
      )
      select channel_id as "channelId",
        case priority when 3 then 'high' when 1 then 'low' else 'normal' end as lane,
        (count(*) filter (where not is_in_flight))::int as waiting,
        (count(*) filter (where not is_in_flight and due_at <= now()))::int as "dueNow",
        (count(*) filter (where is_in_flight))::int as "inFlight",
        coalesce(greatest(0, extract(epoch from now() - min(due_at) filter (where not is_in_flight))), 0)::float8
          as "oldestDueSeconds",
        extract(epoch from now() - min(created_at))::float8 as "oldestSeconds"
      from queued
      group by channel_id, priority
      order by channel_id, priority desc`,
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
