/**
 * A broadcast is one row however many people there are. It becomes an ordinary item of each person lazily, under the
 * inbox lock: when the person reads or subscribes, or by a batched pass for those who are connected. One ordering, one
 * count, one source; the only writer of `broadcasts`.
 */
import { sql } from 'drizzle-orm'
import { json, query, type Db } from '../db/client.ts'

/** How many broadcasts one statement copies for one person; a person who comes back after years takes several. */
const COPY_AT_ONCE = 500
/** Serialises the insertion of broadcasts, so that `seq` follows commit order and a cursor on it skips nothing. */
const IN_ORDER = 7_302_120

/**
 * Fragment of the accept and fan-out statements: makes the message a broadcast when `:broadcast` is true.
 * Expects a CTE `message (id, app_id, msg_type)`. The lock is held until the commit; `seq` is drawn after it is taken.
 */
export const putBroadcast = sql`
  in_order as materialized (
    select message.id, message.app_id, message.msg_type, pg_advisory_xact_lock(${sql.raw(String(IN_ORDER))})::text as taken
    from message
    where ${sql.placeholder('broadcast')}::boolean
  ),
  put_broadcast as (
    insert into broadcasts (message_id, app_id, msg_type)
    select id, app_id, msg_type from in_order where taken is not null
    returning seq
  )`

/**
 * Gives each of these users an inbox and every broadcast since their creation, and tells whose inboxes moved.
 * Safe to run at any time, any number of times, by several nodes at once.
 */
export async function copyBroadcasts(db: Db, users: string[]): Promise<string[]> {
  const moved = new Set<string>()
  let behind = users
  while (behind.length > 0) {
    const rows = await copySome(db, behind)
    for (const { userCode } of rows) moved.add(userCode)
    behind = rows.filter(({ copied }) => copied === COPY_AT_ONCE).map(({ userCode }) => userCode)
  }
  return [...moved]
}

function copySome(db: Db, users: string[]) {
  return query<{ userCode: string; copied: number }>(
    db,
    sql`
      with inbox as (
        select inboxes.user_code, inboxes.rev,
          coalesce(inboxes.broadcast_cursor, (
            select seq from broadcasts where created_at <= users.created_at order by created_at desc limit 1
          ), 0) as cursor
        from inboxes join users on users.code = inboxes.user_code
        where inboxes.user_code in (select jsonb_array_elements_text(${json(users)}::jsonb))
        order by inboxes.user_code
        for update of inboxes
      ),
      missing as (
        select inbox.user_code, broadcast.*,
          inbox.rev + row_number() over (partition by inbox.user_code order by broadcast.seq) as rev
        from inbox
        cross join lateral (
          select seq, message_id, app_id, msg_type, created_at
          from broadcasts
          where seq > inbox.cursor
          order by seq
          limit ${COPY_AT_ONCE}
        ) as broadcast
      ),
      copied as (
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type, created_at)
        select user_code, message_id, rev, rev, app_id, msg_type, created_at from missing
      ),
      total as (
        select user_code, count(*)::int as items, max(rev) as rev, max(seq) as seq from missing group by user_code
      )
      update inboxes
      set rev = total.rev, unread = inboxes.unread + total.items, unseen = inboxes.unseen + total.items,
        broadcast_cursor = total.seq
      from total
      where inboxes.user_code = total.user_code
      returning inboxes.user_code as "userCode", total.items as copied`,
  )
}

/** Makes the inbox rows that are not there yet. */
export async function makeInboxes(db: Db, users: string[]): Promise<void> {
  await query(
    db,
    sql`
      insert into inboxes (user_code)
      select code from jsonb_array_elements_text(${json(users)}::jsonb) as code
      order by code
      on conflict (user_code) do nothing`,
  )
}

/** Of these users, those with no inbox yet or with broadcasts to copy: one indexed look, next to nothing when there are none. */
export async function whoIsBehind(db: Db, users: string[]): Promise<{ userCode: string; hasInbox: boolean }[]> {
  return query(
    db,
    sql`
      select users.code as "userCode", inboxes.user_code is not null as "hasInbox"
      from jsonb_array_elements_text(${json(users)}::jsonb) as code
      join users on users.code = code
      left join inboxes on inboxes.user_code = users.code
      where inboxes.user_code is null
        or exists (select from broadcasts where seq > inboxes.broadcast_cursor)
        or (inboxes.broadcast_cursor is null and exists (select from broadcasts where created_at > users.created_at))`,
  )
}

/** Brings these users' inboxes up to date before they are read; gives those that moved. */
export async function bringUpToDate(db: Db, users: string[]): Promise<string[]> {
  const behind = await whoIsBehind(db, users)
  if (behind.length === 0) return []
  const without = behind.filter(({ hasInbox }) => !hasInbox).map(({ userCode }) => userCode)
  if (without.length > 0) await makeInboxes(db, without)
  return copyBroadcasts(db, behind.map(({ userCode }) => userCode))
}
