/**
 * A person's inbox: its items, its counts, its rev. The only writer of `items` and `inboxes`.
 *
 * Every change to a user's items happens under the lock of the user's inbox row and raises its `rev`, so that within a
 * user the order of commits is the order of revs, and nothing that was committed can appear behind a reader's back.
 * An item comes at a rev of its own; items that one act changes share one. How the counts change: counts.ts.
 */
import { sql, type SQL } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { ItemChange } from '../db/tables.ts'
import { facetPlus, unreadFacet, unseenFacet, type Counts } from './counts.ts'
import { isOfKind, type KindFilter } from './filter.ts'
import { saidTo } from './said.ts'
import { says, stretches } from './search.ts'

export type Item = {
  userCode: string
  messageId: string
  rev: number
  createdRev: number
  change: ItemChange
  /** When that was. */
  changedAt: Date
  appId: string
  msgType: string
  createdAt: Date
  seenAt: Date | null
  readAt: Date | null
  archivedAt: Date | null
  snoozedUntil: Date | null
  expiresAt: Date | null
  deletedAt: Date | null
  /** What the message says on the site channel, sanitised when it was accepted. */
  content: { title: string; content: string; text: string; website?: string }
  senderCode: string | null
  senderName: string | null
  businessId: string | null
  priority: number
}

/** An inbox at one instant. */
export type InboxState = { id: string; rev: number; counts: Counts }

/** Whether a message, a broadcast or an item has not expired. Its column is `expires_at`, and no other table may have one. */
export const isCurrent = sql`(expires_at is null or expires_at > now())`

/**
 * The one order in which every statement takes inbox rows, so that no two can each wait for what the other has: that of the
 * bytes of user codes. It is the same on every database, and several times as fast as a language's.
 */
export const byUser = (code: SQL) => sql`order by ${code} collate "C"`

/** One more in a facet. Its name comes from one row, so that it is made once a statement, not once an inbox. */
const oneMore = (facet: SQL) => facetPlus(sql`inbox.facets`, sql`(select ${facet} from facet)`, sql`1`)

/**
 * Ids of the inboxes that a statement makes: half of each is chance, the same for all of them, and half comes of the user's
 * code by a chance seed. One of its own from `gen_random_uuid` costs each as much as the rest of its row.
 */
const seed = sql`hashtextextended(gen_random_uuid()::text, 0) as seed, right(replace(gen_random_uuid()::text, '-', ''), 16) as half`
const newId = sql`(lpad(to_hex(hashtextextended(person, facet.seed)), 16, '0') || facet.half)::uuid`

/**
 * Fragment of the accept and fan-out statements: puts an item of the message into the inbox of each of its `people`
 * (user codes, each once). Expects a CTE `message (id, app_id, msg_type, people, site_variants, expires_at)` of at most one row; nothing
 * happens without, or when its time is over. Inbox rows are taken in the order of user codes, as everywhere, so that two statements cannot deadlock.
 */
export const putItems = sql`
  facet as materialized (
    select people, ${unreadFacet(sql`message`)} as unread, ${unseenFacet(sql`message`)} as unseen,
      jsonb_build_object(${unreadFacet(sql`message`)}, 1, ${unseenFacet(sql`message`)}, 1) as first, ${seed}
    from message
    where ${isCurrent}
  ),
  raised as (
    insert into inboxes as inbox (user_code, id, rev, unread, unseen, facets)
    select person, ${newId}, 1, 1, 1, facet.first
    from facet, jsonb_array_elements_text(facet.people) as given(person)
    ${byUser(sql`person`)}
    on conflict (user_code) do update
      set rev = inbox.rev + 1, unread = inbox.unread + 1, unseen = inbox.unseen + 1,
        facets = inbox.facets || jsonb_build_object(${oneMore(sql`unread`)}, ${oneMore(sql`unseen`)})
    returning user_code, rev
  ),
  put_items as (
    insert into items (user_code, message_id, rev, created_rev, app_id, msg_type, variant, expires_at)
    select raised.user_code, message.id, raised.rev, raised.rev, message.app_id, message.msg_type,
      message.site_variants ->> raised.user_code, message.expires_at
    from raised, message
    returning user_code
  )`

/** The columns of an `Item`, for a query that names `items`, `messages` and `contents`. */
const itemColumns = sql`
  items.user_code as "userCode", items.message_id as "messageId", items.rev, items.created_rev as "createdRev",
  items.change, coalesce(items.changed_at, items.created_at) as "changedAt", items.app_id as "appId", items.msg_type as "msgType", items.created_at as "createdAt",
  items.seen_at as "seenAt", items.read_at as "readAt", items.archived_at as "archivedAt", items.snoozed_until as "snoozedUntil",
  items.expires_at as "expiresAt", items.deleted_at as "deletedAt", ${saidTo(sql`items.variant`)} as content, messages.sender_code as "senderCode",
  messages.sender_name as "senderName", messages.business_id as "businessId", messages.priority`

const itemJoins = sql`
  join messages on messages.id = items.message_id
  join contents on contents.message_id = items.message_id and contents.kind = 'site'`

type StateRow = { inboxId: string; inboxRev: number } & Counts

