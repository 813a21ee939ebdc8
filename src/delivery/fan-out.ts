/**
 * Fan-out: from what a caller named to recipients. A message moves
 *
 *   scheduled ── due, small ──▶ fanned_out
 *       └── due, large ──▶ fanning_out ── last chunk ──▶ fanned_out
 *                              └── failed again and again ──▶ failed
 *
 * and from any of these to `recalling`, where a recall has stopped it (recall.ts).
 *
 * A small audience that is due at once is fanned out by the very statement that accepts the message, which then starts
 * as `fanned_out`. One that was scheduled goes out together with others that are due (due.ts). Otherwise the message waits
 * as a row and a worker goes through its audience in chunks (chunk.ts), in the order of codes. A statement that puts chunks moves
 * the stored cursor of their messages on, on condition that it still stands where this worker found it. So a crash
 * resumes at the cursor, and of two workers at the same chunk one does nothing.
 */
import { sql, type SQL } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot, json, query } from '../db/client.ts'
import { putBroadcast } from '../inbox/broadcast.ts'
import { putItems } from '../inbox/inbox.ts'
import { putItemsTogether } from '../inbox/put-together.ts'
import { Refusal } from '../errors.ts'
import { readAhead, readNext } from './ahead.ts'
import { recipientsOf, type Audience, type Chunk } from './chunk.ts'
import { putDeliveries } from './put-deliveries.ts'
import { isFree } from './queue.ts'
import { speak, textsOf } from './speak.ts'
import { putVariants } from './variants.ts'
import { whyOf } from './words.ts'

/** A worker that takes longer than this over what it took has lost it to another; a few statements end sooner. */
export const LEASE_SECONDS = 10
/** A message whose fan-out failed waits twice as long each time, up to this; given up after so many times, about two hours. */
const LONGEST_WAIT_SECONDS = 600
const FAILURES_AT_MOST = 20

/**
 * One step of the worker with what is not done by one statement: a chunk of the message that has come least far, so that
 * one to thousands does not wait for one to everybody. Meanwhile its next chunk is read. False: nothing was there. A message
 * that cannot be fanned out waits longer each time, so that it delays no other, and in the end is given up.
 */
export async function fanOutNext(context: Context): Promise<boolean> {
  const [message] = await claimLarge(context.db)
  if (message === undefined) return false
  try {
    const texts = await textsOf(context, message)
    const found = await readNext(context.store, message)
    const chunk = texts === undefined ? found : await speak(context, texts, message.channels, found)
    if (!chunk.isLast) readAhead(context.store, { ...message, cursor: chunk.cursor })
    tell(context.hints, await put(context.store, [{ id: message.id, after: message.cursor, chunk }]))
  } catch (error) {
    await noteFailure(context, message.id, error)
  }
  return true
}

/** A chunk of the message `id`, whose cursor stood at `after` when it was resolved. */
export type Ready = { id: string; after: string; chunk: Chunk }

/** Puts chunks of several messages in one statement, each whole or not at all, and gives those that were put. */
export async function put(store: Context['store'], ready: readonly Ready[]): Promise<Chunk[]> {
  const given = ready.map(({ id, after, chunk }) => {
    const { readers: _, ...rest } = chunk
    return { id, after, ...rest, recipients: recipientsOf(chunk) }
  })
  const statement = ready.length === 1 ? putOne : putTogether
  const done = new Set((await statement(store, { chunks: json(given) })).map(({ id }) => id))
  return ready.filter(({ id }) => done.has(id)).map(({ chunk }) => chunk)
}

/** Hints for what chunks put; to be sent after their commit. */
export function tell(hints: Context['hints'], chunks: readonly Chunk[]): void {
  const users = new Set(chunks.flatMap(({ people }) => people))
  if (users.size > 0) hints.send({ kind: 'inbox', users: [...users] })
  if (chunks.some(({ broadcast }) => broadcast)) hints.send({ kind: 'broadcast' })
  if (chunks.some(({ isLast, deliveries }) => !isLast || deliveries.some(({ state }) => state === 'queued')))
    hints.send({ kind: 'work' })
}

