/**
 * What happened in inboxes after a rev: of all who ask at a time in one statement, which for each of them costs a part of
 * what one of his own would. It answers in JSON, which is read several times as fast as rows of so many columns, and has
 * what a message says once (in each language), however many people it came to; the objects share it then.
 */
import { sql, type SQL } from 'drizzle-orm'
import { hot, json, type Store } from '../db/client.ts'
import type { Counts } from './counts.ts'
import type { InboxState, Item } from './inbox.ts'
import { saidTo } from './said.ts'

/**
 * What happened at one rev: an item came, or some changed. `messageIds`: all of them; the item is one, as it stands now.
 * `marks`: how each stands, of several that are there. That cannot be told from what happened to them last by somebody
 * who has not heard what happened to one of them before.
 */
export type Change = Item & { at: number; isNew: boolean; messageIds: string[]; marks: Marks[] }

/** How an item stands with its person. */
export type Marks = Pick<Item, 'messageId' | 'userCode' | 'seenAt' | 'readAt' | 'archivedAt' | 'snoozedUntil'>

/** `items` tell everything up to the rev `upTo`; short of that of the inbox, there is more. */
export type Since = { state: InboxState; items: Change[]; upTo: number }

/** Somebody who has everything up to the rev `after`. */
export type Asker = { user: string; after: number }

/**
 * What a statement gives: for every item what is its own, for every message what it says. Lists rather than objects, since
 * the names cost as much to read as all the rest; they come in the order of `ownColumns` and `saidColumns`. Times are in milliseconds.
 */
type Found = { told: Told[] | null; said: Said[] | null }
type Times = [seenAt: number | null, readAt: number | null, archivedAt: number | null, snoozedUntil: number | null]
type Told = [asker: number, inbox: Inbox, key: string | null, at: number, own: Own]
type Inbox = [id: string, rev: number, unread: number, unseen: number, facets: Counts['facets']]
type Own = [
  isNew: boolean,
  rev: number,
  createdRev: number,
  change: Change['change'],
  appId: string,
  msgType: string,
  createdAt: number,
  changedAt: number,
  expiresAt: number | null,
  deletedAt: number | null,
  times: Times,
  messageIds: string[] | null,
  marks: [messageId: string, times: Times][] | null,
]
type Said = [
  key: string,
  messageId: string,
  content: Item['content'],
  senderCode: string | null,
  senderName: string | null,
  businessId: string | null,
  priority: number,
]

/** As Dates have it: read as numbers they cost a tenth of what they cost as texts. */
const ms = (time: SQL) => sql`floor(extract(epoch from ${time}) * 1000)`
const plain = (id: SQL) => sql`replace(${id}::text, '-', '')`
const times = (item: SQL) =>
  sql`json_build_array(${ms(sql`${item}.seen_at`)}, ${ms(sql`${item}.read_at`)}, ${ms(sql`${item}.archived_at`)}, ${ms(sql`${item}.snoozed_until`)})`
/** Names what one message says to those of one variant. */
const saying = (message: SQL, variant: SQL) =>
  sql`case when ${variant} is null then ${message}::text else ${message} || ' ' || ${variant} end`
const ownColumns = sql`
  asker, json_build_array(${plain(sql`inbox_id`)}, inbox_rev, unread, unseen, facets), ${saying(sql`message_id`, sql`variant`)}, at,
  json_build_array(
    is_new, rev, created_rev, change, app_id, msg_type, ${ms(sql`created_at`)}, ${ms(sql`coalesce(changed_at, created_at)`)},
    ${ms(sql`expires_at`)}, ${ms(sql`deleted_at`)}, ${times(sql`told`)}, message_ids, marks
  )`
const saidColumns = sql`
  ${saying(sql`messages.id`, sql`message.variant`)}, ${plain(sql`messages.id`)}, ${saidTo(sql`message.variant`)}, messages.sender_code, messages.sender_name, messages.business_id,
  messages.priority`

/** Inboxes and messages are looked up one by one (`limit 1`): guesses at how many there are could lead to reading all. */
const statement = hot<Found, { users: string; afters: string; limit: number }>(sql`
  with told as materialized (
    select asked.asker, inbox.id as inbox_id, inbox.rev as inbox_rev, inbox.unread, inbox.unseen, inbox.facets, item.*
    from unnest(
      array(select jsonb_array_elements_text(${sql.placeholder('users')}::jsonb)),
      string_to_array(${sql.placeholder('afters')}, ',')::bigint[]
    ) with ordinality as asked ("user", after, asker)
    cross join lateral (select * from inboxes where user_code = asked."user" limit 1) as inbox
    left join lateral (
      (
        select created_rev as at, true as is_new, null::json as message_ids, null::json as marks, items.*
        from items
        where user_code = inbox.user_code and created_rev > asked.after and deleted_at is null
        order by created_rev
        limit ${sql.placeholder('limit')}
      ) union all (
        select at, false, message_ids,
          -- Looked at only where it is needed, which is seldom.
          case when json_array_length(message_ids) > 1 then (
            select json_agg(json_build_array(${plain(sql`one.message_id`)}, ${times(sql`one`)}) order by one.created_rev desc)
            from items as one
            where one.user_code = inbox.user_code and one.rev = step.at and one.deleted_at is null
          ) end,
          items.*
        from (
          select rev as at, (array_agg(message_id))[1] as message_id,
            json_agg(${plain(sql`message_id`)} order by created_rev desc) as message_ids
          from (
            select message_id, created_rev, rev
            from items
            where user_code = inbox.user_code and rev > asked.after and rev > created_rev
            order by rev
            fetch first (${sql.placeholder('limit')}) rows with ties
          ) as step
          group by rev
        ) as step
        join items on items.user_code = inbox.user_code and items.message_id = step.message_id
      )
    ) as item on true
  )
  select
    (select json_agg(json_build_array(${ownColumns})) from told) as told,
    (
      select json_agg(said.said)
      from (select distinct message_id, variant from told) as message
      cross join lateral (
        select json_build_array(${saidColumns}) as said
        from messages join contents on contents.message_id = messages.id and contents.kind = 'site'
        where messages.id = message.message_id
        limit 1
      ) as said
    ) as said`)

