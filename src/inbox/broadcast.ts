/**
 * A broadcast is one row however many people there are. It becomes an ordinary item of each person lazily, under the
 * inbox lock: when the person reads or subscribes, or by a batched pass for those who are connected. One ordering, one
 * count, one source; the only writer of `broadcasts`.
 */
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { json, query, texts, type Db } from '../db/client.ts'
import { addUp, setCounts } from './counts.ts'
import { byUser, isCurrent } from './inbox.ts'

/** About how many items one statement makes, for all its people together: it holds their inboxes meanwhile. */
const ITEMS_AT_ONCE = 5_000
/** A broadcast with a lower `seq` may have begun later, by as much as the statement that accepts one may take. */
const LONGEST_ACCEPT = '1 minute'
/** Longer than between two looks, also when some fail: what was taken back before is not looked for again. */
const LATELY = '5 minutes'
/** Serialises the insertion of broadcasts, so that `seq` follows commit order and a cursor on it skips nothing. */
const IN_ORDER = 7_302_120

/**
 * Fragment of the accept and fan-out statements: makes a broadcast of each message that is to be one.
 * Expects a CTE `message (id, app_id, msg_type, due_at, expires_at, broadcast, choices)`. The lock is held until the commit; `seq` is drawn
 * after it is taken.
 */
export const putBroadcast = sql`
  in_order as materialized (
    select message.id, message.app_id, message.msg_type, message.due_at, message.expires_at, message.choices,
      pg_advisory_xact_lock(${sql.raw(String(IN_ORDER))})::text as taken
    from message
    where broadcast and ${isCurrent}
  ),
  put_broadcast as (
    insert into broadcasts (message_id, app_id, msg_type, expires_at, choices)
    select id, app_id, msg_type, expires_at, choices from in_order where taken is not null order by due_at, id
    returning seq
  )`

/**
 * Brings these users' inboxes up to date: makes those that are not there yet and copies every broadcast since the
 * person's creation. Gives the users whose inboxes moved. Safe at any time, any number of times, by several nodes at once.
 */
export async function bringUpToDate(db: Db, users: string[]): Promise<string[]> {
  const people = users.map((user) => ({ user, after: null }))
  return (await lookAfter(db, people)).moved
}

/**
 * The same for people of whom is known to which rev they were told: also gives those whose inboxes stand elsewhere, and
 * those who may have to leave. One statement when there is no broadcast to copy.
 */
export async function lookAfter(
  db: Db,
  people: { user: string; after: number | null }[],
): Promise<{ moved: string[]; doubtful: string[] }> {
  const found = await lookAt(db, people)
  const without = found.filter(({ hasInbox }) => !hasInbox).map(({ userCode }) => userCode)
  if (without.length > 0) await makeInboxes(db, [...new Set(without)])
  // Also who is behind where somebody is told: another node may be the one that copies for him.
  const isTold = new Set(people.filter(({ after }) => after !== null).map(({ user }) => user))
  const moved = new Set(
    found
      .filter(({ userCode, hasMoved, isBehind }) => hasMoved || (isBehind && isTold.has(userCode)))
      .map(({ userCode }) => userCode),
  )
  const behind = [...new Set(found.filter(({ isBehind }) => isBehind).map(({ userCode }) => userCode))]
  for (const user of await copyMissed(db, behind)) moved.add(user)
  const doubtful = new Set(found.filter(({ isDoubtful }) => isDoubtful).map(({ userCode }) => userCode))
  return { moved: [...moved], doubtful: [...doubtful] }
}

/** Copies all that these people, who have inboxes, have missed; gives those whose inboxes that moved. */
export async function copyMissed(db: Db, users: readonly string[]): Promise<Set<string>> {
  const moved = new Set<string>()
  let some = users
  while (some.length > 0) {
    const each = Math.ceil(ITEMS_AT_ONCE / some.length)
    const rows = await copyBroadcasts(db, some, each)
    for (const { userCode, copied } of rows) if (copied > 0) moved.add(userCode)
    some = rows.filter(({ lookedAt }) => lookedAt === each).map(({ userCode }) => userCode)
  }
  return moved
}

/** The same for one person who looks, whose other devices hear of what that changed. */
export async function upToDate({ db, hints }: Pick<Context, 'db' | 'hints'>, user: string): Promise<void> {
  const moved = await bringUpToDate(db, [user])
  if (moved.length > 0) hints.send({ kind: 'inbox', users: moved })
}

/**
 * Copies up to `each` missing broadcasts to each of these users, in order; gives how many it went past, and copied, for
 * those who missed any. Recalled and expired ones are passed over. `for share` reads `recalled_at` as it is now, and makes a recall
 * wait for this copy, so that its look for items (recall.ts) finds what was copied. PostgreSQL takes what is wanted for a
 * few rows, and would join thousands with thousands one by one: `is true` keeps it from a join, to a hash table, and what
 * was looked at and what was added come together by grouping.
 */
