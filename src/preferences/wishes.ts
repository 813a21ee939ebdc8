/** What the person behind a delivery wants of it, as of the statement that claims it. */
import { sql } from 'drizzle-orm'
import type { QuietHours } from '../db/tables.ts'
import { isMandatory, isOn } from './switches.ts'

export type Wishes = {
  /** Switched off, and not mandatory. Null: there is no such message. */
  isOff: boolean | null
  quietHours: QuietHours[]
  /** The person's zone. Null: TIME_ZONE. */
  zone: string | null
}

/**
 * Column of a statement over `deliveries`: its `Wishes`, null for whoever has said nothing, which are nearly all, and for
 * bare addresses. One index probe then; the message and the person are looked up only where there is something.
 */
export const wishes = sql`
  (
    select jsonb_build_object(
      'isOff', (
        select not ${isOn(sql`preferences.switches`, sql`messages.msg_type`, sql`deliveries.channel_id`)}
          and not ${isMandatory(sql`messages.msg_type`)}
        from messages where messages.id = deliveries.message_id
      ),
      'quietHours', preferences.quiet_hours,
      'zone', (select time_zone from users where users.code = preferences.user_code)
    )
    from preferences
    where preferences.user_code = deliveries.user_code
  )`