/** The database away says nothing of the message, and is thrown. */
export async function noteFailure({ db, log }: Context, messageId: string, error: unknown): Promise<void> {
  if (error instanceof Refusal) throw error
  const [noted] = await query<{ failures: number; state: string }>(
    db,
    sql`
      update messages
      set failures = failures + 1,
        state = case when failures + 1 >= ${FAILURES_AT_MOST} then 'failed' else 'fanning_out' end,
        lease_until = now() + make_interval(secs => least(${LEASE_SECONDS} * 2 ^ failures, ${LONGEST_WAIT_SECONDS}))
      where id = ${messageId} and state in ('scheduled', 'fanning_out')
      returning failures, state`,
  )
  log.error({ messageId, ...noted, why: whyOf(error) }, 'fan-out: failed')
}

export type DueMessage = Audience & { id: string; cursor: string }

/** The columns of a `DueMessage`, where messages and apps are at hand. */
export const dueColumns = sql`
  replace(messages.id::text, '-', '') as id, messages.receiver_type as "receiverType", messages.receiver, messages.cursor,
  (select jsonb_agg(jsonb_build_object('id', channel_id, 'kind', kind, 'locales', locales, 'isPersonal', is_personal)) from contents
   where message_id = messages.id) as channels,
  coalesce((apps.compat->>'deptIncludesDescendants')::boolean, true) as "deptIncludesDescendants"`

/**
 * The lease keeps other workers away from it. It does not wait for the disk, as half of a large message's commits would: after a
 * power cut the message is just free again.
 */
function claimLarge(db: Context['db']) {
  return query<DueMessage>(
    db,
    sql`
      with hasty as materialized (select set_config('synchronous_commit', 'off', true)),
      due as (
        select id from messages
        where state = 'fanning_out' and due_at <= now() and ${isFree}
        order by priority desc, recipients, due_at
        limit 1
        for update skip locked
      )
      update messages
      set lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from due, apps, hasty
      where messages.id = due.id and apps.id = messages.app_id
      returning ${dueColumns}`,
  )
}

/** What is put once a CTE `message` stands, of one row or of several: deliveries, items, broadcasts. Shared with accept. */
export const putChunk = sql`${putDeliveries}, ${putItems}, ${putBroadcast}`
export const putChunksTogether = sql`${putDeliveries}, ${putItemsTogether}, ${putBroadcast}`

const putOne = putting(putChunk)
const putTogether = putting(putChunksTogether)

/** Messages are taken by id, as a recall takes them, so that neither two of these nor a recall can deadlock. */
function putting(parts: SQL) {
  return hot<{ id: string }, { chunks: string }>(sql`
    with given as (
      select * from jsonb_to_recordset(${sql.placeholder('chunks')}::jsonb) as chunk (
        id uuid, after text, cursor text, "isLast" boolean, recipients int, people jsonb, "siteVariants" jsonb, variants jsonb,
        deliveries jsonb, broadcast boolean, choices jsonb
      )
    ),
    standing as (
      select id from messages
      where id = any(array(select id from given)) and state in ('scheduled', 'fanning_out')
      order by id
      for no key update
    ),
    message as (
      update messages
      set cursor = given.cursor, recipients = messages.recipients + given.recipients,
        state = case when given."isLast" then 'fanned_out' else 'fanning_out' end, lease_until = null, failures = 0,
        template_values = case when not given."isLast" then template_values end
      from given join standing on standing.id = given.id
      where messages.id = given.id and messages.cursor = given.after and messages.state in ('scheduled', 'fanning_out')
      returning messages.id, messages.app_id, messages.msg_type, messages.priority, messages.due_at, messages.expires_at,
        given.people, given."siteVariants" as site_variants, given.variants, given.deliveries, given.broadcast, given.choices
    ),
    ${putVariants(sql`select id, variants from message`)},
    ${parts}
    select id from message`)
}
