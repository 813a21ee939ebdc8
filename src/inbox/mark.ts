/**
 * What a person does to items. Each is one statement, does nothing to items already so, and reaches every device. What it
 * changes shares a rev, and is told as one event. How that moves the counts follows from the items before and after.
 */
import { sql, type SQL } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { ItemChange } from '../db/tables.ts'
import { addUp, setCounts, unreadIn, unseenIn, type Counts } from './counts.ts'
import { isOfKind, type KindFilter } from './filter.ts'
import type { InboxState } from './inbox.ts'

export type Act = {
  change: ItemChange
  /** Which items it changes at all. */
  when: SQL
  set: SQL
  /** How many of them share a rev: what happens at one rev is read and told as a whole. 1,000 unless it says otherwise. */
  itemsPerRev?: number
}

export const acts = {
  seen: { change: 'seen', when: sql`target.seen_at is null`, set: sql`seen_at = now()` },
  read: {
    change: 'read',
    when: sql`target.read_at is null`,
    set: sql`read_at = now(), seen_at = coalesce(items.seen_at, now())`,
  },
  unread: { change: 'unread', when: sql`target.read_at is not null`, set: sql`read_at = null` },
  archived: {
    change: 'archived',
    when: sql`target.archived_at is null`,
    set: sql`archived_at = now(), snoozed_until = null`,
  },
  unarchived: { change: 'unarchived', when: sql`target.archived_at is not null`, set: sql`archived_at = null` },
  // Back in the inbox of a device that may not have it: each is told with what it says.
  unsnoozed: {
    change: 'woken',
    when: sql`target.snoozed_until is not null`,
    set: sql`snoozed_until = null, seen_at = null, read_at = null`,
    itemsPerRev: 1,
  },
  deleted: { change: 'deleted', when: sql`true`, set: sql`deleted_at = now()` },
} satisfies Record<string, Act>

/** Acts on everything: with `upTo`. */
export const archiveAwake: Act = {
  ...acts.archived,
  when: sql`target.archived_at is null and target.snoozed_until is null`,
}
export const archiveRead: Act = {
  ...archiveAwake,
  when: sql`${archiveAwake.when} and target.read_at is not null`,
}
export const deleteArchived: Act = { ...acts.deleted, when: sql`target.archived_at is not null` }

const ITEMS_PER_REV = 1_000

/** Which items: named ones, or all of a kind that came up to a rev (what comes meanwhile stays as it is). */
export type Which = { messageIds: string[] } | { upTo: number; kind?: KindFilter }

/**
 * Does `act` to the user's items; gives the state afterwards and the messages whose items changed. Undefined: no inbox.
 * `target` locks the items after the inbox row, so that it sees them as they are, not as they were when this began.
 */
export async function mark(
  db: Db,
  user: string,
  act: keyof typeof acts | Act,
  which: Which,
): Promise<{ state: InboxState; changed: string[] } | undefined> {
  const { change, when, set, itemsPerRev = ITEMS_PER_REV }: Act = typeof act === 'string' ? acts[act] : act
  const those =
    'upTo' in which
      ? sql.join([sql`items.created_rev <= ${which.upTo}`, ...isOfKind(which.kind ?? {})], sql` and `)
      : sql`items.message_id = any(${texts(which.messageIds)}::uuid[])`
  const [row] = await query<{ id: string; rev: number; changed: string[] | null } & Counts>(
    db,
    sql`
      with inbox as (
        select user_code, id, rev, unread, unseen, facets from inboxes where user_code = ${user} for update
      ),
      locked as (
        select items.*
        from inbox join items on items.user_code = inbox.user_code
        where items.deleted_at is null and ${those}
        for update of items
      ),
      target as (
        select target.*, inbox.rev + (row_number() over (order by target.created_rev) - 1) / ${itemsPerRev} + 1 as next_rev
        from locked as target, inbox
        where ${when}
      ),
      changed as (
        update items
        set rev = target.next_rev, change = ${change}, changed_at = now(), ${set}
        from target
        where items.user_code = target.user_code and items.message_id = target.message_id
        returning items.user_code, items.message_id, items.msg_type, items.app_id, items.rev,
          ${unreadIn(sql`items`)} - ${unreadIn(sql`target`)} as unread_by,
          ${unseenIn(sql`items`)} - ${unseenIn(sql`target`)} as unseen_by
      ),
      ${addUp},
      raised as (
        update inboxes
        set rev = (select max(rev) from changed), ${setCounts}
        from added
        where inboxes.user_code = added.user_code
        returning inboxes.user_code, inboxes.rev, inboxes.unread, inboxes.unseen, inboxes.facets
      )
      select inbox.id, now_is.rev, now_is.unread, now_is.unseen, now_is.facets,
        (select jsonb_agg(replace(message_id::text, '-', '')) from changed) as changed
      from inbox, lateral (
        select rev, unread, unseen, facets from raised
        union all
        select inbox.rev, inbox.unread, inbox.unseen, inbox.facets where not exists (select from raised)
      ) as now_is`,
  )
  if (row === undefined) return undefined
  const { id, rev, changed, ...counts } = row
  return { state: { id, rev, counts }, changed: changed ?? [] }
}