function copyBroadcasts(db: Db, users: readonly string[], each: number) {
  return query<{ userCode: string; lookedAt: number; copied: number }>(
    db,
    sql`
      with inbox as (
        select inboxes.user_code, inboxes.rev, users.created_at, users.locale,
          coalesce(inboxes.broadcast_cursor, (
            select seq from broadcasts
            where created_at < users.created_at - ${LONGEST_ACCEPT}::interval order by created_at desc limit 1
          ), 0) as cursor
        from inboxes join users on users.code = inboxes.user_code
        where inboxes.user_code = any(${texts(users)})
        ${byUser(sql`inboxes.user_code`)}
        for update of inboxes
      ),
      wanted as (
        select inbox.user_code, inbox.rev, broadcast.*, variant_for(broadcast.choices, inbox.locale) as variant
        from inbox
        cross join lateral (
          select seq, message_id, app_id, msg_type, expires_at, choices, created_at
          from broadcasts
          where seq > inbox.cursor and created_at > inbox.created_at
          order by seq
          limit ${each}
        ) as broadcast
      ),
      standing as materialized (
        select seq from broadcasts
        where seq between (select min(seq) from wanted) and (select max(seq) from wanted)
          and (seq in (select seq from wanted)) is true
          and recalled_at is null and ${isCurrent}
        for share
      ),
      missing as (
        select wanted.*, rev + row_number() over (partition by user_code order by seq) as next_rev
        from wanted
        where (seq in (select seq from standing)) is true
      ),
      changed as (
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type, variant, expires_at, created_at)
        select user_code, message_id, next_rev, next_rev, app_id, msg_type, variant, expires_at, created_at from missing
        returning user_code, app_id, msg_type, 1 as unread_by, 1 as unseen_by
      ),
      ${addUp},
      total as (
        select user_code, sum(looked_at)::int as looked_at, max(seq) as seq, sum(items)::int as items,
          sum(unread_by)::int as unread_by, sum(unseen_by)::int as unseen_by,
          coalesce((array_agg(facets) filter (where facets is not null))[1], '{}') as facets, max(only_kind) as only_kind
        from (
          select user_code, 1 as looked_at, seq, 0 as items, 0 as unread_by, 0 as unseen_by, null::jsonb as facets,
            null as only_kind
          from wanted
          union all
          select user_code, 0, null, items, unread_by, unseen_by, facets, only_kind from added
        ) as part
        group by user_code
      )
      update inboxes
      set rev = inboxes.rev + added.items, broadcast_cursor = added.seq, ${setCounts}
      from total as added
      where inboxes.user_code = added.user_code
      returning inboxes.user_code as "userCode", added.looked_at as "lookedAt", added.items as copied`,
  )
}

async function makeInboxes(db: Db, users: string[]): Promise<void> {
  await query(
    db,
    sql`
      insert into inboxes (user_code)
      select given.code from unnest(${texts(users)}) as given(code)
      ${byUser(sql`given.code`)}
      on conflict (user_code) do nothing`,
  )
}

type Found = { userCode: string; hasInbox: boolean; isBehind: boolean; hasMoved: boolean; isDoubtful: boolean }

/**
 * Of these people, those with no inbox yet, with broadcasts to copy, whose inboxes stand elsewhere, who are disabled, or of whose tokens
 * some were taken back lately:
 * one indexed look, next to nothing when there are none. A person who is not in the directory any more may still have an inbox.
 */
function lookAt(db: Db, people: { user: string; after: number | null }[]): Promise<Found[]> {
  return query<Found>(
    db,
    sql`
      select given."user" as "userCode", inboxes.user_code is not null as "hasInbox", is_behind as "isBehind",
        has_moved as "hasMoved", is_doubtful as "isDoubtful"
      from jsonb_to_recordset(${json(people)}::jsonb) as given ("user" text, after bigint)
      left join users on users.code = given."user"
      left join inboxes on inboxes.user_code = given."user"
      cross join lateral (
        select coalesce(inboxes.rev <> given.after, false) as has_moved,
          coalesce(not users.enabled, false) or exists (
            select from token_revocations
            where user_code = given."user" and revoked_at > now() - ${LATELY}::interval
          ) as is_doubtful, users.code is not null and (
          inboxes.user_code is null
          or exists (select from broadcasts where seq > inboxes.broadcast_cursor and created_at > users.created_at)
          or (inboxes.broadcast_cursor is null and exists (select from broadcasts where created_at > users.created_at))
        ) as is_behind
      ) as look
      where is_behind or has_moved or is_doubtful`,
  )
}
