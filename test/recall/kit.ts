/** A store with people and messages of every kind, two nodes without workers, and a worker in small for races. */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import type { Context } from '../../src/context.ts'
import { json, query, type Db, type Store } from '../../src/db/client.ts'
import { USUAL_LIMITS, type Carrier, type Outcome as DeliveryOutcome } from '../../src/delivery/channel.ts'
import { startWorker } from '../../src/delivery/worker.ts'
import { openHints } from '../../src/hints/hints.ts'
import { recallMessages } from '../../src/messages/recall.ts'
import { recallOf } from '../../src/messages/recalled.ts'

export const APP = 'app'

/** `people` users U00001…, in dept D, each with phone and mail. */
export async function prepare(store: Store, people: number): Promise<Context[]> {
  const node = async () =>
    ({
      store,
      db: store.db,
      hints: await openHints(store),
      channels: new Map(),
      log: pino({ level: 'silent' }),
    }) as unknown as Context
  await query(store.db, sql`insert into apps (id, name, grants) values (${APP}, 'app', '[]')`)
  await query(store.db, sql`insert into departments values ('D', 'whole', null)`)
  await query(
    store.db,
    sql`
      insert into users (code, name, phone, email, created_at)
      select 'U' || lpad(n::text, 5, '0'), n, '+86199' || lpad(n::text, 8, '0'), 'u' || n || '@example.org', now() - interval '1 day'
      from generate_series(1, ${people}) as n`,
  )
  await query(store.db, sql`insert into memberships select 'dept', 'D', code from users`)
  return [await node(), await node()]
}

type Due = {
  receiverType?: string
  receiver?: Record<string, string[]>
  channels: Record<string, string>
  businessId?: string
  dueInSeconds?: number
}

/** A message that waits for fan-out, with a content for each of these channels; gives its id. */
export async function putDue(db: Db, due: Due): Promise<string> {
  const { receiverType = 'specified', receiver = { dept: ['D'] }, channels, businessId = null, dueInSeconds = 0 } = due
  const [message] = await query<{ id: string }>(
    db,
    sql`
      with message as (
        insert into messages (id, app_id, receiver_type, receiver, unresolved, business_id, msg_type, priority, due_at, state, request_id)
        values (gen_random_uuid(), ${APP}, ${receiverType}, ${json(receiver)}::jsonb, '{}', ${businessId}, 'notice', 2,
          now() + make_interval(secs => ${dueInSeconds}), 'scheduled', 'test')
        returning id
      ),
      said as (
        insert into contents
        select id, key, value, '{"title": "t", "content": "c", "text": "c"}'
        from message, jsonb_each_text(${json(channels)}::jsonb)
      )
      select id from message`,
  )
  return message?.id ?? ''
}

/** Recalls as the app would; gives the result and counts of each channel. */
export async function recall(context: Context, id: string): Promise<Record<string, string>> {
  await recallMessages(context, { by: 'app', appId: APP }, { msgId: id, businessId: undefined }, undefined)
  return told(context.db, id)
}

/** What is told of the recall: channel → result with the counts that are not 0. */
export async function told(db: Db, id: string): Promise<Record<string, string>> {
  const said = await recallOf(db, { id, recalledAt: new Date(), recalledBy: '', recallReason: null })
  return Object.fromEntries(
    (said?.channels ?? []).map(({ channelId, result, counts }) => [
      channelId,
      [
        result,
        ...Object.entries(counts)
          .filter(([, count]) => count > 0)
          .map(([name, count]) => `${name}=${count}`),
      ].join(' '),
    ]),
  )
}

export async function stateOf(db: Db, id: string): Promise<string | undefined> {
  const [row] = await query<{ state: string }>(db, sql`select state from messages where id = ${id}`)
  return row?.state
}

export type Outcome = 'sent' | 'retry' | 'ambiguous'

/** What the provider makes of an attempt. */
const OUTCOMES: Record<Outcome, DeliveryOutcome> = {
  sent: { outcome: 'sent' },
  retry: { outcome: 'retry', cause: 'temporary', why: 'not now', afterSeconds: 0 },
  ambiguous: { outcome: 'retry', cause: 'ambiguous', why: 'no answer', afterSeconds: 0 },
}

/** A worker with an SMS channel, whose provider takes a little time; `given` are the ids of what may have gone out. */
export function startCarrying(node: Context, outcome: () => Outcome) {
  const given = new Set<string>()
  const carrier: Carrier = {
    async send({ id }) {
      await sleep(Math.random() * 8)
      const came = outcome()
      if (came !== 'retry') given.add(id)
      return OUTCOMES[came]
    },
    close: async () => {},
  }
  const channel = { id: '1001', kind: 'sms', carrier, provider: { schemes: ['test'] }, limits: USUAL_LIMITS }
  const worker = startWorker({ ...node, config: {}, channels: new Map([['1001', channel]]) } as unknown as Context)
  return { given, stop: () => worker.stop() }
}

/** Users whose counts are not what their items say, or who have two items that came at one rev. */
export function wrongInboxes(db: Db): Promise<object[]> {
  return query(
    db,
    sql`
      select inboxes.user_code, inboxes.unread, inboxes.unseen, inboxes.rev, inboxes.facets
      from inboxes left join (
        select user_code, rev, created_rev,
          read_at is null and deleted_at is null and archived_at is null and snoozed_until is null as is_unread,
          seen_at is null and deleted_at is null and archived_at is null and snoozed_until is null as is_unseen
        from items
      ) as item on item.user_code = inboxes.user_code
      group by inboxes.user_code
      having inboxes.unread <> count(*) filter (where is_unread)
        or inboxes.unseen <> count(*) filter (where is_unseen)
        or inboxes.unread <> coalesce((select sum(value::int) from jsonb_each_text(facets) where key like 'u/%'), 0)
        or inboxes.unseen <> coalesce((select sum(value::int) from jsonb_each_text(facets) where key like 's/%'), 0)
        or inboxes.rev < coalesce(max(item.rev), 0)
        or count(item.created_rev) <> count(distinct item.created_rev)`,
  )
}
