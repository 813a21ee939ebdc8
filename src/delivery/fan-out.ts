/**
 * Fan-out: from what a caller named to recipients. A message moves
 *
 *   scheduled ── due ──▶ fanning_out ── last chunk ──▶ fanned_out
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
import { putItems } from '../inbox/inbox.ts'
import type { Channel } from './channel.ts'
import { putDeliveries, type NewDelivery } from './queue.ts'

/** Up to this many recipients a push is fanned out as it is accepted. Larger ones go chunk by chunk. */
export const CHUNK = 1_000
/** A worker that takes longer than this over a chunk has lost the message to another; two statements end sooner. */
const LEASE_SECONDS = 10

/** Whom a message is for, as it stands on its row. */
export type Audience = {
  receiverType: 'all' | 'specified' | 'custom'
  receiver: Record<string, string[]>
  /** The channels it has content for, configured or not: without one, the worker ends its deliveries as NO_CHANNEL. */
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
  const outbound = channels.filter(({ kind }) => kind !== 'site')
  const onSite = outbound.length < channels.length
  // To all on the site channel is one broadcast; only the other channels need people.
  const broadcast = isToAll && onSite
  if (isToAll && outbound.length === 0) {
    return { people: [], deliveries: [], broadcast, cursor, isLast: true, reachesSomebody: true }
  }
  // One more than a chunk holds tells whether it is the last.
  const paging = { after: cursor, limit: CHUNK + 1 }
  const found = isToAll
    ? await everyone(db, paging)
    : await specified(db, receiver, { ...paging, descendants: deptIncludesDescendants })
  const people = found.slice(0, CHUNK)
  const deliveries = outbound.flatMap((channel) => people.map((person) => deliveryTo(person, channel)))
  return {
    people: onSite && !isToAll ? people.map(({ code }) => code) : [],
    deliveries,
    broadcast: broadcast && cursor === '',
    cursor: people.at(-1)?.code ?? cursor,
    isLast: found.length <= CHUNK,
    reachesSomebody: (onSite && (isToAll || people.length > 0)) || deliveries.some(({ address }) => address !== null),
  }
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
  for (const { id: channelId, kind } of channels) {
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
    deliveries: chunk.flatMap(({ delivery }) => delivery ?? []),
    broadcast: false,
    cursor: last,
    isLast: ahead.length <= CHUNK,
    reachesSomebody: all.some(({ person, delivery }) => person !== undefined || delivery?.state === 'queued'),
  }
}

/** One step of the worker: fans out one chunk of the message that has been due longest. False: nothing was due. */
export async function fanOutNext(context: Context): Promise<boolean> {
  const { db, store, hints } = context
  const [message] = await claimDue(db)
  if (message === undefined) return false
  const audience: Audience = {
    receiverType: message.receiverType,
    receiver: message.receiver,
    channels: message.channels,
    deptIncludesDescendants: message.deptIncludesDescendants,
  }
  const chunk = await nextChunk(db, audience, message.cursor)
  const params = {
    id: message.id,
    after: message.cursor,
    cursor: chunk.cursor,
    isLast: chunk.isLast,
    ...chunkParams(chunk),
  }
  const [put] = await putNext(store, params)
  if (put === undefined) return true
  tell(hints, chunk)
  return true
}

/** Hints for what a chunk put; to be sent after its commit. */
export function tell(hints: Context['hints'], chunk: Chunk): void {
  if (chunk.people.length > 0) hints.send({ kind: 'inbox', users: chunk.people })
  if (chunk.broadcast) hints.send({ kind: 'broadcast' })
  if (!chunk.isLast || chunk.deliveries.some(({ state }) => state === 'queued')) hints.send({ kind: 'work' })
}

type DueMessage = {
  id: string
  receiverType: Audience['receiverType']
  receiver: Record<string, string[]>
  cursor: string
  channels: AudienceChannel[]
  deptIncludesDescendants: boolean
}

/** Due messages: high priority first, then the one due longest; the lease keeps other workers away from it. */
function claimDue(db: Context['db']) {
  return query<DueMessage>(
    db,
    sql`
      with due as (
        select id from messages
        where state in ('scheduled', 'fanning_out') and due_at <= now() and (lease_until is null or lease_until < now())
        order by priority desc, due_at
        limit 1
        for update skip locked
      )
      update messages
      set state = 'fanning_out', lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from due, apps
      where messages.id = due.id and apps.id = messages.app_id
      returning messages.id, messages.receiver_type as "receiverType", messages.receiver, messages.cursor,
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
      lease_until = null
    where id = ${sql.placeholder('id')} and cursor = ${sql.placeholder('after')} and state = 'fanning_out'
    returning id, app_id, msg_type, priority, due_at
  ),
  ${putChunk}
  select id from message`)
