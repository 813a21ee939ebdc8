/** The statement that accepts a push: after it, and only after it, the caller may be told 200. */
import { randomUUIDv7 } from 'node:crypto'
import { sql, type SQL } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot, json } from '../db/client.ts'
import { together } from '../db/together.ts'
import { CHUNK, recipientsOf, type Chunk } from '../delivery/chunk.ts'
import { putChunk, putChunksTogether, tell } from '../delivery/fan-out.ts'
import { putVariants, type NewVariant } from '../delivery/variants.ts'
import { Refusal } from '../errors.ts'
import type { Values } from '../templates/variables.ts'

/** A push that passed every check. */
export type Push = {
  appId: string
  templateCode: string | undefined
  templateVersion: number | undefined
  receiverType: 'all' | 'specified' | 'custom'
  receiver: Record<string, string[]>
  unresolved: Record<string, string[]>
  businessId: string | undefined
  msgType: string
  priority: number
  senderCode: string | undefined
  senderName: string | undefined
  /** Undefined: now. */
  dueAt: Date | undefined
  /** Undefined: it stays. */
  expiresAt: Date | undefined
  contents: {
    channelId: string
    kind: string
    content: unknown
    locales?: string[] | undefined
    isPersonal?: boolean | undefined
  }[]
  /** What it says to people of other languages, if it does. */
  variants?: NewVariant[] | undefined
  /** The values of its template's variables, if it names its readers: a worker says it to those who come later. */
  templateValues?: Values | undefined
  requestId: string
}

/**
 * What a guarded app's push needs to go out (guard.ts): the SMS segments it costs on its day, and the confirmation that it
 * uses up. Without one, the day's segments may not come to more than `limit`.
 */
export type Charge = {
  segments: number
  /** `yyyy-MM-dd`. */
  day: string
  limit: number | null
  confirmationId: string | null
}

export type IdempotencyKey = { key: string; bodySha256: string }

/** What the caller is told. */
export type Accepted = { messageId: string; warnings: string[]; isReplay: boolean }

/**
 * Accepts `push` in one statement: idempotency key, message, contents and, when it is due by the database's clock, the
 * recipients in `chunk`. Without `chunk` (a large audience) or before its time the worker fans out. Pushes that come
 * while such a statement is under way share the next one; each is answered after its own commit.
 * Gives the first answer again for a key that another request took meanwhile.
 * With `charge`: refuses, and then nothing is accepted, charged or used up.
 */
export async function accept(
  context: Context,
  push: Push,
  chunk: Chunk | undefined,
  warnings: string[],
  idempotency: IdempotencyKey | undefined,
  charge?: Charge,
): Promise<Accepted> {
  const id = randomUUIDv7().replaceAll('-', '')
  const row = { id, hints: context.hints, push, chunk, warnings, idempotency }
  const isNew =
    charge === undefined ? await insert(context.store, row) : await insertGuarded(context.store, row, charge)
  if (isNew) return { messageId: id, warnings, isReplay: false }
  const first = await firstAnswer(context, push.appId, idempotency)
  // The key can only have grown too old and been removed in between.
  if (first === undefined) throw new Refusal('UNAVAILABLE')
  return first
}

type Row = {
  id: string
  hints: Context['hints']
  push: Push
  chunk: Chunk | undefined
  warnings: string[]
  idempotency: IdempotencyKey | undefined
}

/** False: another request took the key. The statement is no longer than that of one chunk. */
const insert = together({
  act: insertAll,
  weigh: ({ chunk }: Row) => (chunk === undefined ? 1 : 1 + recipientsOf(chunk)),
  most: CHUNK,
})

async function insertAll(store: Context['store'], rows: readonly Row[]): Promise<boolean[]> {
  const statement = rows.length === 1 ? insertOne : insertTogether
  return told(rows, await statement(store, { pushes: json(rows.map(given)) }))
}

/** By itself, since a push that its guard stops undoes the statement. */
async function insertGuarded(store: Context['store'], row: Row, charge: Charge): Promise<boolean> {
  try {
    const [isNew] = told([row], await insertOneGuarded(store, { pushes: json([{ ...given(row), ...charge }]) }))
    return isNew ?? false
  } catch (error) {
    throw (error as { code?: string }).code === STOPPED ? new Stopped((error as Error).message) : error
  }
}

/** The guard said no to a push within its statement: `budget` or `confirmation`. */
export class Stopped extends Error {}
/** The SQLSTATE that `posthouse_stop` raises (drizzle/0009). */
const STOPPED = 'PH001'

function told(rows: readonly Row[], accepted: readonly { id: string; isDue: boolean }[]): boolean[] {
  const [first] = rows
  const isDue = new Map(accepted.map((row) => [row.id, row.isDue]))
  const due = rows.filter(({ id }) => isDue.get(id))
  if (first !== undefined && due.length > 0)
    tell(
      first.hints,
      due.map(({ chunk }) => chunk ?? NOBODY),
    )
  return rows.map(({ id }) => isDue.has(id))
}

/** As the statement takes it. */
function given({ id, push, chunk = NOBODY, warnings, idempotency }: Row) {
  const { people, siteVariants, deliveries, broadcast, choices } = chunk
  const isDone = chunk !== NOBODY
  return {
    ...push,
    ...idempotency,
    variants: chunk.variants === undefined ? push.variants : [...(push.variants ?? []), ...chunk.variants],
    templateValues: isDone ? undefined : push.templateValues,
    id,
    warnings,
    state: isDone ? 'fanned_out' : 'fanning_out',
    recipients: recipientsOf(chunk),
    people,
    siteVariants,
    deliveries,
    broadcast,
    choices,
  }
}

