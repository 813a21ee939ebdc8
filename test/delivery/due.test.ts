import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Store } from '../../src/db/client.ts'
import { fireDue } from '../../src/delivery/due.ts'
import { nextChunk, type Audience } from '../../src/delivery/chunk.ts'
import { fanOutNext, put } from '../../src/delivery/fan-out.ts'
import { takeBackNext } from '../../src/delivery/recall.ts'
import { recallMessages } from '../../src/messages/recall.ts'
import { stores } from '../kit/stores.ts'
import { APP, prepare, putDue, stateOf, told, wrongInboxes } from '../recall/kit.ts'
import { empty, workOff } from './kit.ts'

const PEOPLE = 2_500

describe.each(stores)('messages that are due, on $name', ({ open }) => {
  let store: Store
  let nodes: [Context, Context]
  beforeAll(async () => {
    store = await open()
    nodes = (await prepare(store, PEOPLE)) as [Context, Context]
    await query(store.db, sql`insert into posts values ('TWO', 'two')`)
    await query(store.db, sql`insert into memberships values ('post', 'TWO', 'U00001'), ('post', 'TWO', 'U00002')`)
  })
  beforeEach(() => empty(store.db))
  afterAll(async () => {
    for (const { hints } of nodes) await hints.close()
    await store.close()
  })

  const user = (at: number) => `U${String(at).padStart(5, '0')}`
  const toUser = (at: number) => putDue(store.db, { receiver: { user: [user(at)] }, channels: { '1002': 'site' } })
  const toEverybody = () => putDue(store.db, { channels: { '1002': 'site' } })
  const set = (id: string, columns: ReturnType<typeof sql>) =>
    query(store.db, sql`update messages set ${columns} where id = ${id}`)
  const states = async () =>
    Object.fromEntries(
      (
        await query<{ state: string; count: number }>(
          store.db,
          sql`select state, count(*)::int as count from messages group by state`,
        )
      ).map(({ state, count }) => [state, count]),
    )

  it('go out many in a round, each to everybody it means, on every channel', async () => {
    const channels = { '1002': 'site', '1003': 'mail' }
    for (let at = 1; at <= 20; at++) await toUser(at)
    await putDue(store.db, { receiver: { post: ['TWO'], user: [user(3)] }, channels })
    await putDue(store.db, { receiverType: 'custom', receiver: { '1003': ['a@example.org', 'nobody'] }, channels })
    await putDue(store.db, { receiverType: 'all', receiver: {}, channels: { '1002': 'site', '1004': 'chat' } })
    await putDue(store.db, { receiver: { user: ['gone'] }, channels })
    expect(await fireDue(nodes[0])).toMatchObject({ foundAny: true, hasLarge: false })
    expect(await states()).toEqual({ fanned_out: 24 })
    const recipients = await query(
      store.db,
      sql`select recipients, count(*)::int as count from messages group by 1 order by 1`,
    )
    // The chat is one, the address and what is none are two, the post and the other three.
    expect(recipients).toEqual([
      { recipients: 0, count: 1 },
      { recipients: 1, count: 21 },
      { recipients: 2, count: 1 },
      { recipients: 3, count: 1 },
    ])
    const deliveries = await query(
      store.db,
      sql`select channel_id as channel, state, count(*)::int as count from deliveries group by 1, 2 order by 1, 2`,
    )
    expect(deliveries).toEqual([
      { channel: '1003', state: 'failed', count: 1 },
      { channel: '1003', state: 'queued', count: 4 },
      { channel: '1004', state: 'queued', count: 1 },
    ])
    const [count] = await query(
      store.db,
      sql`select (select count(*) from items)::int as items, (select count(*) from broadcasts)::int as broadcasts`,
    )
    expect(count).toEqual({ items: 23, broadcasts: 1 })
    expect(await wrongInboxes(store.db)).toEqual([])
  })

  it('come to one person in the order in which they were due, each at a rev of its own, counted by type', async () => {
    const ids = []
    for (const dueInSeconds of [-10, -30, -20])
      ids.push(
        await putDue(store.db, {
          receiver: { user: [user(1), user(2)] },
          channels: { '1002': 'site' },
          dueInSeconds,
        }),
      )
    await set(ids[1]!, sql`msg_type = 'reminder'`)
    await fireDue(nodes[0])
    const items = await query<{ id: string; rev: number }>(
      store.db,
      sql`select message_id as id, rev from items where user_code = ${user(2)} order by rev`,
    )
    expect(items).toEqual([
      { id: ids[1], rev: 1 },
      { id: ids[2], rev: 2 },
      { id: ids[0], rev: 3 },
    ])
    const [inbox] = await query(store.db, sql`select rev, unread, facets from inboxes where user_code = ${user(1)}`)
    const facets = { 's/notice/app': 2, 'u/notice/app': 2, 's/reminder/app': 1, 'u/reminder/app': 1 }
    expect(inbox).toEqual({ rev: 3, unread: 3, facets })
    await toUser(1)
    await fireDue(nodes[0])
    expect(await wrongInboxes(store.db)).toEqual([])
  })

  it.each([
    ['whose receiver cannot be read', sql`receiver = '{"user": 5}'`],
    ['that cannot be put', sql`recipients = 2147483647`],
  ])('fail no other: one %s waits alone', async (_what, columns) => {
    for (let at = 1; at <= 10; at++) await toUser(at)
    const poison = await toUser(11)
    await set(poison, columns)
    for (let at = 12; at <= 20; at++) await toUser(at)
    await fireDue(nodes[0])
    expect(await states()).toEqual({ fanned_out: 19, fanning_out: 1 })
    const [row] = await query<{ waits: number }>(
      store.db,
      sql`select failures, extract(epoch from lease_until - now())::float8 as waits from messages where id = ${poison}`,
    )
    expect(row).toMatchObject({ failures: 1, waits: expect.closeTo(10, -1) })
    expect(await fanOutNext(nodes[0])).toBe(false)
  })

  it('of high priority are in the next round, however many others wait', async () => {
    for (let at = 1; at <= 210; at++) await toUser(at)
    const high = await toUser(1)
    await set(high, sql`priority = 3`)
    await fireDue(nodes[0])
    expect(await stateOf(store.db, high)).toBe('fanned_out')
    expect(await states()).toEqual({ fanned_out: 200, scheduled: 11 })
  })

  it('go out though larger ones are under way, which go on one chunk at a time', async () => {
    const large = await toEverybody()
    expect(await fireDue(nodes[0])).toMatchObject({ hasLarge: true })
    await fanOutNext(nodes[0])
    const small = await toUser(1)
    await fireDue(nodes[0])
    expect(await stateOf(store.db, small)).toBe('fanned_out')
    expect(await stateOf(store.db, large)).toBe('fanning_out')
    // Among the large ones whoever has come least far goes first.
    const other = await putDue(store.db, {
      receiver: { user: Array.from({ length: 300 }, (_, at) => user(at + 1)) },
      channels: { '1002': 'site' },
    })
    await fireDue(nodes[0])
    await fanOutNext(nodes[0])
    expect([await stateOf(store.db, other), await stateOf(store.db, large)]).toEqual(['fanned_out', 'fanning_out'])
    await workOff(nodes[0])
    expect(await states()).toEqual({ fanned_out: 3 })
    expect(await wrongInboxes(store.db)).toEqual([])
  })

  it('are taken back beside a fan-out, each by a step of its own', async () => {
    const large = await toEverybody()
    const recalled = await toUser(1)
    await fireDue(nodes[0])
    await set(recalled, sql`state = 'recalling', recalled_at = now(), recalled_by = 'app'`)
    expect(await fireDue(nodes[0])).toMatchObject({ foundAny: false, hasLarge: true, hasRecall: true })
    await fanOutNext(nodes[0])
    expect(await stateOf(store.db, recalled)).toBe('recalling')
    await takeBackNext(nodes[0])
    expect(await stateOf(store.db, recalled)).toBe('recalled')
    expect(await stateOf(store.db, large)).toBe('fanning_out')
    expect(await takeBackNext(nodes[0])).toBe(false)
  })

  it('are not put when a recall came between their taking and their putting', async () => {
    const receiver = { user: [user(1)] }
    const id = await toUser(1)
    const audience: Audience = {
      receiverType: 'specified',
      receiver,
      channels: [{ id: '1002', kind: 'site' }],
      deptIncludesDescendants: true,
    }
    const chunk = await nextChunk(store, audience, '')
    const other = await toUser(2)
    await recallMessages(nodes[1], { by: 'app', appId: APP }, { msgId: id, businessId: undefined }, undefined)
    const done = await put(
      store,
      [id, other].map((one) => ({ id: one, after: '', chunk })),
    )
    expect(done.length).toBe(1)
    expect(await stateOf(store.db, id)).toBe('recalled')
    expect(await told(store.db, id)).toEqual({ '1002': 'CANCELLED' })
    const items = await query(store.db, sql`select message_id as id from items`)
    expect(items).toEqual([{ id: other }])
  })

  it('are each put once by several nodes that take and put the same ones at once', async () => {
    for (let round = 0; round < 5; round++) {
      await empty(store.db)
      const ids = []
      for (let at = 0; at < 60; at++)
        ids.push(
          await putDue(store.db, {
            receiver: { user: [user(1), user(2), user(3 + (at % 7))] },
            channels: { '1002': 'site' },
          }),
        )
      const chunk = { deliveries: [], broadcast: false, cursor: 'x', isLast: true, reachesSomebody: true }
      const stale = ids.map((id, at) => ({
        id,
        after: '',
        chunk: { ...chunk, people: [user(1), user(2), user(3 + (at % 7))] },
      }))
      await Promise.all([
        ...nodes.map(fireDue),
        put(store, stale),
        put(store, stale.toReversed()),
        put(store, stale.slice(0, 1)),
        ...nodes.map(fireDue),
      ])
      await query(store.db, sql`update messages set lease_until = null`)
      await workOff(nodes[1])
      expect(await states()).toEqual({ fanned_out: 60 })
      const [count] = await query(store.db, sql`select count(*)::int as items from items`)
      expect(count).toEqual({ items: 180 })
      expect(await wrongInboxes(store.db)).toEqual([])
    }
  })

  it('tell when the next one comes, so that nobody has to look for it', async () => {
    expect(await fireDue(nodes[0])).toEqual({
      foundAny: false,
      nextInSeconds: undefined,
      hasLarge: false,
      hasRecall: false,
    })
    await putDue(store.db, { channels: { '1002': 'site' }, dueInSeconds: 500 })
    await putDue(store.db, { channels: { '1002': 'site' }, dueInSeconds: 100 })
    const { foundAny, nextInSeconds } = await fireDue(nodes[0])
    expect(foundAny).toBe(false)
    expect(nextInSeconds).toBeGreaterThan(60)
    expect(nextInSeconds).toBeLessThanOrEqual(100)
  })
})
