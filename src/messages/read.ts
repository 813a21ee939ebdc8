/** Lets an app mark its own messages as read in people's inboxes, as when the matter was dealt with in its own pages. */
import { sql, type SQL } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { query, texts, type Db } from '../db/client.ts'
import { badInput } from '../errors.ts'
import { bringUpToDate } from '../inbox/broadcast.ts'
import { mark } from '../inbox/mark.ts'
import type { Named } from './input.ts'
import { namedMessages } from './status.ts'

const USERS_AT_ONCE = 500
/** Each inbox is a statement of its own under its own lock; this many run side by side. */
const STATEMENTS_AT_ONCE = 4

/**
 * Marks the site items of the messages meant as read, for `users` or for every recipient; says how many items changed.
 * Every device sees it live. Done person by person, each whole; what was read already stays as it was, so that a call
 * which broke off can be repeated.
 */
export async function markRead(
  context: Context,
  appId: string,
  named: Named,
  users: string[] | undefined,
): Promise<number> {
  const { db, hints } = context
  await namedMessages(db, appId, named, 1)
  const ofThem = ownMessages(appId, named)
  if (await isBroadcast(db, ofThem)) {
    // It is nobody's item until he looks: for everybody it would have to be copied to everybody first.
    if (users === undefined) throw badInput('user', '广播消息须指明用户', 'is required: the message is a broadcast')
    const moved = await bringUpToDate(db, users)
    if (moved.length > 0) hints.send({ kind: 'inbox', users: moved })
  }
  let marked = 0
  let after = ''
  for (;;) {
    const unread = await unreadAfter(db, ofThem, users, after)
    for (let from = 0; from < unread.length; from += STATEMENTS_AT_ONCE) {
      const some = unread.slice(from, from + STATEMENTS_AT_ONCE)
      const done = await Promise.all(some.map(({ userCode, messageIds }) => mark(db, userCode, 'read', { messageIds })))
      hints.send({ kind: 'inbox', users: some.map(({ userCode }) => userCode) })
      marked += done.reduce((sum, one) => sum + (one?.changed.length ?? 0), 0)
    }
    if (unread.length < USERS_AT_ONCE) return marked
    after = unread.at(-1)?.userCode ?? after
  }
}

function ownMessages(appId: string, { msgId, businessId }: Named): SQL {
  const conditions = [
    sql`messages.app_id = ${appId}`,
    ...(msgId === undefined ? [] : [sql`messages.id = ${msgId}`]),
    ...(businessId === undefined ? [] : [sql`messages.business_id = ${businessId}`]),
  ]
  return sql.join(conditions, sql` and `)
}

async function isBroadcast(db: Db, ofThem: SQL): Promise<boolean> {
  const found = await query(
    db,
    sql`select messages.id from messages join broadcasts on broadcasts.message_id = messages.id where ${ofThem} limit 1`,
  )
  return found.length > 0
}

function unreadAfter(db: Db, ofThem: SQL, users: string[] | undefined, after: string) {
  const only = users === undefined ? sql`true` : sql`items.user_code = any(${texts(users)})`
  return query<{ userCode: string; messageIds: string[] }>(
    db,
    sql`
      select items.user_code as "userCode", jsonb_agg(items.message_id) as "messageIds"
      from messages join items on items.message_id = messages.id
      where ${ofThem} and ${only} and items.read_at is null and items.deleted_at is null
        and items.user_code collate "C" > ${after}
      group by items.user_code
      order by items.user_code collate "C"
      limit ${USERS_AT_ONCE}`,
  )
}