/**
 * What happened after the rev of each asker, in order, of about `limit` items; with the state of that instant, the same
 * for all. Undefined: there is no such inbox. A rev is never cut in two, so that whoever resumes after one has all of it.
 * An item that came and then changed happens twice: new at the rev at which it came, changed at the rev it has now. So
 * what a rev says does not depend on when, or in how many steps, it is read, and nobody misses or doubles a new item.
 */
export async function sinceMany(
  store: Pick<Store, 'run'>,
  askers: readonly Asker[],
  limit: number,
): Promise<Iterable<Since | undefined>> {
  const users = json(askers.map(({ user }) => user))
  const afters = askers.map(({ after }) => after).join()
  const [found] = await statement(store, { users, afters, limit })
  return answers(askers, found ?? { told: [], said: [] }, limit)
}

/** One by one as they are taken: of a thousand the first is told and forgotten before the last is made. */
function* answers(askers: readonly Asker[], { told, said }: Found, limit: number): Generator<Since | undefined> {
  const messages = new Map(said?.map((message) => [message[0], message]))
  const ofAsker = Array.from<Told[] | undefined>({ length: askers.length })
  // Counted from 1.
  for (const one of told ?? []) (ofAsker[one[0] - 1] ??= []).push(one)
  for (const [asker, { user }] of askers.entries()) {
    const mine = ofAsker[asker]
    yield mine && answer(user, mine, messages, limit)
  }
}

/** New items and changed ones were cut off each for themselves: only as many as one of them may have are without a gap. */
function answer(user: string, told: Told[], messages: Map<string, Said>, limit: number): Since | undefined {
  const [first] = told
  if (first === undefined) return undefined
  const [id, rev, unread, unseen, facets] = first[1]
  const state: InboxState = { id, rev, counts: { unread, unseen, facets } }
  const items: Change[] = []
  let count = 0
  for (const [, , key, at, own] of told.length === 1 ? told : told.toSorted((one, other) => one[3] - other[3])) {
    const said = key === null ? undefined : messages.get(key)
    if (said === undefined) continue
    const item = changeOf(user, at, own, said)
    items.push(item)
    count += item.messageIds.length
    if (count >= limit) return { state, items, upTo: at }
  }
  return { state, items, upTo: rev }
}

/** The same for one who asks alone. */
export async function since(
  store: Pick<Store, 'run'>,
  user: string,
  after: number,
  limit: number,
): Promise<Since | undefined> {
  const [answer] = await sinceMany(store, [{ user, after }], limit)
  return answer
}

function changeOf(userCode: string, at: number, own: Own, said: Said): Change {
  const [
    isNew,
    rev,
    createdRev,
    change,
    appId,
    msgType,
    createdAt,
    changedAt,
    expiresAt,
    deletedAt,
    times,
    messageIds,
    marks,
  ] = own
  const [seenAt, readAt, archivedAt, snoozedUntil] = times
  const [, messageId, content, senderCode, senderName, businessId, priority] = said
  return {
    userCode,
    messageId,
    at,
    isNew,
    messageIds: messageIds ?? [messageId],
    marks: marks?.map((one) => marksOf(userCode, one)) ?? [],
    rev,
    createdRev,
    change,
    appId,
    msgType,
    createdAt: new Date(createdAt),
    changedAt: new Date(changedAt),
    seenAt: time(seenAt),
    readAt: time(readAt),
    archivedAt: time(archivedAt),
    snoozedUntil: time(snoozedUntil),
    expiresAt: time(expiresAt),
    deletedAt: time(deletedAt),
    content,
    senderCode,
    senderName,
    businessId,
    priority,
  }
}

function marksOf(
  userCode: string,
  [messageId, [seenAt, readAt, archivedAt, snoozedUntil]]: [messageId: string, times: Times],
): Marks {
  return {
    userCode,
    messageId,
    seenAt: time(seenAt),
    readAt: time(readAt),
    archivedAt: time(archivedAt),
    snoozedUntil: time(snoozedUntil),
  }
}

const time = (at: number | null) => (at === null ? null : new Date(at))
