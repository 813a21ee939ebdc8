/**
 * What time does to items. A snoozed one sleeps: it is neither in the inbox nor in the counts until its time comes. Then
 * it is back at its old place, unread and unseen. One that expires leaves for good, asleep or archived as it may be, and
 * what it says is shown no more. Whoever looks at the database first does it, a node that was away included.
 */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import { addUp, setCounts, unreadIn, unseenIn } from './counts.ts'
import { byUser } from './inbox.ts'
import type { Act } from './mark.ts'

/** Items that one statement moves, of either kind: it holds their inboxes meanwhile. */
const ITEMS_AT_ONCE = 500

/** To sleep until then. An archived item leaves the archive; one that sleeps until then already stays as it is. */
export function sleepUntil(until: Date): Act {
  const time = sql`${until.toISOString()}::timestamptz`
  return {
    change: 'snoozed',
    when: sql`target.snoozed_until is distinct from ${time}`,
    set: sql`snoozed_until = ${time}, archived_at = null`,
  }
}

/** Whether an item's time has come, and of these whether it is over. */
const isDue = sql`items.deleted_at is null and (items.snoozed_until <= now() or items.expires_at <= now())`
const isOver = sql`coalesce(target.expires_at <= now(), false)`

/**
 * Wakes and ends items whose time has come, some at a time, and gives their users, who are to be told; call again while
 * there are any. Each changes at a rev of its own, as a new one comes at one. Of two nodes one moves an item: the second
 * waits for the inbox and finds it moved.
 */
export async function moveOn(db: Db): Promise<string[]> {
  const rows = await query<{ userCode: string }>(
    db,
    sql`
      with due as (
        (
          select user_code, message_id from items
          where snoozed_until <= now() and deleted_at is null
          order by snoozed_until
          limit ${ITEMS_AT_ONCE}
        ) union (
          select user_code, message_id from items
          where expires_at <= now() and deleted_at is null
          order by expires_at
          limit ${ITEMS_AT_ONCE}
        )
      ),
      inbox as (
        select user_code, rev from inboxes
        where user_code in (select user_code from due)
        ${byUser(sql`user_code`)}
        for update
      ),
      locked as (
        select items.*, inbox.rev as inbox_rev
        from inbox
        join due on due.user_code = inbox.user_code
        join items on items.user_code = due.user_code and items.message_id = due.message_id
        where ${isDue}
        for update of items
      ),
      target as (
        select locked.*,
          inbox_rev + row_number() over (
            partition by user_code order by least(snoozed_until, expires_at), created_rev
          ) as next_rev
        from locked
      ),
      changed as (
        update items
        set rev = target.next_rev, changed_at = now(),
          change = case when ${isOver} then 'expired' else 'woken' end,
          deleted_at = case when ${isOver} then now() end,
          snoozed_until = case when ${isOver} then items.snoozed_until end,
          seen_at = case when ${isOver} then items.seen_at end,
          read_at = case when ${isOver} then items.read_at end
        from target
        where items.user_code = target.user_code and items.message_id = target.message_id
        returning items.user_code, items.msg_type, items.app_id,
          ${unreadIn(sql`items`)} - ${unreadIn(sql`target`)} as unread_by,
          ${unseenIn(sql`items`)} - ${unseenIn(sql`target`)} as unseen_by
      ),
      ${addUp}
      update inboxes
      set rev = inboxes.rev + added.items, ${setCounts}
      from added
      where inboxes.user_code = added.user_code
      returning inboxes.user_code as "userCode"`,
  )
  return rows.map(({ userCode }) => userCode)
}
