import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Store } from '../../src/db/client.ts'
import { fireDue } from '../../src/delivery/due.ts'
import { fanOutNext } from '../../src/delivery/fan-out.ts'
import { stores } from '../kit/stores.ts'
import { prepare, putDue, recall, stateOf, wrongInboxes } from '../recall/kit.ts'
import { empty, workOff } from './kit.ts'

/** On two channels that is three chunks and a half. */
const PEOPLE = 3_500
/** What was read longer ago is read anew. */
const STALE_MS = 600

describe.each(stores)('a chunk that was read ahead, on $name', ({ open }) => {
  let store: Store
  let nodes: [Context, Context]
  beforeAll(async () => {
    store = await open()
    const [first, second] = await prepare(store, PEOPLE)
    // What one node has read the other knows nothing of.
    nodes = [first!, { ...second!, store: { ...store } }]
  })
  beforeEach(async () => {
    await empty(store.db)
    await query(store.db, sql`update users set enabled = true where not enabled`)
  })
  afterAll(async () => {
    for (const { hints } of nodes) await hints.close()
    await store.close()
  })

  /** To all, with the first chunk put by the first node, which then reads the second. */
  async function begin(): Promise<string> {
    const id = await putDue(store.db, { channels: { '1001': 'sms', '1002': 'site' } })
    await fireDue(nodes[0])
    await fanOutNext(nodes[0])
    return id
  }
  async function count(what: ReturnType<typeof sql>): Promise<number> {
    const [row] = await query<{ count: number }>(store.db, sql`select count(*)::int as count ${what}`)
    return row!.count
  }
  const disable = () => query(store.db, sql`update users set enabled = false where code > 'U01500'`)

  it('is read anew when it waited, so that whoever was disabled meanwhile gets nothing', async () => {
    await begin()
    await disable()
    await sleep(STALE_MS)
    await workOff(nodes[0])
    expect([await count(sql`from items`), await count(sql`from deliveries`)]).toEqual([1_500, 1_500])
  })

  it('is dropped when another node has gone on with the message', async () => {
    const id = await begin()
    await fanOutNext(nodes[1])
    await fanOutNext(nodes[0])
    await fanOutNext(nodes[1])
    expect(await stateOf(store.db, id)).toBe('fanned_out')
    expect([await count(sql`from items`), await count(sql`from deliveries`)]).toEqual([PEOPLE, PEOPLE])
    expect(await wrongInboxes(store.db)).toEqual([])
  })

  it('is dropped when the message was recalled', async () => {
    const id = await begin()
    await recall(nodes[1], id)
    await workOff(nodes[0])
    expect(await stateOf(store.db, id)).toBe('recalled')
    expect([await count(sql`from items`), await count(sql`from items where deleted_at is null`)]).toEqual([1_000, 0])
  })

  it('serves each of several large messages that take turns', async () => {
    for (let at = 0; at < 6; at++) await putDue(store.db, { channels: { '1001': 'sms', '1002': 'site' } })
    await workOff(nodes[0])
    expect(await count(sql`from messages where state = 'fanned_out' and recipients = ${PEOPLE}`)).toBe(6)
    expect(await count(sql`from items`)).toBe(6 * PEOPLE)
    expect(await wrongInboxes(store.db)).toEqual([])
  })
})
