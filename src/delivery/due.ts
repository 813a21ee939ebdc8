/**
 * Messages whose time has come, in rounds: many are taken at once, those to few people are put together by a statement or
 * a few, and the larger ones are handed over to fan-out.ts, so that hundreds that are due at one instant are out within
 * it. Until it is put a message stays `scheduled`: whatever dies here has changed nothing but a lease.
 */
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot, query, texts } from '../db/client.ts'
import { specifiedFew } from '../directory/audience.ts'
import { Refusal } from '../errors.ts'
import { CHUNK, chunkOf, isPersonal, needsPeople, nextChunk, recipientsOf, type Chunk } from './chunk.ts'
import { dueColumns, LEASE_SECONDS, noteFailure, put, tell, type DueMessage, type Ready } from './fan-out.ts'
import { isFree } from './queue.ts'

/** Messages in a round. One of high priority that becomes due meanwhile waits for its end. */
const MESSAGES_AT_ONCE = 200
/** To more people than this a message is large: then a statement of its own costs little beside what it does. */
const FEW = 100

export type Round = {
  /** Whether anything was due here; then there may be more. */
  foundAny: boolean
  /** Until the next message is due: undefined when none is scheduled. */
  nextInSeconds: number | undefined
  /** Whether anything waits for `fanOutNext`, and for `takeBackNext`. */
  hasLarge: boolean
  hasRecall: boolean
}

/** One round: puts or hands over what is due, high priority first, then what has been due longest. */
export async function fireDue(context: Context): Promise<Round> {
  const [found] = await look(context.store, {})
  const { due = [], nextInSeconds, hasLarge = false, hasRecall = false } = found ?? {}
  const resolved = await apart(context, due, (some) => resolve(context.store, some))
  const large = resolved.filter(({ chunk }) => chunk === undefined).map(({ id }) => id)
  if (large.length > 0) await handOver(context.db, large)
  for (const pack of packsOf(resolved))
    tell(context.hints, await apart(context, pack, (some) => put(context.store, some)))
  return {
    foundAny: due.length > 0,
    nextInSeconds: nextInSeconds ?? undefined,
    hasLarge: hasLarge || large.length > 0,
    hasRecall,
  }
}

/** All at once; where that fails, half and half, so that one that cannot be done fails no other. */
async function apart<One extends { id: string }, Done>(
  context: Context,
  all: readonly One[],
  act: (some: readonly One[]) => Promise<Done[]>,
): Promise<Done[]> {
  const [first] = all
  if (first === undefined) return []
  try {
    return await act(all)
  } catch (error) {
    if (error instanceof Refusal) throw error
    if (all.length === 1) {
      await noteFailure(context, first.id, error)
      return []
    }
    const half = Math.ceil(all.length / 2)
    return [...(await apart(context, all.slice(0, half), act)), ...(await apart(context, all.slice(half), act))]
  }
}

/** Without a chunk: to more than a few. */
type Resolved = { id: string; chunk: Chunk | undefined }

/** The whole audience of each that is small. */
async function resolve(store: Context['store'], messages: readonly DueMessage[]): Promise<Resolved[]> {
  // What names its readers goes by fan-out.ts, however few they are: it takes time to say.
  const alike = messages.filter((message) => !isPersonal(message))
  const named = alike.filter((message) => message.receiverType === 'specified' && needsPeople(message))
  const found = await specifiedFew(
    store.db,
    named.map(({ receiver, deptIncludesDescendants: descendants }) => ({ receiver, descendants })),
    FEW,
  )
  const people = new Map(named.map(({ id }, place) => [id, found[place]]))
  const resolved: Resolved[] = messages.filter(isPersonal).map(({ id }) => ({ id, chunk: undefined }))
  for (const message of alike) {
    const { id, receiverType, receiver } = message
    if (receiverType === 'custom') {
      const isFew = Object.values(receiver).flat().length <= FEW
      resolved.push({ id, chunk: isFew ? await nextChunk(store, message, '') : undefined })
    } else {
      const whom = needsPeople(message) ? people.get(id) : []
      resolved.push({ id, chunk: whom && chunkOf(message, whom, '', true) })
    }
  }
  return resolved
}

/** As many as go into a statement of the usual size, in their order. */
function packsOf(resolved: readonly Resolved[]): Ready[][] {
  const packs: Ready[][] = []
  let room = 0
  for (const { id, chunk } of resolved) {
    if (chunk === undefined) continue
    room -= recipientsOf(chunk)
    if (room < 0 || packs.length === 0) {
      packs.push([])
      room = CHUNK - recipientsOf(chunk)
    }
    packs.at(-1)?.push({ id, after: '', chunk })
  }
  return packs
}

async function handOver(db: Context['db'], ids: string[]): Promise<void> {
  await query(
    db,
    sql`
      with standing as (
        select id from messages
        where id = any(${texts(ids)}::uuid[]) and state = 'scheduled'
        order by id
        for no key update
      )
      update messages set state = 'fanning_out', lease_until = null
      from standing
      where messages.id = standing.id`,
  )
}

type Look = { due: DueMessage[]; nextInSeconds: number | null; hasLarge: boolean; hasRecall: boolean }

/** Takes what is due here, and tells of all else that the worker's other loops and its next look depend on. */
const look = hot<Look, Record<string, unknown>>(sql`
  with due as (
    select id from messages
    where state = 'scheduled' and due_at <= now() and ${isFree}
    order by priority desc, due_at
    limit ${sql.raw(String(MESSAGES_AT_ONCE))}
    for update skip locked
  ),
  taken as (
    update messages
    set lease_until = now() + make_interval(secs => ${sql.raw(String(LEASE_SECONDS))})
    from due, apps
    where messages.id = due.id and apps.id = messages.app_id
    returning messages.priority, messages.due_at, ${dueColumns}
  )
  select
    coalesce((select jsonb_agg(taken order by priority desc, due_at, id) from taken), '[]') as due,
    (select extract(epoch from due_at - now())::float8 from messages
     where state = 'scheduled' and due_at > now() order by due_at limit 1) as "nextInSeconds",
    exists (select from messages where state = 'fanning_out' and due_at <= now() and ${isFree}) as "hasLarge",
    exists (select from messages where state = 'recalling' and due_at <= now() and ${isFree}) as "hasRecall"`)
