import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import type { Outcome, Receipt } from '../../src/delivery/channel.ts'
import { giveBack, renew } from '../../src/delivery/leases.ts'
import type { Claimed } from '../../src/delivery/queue.ts'
import { hearReceipts, type Hearing } from '../../src/delivery/receipts.ts'
import { takeBack } from '../../src/delivery/recall.ts'
import { after } from '../../src/delivery/retries.ts'
import { settleAll } from '../../src/delivery/settle.ts'
import { onPostgres } from '../kit/stores.ts'
import { claimSome, empty, putMails } from './kit.ts'

const ROWS = 400
const ROUNDS = 4
/** PostgreSQL's statistics may lag so far behind. */
const STATS_MS = 1_500
const HINTS = { send: () => {} } as unknown as Parameters<typeof takeBack>[0]['hints']

/** In an order that no index has, another one each time. */
function shuffled<One>(all: readonly One[]): One[] {
  return all
    .map((one) => ({ one, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ one }) => one)
}

describe.skipIf(!onPostgres)('statements that lock many deliveries', () => {
  let store: Store
  beforeAll(async () => {
    store = await onPostgres!.open()
  })
  afterAll(() => store.close())
  beforeEach(() => empty(store.db))

  async function deadlocks(): Promise<number> {
    const [row] = await query<{ deadlocks: number }>(
      store.db,
      sql`select deadlocks::int as deadlocks from pg_stat_database where datname = current_database()`,
    )
    return row!.deadlocks
  }

  /** Deliveries of one message that is being recalled, in places and with names that say nothing of their ids. */
  async function claimMany(): Promise<{ claimed: Claimed[]; messageId: string }> {
    await empty(store.db)
    await putMails(store.db, { addresses: Array.from({ length: ROWS }, (_, at) => `person${at}@example.org`) })
    await query(store.db, sql`update messages set state = 'recalling', recalled_at = now()`)
    // As autovacuum does within a minute.
    await query(store.db, sql`analyze deliveries`)
    const claimed = shuffled(await claimSome(store, ROWS))
    return { claimed, messageId: claimed[0]!.messageId }
  }

  const settle = (claimed: Claimed[], outcome: Outcome) =>
    settleAll(
      store,
      claimed.map((delivery) => ({ delivery, to: after(outcome, delivery.attempts, 12), via: 'smtp' })),
    )
  const hear = (claimed: Claimed[]) => {
    const receipts: Receipt[] = claimed.map(({ id }) => ({ deliveryId: id, state: 'delivered' }))
    return hearReceipts({ store } as Hearing, '1003', receipts)
  }

  const sent: Outcome = { outcome: 'sent' }
  const again: Outcome = { outcome: 'retry', cause: 'temporary', why: 'busy' }

  it.each<[string, (claimed: Claimed[]) => Promise<unknown>]>([
    ['settles what was sent', (claimed) => settle(claimed, sent)],
    ['settles what is tried again', (claimed) => settle(claimed, again)],
    ['hears receipts', hear],
    ['gives a claim back', (claimed) => giveBack(store.db, claimed[0]!.lease)],
  ])('never deadlock while a worker %s, renews its leases and a recall takes the same rows', async (_what, act) => {
    const before = await deadlocks()
    for (let round = 0; round < ROUNDS; round++) {
      const { claimed, messageId } = await claimMany()
      // A refusal rejects; whoever comes too late finds nothing.
      await Promise.all([
        renew(store.db, shuffled(claimed)),
        act(claimed),
        takeBack({ db: store.db, hints: HINTS }, messageId),
        renew(store.db, shuffled(claimed)),
        act(shuffled(claimed)),
        hear(shuffled(claimed)),
      ])
    }
    await sleep(STATS_MS)
    expect(await deadlocks()).toBe(before)
  })
})
