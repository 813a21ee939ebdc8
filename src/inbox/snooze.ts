/**
 * A snoozed item sleeps: it is neither in the inbox nor in the counts until its time comes. Then it is back at its old
 * place, unread and unseen. Whoever looks at the database first wakes it, a node that was away included.
 */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import { addUp, setCounts, unreadIn, unseenIn } from './counts.ts'
import type { Act } from './mark.ts'

/** Items that one statement wakes: it holds their inboxes meanwhile. */
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

/**
 * Wakes items whose time has come, some at a time, and gives their users, who are to be told; call again while there are
 * any. Each comes back at a rev of its own, as a new one does. Of two nodes one wakes an item: the second waits for the
 * inbox and finds the item awake.
 */
export async function wakeItems(db: Db): Promise<string[]> {
  const rows = await query<{ userCode: string }>(
    db,
    sql`
      with due as (
        select user_code, message_id from items
        where snoozed_until <= now() and deleted_at is null
        order by snoozed_until
        limit ${ITEMS_AT_ONCE}
      ),
      inbox as (
        select user_code, rev from inboxes
        where user_code in (select user_code from due)
        order by user_code
        for update
      ),
      locked as (
        select items.*, inbox.rev as inbox_rev
        from inbox
        join due on due.user_code = inbox.user_code
        join items on items.user_code = due.user_code and items.message_id = due.message_id
        where items.snoozed_until <= now() and items.deleted_at is null
        for update of items
      ),
      target as (
        select locked.*,
          inbox_rev + row_number() over (partition by user_code order by snoozed_until, created_rev) as next_rev
        from locked
      ),
      changed as (
        update items
        set rev = target.next_rev, change = 'woken', changed_at = now(), snoozed_until = null, seen_at = null, read_at = null
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
