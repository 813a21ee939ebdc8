/** Walking over the queues of all channels without walking over what waits in them. */
import { sql } from 'drizzle-orm'

/**
 * CTE `turn (channel_id, priority, app_id)`: the lanes and apps with anything queued, each found by one index probe, so that
 * a long queue costs as much as a short one. Stands in a `with recursive`.
 */
export const turns = sql`
  turn as (
    (
      select channel_id, priority, app_id from deliveries
      where state = 'queued'
      order by channel_id, priority, app_id
      limit 1
    )
    union all
    select next.channel_id, next.priority, next.app_id
    from turn cross join lateral (
      select channel_id, priority, app_id from deliveries
      where state = 'queued' and (channel_id, priority, app_id) > (turn.channel_id, turn.priority, turn.app_id)
      order by channel_id, priority, app_id
      limit 1
    ) as next
  )`