/** Inbox columns before those of at most some items: one statement, so that rev, counts and items are of one instant. */
async function stateWith<Found extends Item>(db: Db, user: string, items: SQL, order: SQL) {
  const rows = await query<StateRow & Found>(
    db,
    sql`
      select inbox.id as "inboxId", inbox.rev as "inboxRev", inbox.unread, inbox.unseen, inbox.facets, item.*
      from inboxes as inbox
      left join lateral (${items}) as item on true
      where inbox.user_code = ${user}
      order by ${order}`,
  )
  const [first] = rows
  if (first === undefined) return undefined
  const { inboxId: id, inboxRev: rev, unread, unseen, facets } = first
  const state: InboxState = { id, rev, counts: { unread, unseen, facets } }
  return { state, items: first.messageId === null ? [] : (rows as Found[]) }
}

/** The inbox now. Undefined: none yet. */
export async function stateOf(db: Db, user: string): Promise<InboxState | undefined> {
  const [row] = await query<Omit<InboxState, 'counts'> & Counts>(
    db,
    sql`select id, rev, unread, unseen, facets from inboxes where user_code = ${user}`,
  )
  if (row === undefined) return undefined
  const { id, rev, ...counts } = row
  return { id, rev, counts }
}

export type ItemFilter = KindFilter & {
  unread?: boolean | null | undefined
  archived?: boolean | null | undefined
  snoozed?: boolean | null | undefined
  /** Words that all occur in what it says (search.ts). */
  search?: string | null | undefined
}

export type PageRequest = { after?: number | undefined; before?: number | undefined; limit: number; fromEnd?: boolean }

type Page = { state: InboxState; items: Item[] } | undefined

/**
 * A page of the inbox, newest first, keyed by the rev at which items came: stable while new ones arrive. One for words is
 * put together from stretches of the inbox, until it is full. Undefined: there is nothing to look at.
 */
export async function page(db: Db, user: string, wanted: PageRequest, filter: ItemFilter = {}): Promise<Page> {
  if (filter.search == null || says(filter.search) === undefined) return pageAtOnce(db, user, wanted, filter)
  const { after = Infinity, before = -1, limit, fromEnd = false } = wanted
  let whole: Page
  const newestFirst = await stretches(db, user)
  for (const stretch of fromEnd ? newestFirst.toReversed() : newestFirst) {
    const within = {
      after: Math.min(after, stretch.after ?? Infinity),
      before: Math.max(before, stretch.before),
      limit: limit - (whole?.items.length ?? 0),
    }
    if (within.limit <= 0) break
    if (within.before + 1 >= within.after) continue
    const { after: end, ...rest } = within
    const part = await pageAtOnce(db, user, { ...rest, after: end === Infinity ? undefined : end, fromEnd }, filter)
    if (part === undefined) return undefined
    const found = whole?.items ?? []
    whole = { state: part.state, items: fromEnd ? [...part.items, ...found] : [...found, ...part.items] }
  }
  return whole
}

function pageAtOnce(db: Db, user: string, { after, before, limit, fromEnd }: PageRequest, filter: ItemFilter) {
  const wanted = [
    after === undefined ? undefined : sql`items.created_rev < ${after}`,
    before === undefined ? undefined : sql`items.created_rev > ${before}`,
    filter.unread == null ? undefined : filter.unread ? sql`items.read_at is null` : sql`items.read_at is not null`,
    filter.archived ? sql`items.archived_at is not null` : sql`items.archived_at is null`,
    filter.snoozed ? sql`items.snoozed_until is not null` : sql`items.snoozed_until is null`,
    ...isOfKind(filter),
    filter.search == null ? undefined : says(filter.search),
  ].filter((condition) => condition !== undefined)
  return stateWith<Item>(
    db,
    user,
    sql`
      select ${itemColumns}
      from items ${itemJoins}
      where items.user_code = inbox.user_code and items.deleted_at is null
        and ${sql.join(wanted, sql` and `)}
      order by items.created_rev ${fromEnd ? sql`asc` : sql`desc nulls first`}
      limit ${limit}`,
    sql`item."createdRev" desc`,
  )
}

/** One item of this user, or nothing. */
export async function item(db: Db, user: string, messageId: string): Promise<Item | undefined> {
  const [found] = await query<Item>(
    db,
    sql`
      select ${itemColumns}
      from items ${itemJoins}
      where items.user_code = ${user} and items.message_id = ${messageId} and items.deleted_at is null`,
  )
  return found
}

/**
 * Of this user's items, those named, newest first: also ones the user just deleted, as they were, but nothing of a message
 * that was recalled. At most `limit`.
 */
export function itemsByIds(db: Db, user: string, messageIds: string[], limit: number): Promise<Item[]> {
  return query<Item>(
    db,
    sql`
      select ${itemColumns}
      from items ${itemJoins}
      where items.user_code = ${user}
        and items.message_id = any(${texts(messageIds)}::uuid[])
        and (items.deleted_at is null or (items.change = 'deleted' and messages.recalled_at is null))
      order by items.created_rev desc nulls first
      limit ${limit}`,
  )
}
