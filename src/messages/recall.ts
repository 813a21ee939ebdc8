/** Takes messages back: what has not gone out is cancelled, what is in inboxes goes, and the caller is told which is which. */
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { query, texts, type Db } from '../db/client.ts'
import { PATIENCE_MS, takeBack } from '../delivery/recall.ts'
import type { Named } from './input.ts'
import { findMessage, type Message } from './messages.ts'
import { toldOf } from './recalled.ts'
import { namedMessages } from './status.ts'

/** Messages recalled at once when one `businessId` stands for many. */
const MESSAGES_LIMIT = 20
/** Longer than the caller's patience: should this process die, a worker goes on then. */
const LEASE_SECONDS = 10
/** After every code and account there can be: the last of all characters. */
const BEYOND_ALL = '\u{10ffff}'

/** Who recalls: an app its own messages, the admin anybody's, by `msgId`. */
export type Recaller = { by: 'app'; appId: string } | { by: 'admin'; appId: undefined }

/**
 * Recalls the messages meant, and gives them as they stand then; `isMore`: the `businessId` stands for more
 * that are not recalled yet, so call again. NOT_FOUND when there is none, or only somebody else's. Doing it twice changes
 * nothing and tells the truth of that moment. Of a large message the rest follows after the answer.
 */
export async function recallMessages(
  context: Context,
  { by, appId }: Recaller,
  named: Named,
  reason: string | undefined,
): Promise<{ messages: Message[]; isMore: boolean }> {
  const { db } = context
  const meant = await meantMessages(db, appId, named)
  const ids = meant.slice(0, MESSAGES_LIMIT).map(({ id }) => id)
  const until = performance.now() + PATIENCE_MS
  for (const id of await stop(db, ids, by, reason)) await takeBack(context, id, until)
  const now = await Promise.all(ids.map((id) => findMessage(db, appId, id)))
  return {
    messages: now.filter((message) => message !== undefined),
    isMore: meant.slice(MESSAGES_LIMIT).some(({ state }) => state !== 'recalled'),
  }
}

/** The same, worded for a documented call. */
export async function recallAnswer(context: Context, appId: string, named: Named, reason: string | undefined) {
  const { messages, isMore } = await recallMessages(context, { by: 'app', appId }, named, reason)
  const told = messages.map(async (message) => {
    const { id, businessId, state } = message
    return { msgId: id, businessId, state, recall: await toldOf(context.db, message) }
  })
  return { messages: await Promise.all(told), isMore }
}

/** By `businessId` those that are not recalled yet come first, so that calling again gets to all of them. */
async function meantMessages(
  db: Db,
  appId: string | undefined,
  named: Named,
): Promise<Pick<Message, 'id' | 'state'>[]> {
  const found = await namedMessages(db, appId, named, 1)
  if (named.msgId !== undefined) return found
  return query(
    db,
    sql`
      select id, state from messages
      where app_id = ${appId ?? null} and business_id = ${named.businessId}
      order by state = 'recalled', created_at desc, id desc
      limit ${MESSAGES_LIMIT + 1}`,
  )
}

/**
 * Stops the messages and gives those of which something is to be taken back, also when they were stopped before. It takes
 * the messages' rows, as every chunk of their fan-out does, so that nothing is put after it; what was put before, the next
 * statements see. A scheduled message has put nothing, and is recalled with this. That fan-out had ended is told by the
 * cursor from then on, since the state tells of the recall.
 */
async function stop(db: Db, ids: string[], by: string, reason: string | undefined): Promise<string[]> {
  const rows = await query<{ id: string }>(
    db,
    sql`
      with meant as (
        select id from messages
        where id = any(${texts(ids)}::uuid[]) and state <> 'recalled'
        order by id
        for no key update
      ),
      stopped as (
        update messages
        set state = case when state = 'scheduled' then 'recalled' else 'recalling' end,
          lease_until = case when state = 'scheduled' then null else now() + make_interval(secs => ${LEASE_SECONDS}) end,
          cursor = case when state = 'fanned_out' then ${BEYOND_ALL} else cursor end,
          recalled_at = coalesce(recalled_at, now()),
          recalled_by = case when recalled_at is null then ${by} else recalled_by end,
          recall_reason = case when recalled_at is null then ${reason ?? null} else recall_reason end
        from meant
        where messages.id = meant.id
        returning messages.id, state
      )
      select id from stopped where state = 'recalling' order by id`,
  )
  return rows.map(({ id }) => id)
}
