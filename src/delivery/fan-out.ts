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
 * as a row and a worker goes through its audience in chunks, in the order of codes. A statement that puts chunks moves
 * the stored cursor of their messages on, on condition that it still stands where this worker found it. So a crash
 * resumes at the cursor, and of two workers at the same chunk one does nothing.
 */
import { randomUUIDv7 } from 'node:crypto'
import { sql, type SQL } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot, json, query } from '../db/client.ts'
import { accounts, everyone, namedFew, FEW_NAMED, specified, type Person } from '../directory/audience.ts'
import { putBroadcast } from '../inbox/broadcast.ts'
import { putItems } from '../inbox/inbox.ts'
import { putItemsTogether } from '../inbox/put-together.ts'
import { Refusal } from '../errors.ts'
import type { Channel } from './channel.ts'
import { isFree, putDeliveries, type NewDelivery } from './queue.ts'
import { whyOf } from './words.ts'

/** Up to this many recipients a push is fanned out as it is accepted. Larger ones go chunk by chunk. */
export const CHUNK = 1_000
/** A worker that takes longer than this over what it took has lost it to another; a few statements end sooner. */
export const LEASE_SECONDS = 10
/** A message whose fan-out failed waits twice as long each time, up to this; given up after so many times, about two hours. */
const LONGEST_WAIT_SECONDS = 600
const FAILURES_AT_MOST = 20
/** Recipient and address of a post: whoever is in the group chat. */
const EVERYBODY_THERE = '*'

/** Whom a message is for, as it stands on its row. */
export type Audience = {
  receiverType: 'all' | 'specified' | 'custom'
  receiver: Record<string, string[]>
  /** The channels it has content for, configured or not: without one, the worker ends its deliveries as NO_CHANNEL after a while. */
  channels: AudienceChannel[]
  deptIncludesDescendants: boolean
}

type AudienceChannel = Pick<Channel, 'id' | 'kind'>

/** A stretch of the audience, ready to be put. */
export type Chunk = {
  people: string[]
  deliveries: NewDelivery[]
  broadcast: boolean
  /** Where the next stretch begins. */
  cursor: string
  isLast: boolean
  /** Whether anybody in it can be reached on any channel. */
  reachesSomebody: boolean
}

/** People and bare addresses, each once. */
export function recipientsOf({ people, deliveries }: Chunk): number {
  return new Set([...people, ...deliveries.map(({ recipient }) => recipient)]).size
}

/** Resolves the next stretch of an audience after `cursor` ('' is the start). */
export async function nextChunk(store: Context['store'], audience: Audience, cursor: string): Promise<Chunk> {
  return audience.receiverType === 'custom'
    ? customChunk(store.db, audience, cursor)
    : peopleChunk(store, audience, cursor)
}

async function peopleChunk(store: Context['store'], audience: Audience, cursor: string): Promise<Chunk> {
  if (!needsPeople(audience)) return chunkOf(audience, [], cursor, true)
  const { receiverType, receiver, deptIncludesDescendants: descendants } = audience
  const { user, ...groups } = receiver
  // The usual push.
  if (
    receiverType === 'specified' &&
    user !== undefined &&
    user.length <= FEW_NAMED &&
    Object.keys(groups).length === 0
  )
    return chunkOf(audience, await namedFew(store, user), cursor, true)
  // One more than a chunk holds tells whether it is the last.
  const paging = { after: cursor, limit: CHUNK + 1 }
  const found =
    receiverType === 'all'
      ? await everyone(store.db, paging)
      : await specified(store.db, receiver, { ...paging, descendants })
  return chunkOf(audience, found.slice(0, CHUNK), cursor, found.length <= CHUNK)
}

/** To all on the site channel is one broadcast, and a chat one post; only channels with an address for each need people. */
export function needsPeople({ receiverType, channels }: Audience): boolean {
  return channels.some(({ kind }) => kind !== 'chat' && (kind !== 'site' || receiverType !== 'all'))
}

/** These people of an audience that is not `custom`, the next after `cursor`, as a chunk. */
export function chunkOf(audience: Audience, people: readonly Person[], cursor: string, isLast: boolean): Chunk {
  const { receiverType, channels } = audience
  const isToAll = receiverType === 'all'
  const outbound = channels.filter(({ kind }) => kind !== 'site' && kind !== 'chat')
  const onSite = channels.some(({ kind }) => kind === 'site')
  const deliveries = [
    ...postsOf(channels, cursor),
    ...outbound.flatMap((channel) => people.map((person) => deliveryTo(person, channel))),
  ]
  return {
    people: onSite && !isToAll ? people.map(({ code }) => code) : [],
    deliveries,
    broadcast: isToAll && onSite && cursor === '',
    cursor: people.at(-1)?.code ?? cursor,
    isLast,
    reachesSomebody: (onSite && (isToAll || people.length > 0)) || deliveries.some(({ address }) => address !== null),
  }
}

