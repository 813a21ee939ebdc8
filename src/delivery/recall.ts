/**
 * Takes back a message that messages/recall.ts has stopped. The stop took the message's row, as every chunk of the
 * fan-out does (fan-out.ts), so that nothing is put after it, and what was put before is seen here. Then
 *
 *   recalling ── nothing is queued any more, no inbox has it ──▶ recalled
 *
 * Everything here is repeatable: whoever was stopped half-way, the caller by his patience or a worker by its death, is
 * followed by a worker that begins anew and finds less to do.
 */
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { json, query, type Db } from '../db/client.ts'
import { stopBroadcast, takeItemsBack } from '../inbox/recall.ts'
import { Refusal } from '../errors.ts'
import { inOrder, isFree } from './queue.ts'
import { whyOf } from './words.ts'

/** How long a caller waits for the end; of a larger message he is told what is done so far. */
export const PATIENCE_MS = 1_000
/** How long for the cancelling of what has not gone out: when he has his answer, nothing more is to go. */
export const CANCEL_PATIENCE_MS = 3_000
const MESSAGES_AT_ONCE = 1_000
const DELIVERIES_AT_ONCE = 1_000
/** How soon to look again after deliveries that are with a worker. */
const LOOK_AGAIN_SECONDS = 1
/** Whoever takes longer over a recall has died. */
const LEASE_SECONDS = 10

/** One step of the worker: goes on with a recall that nobody is at. False: there was none. */
export async function takeBackNext(context: Context): Promise<boolean> {
  const [message] = await claimRecall(context.db)
  if (message === undefined) return false
  try {
    await takeBack(context, message.id)
  } catch (error) {
    // The database away says nothing of the message.
    if (error instanceof Refusal) throw error
    context.log.error({ messageId: message.id, why: whyOf(error) }, 'recall: failed')
  }
  return true
}

/** In turn, so that those which wait for a worker's delivery hold up no other. */
function claimRecall(db: Db) {
  return query<{ id: string }>(
    db,
    sql`
      update messages
      set lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      where id = any(array(
        select id from messages
        where state = 'recalling' and due_at <= now() and ${isFree}
        order by lease_until nulls first, due_at
        limit 1
        for update skip locked
      ))
      returning id`,
  )
}

/**
 * Takes back what is left of a message that is `recalling`, until it is done or `until` (by `performance.now()`) has
 * passed; then a worker goes on at once.
 */
export async function takeBack(
  { db, hints }: Pick<Context, 'db' | 'hints'>,
  messageId: string,
  until = performance.now() + PATIENCE_MS,
): Promise<void> {
  let underWay = 0
  for await (const step of steps(db, messageId)) {
    underWay += step.underWay ?? 0
    if (step.users !== undefined && step.users.length > 0) hints.send({ kind: 'inbox', users: step.users })
    if (performance.now() < until) continue
    await query(db, sql`update messages set lease_until = null where id = ${messageId} and state = 'recalling'`)
    hints.send({ kind: 'work' })
    return
  }
  await end(db, messageId, underWay === 0)
}

/** Cancels what is queued of many messages that are `recalling`; what is left when `until` has passed a worker does. */
export async function cancelQueued(db: Db, messageIds: readonly string[], until: number): Promise<void> {
  for (let from = 0; from < messageIds.length; from += MESSAGES_AT_ONCE) {
    const some = messageIds.slice(from, from + MESSAGES_AT_ONCE)
    for (let place: Place | undefined = START; place !== undefined;) {
      if (performance.now() > until) return
      place = (await cancelSome(db, some, place)).last
    }
  }
}

type Step = { underWay?: number; users?: string[] }

/** Deliveries first: every moment another may go out. */
async function* steps(db: Db, messageId: string): AsyncGenerator<Step> {
  for (let place: Place | undefined = START; place !== undefined;) {
    const cancelled = await cancelSome(db, [messageId], place)
    yield { underWay: cancelled.underWay }
    place = cancelled.last
  }
  await stopBroadcast(db, messageId)
  for await (const users of takeItemsBack(db, messageId)) yield { users }
}

async function end(db: Db, messageId: string, isDone: boolean): Promise<void> {
  await query(
    db,
    sql`
      update messages
      set state = case when ${isDone}::boolean then 'recalled' else state end,
        lease_until = case when ${isDone}::boolean then null else now() + make_interval(secs => ${LOOK_AGAIN_SECONDS}) end
      where id = ${messageId} and state = 'recalling'`,
  )
}

/** Where a chunk ended, in the order of an index that deliveries have anyway. */
type Place = { messageId: string; channelId: string; recipient: string }
const START: Place = { messageId: '0'.repeat(32), channelId: '', recipient: '' }

/**
 * Cancels the next queued deliveries of these messages after `place`; `last` is undefined at the end.
 * One that a worker has is only marked: its worker ends it (queue.ts), and `underWay` counts it. One whose worker died
 * with it, or whose attempt was left without an answer, may have gone out: it is cancelled as such and not as never sent.
 * `queued` locks the rows, so that each is decided as it is now: a claim came before or finds it cancelled. They are
 * chosen before, since they are locked in another order than that of the pages.
 */
async function cancelSome(
  db: Db,
  messageIds: readonly string[],
  { messageId, channelId, recipient }: Place,
): Promise<{ underWay: number; last: Place | undefined }> {
  const found = await query<Place & { isHeld: boolean }>(
    db,
    sql`
      with page as (
        select found.*
        from (
          select value::uuid as message_id from jsonb_array_elements_text(${json(messageIds)}::jsonb)
          where value::uuid >= ${messageId}::uuid
          order by 1
        ) as message
        cross join lateral (
          select id, message_id, channel_id, recipient
          from deliveries
          where deliveries.message_id = message.message_id and state = 'queued'
            and (deliveries.message_id, channel_id, recipient) > (${messageId}::uuid, ${channelId}, ${recipient})
          order by channel_id, recipient
          limit ${DELIVERIES_AT_ONCE}
        ) as found
        order by found.message_id, found.channel_id, found.recipient
        limit ${DELIVERIES_AT_ONCE}
      ),
      queued as (
        select deliveries.id, recall_requested,
          coalesce(lease_until > now(), false) as is_held,
          case
            when lease_until > now() then 'RECALL_REQUESTED'
            when maybe_sent or lease_until is not null then 'MAY_HAVE_GONE_OUT'
            else 'RECALLED'
          end as why
        from page join deliveries on deliveries.id = page.id and deliveries.state = 'queued'
        ${inOrder}
      ),
      decided as (
        select id, why, is_held, case when is_held then 'queued' else 'cancelled' end as state
        from queued
        where not (is_held and recall_requested)
      ),
      changed as (
        update deliveries
        set recall_requested = true,
          state = decided.state,
          reason = case when is_held then reason else why end,
          maybe_sent = maybe_sent or why = 'MAY_HAVE_GONE_OUT',
          lease = case when is_held then lease end,
          lease_until = case when is_held then lease_until end,
          settled_at = case when is_held then settled_at else now() end,
          history = history || jsonb_build_object(
            'at', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'state', decided.state, 'attempt', attempts, 'reason', why
          )
        from decided
        where deliveries.id = decided.id
      )
      select message_id as "messageId", channel_id as "channelId", recipient, coalesce(is_held, false) as "isHeld"
      from page left join queued on queued.id = page.id
      order by message_id, channel_id, recipient`,
  )
  return {
    underWay: found.filter(({ isHeld }) => isHeld).length,
    last: found.length < DELIVERIES_AT_ONCE ? undefined : found.at(-1),
  }
}