/** What is put at once when a worker is to do it all. */
const NOBODY: Chunk = {
  people: [],
  deliveries: [],
  broadcast: false,
  cursor: '',
  isLast: false,
  reachesSomebody: false,
}

/** The budget's row comes before any inbox in every such statement, so that two of them cannot deadlock. */
const guarded = sql`
  charged as (
    insert into app_budgets (app_id, day, segments)
    select accepted.app_id, given.day, given.segments
    from accepted join given on given.id = accepted.id
    where given.segments > 0 and (given."confirmationId" is not null or given.segments <= coalesce(given."limit", given.segments))
    on conflict (app_id, day) do update
    set segments = app_budgets.segments + excluded.segments
    where exists (
      select from given
      where "confirmationId" is not null or app_budgets.segments + excluded.segments <= coalesce("limit", 2147483647)
    )
    returning app_id
  ),
  used as (
    insert into used_confirmations (id)
    select "confirmationId" from accepted join given on given.id = accepted.id where "confirmationId" is not null
    on conflict do nothing
    returning id
  ),
  passed as (
    select case
      when "confirmationId" is not null and not exists (select from used) then posthouse_stop('confirmation')
      when segments > 0 and not exists (select from charged) then posthouse_stop('budget')
      else true
    end as is_passed
    from accepted join given on given.id = accepted.id
  )`

const insertOne = inserting(putChunk)
const insertOneGuarded = inserting(putChunk, guarded)
const insertTogether = inserting(putChunksTogether)

/**
 * All keys are taken first, in their order, and inboxes after them: so two of these statements cannot each wait for
 * what the other has.
 */
function inserting(parts: SQL, guard?: SQL) {
  return hot<{ id: string; isDue: boolean }, { pushes: string }>(sql`
    with given as (
      select * from jsonb_to_recordset(${sql.placeholder('pushes')}::jsonb) as push (
        id uuid, "appId" text, "templateCode" text, "templateVersion" int, "receiverType" text, receiver jsonb,
        unresolved jsonb, "businessId" text, "msgType" text, priority smallint, "senderCode" text, "senderName" text,
        "dueAt" timestamptz, "expiresAt" timestamptz, state text, recipients int, "requestId" text,
        key text, "bodySha256" text, warnings jsonb, contents jsonb, variants jsonb, "templateValues" jsonb, people jsonb,
        "siteVariants" jsonb, deliveries jsonb, broadcast boolean, choices jsonb
        ${guard === undefined ? sql`` : sql`, segments int, day date, "limit" int, "confirmationId" text`}
      )
    ),
    taken as (
      insert into idempotency_keys (app_id, key, body_sha256, message_id, warnings)
      select "appId", key, "bodySha256", id, warnings from given where key is not null
      order by "appId", key
      on conflict (app_id, key) do nothing
      returning message_id
    ),
    accepted as (
      insert into messages (
        id, app_id, template_code, template_version, receiver_type, receiver, unresolved, business_id, msg_type, priority,
        sender_code, sender_name, due_at, expires_at, state, recipients, template_values, request_id
      )
      select id, "appId", "templateCode", "templateVersion", "receiverType", receiver, unresolved, "businessId", "msgType",
        priority, "senderCode", "senderName", greatest("dueAt", now()), "expiresAt",
        case when "dueAt" > now() then 'scheduled' else state end,
        case when "dueAt" > now() then 0 else recipients end,
        "templateValues", "requestId"
      from given
      where key is null or id = any(array(select message_id from taken))
      returning id, app_id, msg_type, priority, due_at, expires_at, state
    ),
    put_contents as (
      insert into contents (message_id, channel_id, kind, content, locales, is_personal)
      select accepted.id, said."channelId", said.kind, said.content, said.locales, coalesce(said."isPersonal", false)
      from accepted
      join given on given.id = accepted.id
      cross join jsonb_to_recordset(given.contents) as said ("channelId" text, kind text, content jsonb, locales jsonb, "isPersonal" boolean)
    ),
    ${putVariants(sql`select accepted.id, given.variants from accepted join given on given.id = accepted.id`)},
    message as (
      select accepted.*, given.people, given."siteVariants" as site_variants, given.deliveries, given.broadcast, given.choices
      from accepted join given on given.id = accepted.id
      where accepted.state <> 'scheduled'
    ),
    ${guard === undefined ? sql`` : sql`${guard},`}
    ${parts}
    select id, state <> 'scheduled' as "isDue"
    from accepted ${guard === undefined ? sql`` : sql`join passed on is_passed`}`)
}

/** The answer already given under this key, if any; a refusal when it was given to another request. */
export async function firstAnswer(
  context: Context,
  appId: string,
  idempotency: IdempotencyKey | undefined,
): Promise<Accepted | undefined> {
  if (idempotency === undefined) return undefined
  const [first] = await answerOf(context.store, { appId, key: idempotency.key })
  if (first === undefined) return undefined
  if (first.bodySha256 !== idempotency.bodySha256) {
    throw new Refusal('IDEMPOTENCY_CONFLICT', {
      path: 'Idempotency-Key',
      zh: '已用于另一个请求，请换一个',
      en: 'was used for another request: take a new one',
    })
  }
  return { messageId: first.messageId, warnings: first.warnings, isReplay: true }
}

const answerOf = hot<{ bodySha256: string; messageId: string; warnings: string[] }, { appId: string; key: string }>(sql`
  select body_sha256 as "bodySha256", message_id as "messageId", warnings
  from idempotency_keys
  where app_id = ${sql.placeholder('appId')} and key = ${sql.placeholder('key')}`)
