/** Takes messages back: what has not gone out is cancelled, what is in inboxes goes, and the caller is told which is which. */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import type { Context } from '../context.ts'
import { query, texts, type Db } from '../db/client.ts'
import { CANCEL_PATIENCE_MS, cancelQueued, PATIENCE_MS, takeBack } from '../delivery/recall.ts'
import { readIdCursor } from '../graphql/paging.ts'
import type { Named } from './input.ts'
import { findMessage, type Message } from './messages.ts'
import { toldOf } from './recalled.ts'
import { namedMessages } from './status.ts'

/** Messages told of at once when one `businessId` stands for many. */
const MESSAGES_LIMIT = 20
/** Longer than the caller's patience: should this process die, a worker goes on then. */
const LEASE_SECONDS = 10
/** After every code and account there can be: the last of all characters. */
const BEYOND_ALL = '\u{10ffff}'

/** Who recalls: an app its own messages, the admin anybody's, by `msgId`. */
export type Recaller = { by: 'app'; appId: string } | { by: 'admin'; appId: undefined; audit?: By }

/** `next` is the `after` of the page that follows, null at the end. */
export type Recalled = { messages: Message[]; isMore: boolean; next: string | null }

/**
 * Recalls all the messages meant, and gives the newest of them, or those after `after`, as they stand then. None of them
 * goes on once this has returned, whichever page it tells of. NOT_FOUND when there is none, or only somebody else's.
 * Doing it twice changes nothing and tells the truth of that moment. Of large or many messages the rest follows after
 * the answer.
 */
export async function recallMessages(
  context: Context,
  recaller: Recaller,
  named: Named,
  reason: string | undefined,
  after?: string,
): Promise<Recalled> {
  const { db } = context
  const { appId } = recaller
  const meant = await namedMessages(db, appId, named, MESSAGES_LIMIT + 1, readIdCursor(after))
  const page = meant.slice(0, MESSAGES_LIMIT).map(({ id }) => id)
  const isMore = meant.length > page.length
  const startedAt = performance.now()
  const which =
    named.msgId === undefined
      ? sql`app_id = ${appId ?? null} and business_id = ${named.businessId}`
      : // What was found, for that is this recaller's own.
        sql`id = any(${texts(page)}::uuid[])`
  const stopped = await stop(db, which, page, recaller, reason)
  await cancelQueued(db, stopped, startedAt + CANCEL_PATIENCE_MS)
  const told = page.filter((id) => stopped.includes(id))
  for (const id of told) await takeBack(context, id, startedAt + PATIENCE_MS)
  if (stopped.length > told.length) context.hints.send({ kind: 'work' })
  const now = await Promise.all(page.map((id) => findMessage(db, appId, id)))
  const messages = now.filter((message) => message !== undefined)
  return { messages, isMore, next: isMore ? (page.at(-1) ?? null) : null }
}

/** The same, worded for a documented call. */
export async function recallAnswer(
  context: Context,
  appId: string,
  named: Named,
  { reason, after }: { reason: string | undefined; after: string | undefined },
) {
  const { messages, ...rest } = await recallMessages(context, { by: 'app', appId }, named, reason, after)
  const told = messages.map(async (message) => {
    const { id, businessId, state } = message
    return { msgId: id, businessId, state, recall: await toldOf(context.db, message) }
  })
  return { messages: await Promise.all(told), ...rest }
}

/**
 * Stops all these messages at once and gives those of which something is to be taken back, also when they were stopped before. It takes
 * the messages' rows, as every chunk of their fan-out does, so that nothing is put after it; what was put before, the next
 * statements see. A scheduled message has put nothing, and is recalled with this. That fan-out had ended is told by the
 * cursor from then on, since the state tells of the recall. Those in `page` are leased to this caller, the others left to
 * a worker.
 */
async function stop(
  db: Db,
  which: SQL,
  page: string[],
  recaller: Recaller,
  reason: string | undefined,
): Promise<string[]> {
  const changes = sql`
    select replace(id::text, '-', '') as subject, jsonb_build_object('state', state) as before,
      jsonb_build_object('state', 'recalled', 'reason', ${reason ?? null}::text) as after
    from meant where recalled_at is null`
  const { audit } = { audit: undefined, ...recaller }
  const audited = audit === undefined ? sql`` : sql`, audited as (${auditing(audit, 'message.recall', changes)})`
  const rows = await query<{ id: string }>(
    db,
    sql`
      with meant as (
        select id, state, recalled_at from messages
        where ${which} and state <> 'recalled'
        order by id
        for no key update
      ),
      stopped as (
        update messages
        set state = case when messages.state = 'scheduled' then 'recalled' else 'recalling' end,
          lease_until = case
            when messages.state <> 'scheduled' and messages.id = any(${texts(page)}::uuid[])
              then now() + make_interval(secs => ${LEASE_SECONDS})
            when messages.state = 'recalling' then lease_until
          end,
          cursor = case when messages.state = 'fanned_out' then ${BEYOND_ALL} else cursor end,
          recalled_at = coalesce(messages.recalled_at, now()),
          recalled_by = case when messages.recalled_at is null then ${recaller.by} else recalled_by end,
          recall_reason = case when messages.recalled_at is null then ${reason ?? null} else recall_reason end
        from meant
        where messages.id = meant.id
        returning messages.id, messages.state
      )${audited}
      select id from stopped where state = 'recalling' order by id`,
  )
  return rows.map(({ id }) => id)
}
