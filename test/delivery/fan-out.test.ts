import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { json, query, type Store } from '../../src/db/client.ts'
import type { Compat } from '../../src/db/tables.ts'
import { nextChunk } from '../../src/delivery/chunk.ts'
import { openHints } from '../../src/hints/hints.ts'
import { stores } from '../kit/stores.ts'
import { empty, step, workOff } from './kit.ts'

const PEOPLE = 2_500

describe.each(stores)('fan-out, on $name', ({ open }) => {
  let store: Store
  let nodes: Context[]
  beforeAll(async () => {
    store = await open()
    const node = async () =>
      ({
        store,
        db: store.db,
        hints: await openHints(store),
        channels: new Map(),
        log: pino({ level: 'silent' }),
      }) as unknown as Context
    nodes = [await node(), await node()]
    await query(store.db, sql`insert into apps (id, name, grants) values ('app', 'app', '[]')`)
    await query(store.db, sql`insert into departments values ('D', 'whole', null), ('D1', 'part', 'D')`)
    // Nobody above 2,000 has a mail address.
    await query(
      store.db,
      sql`
      insert into users (code, name, phone, email)
      select 'U' || lpad(n::text, 5, '0'), n, '+86199' || lpad(n::text, 8, '0'), case when n <= 2000 then 'u' || n || '@example.org' end
      from generate_series(1, ${PEOPLE}) as n`,
    )
    await query(
      store.db,
      sql`insert into memberships select 'dept', case when code < 'U00100' then 'D' else 'D1' end, code from users`,
    )
  })
  beforeEach(async () => {
    await empty(store.db)
    await compat({})
  })
  afterAll(async () => {
    for (const { hints } of nodes) await hints.close()
    await store.close()
  })

  const compat = (switches: Compat) => query(store.db, sql`update apps set compat = ${json(switches)}::jsonb`)

  /** A message that is due and waits for fan-out, with a content for each of these channels. */
  async function putDue(receiverType: string, receiver: Record<string, string[]>, channels: Record<string, string>) {
    await query(
      store.db,
      sql`
      with message as (
        insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
        values (gen_random_uuid(), 'app', ${receiverType}, ${json(receiver)}::jsonb, '{}', 'notice', 2, now(), 'scheduled', 'test')
        returning id
      )
      insert into contents select id, key, value, '{"title": "t", "content": "c", "text": "c"}' from message, jsonb_each_text(${json(channels)}::jsonb)`,
    )
  }
  const fanOut = (node = nodes[0]!) => workOff(node)
  async function result() {
    const [message] = await query<{ state: string; recipients: number; items: number; broadcasts: number }>(
      store.db,
      sql`
      select state, recipients, (select count(*) from items)::int as items, (select count(*) from broadcasts)::int as broadcasts from messages`,
    )
    const deliveries = await query<{ channel: string; state: string; reason: string | null; count: number }>(
      store.db,
      sql`
      select channel_id as channel, state, reason, count(*)::int as count from deliveries group by 1, 2, 3 order by 1, 2`,
    )
    return { ...message, deliveries }
  }
  const whole = { state: 'fanned_out', recipients: PEOPLE, items: PEOPLE, broadcasts: 0 }
  const mails = [
    { channel: '1003', state: 'queued', reason: null, count: 2_000 },
    { channel: '1003', state: 'skipped', reason: 'NO_ADDRESS', count: 500 },
  ]

  it('reaches everybody once, on every channel, chunk by chunk', async () => {
    await putDue('specified', { dept: ['D'] }, { '1002': 'site', '1003': 'mail' })
    await fanOut()
    expect(await result()).toEqual({ ...whole, deliveries: mails })
    const [wrong] = await query(store.db, sql`select 1 from inboxes where rev <> 1 or unread <> 1 or unseen <> 1`)
    expect(wrong).toBeUndefined()
  })

  it('goes on where a worker that died has stopped', async () => {
    await putDue('specified', { dept: ['D'] }, { '1002': 'site', '1003': 'mail' })
    for (let steps = 0; steps < 2; steps++) await step(nodes[0]!)
    const { state, recipients = 0, items } = await result()
    expect([state, items]).toEqual(['fanning_out', recipients])
    expect(recipients).toBeGreaterThan(0)
    expect(recipients).toBeLessThan(PEOPLE)
    // Died after it took the next chunk: it is nobody's until the lease ends.
    await query(store.db, sql`update messages set lease_until = now() + interval '1 minute'`)
    expect(await step(nodes[1]!)).toBe(false)
    await query(store.db, sql`update messages set lease_until = now() - interval '1 second'`)
    await fanOut(nodes[1])
    expect(await result()).toEqual({ ...whole, deliveries: mails })
  })

  it('puts a chunk once though two workers hold it', async () => {
    await putDue('specified', { dept: ['D'] }, { '1002': 'site', '1003': 'mail' })
    // No lease ever holds: every worker may take the message at any time.
    await query(
      store.db,
      sql`create or replace function no_lease() returns trigger language plpgsql as 'begin new.lease_until := null; return new; end'`,
    )
    await query(
      store.db,
      sql`create trigger no_lease before update on messages for each row execute function no_lease()`,
    )
    await Promise.all(nodes.flatMap((node) => [fanOut(node), fanOut(node)]))
    await query(store.db, sql`drop trigger no_lease on messages`)
    expect(await result()).toEqual({ ...whole, deliveries: mails })
  })

  it('makes one broadcast of a site message to all, beside a mail for each', async () => {
    await putDue('all', {}, { '1002': 'site', '1003': 'mail' })
    await fanOut()
    expect(await result()).toEqual({ ...whole, items: 0, broadcasts: 1, deliveries: mails })
  })

  it.each([
    ['all', {}, 2_501],
    ['specified', { dept: ['D'] }, 2_501],
    ['custom', { '1003': ['U00001', 'nobody'], '1004': ['any'], '1005': ['any'] }, 3],
  ])('posts once into each group chat, to %s, and counts that as one recipient', async (type, receiver, recipients) => {
    await putDue(type, receiver, { '1003': 'mail', '1004': 'chat', '1005': 'chat' })
    await fanOut()
    const { deliveries, ...message } = await result()
    expect(message).toMatchObject({ state: 'fanned_out', recipients })
    expect(deliveries.filter(({ channel }) => channel !== '1003')).toEqual([
      { channel: '1004', state: 'queued', reason: null, count: 1 },
      { channel: '1005', state: 'queued', reason: null, count: 1 },
    ])
    const posts = await query(
      store.db,
      sql`select recipient, user_code, address from deliveries where channel_id in ('1004', '1005')`,
    )
    const post = { recipient: '*', user_code: null, address: '*' }
    expect(posts).toEqual([post, post])
  })

  it('goes through nobody for a post alone, or beside a broadcast', async () => {
    const channels = [{ id: '1004', kind: 'chat' } as const]
    const audience = { receiver: { dept: ['D'] }, channels, deptIncludesDescendants: true }
    const post = { people: [], deliveries: [{ recipient: '*' }], broadcast: false, isLast: true, reachesSomebody: true }
    for (const receiverType of ['all', 'specified'] as const)
      expect(await nextChunk(store, { ...audience, receiverType }, '')).toMatchObject(post)
    expect(
      await nextChunk(
        store,
        { ...audience, receiverType: 'all', channels: [...channels, { id: '1002', kind: 'site' }] },
        '',
      ),
    ).toMatchObject({ ...post, broadcast: true })
  })

  it('includes sub-departments unless the app wants it otherwise', async () => {
    await compat({ deptIncludesDescendants: false })
    await putDue('specified', { dept: ['D'] }, { '1002': 'site' })
    await fanOut()
    expect(await result()).toMatchObject({ recipients: 99, items: 99 })
  })

  it('counts somebody named on two channels once, wherever the chunks fall', async () => {
    const codes = Array.from({ length: 1_200 }, (_, at) => `U${String(at + 1).padStart(5, '0')}`)
    await putDue(
      'custom',
      { '1001': codes, '1002': codes, '1003': [...codes, 'nobody', 'x@example.org'] },
      { '1001': 'sms', '1002': 'site', '1003': 'mail' },
    )
    await fanOut()
    expect(await result()).toEqual({
      state: 'fanned_out',
      recipients: 1_202,
      items: 1_200,
      broadcasts: 0,
      deliveries: [
        { channel: '1001', state: 'queued', reason: null, count: 1_200 },
        { channel: '1003', state: 'failed', reason: 'INVALID_ACCOUNT', count: 1 },
        { channel: '1003', state: 'queued', reason: null, count: 1_201 },
      ],
    })
  })

  it('makes deliveries and items for channels that are no longer configured, so that each comes to an end', async () => {
    // The nodes here have no channels at all.
    await putDue('specified', { user: ['U00001', 'U02400'] }, { '1002': 'site', '1077': 'mail' })
    await fanOut()
    expect(await result()).toMatchObject({
      state: 'fanned_out',
      items: 2,
      deliveries: [
        { channel: '1077', state: 'queued', count: 1 },
        { channel: '1077', state: 'skipped', count: 1 },
      ],
    })
  })

  it('ends with nobody when the people have left', async () => {
    await putDue('specified', { user: ['gone'] }, { '1002': 'site', '1003': 'mail' })
    await fanOut()
    expect(await result()).toEqual({ state: 'fanned_out', recipients: 0, items: 0, broadcasts: 0, deliveries: [] })
  })

  it('lets a message that cannot be fanned out wait, longer each time, and gives it up in the end; others pass', async () => {
    await putDue('specified', { user: ['U00001'] }, { '1002': 'site' })
    await query(store.db, sql`update messages set receiver = '{"user": 5}', priority = 3`)
    const broken = () =>
      query<{ state: string; failures: number; waits: number }>(
        store.db,
        sql`
        select state, failures, extract(epoch from lease_until - now())::float8 as waits
        from messages where receiver = '{"user": 5}'`,
      )
    await fanOut()
    const [first] = await broken()
    expect(first).toMatchObject({ state: 'fanning_out', failures: 1 })
    await putDue('specified', { user: ['U00001'] }, { '1002': 'site' })
    await fanOut()
    const states = await query<{ state: string }>(store.db, sql`select state from messages order by state`)
    expect(states).toEqual([{ state: 'fanned_out' }, { state: 'fanning_out' }])
    await query(store.db, sql`update messages set lease_until = null where failures > 0`)
    await fanOut()
    const [second] = await broken()
    expect(second?.waits).toBeGreaterThan((first?.waits ?? 0) * 1.5)
    await query(store.db, sql`update messages set failures = 19, lease_until = null where failures > 0`)
    await fanOut()
    expect(await broken()).toMatchObject([{ state: 'failed', failures: 20 }])
    expect(await step(nodes[0]!)).toBe(false)
  })
})
