/** Ends deliveries that no channel's loop will ever end. */
import { sql } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import { DEPLOYMENT_SECONDS, isFree } from './queue.ts'
import { turns } from './turns.ts'

/** Ended in one statement. */
const AT_ONCE = 500

/**
 * Fails what has been due for longer than a deployment takes on channels that are not configured here: until then a node
 * that was started with them may send it. Expires what grew too old while its channel took nothing (an open circuit, a
 * slow rate). Gives how many; call again while there are any. Looks only at the front of each app's queue, by one index
 * probe each, so that it costs the same however long the queues are.
 */
export async function tidy(db: Db, configured: readonly string[]): Promise<number> {
  const ended = await query(
    db,
    sql`
      with recursive ${turns},
      front as (
        select picked.*
        from turn cross join lateral (
          select id, expires_at < now() as is_old,
            due_at < now() - make_interval(secs => ${DEPLOYMENT_SECONDS})
              and channel_id <> all(${texts(configured)}) as is_lost
          from deliveries
          where channel_id = turn.channel_id and priority = turn.priority and app_id = turn.app_id
            and state = 'queued' and due_at <= now() and ${isFree}
          order by due_at
          limit ${AT_ONCE}
        ) as picked
        where is_old or is_lost
        limit ${AT_ONCE}
      ),
      -- Only now: a lock on what is not to be ended would hide it from a claim.
      ended as (
        select deliveries.id, front.is_old
        from front join deliveries on deliveries.id = front.id
        where deliveries.state = 'queued' and ${isFree}
        for update of deliveries skip locked
      )
      update deliveries
      set state = case when ended.is_old then 'expired' else 'failed' end,
        reason = case when ended.is_old then 'TOO_OLD' else 'NO_CHANNEL' end,
        last_error = case when ended.is_old then last_error else 'channel ' || channel_id || ' is not configured' end,
        lease = null, lease_until = null, settled_at = now(),
        history = history || jsonb_build_object(
          'at', now(), 'state', case when ended.is_old then 'expired' else 'failed' end, 'attempt', attempts,
          'reason', case when ended.is_old then 'TOO_OLD' else 'NO_CHANNEL' end
        )
      from ended
      where deliveries.id = ended.id
      returning deliveries.id`,
  )
  return ended.length
}
