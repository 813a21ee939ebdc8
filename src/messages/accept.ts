/** The statement that accepts a push: after it, and only after it, the caller may be told 200. */
import { randomUUIDv7 } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot, json, query } from '../db/client.ts'
import { putChunk, recipientsOf, tell, type Chunk } from '../delivery/fan-out.ts'
import { Refusal } from '../errors.ts'

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
  contents: { channelId: string; kind: string; content: unknown }[]
  requestId: string
}

export type IdempotencyKey = { key: string; bodySha256: string }

/** What the caller is told. */
export type Accepted = { messageId: string; warnings: string[]; isReplay: boolean }

/**
 * Accepts `push` in one statement: idempotency key, message, contents and, when it is due by the database's clock, the
 * recipients in `chunk`. Without `chunk` (a large audience) or before its time the worker fans out.
 * Gives the first answer again for a key that another request took meanwhile.
 */
export async function accept(
  context: Context,
  push: Push,
  chunk: Chunk | undefined,
  warnings: string[],
  idempotency: IdempotencyKey | undefined,
): Promise<Accepted> {
  const id = randomUUIDv7().replaceAll('-', '')
  const state = chunk === undefined ? 'fanning_out' : 'fanned_out'
  const { people, deliveries, broadcast } = chunk ?? NOBODY
  const recipients = recipientsOf(chunk ?? NOBODY)
  const params = {
    message: json({
      ...push,
      id,
      dueAt: push.dueAt?.toISOString(),
      expiresAt: push.expiresAt?.toISOString(),
      state,
      recipients,
    }),
    contents: json(push.contents),
    key: idempotency?.key ?? null,
    bodySha256: idempotency?.bodySha256 ?? null,
    warnings: json(warnings),
    people: json(people),
    deliveries: json(deliveries),
    broadcast,
  }
  const [accepted] = await insert(context.store, params)
  if (accepted?.isDue) tell(context.hints, [chunk ?? NOBODY])
  if (accepted !== undefined) return { messageId: id, warnings, isReplay: false }
  const first = await firstAnswer(context, push.appId, idempotency)
  // The key can only have grown too old and been removed in between.
  if (first === undefined) throw new Refusal('UNAVAILABLE')
  return first
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

const insert = hot<{ isDue: boolean }, Record<string, unknown>>(sql`
  with key as (
    insert into idempotency_keys (app_id, key, body_sha256, message_id, warnings)
    select new."appId", ${sql.placeholder('key')}, ${sql.placeholder('bodySha256')}, new.id, ${sql.placeholder('warnings')}::jsonb
    from jsonb_to_record(${sql.placeholder('message')}::jsonb) as new ("appId" text, id uuid)
    where ${sql.placeholder('key')}::text is not null
    on conflict (app_id, key) do nothing
    returning key
  ),
  accepted as (
    insert into messages (
      id, app_id, template_code, template_version, receiver_type, receiver, unresolved, business_id, msg_type, priority,
      sender_code, sender_name, due_at, expires_at, state, recipients, request_id
    )
    select new.id, new."appId", new."templateCode", new."templateVersion", new."receiverType", new.receiver,
      new.unresolved, new."businessId", new."msgType", new.priority, new."senderCode", new."senderName",
      greatest(new."dueAt", now()), new."expiresAt",
      case when new."dueAt" > now() then 'scheduled' else new.state end,
      case when new."dueAt" > now() then 0 else new.recipients end,
      new."requestId"
    from jsonb_to_record(${sql.placeholder('message')}::jsonb) as new (
      id uuid, "appId" text, "templateCode" text, "templateVersion" int, "receiverType" text, receiver jsonb,
      unresolved jsonb, "businessId" text, "msgType" text, priority smallint, "senderCode" text, "senderName" text,
      "dueAt" timestamptz, "expiresAt" timestamptz, state text, recipients int, "requestId" text
    )
    where ${sql.placeholder('key')}::text is null or exists (select from key)
    returning id, app_id, msg_type, priority, due_at, expires_at, state
  ),
  put_contents as (
    insert into contents (message_id, channel_id, kind, content)
    select accepted.id, new."channelId", new.kind, new.content
    from accepted, jsonb_to_recordset(${sql.placeholder('contents')}::jsonb) as new ("channelId" text, kind text, content jsonb)
  ),
  message as (
    select id, app_id, msg_type, priority, due_at, expires_at, ${sql.placeholder('people')}::jsonb as people,
      ${sql.placeholder('deliveries')}::jsonb as deliveries, ${sql.placeholder('broadcast')}::boolean as broadcast
    from accepted
    where state <> 'scheduled'
  ),
  ${putChunk}
  select state <> 'scheduled' as "isDue" from accepted`)

/** The answer already given under this key, if any; a refusal when it was given to another request. */
export async function firstAnswer(
  context: Context,
  appId: string,
  idempotency: IdempotencyKey | undefined,
): Promise<Accepted | undefined> {
  if (idempotency === undefined) return undefined
  const [first] = await query<{ bodySha256: string; messageId: string; warnings: string[] }>(
    context.db,
    sql`
      select body_sha256 as "bodySha256", message_id as "messageId", warnings
      from idempotency_keys
      where app_id = ${appId} and key = ${idempotency.key}`,
  )
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
