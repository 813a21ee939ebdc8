/**
 * Fan-out: from what a caller named to recipients. A message moves
 *
 *   scheduled ── due ──▶ fanning_out ── last chunk ──▶ fanned_out
 *                             └── failed again and again ──▶ failed
 *
 * and from any of these to `recalling`, where a recall has stopped it (recall.ts).
 *
 * A small audience that is due at once is fanned out by the very statement that accepts the message, which then starts
 * as `fanned_out`. Otherwise the message waits as a row and a worker goes through its audience in chunks, in the order
 * of codes. A chunk is one statement: it moves the stored cursor on, on condition that the cursor still stands where
 * this worker found it, and puts the recipients. So a crash resumes at the cursor, and of two workers at the same chunk
 * one does nothing.
 */
import { randomUUIDv7 } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot, json, query } from '../db/client.ts'
import { accounts, everyone, specified, type Person } from '../directory/audience.ts'
import { putBroadcast } from '../inbox/broadcast.ts'
import { Refusal } from '../errors.ts'
import { putItems } from '../inbox/inbox.ts'
import type { Channel } from './channel.ts'
import { putDeliveries, type NewDelivery } from './queue.ts'
import { takeBack } from './recall.ts'
import { whyOf } from './words.ts'

/** Up to this many recipients a push is fanned out as it is accepted. Larger ones go chunk by chunk. */
export const CHUNK = 1_000
/** A worker that takes longer than this over a chunk has lost the message to another; two statements end sooner. */
const LEASE_SECONDS = 10
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

/** The statement parameters of a chunk; the fragments name them. */
export function chunkParams(chunk: Chunk) {
  return { people: json(chunk.people), deliveries: json(chunk.deliveries), broadcast: chunk.broadcast }
}

/** What is put once a CTE `message` stands: deliveries, items, a broadcast. Shared with the accept statement. */
export const putChunk = sql`${putDeliveries}, ${putItems}, ${putBroadcast}`

/** Resolves the next stretch of an audience after `cursor` ('' is the start). */
export async function nextChunk(db: Context['db'], audience: Audience, cursor: string): Promise<Chunk> {
  return audience.receiverType === 'custom' ? customChunk(db, audience, cursor) : peopleChunk(db, audience, cursor)
}