/** A group chat gets one post of a message, whoever its receivers are: with the first chunk, in nobody's name. */
function postsOf(channels: AudienceChannel[], cursor: string): NewDelivery[] {
  if (cursor !== '') return []
  const to = { recipient: EVERYBODY_THERE, userCode: null, address: EVERYBODY_THERE }
  return channels
    .filter(({ kind }) => kind === 'chat')
    .map(({ id: channelId }) => ({ id: randomUUIDv7(), channelId, ...to, state: 'queued', reason: null }))
}

function deliveryTo(person: Person, channel: AudienceChannel): NewDelivery {
  const address = channel.kind === 'sms' ? person.phone : person.email
  return {
    id: randomUUIDv7(),
    channelId: channel.id,
    recipient: person.code,
    userCode: person.code,
    address,
    state: address === null ? 'skipped' : 'queued',
    reason: address === null ? 'NO_ADDRESS' : null,
  }
}

/**
 * Custom accounts: every channel has its own. They are laid in one row by recipient, and a chunk takes a recipient with
 * all of his channels, so that he counts once.
 */
async function customChunk(db: Context['db'], { receiver, channels }: Audience, cursor: string): Promise<Chunk> {
  const all: { recipient: string; person?: string; delivery?: NewDelivery }[] = []
  const posts = postsOf(channels, cursor)
  for (const { id: channelId, kind } of channels) {
    // Accounts there say only that it is wanted.
    if (kind === 'chat') continue
    const { resolved, invalid } = await accounts(db, kind, receiver[channelId] ?? [])
    const put = (recipient: string, rest: Omit<NewDelivery, 'id' | 'channelId' | 'recipient'>) =>
      all.push({ recipient, delivery: { id: randomUUIDv7(), channelId, recipient, ...rest } })
    for (const { account, userCode, address } of resolved) {
      if (kind === 'site' && userCode !== null) all.push({ recipient: userCode, person: userCode })
      else put(account, { userCode, address, state: 'queued', reason: null })
    }
    for (const account of invalid)
      put(account, { userCode: null, address: null, state: 'failed', reason: 'INVALID_ACCOUNT' })
  }
  const ahead = [...new Set(all.map(({ recipient }) => recipient))].filter((recipient) => recipient > cursor).toSorted()
  const last = ahead.slice(0, CHUNK).at(-1) ?? cursor
  const chunk = all.filter(({ recipient }) => recipient > cursor && recipient <= last)
  return {
    people: chunk.flatMap(({ person }) => person ?? []),
    deliveries: [...posts, ...chunk.flatMap(({ delivery }) => delivery ?? [])],
    broadcast: false,
    cursor: last,
    isLast: ahead.length <= CHUNK,
    reachesSomebody:
      posts.length > 0 || all.some(({ person, delivery }) => person !== undefined || delivery?.state === 'queued'),
  }
}

/**
 * One step of the worker with what is not done by one statement: a chunk of the message that has come least far, so that
 * one to thousands does not wait for one to everybody. False: nothing was there. A message that cannot be fanned out
 * waits longer each time, so that it delays no other, and in the end is given up.
 */
export async function fanOutNext(context: Context): Promise<boolean> {
  const [message] = await claimLarge(context.db)
  if (message === undefined) return false
  try {
    const chunk = await nextChunk(context.store, message, message.cursor)
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
  const given = ready.map(({ id, after, chunk }) => ({ id, after, ...chunk, recipients: recipientsOf(chunk) }))
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
  (select jsonb_agg(jsonb_build_object('id', channel_id, 'kind', kind)) from contents
   where message_id = messages.id) as channels,
  coalesce((apps.compat->>'deptIncludesDescendants')::boolean, true) as "deptIncludesDescendants"`

/** The lease keeps other workers away from it. */
function claimLarge(db: Context['db']) {
  return query<DueMessage>(
    db,
    sql`
      with due as (
        select id from messages
        where state = 'fanning_out' and due_at <= now() and ${isFree}
        order by priority desc, recipients, due_at
        limit 1
        for update skip locked
      )
      update messages
      set lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from due, apps
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
        id uuid, after text, cursor text, "isLast" boolean, recipients int, people jsonb, deliveries jsonb,
        broadcast boolean
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
        state = case when given."isLast" then 'fanned_out' else 'fanning_out' end, lease_until = null, failures = 0
      from given join standing on standing.id = given.id
      where messages.id = given.id and messages.cursor = given.after and messages.state in ('scheduled', 'fanning_out')
      returning messages.id, messages.app_id, messages.msg_type, messages.priority, messages.due_at, messages.expires_at,
        given.people, given.deliveries, given.broadcast
    ),
    ${parts}
    select id from message`)
}
