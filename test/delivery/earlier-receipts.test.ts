/** Receipts that name a delivery as its provider called an earlier attempt. */
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Store } from '../../src/db/client.ts'
import type { Outcome } from '../../src/delivery/channel.ts'
import type { Claimed } from '../../src/delivery/queue.ts'
import { hearReceipts, type Hearing } from '../../src/delivery/receipts.ts'
import { replay } from '../../src/delivery/replay.ts'
import { after } from '../../src/delivery/retries.ts'
import { settleAll } from '../../src/delivery/settle.ts'
import { applyWaiting } from '../../src/delivery/waiting-receipts.ts'
import { stores } from '../kit/stores.ts'
import { claimSome, empty, putMails, row, rows } from './kit.ts'
import { waiting } from './rows.ts'

const CHANNEL = '1003'
const REFUSED: Outcome = { outcome: 'failed', reason: 'REFUSED', why: 'no such number' }
const BUSY: Outcome = { outcome: 'retry', cause: 'temporary', why: 'busy' }
const takenAs = (receipt: string, why?: string): Outcome => ({ outcome: 'sent', receipt, ...(why ? { why } : {}) })

describe.each(stores)('receipts under an earlier id, on $name', ({ open }) => {
  let store: Store
  let hearing: Hearing
  const hints = { send() {} } as unknown as Context['hints']
  beforeAll(async () => {
    store = await open()
    hearing = { store, log: pino({ level: 'silent' }), metrics: undefined }
  })
  beforeEach(() => empty(store.db))
  afterAll(() => store.close())

  const hear = (receipt: string, state: 'delivered' | 'undelivered', address?: string) =>
    hearReceipts(hearing, CHANNEL, [{ receipt, state, why: 'words', ...(address ? { address } : {}) }])
  const claim = async () => (await claimSome(store, 10))[0]!
  const settle = (delivery: Claimed, outcome: Outcome) =>
    settleAll(store, [{ delivery, to: after(outcome, delivery.attempts, 12), via: 'smtp' }])
  const attempt = async (outcome: Outcome) => settle(await claim(), outcome)
  const replayAll = (state: 'undelivered' | 'failed') =>
    replay({ db: store.db, hints }, { filter: { appId: undefined, state } })
  const steps = async () => (await row(store.db)).history.map(({ state, reason }) => `${state} ${reason ?? ''}`.trim())

  /** Sent as r1, told as undelivered, and queued again. */
  async function putReplayed(): Promise<void> {
    await putMails(store.db, { addresses: ['one@example.org'] })
    await attempt(takenAs('r1'))
    await hear('r1', 'undelivered')
    await replayAll('undelivered')
  }
  const ENDED_SINCE: [string, () => Promise<unknown>, string][] = [
    ['is queued again', async () => {}, 'queued'],
    ['is with a worker again', claim, 'sending'],
    ['waits for one more attempt', () => attempt(BUSY), 'queued'],
    ['was sent again', () => attempt(takenAs('r2')), 'sent'],
    ['was sent again with a word', () => attempt(takenAs('r2', 'in another alphabet')), 'sent'],
    ['was sent again without an id', () => attempt({ outcome: 'sent' }), 'sent'],
    ['was refused then', () => attempt(REFUSED), 'failed'],
    [
      'was refused, and is queued once more',
      async () => {
        await attempt(REFUSED)
        await query(store.db, sql`update deliveries set settled_at = now() - interval '1 second'`)
        await replayAll('failed')
      },
      'queued',
    ],
    [
      'did not arrive the second time either',
      async () => {
        await attempt(takenAs('r2'))
        await hear('r2', 'undelivered')
      },
      'undelivered',
    ],
  ]

  it.each(ENDED_SINCE)('prove that it arrived, if it was replayed and %s', async (_name, go, state) => {
    await putReplayed()
    await go()
    expect((await row(store.db)).state).toBe(state)
    const before = await steps()
    await hear('r1', 'delivered')
    expect(await row(store.db)).toMatchObject({ state: 'delivered', reason: null, lastError: null, isSettled: true })
    expect(await steps()).toEqual([...before, 'delivered RECEIPT'])
    expect(await claimSome(store, 10)).toEqual([])
    expect(await waiting(store.db)).toBe(0)
  })

  it.each(ENDED_SINCE)('say nothing by a bad word, if it was replayed and %s', async (_name, go, state) => {
    await putReplayed()
    await go()
    const before = await row(store.db)
    await hear('r1', 'undelivered')
    expect({ ...(await row(store.db)), dueInSeconds: before.dueInSeconds }).toEqual(before)
    expect(before.state).toBe(state)
    expect(await waiting(store.db)).toBe(0)
  })

  it('do not hide by a bad word the bad one of the latest attempt', async () => {
    await putReplayed()
    await attempt(takenAs('r2'))
    await hearReceipts(hearing, CHANNEL, [
      { receipt: 'r1', state: 'undelivered', why: 'first', at: new Date(Date.now() - 60_000) },
      { receipt: 'r2', state: 'undelivered', why: 'second' },
    ])
    expect(await row(store.db)).toMatchObject({ state: 'undelivered', lastError: 'second' })
  })

  it('leave nothing to settle to the worker that has it again', async () => {
    await putReplayed()
    const held = await claim()
    await hear('r1', 'delivered')
    expect((await settle(held, takenAs('r2'))).size).toBe(0)
    expect(await steps()).toEqual(['sent', 'undelivered RECEIPT', 'queued REPLAYED', 'delivered RECEIPT'])
    await hear('r2', 'undelivered')
    expect((await row(store.db)).state).toBe('delivered')
    expect(await waiting(store.db)).toBe(0)
  })

  it('are known after any number of replays', async () => {
    await putReplayed()
    await attempt(takenAs('r2'))
    await hear('r2', 'undelivered')
    await replayAll('undelivered')
    await attempt(takenAs('r3'))
    await hear('r1', 'undelivered')
    await hear('r2', 'undelivered')
    expect((await row(store.db)).state).toBe('sent')
    await hear('r1', 'delivered')
    expect((await row(store.db)).state).toBe('delivered')
  })

  it('are told apart by address, and never touch a delivery of another channel', async () => {
    await putMails(store.db, { addresses: ['one@example.org', 'two@example.org'] })
    const claimed = await claimSome(store, 10)
    for (const one of claimed) await settle(one, takenAs('r1'))
    await hear('r1', 'undelivered')
    await replayAll('undelivered')
    await hearReceipts(hearing, '1009', [{ receipt: 'r1', state: 'delivered' }])
    expect(new Set((await rows(store.db)).map(({ state }) => state))).toEqual(new Set(['queued']))
    await hear('r1', 'delivered', 'two@example.org')
    expect((await rows(store.db)).map(({ state }) => state)).toEqual(['queued', 'delivered'])
    await hear('r1', 'delivered')
    expect((await rows(store.db)).map(({ state }) => state)).toEqual(['delivered', 'delivered'])
  })

  describe('of an attempt that was settled after another worker had taken its delivery', () => {
    async function putOvertaken(why?: string): Promise<void> {
      await putMails(store.db, { addresses: ['one@example.org'] })
      const slow = await claim()
      await query(store.db, sql`update deliveries set lease_until = now() - interval '1 second'`)
      const quick = await claim()
      expect((await settle(slow, takenAs('r1', why))).size).toBe(0)
      await settle(quick, takenAs('r2'))
    }

    it.each([undefined, 'in another alphabet'])('prove that it arrived (word of the provider: %s)', async (why) => {
      await putOvertaken(why)
      await hear('r1', 'undelivered')
      expect(await row(store.db)).toMatchObject({ state: 'sent', receipt: 'r2' })
      expect(await waiting(store.db)).toBe(0)
      await hear('r1', 'delivered')
      expect((await row(store.db)).state).toBe('delivered')
    })

    it('may come before that', async () => {
      await hear('r1', 'delivered')
      await putOvertaken()
      await applyWaiting(hearing)
      expect((await row(store.db)).state).toBe('delivered')
      expect(await waiting(store.db)).toBe(0)
    })
  })

  it('are not kept of a settlement that is only repeated', async () => {
    await putMails(store.db, { addresses: ['one@example.org'] })
    const claimed = await claim()
    await settle(claimed, takenAs('r1'))
    expect((await settle(claimed, takenAs('r1'))).size).toBe(0)
    expect(await query(store.db, sql`select receipt from earlier_receipts`)).toEqual([])
    await hear('r1', 'undelivered')
    expect((await row(store.db)).state).toBe('undelivered')
  })
})
