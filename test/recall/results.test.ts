import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Store } from '../../src/db/client.ts'
import { takeBack } from '../../src/delivery/recall.ts'
import { bringUpToDate } from '../../src/inbox/broadcast.ts'
import { item, itemsByIds, page } from '../../src/inbox/inbox.ts'
import { since } from '../../src/inbox/since.ts'
import { mark } from '../../src/inbox/mark.ts'
import { recallMessages } from '../../src/messages/recall.ts'
import { empty, step, workOff } from '../delivery/kit.ts'
import { stores } from '../kit/stores.ts'
import { APP, prepare, putDue, recall, stateOf, told, wrongInboxes } from './kit.ts'

const PEOPLE = 1_300

describe.each(stores)('what a recall comes to, on $name', ({ open }) => {
  let store: Store
  let nodes: Context[]
  beforeAll(async () => {
    store = await open()
    nodes = await prepare(store, PEOPLE)
  })
  beforeEach(() => empty(store.db))
  afterAll(async () => {
    for (const { hints } of nodes) await hints.close()
    await store.close()
  })

  const fanOut = () => workOff(nodes[0]!)
  const set = (columns: ReturnType<typeof sql>, where = sql`true`) =>
    query(store.db, sql`update deliveries set ${columns} where ${where}`)
  const deliveries = () =>
    query<Record<string, any>>(
      store.db,
      sql`select recipient, state, reason, maybe_sent, lease, settled_at is not null as settled, history from deliveries order by recipient`,
    )
  const few = { user: ['U00001', 'U00002', 'U00003'] }

  it('of what is scheduled: cancelled on every channel, at once, and never fanned out', async () => {
    const id = await putDue(store.db, { channels: { '1001': 'sms', '1002': 'site' }, dueInSeconds: 1 })
    expect(await recall(nodes[0]!, id)).toEqual({ '1001': 'CANCELLED', '1002': 'CANCELLED' })
    expect(await stateOf(store.db, id)).toBe('recalled')
    await query(store.db, sql`update messages set due_at = now() - interval '1 second'`)
    expect(await step(nodes[0]!)).toBe(false)
    expect(await deliveries()).toEqual([])
  })

  it('of a message half fanned out: cancelled and recalled, and the rest never comes', async () => {
    const id = await putDue(store.db, { channels: { '1001': 'sms', '1002': 'site' } })
    for (let steps = 0; steps < 2; steps++) await step(nodes[0]!)
    const [half] = await query<{ recipients: number }>(store.db, sql`select recipients from messages`)
    expect(half?.recipients).toBeGreaterThan(0)
    expect(half?.recipients).toBeLessThan(PEOPLE)
    await recall(nodes[0]!, id)
    await fanOut()
    expect(await told(store.db, id)).toEqual({
      '1001': `CANCELLED cancelled=${half?.recipients}`,
      '1002': `RECALLED recalled=${half?.recipients}`,
    })
    expect(await wrongInboxes(store.db)).toEqual([])
    const [first] = await deliveries()
    expect(first).toMatchObject({ state: 'cancelled', reason: 'RECALLED', settled: true, maybe_sent: false })
    expect(first?.['history']).toEqual([
      {
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/),
        state: 'cancelled',
        attempt: 0,
        reason: 'RECALLED',
      },
    ])
  })

  it('of what the provider has: too late, and what has not gone out beside it is cancelled', async () => {
    const id = await putDue(store.db, { receiver: few, channels: { '1001': 'sms' } })
    await fanOut()
    await set(sql`state = 'sent'`, sql`recipient = 'U00001'`)
    await set(sql`state = 'undelivered'`, sql`recipient = 'U00002'`)
    expect(await recall(nodes[0]!, id)).toEqual({ '1001': 'TOO_LATE cancelled=1 tooLate=2' })
  })

  it.each([
    ['an attempt that was left without an answer', sql`maybe_sent = true`],
    ['a worker that died with it', sql`lease = gen_random_uuid(), lease_until = now() - interval '1 second'`],
  ])('of %s: too late, since it may have gone out', async (_what, columns) => {
    const id = await putDue(store.db, { receiver: few, channels: { '1001': 'sms' } })
    await fanOut()
    await set(columns, sql`recipient = 'U00001'`)
    expect(await recall(nodes[0]!, id)).toEqual({ '1001': 'TOO_LATE cancelled=2 tooLate=1' })
    expect((await deliveries())[0]).toMatchObject({
      state: 'cancelled',
      reason: 'MAY_HAVE_GONE_OUT',
      maybe_sent: true,
      lease: null,
    })
  })

  it('of what is dead after an attempt without an answer: too late; of what ended otherwise: ended', async () => {
    const id = await putDue(store.db, { receiver: few, channels: { '1001': 'sms' } })
    await fanOut()
    await set(sql`state = 'dead', maybe_sent = true`, sql`recipient = 'U00001'`)
    await set(sql`state = 'skipped'`, sql`recipient = 'U00002'`)
    await set(sql`state = 'expired'`, sql`recipient = 'U00003'`)
    expect(await recall(nodes[0]!, id)).toEqual({ '1001': 'TOO_LATE tooLate=1 ended=2' })
    expect((await deliveries()).map(({ state }) => state)).toEqual(['dead', 'skipped', 'expired'])
  })

  it('of what a worker has: pending, then whatever its worker makes of it; a worker that dies leaves it too late', async () => {
    const id = await putDue(store.db, { receiver: few, channels: { '1001': 'sms' } })
    await fanOut()
    await set(sql`lease = gen_random_uuid(), lease_until = now() + interval '30 seconds', attempts = 1`)
    expect(await recall(nodes[0]!, id)).toEqual({ '1001': 'PENDING pending=3' })
    expect(await stateOf(store.db, id)).toBe('recalling')
    await set(sql`state = 'sent', lease = null, lease_until = null`, sql`recipient = 'U00001'`)
    // Given back by a worker that stops: nothing of it has been tried.
    await set(sql`lease = null, lease_until = null, attempts = 0`, sql`recipient = 'U00002'`)
    await set(sql`lease_until = now() - interval '1 second'`, sql`recipient = 'U00003'`)
    // Nobody looks before the lease of the message is over.
    expect(await step(nodes[1]!)).toBe(false)
    await query(store.db, sql`update messages set lease_until = now() - interval '1 second'`)
    expect(await step(nodes[1]!)).toBe(true)
    expect(await told(store.db, id)).toEqual({ '1001': 'TOO_LATE cancelled=1 tooLate=2' })
    expect(await stateOf(store.db, id)).toBe('recalled')
    const asked = (await deliveries())[2]?.['history'].map(({ state, reason }: any) => [state, reason])
    expect(asked).toEqual([
      ['queued', 'RECALL_REQUESTED'],
      ['cancelled', 'MAY_HAVE_GONE_OUT'],
    ])
  })

  it('of items: they are gone for the person on every way, with the counts, while read ones stay known as read', async () => {
    const id = await putDue(store.db, { receiver: few, channels: { '1002': 'site' } })
    const other = await putDue(store.db, { receiver: few, channels: { '1002': 'site' } })
    await fanOut()
    await mark(store.db, 'U00001', 'read', { messageIds: [id] })
    await mark(store.db, 'U00002', 'archived', { messageIds: [id] })
    await mark(store.db, 'U00003', 'deleted', { messageIds: [id] })
    const before = (await page(store.db, 'U00003', { limit: 10 }))!.state
    expect(await recall(nodes[0]!, id)).toEqual({ '1002': 'RECALLED recalled=2 read=1 ended=1' })
    expect(await wrongInboxes(store.db)).toEqual([])
    for (const user of few.user) {
      expect(await item(store.db, user, id)).toBeUndefined()
      expect(await itemsByIds(store.db, user, [id, other], 10)).toMatchObject([{ messageId: other }])
      const found = await page(store.db, user, { limit: 10 })
      expect(found).toMatchObject({ state: { counts: { unread: 1, unseen: 1 } }, items: [{ messageId: other }] })
      expect((await page(store.db, user, { limit: 10 }, { archived: true }))?.items).toEqual([])
      const changes = (await since(store, user, 0, 10))!.items.filter(({ messageId }) => messageId === id)
      expect(changes).toMatchObject([{ isNew: false, change: user === 'U00003' ? 'deleted' : 'recalled' }])
      expect(await mark(store.db, user, 'unread', { messageIds: [id] })).toMatchObject({ changed: [] })
    }
    // Who had deleted it hears nothing.
    expect((await page(store.db, 'U00003', { limit: 10 }))!.state).toEqual(before)
  })

  it('of a broadcast: those who have it lose it, the others never get it, and nobody stays behind', async () => {
    const first = await putDue(store.db, { receiverType: 'all', receiver: {}, channels: { '1002': 'site' } })
    const second = await putDue(store.db, { receiverType: 'all', receiver: {}, channels: { '1002': 'site' } })
    await fanOut()
    await bringUpToDate(store.db, ['U00001'])
    expect(await recall(nodes[0]!, first)).toEqual({ '1002': 'RECALLED recalled=1' })
    expect(await bringUpToDate(store.db, ['U00001', 'U00002'])).toEqual(['U00002'])
    for (const user of ['U00001', 'U00002']) {
      expect(await page(store.db, user, { limit: 10 })).toMatchObject({
        state: { counts: { unread: 1, unseen: 1 } },
        items: [{ messageId: second }],
      })
    }
    expect(await recall(nodes[0]!, second)).toEqual({ '1002': 'RECALLED recalled=2' })
    // Only recalled ones are left: this one's inbox does not move, and its cursor goes past them.
    expect(await bringUpToDate(store.db, ['U00003'])).toEqual([])
    const [inbox] = await query(
      store.db,
      sql`select rev, unread, broadcast_cursor = (select max(seq) from broadcasts) as past from inboxes where user_code = 'U00003'`,
    )
    expect(inbox).toEqual({ rev: 0, unread: 0, past: true })
    expect(await wrongInboxes(store.db)).toEqual([])
  })

  it('of a broadcast that nobody has looked at: cancelled', async () => {
    const id = await putDue(store.db, { receiverType: 'all', receiver: {}, channels: { '1002': 'site' } })
    await fanOut()
    expect(await recall(nodes[0]!, id)).toEqual({ '1002': 'CANCELLED' })
  })

  it('is pending where patience ended, and a worker does the rest, also after the first one died', async () => {
    const id = await putDue(store.db, { channels: { '1001': 'sms', '1002': 'site' } })
    await fanOut()
    await query(store.db, sql`update messages set state = 'recalling', recalled_at = now(), recalled_by = 'app'`)
    await takeBack(nodes[0]!, id, 0)
    expect(await told(store.db, id)).toEqual({
      '1001': 'PENDING cancelled=1000 pending=300',
      '1002': 'PENDING pending=1300',
    })
    // A worker took it and died.
    await query(store.db, sql`update messages set lease_until = now() + interval '1 minute'`)
    expect(await step(nodes[1]!)).toBe(false)
    await query(store.db, sql`update messages set lease_until = now() - interval '1 second'`)
    await fanOut()
    expect(await told(store.db, id)).toEqual({ '1001': 'CANCELLED cancelled=1300', '1002': 'RECALLED recalled=1300' })
    expect(await stateOf(store.db, id)).toBe('recalled')
    expect(await wrongInboxes(store.db)).toEqual([])
  })

  it('is the same when called again: first reason, no further change, the truth of now', async () => {
    const id = await putDue(store.db, { receiver: few, channels: { '1002': 'site' } })
    await fanOut()
    const named = { msgId: id, businessId: undefined }
    await recallMessages(nodes[0]!, { by: 'app', appId: APP }, named, 'first')
    const rows = () => query(store.db, sql`select user_code, rev, change, deleted_at from items order by user_code`)
    const before = await rows()
    const { messages } = await recallMessages(nodes[1]!, { by: 'admin', appId: undefined }, named, 'second')
    expect(messages).toMatchObject([{ id, state: 'recalled', recalledBy: 'app', recallReason: 'first' }])
    expect(await rows()).toEqual(before)
    expect(await told(store.db, id)).toEqual({ '1002': 'RECALLED recalled=3' })
  })

  it('stops all messages with a businessId at the first call, and tells of them page by page', async () => {
    const count = 45
    const ids: string[] = []
    for (let at = 0; at < count; at++) {
      const channels = { '1001': 'sms', '1002': 'site' }
      ids.push(await putDue(store.db, { receiver: few, channels, businessId: 'B', dueInSeconds: at < 5 ? 100 : 0 }))
    }
    const other = await putDue(store.db, { receiver: few, channels: { '1001': 'sms' }, businessId: 'C' })
    await fanOut()
    await query(store.db, sql`update messages set state = 'fanning_out', cursor = '' where id = ${ids[10]}`)
    const named = { msgId: undefined, businessId: 'B' }
    const page = (after?: string) => recallMessages(nodes[0]!, { by: 'app', appId: APP }, named, undefined, after)

    const first = await page()
    // How far the site channel has got depends on the caller's patience; that nothing goes out does not.
    const [goesOut] = await query(
      store.db,
      sql`
        select (select count(*) from messages where business_id = 'B' and state not in ('recalling', 'recalled'))::int as messages,
          (select count(*) from deliveries join messages on messages.id = message_id
           where business_id = 'B' and deliveries.state = 'queued')::int as deliveries`,
    )
    expect(goesOut).toEqual({ messages: 0, deliveries: 0 })
    expect([first.messages.length, first.isMore, first.next]).toEqual([20, true, first.messages[19]?.id])
    expect(await stateOf(store.db, other)).toBe('fanned_out')

    const second = await page(first.next!)
    const third = await page(second.next!)
    expect([second.isMore, third.isMore, third.next]).toEqual([true, false, null])
    const told = [...first.messages, ...second.messages, ...third.messages].map(({ id }) => id)
    expect(told.toSorted()).toEqual(ids.toSorted())
    expect((await page(third.messages.at(-1)!.id)).messages).toEqual([])

    await fanOut()
    const states = await query(
      store.db,
      sql`select state, count(*)::int as count from messages where business_id = 'B' group by 1`,
    )
    expect(states).toEqual([{ state: 'recalled', count }])
    const [left] = await query(
      store.db,
      sql`select count(*)::int as count from items where change <> 'recalled' or deleted_at is null`,
    )
    expect(left).toEqual({ count: 0 })
    expect(await wrongInboxes(store.db)).toEqual([])
  })
})
