/** What a person does to items. Each is one statement, does nothing to items already so, and reaches every device. */
import { sql, type SQL } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { ItemChange } from '../db/tables.ts'
import type { InboxState } from './inbox.ts'

type Act = {
  /** Which items it changes at all. */
  when: SQL
  set: SQL
  /** What it adds to the counts, by the item as it was: an item counts as unread, and unseen, while not archived. */
  unread: SQL
  unseen: SQL
}

const counted = sql`target.archived_at is null`
const wasUnread = sql`(${counted} and target.read_at is null)::int`
const wasUnseen = sql`(${counted} and target.seen_at is null)::int`
const nothing = sql`0`

export const acts: Record<Exclude<ItemChange, 'new' | 'recalled'>, Act> = {
  seen: {
    when: sql`target.seen_at is null`,
    set: sql`seen_at = now()`,
    unread: nothing,
    unseen: sql`- ${wasUnseen}`,
  },
  read: {
    when: sql`target.read_at is null`,
    set: sql`read_at = now(), seen_at = coalesce(items.seen_at, now())`,
    unread: sql`- ${wasUnread}`,
    unseen: sql`- ${wasUnseen}`,
  },
  unread: {
    when: sql`target.read_at is not null`,
    set: sql`read_at = null`,
    unread: sql`(${counted})::int`,
    unseen: nothing,
  },
  archived: {
    when: sql`target.archived_at is null`,
    set: sql`archived_at = now()`,
    unread: sql`- ${wasUnread}`,
    unseen: sql`- ${wasUnseen}`,
  },
  unarchived: {
    when: sql`target.archived_at is not null`,
    set: sql`archived_at = null`,
    unread: sql`(target.read_at is null)::int`,
    unseen: sql`(target.seen_at is null)::int`,
  },
  deleted: {
    when: sql`true`,
    set: sql`deleted_at = now()`,
    unread: sql`- ${wasUnread}`,
    unseen: sql`- ${wasUnseen}`,
  },
}

/** Which items: named ones, or all that came up to a rev (what comes meanwhile stays as it is). */
export type Which = { messageIds: string[] } | { upTo: number }

/**
 * Does `act` to the user's items; gives the state afterwards and the messages whose items changed. Undefined: no inbox.
 * `target` locks the items after the inbox row, so that it sees them as they are, not as they were when this began.
 */
export async function mark(
  db: Db,
  user: string,
  act: keyof typeof acts,
  which: Which,
): Promise<{ state: InboxState; changed: string[] } | undefined> {
  const { when, set, unread, unseen } = acts[act]
  const those =
    'upTo' in which
      ? sql`items.created_rev <= ${which.upTo}`
      : sql`items.message_id = any(${texts(which.messageIds)}::uuid[])`
  const [row] = await query<{ id: string; rev: number; unread: number; unseen: number; changed: string[] | null }>(
    db,
    sql`
      with inbox as (
        select user_code, id, rev, unread, unseen from inboxes where user_code = ${user} for update
      ),
      locked as (
        select items.*
        from inbox join items on items.user_code = inbox.user_code
        where items.deleted_at is null and ${those}
        for update of items
      ),
      target as (
        select target.*, inbox.rev + row_number() over (order by target.created_rev) as next_rev,
          ${unread} as unread_by, ${unseen} as unseen_by
        from locked as target, inbox
        where ${when}
      ),
      changed as (
        update items
        set rev = target.next_rev, change = ${act}, ${set}
        from target
        where items.user_code = target.user_code and items.message_id = target.message_id
        returning items.message_id
      ),
      total as (
        select count(*)::int as items, coalesce(sum(unread_by), 0)::int as unread_by,
          coalesce(sum(unseen_by), 0)::int as unseen_by
        from target
      ),
      raised as (
        update inboxes
        set rev = inboxes.rev + total.items, unread = inboxes.unread + total.unread_by,
          unseen = inboxes.unseen + total.unseen_by
        from total
        where inboxes.user_code = ${user} and total.items > 0
        returning inboxes.rev
      )
      select inbox.id, inbox.rev + total.items as rev, inbox.unread + total.unread_by as unread,
        inbox.unseen + total.unseen_by as unseen,
        (select jsonb_agg(replace(message_id::text, '-', '')) from changed) as changed
      from inbox, total`,
  )
  if (row === undefined) return undefined
  const { id, rev, unread: unreadNow, unseen: unseenNow, changed } = row
  return { state: { id, rev, counts: { unread: unreadNow, unseen: unseenNow } }, changed: changed ?? [] }
}
