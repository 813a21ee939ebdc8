/** Recall against everything that moves the same rows at the same time; on PGlite, with its one connection, interleaved. */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Store } from '../../src/db/client.ts'
import { bringUpToDate } from '../../src/inbox/broadcast.ts'
import { mark, type acts } from '../../src/inbox/mark.ts'
import { empty, workOff } from '../delivery/kit.ts'
import { eventually } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { prepare, putDue, recall, startCarrying, stateOf, told, wrongInboxes, type Outcome } from './kit.ts'

const PEOPLE = 5_000
const TIME = { timeout: 120_000 }

describe.each(stores)('a recall beside others, on $name', ({ name, open }) => {
  const rounds = name === 'PostgreSQL' ? 30 : 5
  let store: Store
  let nodes: [Context, Context]
  beforeAll(async () => {
    store = await open()
    nodes = (await prepare(store, PEOPLE)) as [Context, Context]
  })
  beforeEach(() => empty(store.db))
  afterAll(async () => {
    for (const { hints } of nodes) await hints.close()
    await store.close()
  })

  const users = (count: number) => Array.from({ length: count }, (_, at) => `U${String(at + 1).padStart(5, '0')}`)
  /** The worker's part: goes on until the recall has ended, without waiting for its time. */
  const end = (id: string) =>
    eventually(async () => {
      await query(store.db, sql`update messages set lease_until = null`)
      await workOff(nodes[1])
      return (await stateOf(store.db, id)) === 'recalled'
    }, 40_000)
  const count = async (what: ReturnType<typeof sql>) =>
    (await query<{ count: number }>(store.db, sql`select count(*)::int as count ${what}`))[0]!.count
  /** Mostly soon, so that the two meet. */
  const shortly = (most: number) => sleep(Math.random() * most)

  it('and workers: each delivery is either told as out or never given to a provider', TIME, async () => {
    const met = new Set<string>()
    // Until they have met, however busy the machine is: a recall among 400 that are being carried.
    for (
      let round = 0;
      round < rounds || (name === 'PostgreSQL' && !met.has('PENDING') && round < 4 * rounds);
      round++
    ) {
      await empty(store.db)
      const id = await putDue(store.db, { receiver: { user: users(400) }, channels: { '1001': 'sms' } })
      await workOff(nodes[0])
      const outcomes: Outcome[] = ['sent', 'sent', 'retry', 'ambiguous']
      const outcome = () => outcomes[Math.floor(Math.random() * outcomes.length)]!
      const carrying = [startCarrying(nodes[0], outcome), startCarrying(nodes[1], outcome)]
      await shortly(60)
      const [first = ''] = Object.values(await recall(nodes[0], id))
      met.add(first.split(' ')[0]!)
      await end(id)
      await Promise.all(carrying.map((one) => one.stop()))
      const rows = await query<{ id: string; state: string; maybeSent: boolean }>(
        store.db,
        sql`select id, state, maybe_sent as "maybeSent" from deliveries`,
      )
      const given = (one: string) => carrying.some((worker) => worker.given.has(one))
      // The books of the workers, not the rows, say what went out.
      for (const { id: delivery, state, maybeSent } of rows)
        expect([state, maybeSent || state === 'sent']).toEqual([
          expect.stringMatching(/^(sent|cancelled)$/),
          given(delivery),
        ])
      const out = rows.filter(({ id: delivery }) => given(delivery)).length
      const counts = [out < 400 ? `cancelled=${400 - out}` : '', out > 0 ? `tooLate=${out}` : ''].filter(Boolean)
      expect(await told(store.db, id)).toEqual({
        '1001': [out > 0 ? 'TOO_LATE' : 'CANCELLED', ...counts].join(' '),
      })
    }
    // It was a race at all.
    if (name === 'PostgreSQL') expect(met).toContain('PENDING')
  })

  it('and the fan-out of thousands: nothing is left queued or in an inbox, and counts are exact', TIME, async () => {
    const reached: number[] = []
    for (let round = 0; round < rounds / 5; round++) {
      await empty(store.db)
      const id = await putDue(store.db, { channels: { '1001': 'sms', '1002': 'site' } })
      const fanning = Promise.all(nodes.map(workOff))
      await eventually(() => count(sql`from messages where cursor > ${users(round * 500).at(-1) ?? ''}`))
      await shortly(20)
      await recall(nodes[0], id)
      await fanning
      await end(id)
      expect(await count(sql`from deliveries where state <> 'cancelled'`)).toBe(0)
      expect(await count(sql`from items where change <> 'recalled' or deleted_at is null`)).toBe(0)
      expect(await count(sql`from inboxes where unread <> 0 or unseen <> 0`)).toBe(0)
      expect(await wrongInboxes(store.db)).toEqual([])
      const items = await count(sql`from items`)
      expect(await count(sql`from deliveries`)).toBe(items)
      reached.push(items)
    }
    console.info(`fan-out had reached ${reached.join(', ')} when it was recalled`)
    if (name === 'PostgreSQL') expect(Math.min(...reached)).toBeLessThan(PEOPLE)
  })

  it('and people who act on the item: counts are exact, and the item is gone whoever came first', TIME, async () => {
    const some = users(40)
    const all: (keyof typeof acts)[] = ['seen', 'read', 'unread', 'archived', 'unarchived', 'deleted']
    let before = 0
    for (let round = 0; round < rounds; round++) {
      await empty(store.db)
      const receiver = { user: some }
      const id = await putDue(store.db, { receiver, channels: { '1002': 'site' } })
      const other = await putDue(store.db, { receiver, channels: { '1002': 'site' } })
      await workOff(nodes[0])
      const acting = some.map(async (user) => {
        for (let acted = 0; acted < 4; acted++) {
          await shortly(10)
          const act = all[Math.floor(Math.random() * (acted === 3 ? 6 : 5))]!
          await mark(nodes[1].db, user, act, { messageIds: act === 'deleted' ? [id] : [id, other] })
        }
      })
      await shortly(60)
      await Promise.all([recall(nodes[0], id), ...acting])
      expect(await count(sql`from items where message_id = ${id} and deleted_at is null`)).toBe(0)
      expect(await count(sql`from items where message_id = ${other} and deleted_at is not null`)).toBe(0)
      expect(await wrongInboxes(store.db)).toEqual([])
      before += await count(sql`from items where message_id = ${id} and (seen_at is not null or change = 'deleted')`)
    }
    expect(before).toBeGreaterThan(0)
  })

  it('and people who look at the broadcast: none has it afterwards, none is behind', TIME, async () => {
    const some = users(60)
    const had: number[] = []
    for (let round = 0; round < rounds; round++) {
      await empty(store.db)
      const put = () => putDue(store.db, { receiverType: 'all', receiver: {}, channels: { '1002': 'site' } })
      const id = await put()
      const other = await put()
      await workOff(nodes[0])
      const looking = some.map(async (user) => {
        await shortly(40)
        await bringUpToDate(nodes[1].db, [user, ...users(3)])
      })
      await shortly(40)
      await Promise.all([recall(nodes[0], id), ...looking])
      expect(await count(sql`from items where message_id = ${id} and deleted_at is null`)).toBe(0)
      expect(await count(sql`from items where message_id = ${other} and deleted_at is null`)).toBe(some.length)
      expect(await count(sql`from inboxes where unread <> 1 or unseen <> 1`)).toBe(0)
      expect(await wrongInboxes(store.db)).toEqual([])
      expect(await bringUpToDate(store.db, some)).toEqual([])
      had.push(await count(sql`from items where message_id = ${id}`))
    }
    if (name === 'PostgreSQL') expect(had.some((one) => one > 0 && one < some.length)).toBe(true)
    console.info(`of ${some.length} people ${had.join(', ')} had the broadcast when it was recalled`)
  })

  it('and a second recall of the same messages: both tell the same in the end', TIME, async () => {
    for (let round = 0; round < rounds / 5; round++) {
      await empty(store.db)
      const id = await putDue(store.db, { receiver: { user: users(900) }, channels: { '1001': 'sms', '1002': 'site' } })
      await workOff(nodes[0])
      await Promise.all(nodes.flatMap((node) => [recall(node, id), recall(node, id)]))
      await end(id)
      expect(await told(store.db, id)).toEqual({ '1001': 'CANCELLED cancelled=900', '1002': 'RECALLED recalled=900' })
      expect(await count(sql`from deliveries where jsonb_array_length(history) <> 1`)).toBe(0)
      expect(await wrongInboxes(store.db)).toEqual([])
    }
  })
})