async function peopleChunk(db: Context['db'], audience: Audience, cursor: string): Promise<Chunk> {
  const { receiverType, receiver, channels, deptIncludesDescendants } = audience
  const isToAll = receiverType === 'all'
  const outbound = channels.filter(({ kind }) => kind !== 'site' && kind !== 'chat')
  const onSite = channels.some(({ kind }) => kind === 'site')
  const posts = postsOf(channels, cursor)
  // To all on the site channel is one broadcast; only channels with an address for each need people.
  const broadcast = isToAll && onSite
  if (outbound.length === 0 && (isToAll || !onSite)) {
    return { people: [], deliveries: posts, broadcast, cursor, isLast: true, reachesSomebody: true }
  }
  // One more than a chunk holds tells whether it is the last.
  const paging = { after: cursor, limit: CHUNK + 1 }
  const found = isToAll
    ? await everyone(db, paging)
    : await specified(db, receiver, { ...paging, descendants: deptIncludesDescendants })
  const people = found.slice(0, CHUNK)
  const deliveries = [...posts, ...outbound.flatMap((channel) => people.map((person) => deliveryTo(person, channel)))]
  return {
    people: onSite && !isToAll ? people.map(({ code }) => code) : [],
    deliveries,
    broadcast: broadcast && cursor === '',
    cursor: people.at(-1)?.code ?? cursor,
    isLast: found.length <= CHUNK,
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
 * One step of the worker: fans out one chunk of the message that has been due longest, or goes on with a recall. False:
 * nothing was due. A message that cannot be fanned out waits longer each time, so that it delays no other, and in the end
 * is given up.
 */
export async function fanOutNext(context: Context): Promise<boolean> {
  const [message] = await claimDue(context.db)
  if (message === undefined) return false
  try {
    if (message.state === 'recalling') await takeBack(context, message.id)
    else await fanOut(context, message)
  } catch (error) {
    // The database away says nothing of the message.
    if (error instanceof Refusal) throw error
    const [noted] = await noteFailure(context.db, message.id)
    context.log.error({ messageId: message.id, ...noted, why: whyOf(error) }, 'fan-out: failed')
  }
  return true
}

async function fanOut({ db, store, hints }: Context, message: DueMessage): Promise<void> {
  const { id, receiverType, receiver, channels, deptIncludesDescendants, cursor: after } = message
  const audience: Audience = { receiverType, receiver, channels, deptIncludesDescendants }
  const chunk = await nextChunk(db, audience, after)
  const { cursor, isLast } = chunk
  const [put] = await putNext(store, { id, after, cursor, isLast, ...chunkParams(chunk) })
  if (put !== undefined) tell(hints, chunk)
}

function noteFailure(db: Context['db'], id: string) {
  return query<{ failures: number; state: string }>(
    db,
    sql`
      update messages
      set failures = failures + 1,
        state = case when failures + 1 >= ${FAILURES_AT_MOST} then 'failed' else state end,
        lease_until = now() + make_interval(secs => least(${LEASE_SECONDS} * 2 ^ failures, ${LONGEST_WAIT_SECONDS}))
      where id = ${id} and state = 'fanning_out'
      returning failures, state`,
  )
}

/** Hints for what a chunk put; to be sent after its commit. */
export function tell(hints: Context['hints'], chunk: Chunk): void {
  if (chunk.people.length > 0) hints.send({ kind: 'inbox', users: chunk.people })
  if (chunk.broadcast) hints.send({ kind: 'broadcast' })
  if (!chunk.isLast || chunk.deliveries.some(({ state }) => state === 'queued')) hints.send({ kind: 'work' })
}

type DueMessage = {
  id: string
  state: 'fanning_out' | 'recalling'
  receiverType: Audience['receiverType']
  receiver: Record<string, string[]>
  cursor: string
  channels: AudienceChannel[]
  deptIncludesDescendants: boolean
}

/**
 * Due messages: high priority first, and a recall is always of high priority; then the one due longest. The lease keeps
 * other workers away from it.
 */
function claimDue(db: Context['db']) {
  return query<DueMessage>(
    db,
    sql`
      with due as (
        select id from messages
        where state in ('scheduled', 'fanning_out', 'recalling') and due_at <= now()
          and (lease_until is null or lease_until < now())
        order by case when state = 'recalling' then 3 else priority end desc, due_at
        limit 1
        for update skip locked
      )
      update messages
      set state = case when state = 'recalling' then state else 'fanning_out' end,
        lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from due, apps
      where messages.id = due.id and apps.id = messages.app_id
      returning messages.id, messages.state, messages.receiver_type as "receiverType", messages.receiver, messages.cursor,
        (select jsonb_agg(jsonb_build_object('id', channel_id, 'kind', kind)) from contents
         where message_id = messages.id) as channels,
        coalesce((apps.compat->>'deptIncludesDescendants')::boolean, true) as "deptIncludesDescendants"`,
  )
}

const putNext = hot<{ id: string }, Record<string, unknown>>(sql`
  with message as (
    update messages
    set cursor = ${sql.placeholder('cursor')},
      recipients = recipients + jsonb_array_length(${sql.placeholder('people')}::jsonb)
        + (select count(distinct value->>'recipient') from jsonb_array_elements(${sql.placeholder('deliveries')}::jsonb)
           where not ${sql.placeholder('people')}::jsonb ? (value->>'recipient')),
      state = case when ${sql.placeholder('isLast')}::boolean then 'fanned_out' else 'fanning_out' end,
      lease_until = null, failures = 0
    where id = ${sql.placeholder('id')} and cursor = ${sql.placeholder('after')} and state = 'fanning_out'
    returning id, app_id, msg_type, priority, due_at
  ),
  ${putChunk}
  select id from message`)
