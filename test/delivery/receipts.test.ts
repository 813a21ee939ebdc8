import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import type { DeliveryState } from '../../src/db/tables.ts'
import type { Receipt } from '../../src/delivery/channel.ts'
import { hearReceipts, makeHear, type Hearing } from '../../src/delivery/receipts.ts'
import { applyWaiting, dropOldReceipts, watchWaiting } from '../../src/delivery/waiting-receipts.ts'
import { Refusal } from '../../src/errors.ts'
import { makeMetrics } from '../../src/metrics.ts'
import { eventually } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { find, putDeliveries, putDelivery, states, waiting, type Put } from './rows.ts'

const CHANNEL = '1001'
const delivered = (receipt: string, more: Partial<Receipt> = {}) =>
  ({ receipt, state: 'delivered', ...more }) as Receipt
const undelivered = (receipt: string, why = 'DELIVRD:000?', more: Partial<Receipt> = {}) =>
  ({ receipt, state: 'undelivered', why, ...more }) as Receipt

describe.each(stores)('receipts, on $name', ({ open }) => {
  let store: Store
  let hearing: Hearing
  let lines: string[]
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())
  beforeEach(async () => {
    await query(store.db, sql`truncate deliveries, receipts`)
    lines = []
    const log = pino({ level: 'debug', base: undefined }, { write: (line: string) => void lines.push(line) })
    hearing = { store, log, metrics: makeMetrics() }
  })
  const hear = (...receipts: Receipt[]) => hearReceipts(hearing, CHANNEL, receipts)
  const put = (delivery: Put) => putDelivery(store.db, delivery)

  describe('of a delivery that is sent', () => {
    it('make it delivered, by the receipt that the provider gave', async () => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      await hear(delivered('r1', { why: 'DELIVRD' }))
      expect(await find(store.db, id)).toMatchObject({
        state: 'delivered',
        reason: null,
        lastError: null,
        receipt: 'r1',
        isSettled: true,
        history: [{ state: 'delivered', reason: 'RECEIPT', why: 'DELIVRD', attempt: 1 }],
      })
    })

    it('make it undelivered, with the words of the provider', async () => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      await hear(undelivered('r1', 'MOBILE_NOT_ON_SERVICE'))
      expect(await find(store.db, id)).toMatchObject({
        state: 'undelivered',
        reason: 'UNDELIVERED',
        lastError: 'MOBILE_NOT_ON_SERVICE',
        history: [{ state: 'undelivered', reason: 'RECEIPT', why: 'MOBILE_NOT_ON_SERVICE' }],
      })
    })

    it('are found by our own id as well, however it is written', async () => {
      const [one = '', two = ''] = await putDeliveries(store.db, [{ state: 'sent' }, { state: 'sent' }])
      const dashed = two.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-').toUpperCase()
      await hear({ deliveryId: one, state: 'delivered' }, { deliveryId: dashed, state: 'delivered' })
      expect(await states(store.db)).toEqual({ delivered: 2 })
    })

    it('are told apart by address where one receipt stands for several', async () => {
      const [first = '', second = ''] = await putDeliveries(store.db, [
        { state: 'sent', receipt: 'batch', address: '+8613800000001' },
        { state: 'sent', receipt: 'batch', address: '+8613800000002' },
      ])
      await hear(undelivered('batch', 'no', { address: '+8613800000002' }))
      expect((await find(store.db, first)).state).toBe('sent')
      expect((await find(store.db, second)).state).toBe('undelivered')
      await hear(delivered('batch'))
      expect(await states(store.db)).toEqual({ delivered: 2 })
    })

    it.each([
      ['when the provider says, if that can be', -30, true],
      ['now, if that was before the delivery was made', -3_600, false],
      ['now, if that is in the future', 3_600, false],
      ['now, if that is no time at all', Number.NaN, false],
      ['now, if that is beyond all calendars', 8e12, false],
    ])('are noted as of %s', async (_name, seconds, isTheirs) => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      const at = new Date(Date.now() + seconds * 1_000)
      await hear(delivered('r1', { at }))
      const { history } = await find(store.db, id)
      const noted = Date.parse(history[0]!.at)
      if (isTheirs) expect(noted).toBe(at.getTime())
      else expect(Math.abs(noted - Date.now())).toBeLessThan(20_000)
    })
  })

  describe('that come twice or in disorder', () => {
    it('change nothing the second time', async () => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      await hear(undelivered('r1'), undelivered('r1'))
      await hear(undelivered('r1', 'other words'))
      const found = await find(store.db, id)
      expect(found.history).toHaveLength(1)
      expect(found.lastError).toBe('DELIVRD:000?')
      expect(await waiting(store.db)).toBe(0)
    })

    it('let a good word correct a bad one', async () => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      await hear(undelivered('r1'))
      await hear(delivered('r1'))
      expect(await find(store.db, id)).toMatchObject({
        state: 'delivered',
        reason: null,
        lastError: null,
        history: [{ state: 'undelivered' }, { state: 'delivered' }],
      })
    })

    it('never take a good word back', async () => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      await hear(delivered('r1'))
      await hear(undelivered('r1'))
      expect(await find(store.db, id)).toMatchObject({ state: 'delivered', history: [{ state: 'delivered' }] })
    })

    it('let the good one win within a call, whichever stands first', async () => {
      const [one = '', two = ''] = await putDeliveries(store.db, [
        { state: 'sent', receipt: 'r1' },
        { state: 'sent', receipt: 'r2' },
      ])
      await hear(undelivered('r1'), delivered('r1'), delivered('r2'), undelivered('r2'))
      expect(await states(store.db)).toEqual({ delivered: 2 })
      expect((await find(store.db, one)).history).toHaveLength(1)
      expect((await find(store.db, two)).history).toHaveLength(1)
    })
  })

  describe('of a delivery that is not noted as sent', () => {
    it.each<[string, Put]>([
      ['is with a worker', { state: 'queued', leaseSeconds: 30 }],
      ['was with a worker that died', { state: 'queued', leaseSeconds: -30 }],
      ['waits for another attempt, after one without an answer', { state: 'queued', maybeSent: true }],
      ['was given up, after an attempt without an answer', { state: 'dead', maybeSent: true }],
      ['was refused, after an attempt without an answer', { state: 'failed', maybeSent: true }],
      ['expired, after an attempt without an answer', { state: 'expired', maybeSent: true }],
      ['was cancelled too late', { state: 'cancelled', reason: 'MAY_HAVE_GONE_OUT', maybeSent: true }],
    ])('prove by our own id that it went out, if it %s', async (_name, delivery) => {
      for (const state of ['delivered', 'undelivered'] as const) {
        const id = await put(delivery)
        await hear({ deliveryId: id, state, why: 'words' })
        expect(await find(store.db, id)).toMatchObject({
          state,
          isLeased: false,
          isSettled: true,
          history: [{ state }],
        })
      }
    })

    it('leave nothing to settle to the worker that has it', async () => {
      const id = await put({ state: 'queued', leaseSeconds: 30 })
      const held = await query<{ lease: string }>(store.db, sql`select lease from deliveries where id = ${id}`)
      await hear({ deliveryId: id, state: 'delivered' })
      const late = await query(
        store.db,
        sql`update deliveries set state = 'sent' where id = ${id} and lease = ${held[0]!.lease} returning id`,
      )
      expect(late).toEqual([])
    })

    it.each<[DeliveryState]>([['queued'], ['dead'], ['failed'], ['expired'], ['cancelled'], ['skipped']])(
      'change nothing if it is %s and never went out',
      async (state) => {
        const id = await put({ state })
        await hear({ deliveryId: id, state: 'delivered' })
        expect(await find(store.db, id)).toMatchObject({ state, history: [] })
        expect(await waiting(store.db)).toBe(0)
      },
    )

    it.each<[DeliveryState, string]>([
      ['queued', 'REPLAYED'],
      ['expired', 'TOO_OLD'],
      ['cancelled', 'MAY_HAVE_GONE_OUT'],
    ])('prove that it arrived after all, if it was sent, replayed and is %s now', async (state, reason) => {
      const id = await put({ state, reason, receipt: 'r1', maybeSent: true })
      await hear(undelivered('r1'))
      expect(await find(store.db, id)).toMatchObject({ state, history: [] })
      await hear(delivered('r1'))
      expect(await find(store.db, id)).toMatchObject({ state: 'delivered', isSettled: true })
      expect(await waiting(store.db)).toBe(0)
    })

    it('do not undo a replay when the bad word comes once more', async () => {
      const id = await put({ state: 'queued', reason: 'REPLAYED', maybeSent: true })
      await hear({ deliveryId: id, state: 'undelivered' })
      expect(await find(store.db, id)).toMatchObject({ state: 'queued', history: [] })
      await hear({ deliveryId: id, state: 'delivered' })
      expect((await find(store.db, id)).state).toBe('delivered')
    })

    it('wait for the settlement when they name it by the receipt that this will bring', async () => {
      const id = await put({ state: 'queued', leaseSeconds: 30 })
      await hear(undelivered('r1', 'words', { address: '+8613800138000' }))
      await applyWaiting(hearing)
      expect((await find(store.db, id)).state).toBe('queued')
      expect(await waiting(store.db)).toBe(1)
      await query(store.db, sql`update deliveries set state = 'sent', receipt = 'r1', lease = null where id = ${id}`)
      await applyWaiting(hearing)
      expect(await find(store.db, id)).toMatchObject({ state: 'undelivered', lastError: 'words' })
      expect(await waiting(store.db)).toBe(0)
    })
  })

  describe('that wait', () => {
    it('are tried again at a beat, without being asked to', async () => {
      const watching = watchWaiting(hearing)
      try {
        await hear(delivered('r1'))
        const id = await put({ state: 'sent', receipt: 'r1' })
        await eventually(async () => (await find(store.db, id)).state === 'delivered')
      } finally {
        await watching.stop()
      }
    })

    it('do not pile up when they come again', async () => {
      for (let times = 0; times < 3; times++) await hear(delivered('r1'), delivered('r1'), undelivered('r1'))
      expect(await waiting(store.db)).toBe(2)
    })

    it('end with the good word, whichever came first', async () => {
      await hear(delivered('r1'))
      await hear(undelivered('r1'))
      const id = await put({ state: 'sent', receipt: 'r1' })
      await applyWaiting(hearing)
      expect((await find(store.db, id)).state).toBe('delivered')
      expect(await waiting(store.db)).toBe(0)
    })

    it('are tried page after page, and those that still wait are not in the way', async () => {
      const stray = Array.from({ length: 2_500 }, (_, at) => delivered(`stray-${at}`))
      await hear(...stray, delivered('last'))
      const id = await put({ state: 'sent', receipt: 'last' })
      await applyWaiting(hearing)
      expect((await find(store.db, id)).state).toBe('delivered')
      expect(await waiting(store.db)).toBe(2_500)
    })

    it('are dropped after a day, which only a debug line tells', async () => {
      await hear(delivered('old'), delivered('young'))
      await query(store.db, sql`update receipts set created_at = now() - interval '25 hours' where receipt = 'old'`)
      expect(await dropOldReceipts(hearing)).toBe(1)
      expect(await waiting(store.db)).toBe(1)
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 20, dropped: 1 }])
    })

    it('have bounded room, each channel its own', async () => {
      await query(
        store.db,
        sql`
          insert into receipts (id, channel_id, receipt, state)
          select gen_random_uuid(), '1001', 'flood-' || n, 'delivered' from generate_series(1, 99999) as n`,
      )
      await hear(delivered('a'), delivered('b'))
      expect(await waiting(store.db)).toBe(100_000)
      await hear(delivered('c'))
      expect(await waiting(store.db)).toBe(100_000)
      expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 40, channelId: '1001' }])
      await hearReceipts(hearing, '1009', [delivered('d')])
      expect(await waiting(store.db)).toBe(100_001)
    })
  })

  it('never touch a delivery of another channel, by whatever name', async () => {
    const id = await put({ state: 'sent', receipt: 'r1', channelId: '1009' })
    await hear({ deliveryId: id, state: 'undelivered' }, undelivered('r1'))
    await applyWaiting(hearing)
    expect(await find(store.db, id)).toMatchObject({ state: 'sent', history: [] })
  })

  it('come a thousand in one call, and more', async () => {
    const all = Array.from({ length: 1_500 }, (_, at) => `r${at}`)
    await putDeliveries(
      store.db,
      all.map((receipt) => ({ state: 'sent', receipt })),
    )
    await hear(...all.map((receipt, at) => (at % 3 === 0 ? undelivered(receipt) : delivered(receipt))))
    expect(await states(store.db)).toEqual({ delivered: 1_000, undelivered: 500 })
  })

  it('may say anything: a row never fails for the words of a server', async () => {
    const long = 'x'.repeat(600)
    const [one = '', two = ''] = await putDeliveries(store.db, [
      { state: 'sent', receipt: 'r1' },
      { state: 'sent', receipt: long.slice(0, 500) },
    ])
    await hear(
      undelivered('r1', `\0half\ud800${long}`, { at: new Date(Number.NaN) }),
      delivered(long),
      delivered(''),
      { deliveryId: "x' or 1=1", state: 'delivered' },
      delivered('\ud800\0', { address: '\0' }),
    )
    expect((await find(store.db, one)).lastError).toMatch(/^half\ufffdx+$/)
    expect((await find(store.db, two)).state).toBe('delivered')
    expect(await waiting(store.db)).toBe(1)
  })

  it('are counted by what they did', async () => {
    await putDeliveries(store.db, [
      { state: 'sent', receipt: 'r1' },
      { state: 'sent', receipt: 'r2' },
      { state: 'sent', receipt: 'r2' },
    ])
    await hear(delivered('r1'), delivered('r1'), undelivered('r2'), delivered('unknown'), {
      deliveryId: '?',
      state: 'delivered',
    })
    await put({ state: 'sent', receipt: 'unknown' })
    await applyWaiting(hearing)
    const hints = { isUp: () => true }
    const context = { db: store.db, channels: new Map(), live: { connected: () => 0 }, hints, log: hearing.log }
    const { text } = await hearing.metrics!.read(context as never)
    const counted = text.split('\n').filter((line) => /^posthouse_(receipts|deliveries)_total/.test(line))
    expect(counted.toSorted()).toEqual([
      'posthouse_deliveries_total{channel="1001",outcome="delivered"} 2',
      'posthouse_deliveries_total{channel="1001",outcome="undelivered"} 2',
      'posthouse_receipts_total{channel="1001",outcome="applied"} 3',
      'posthouse_receipts_total{channel="1001",outcome="ignored"} 2',
      'posthouse_receipts_total{channel="1001",outcome="waiting"} 1',
    ])
  })

  describe('over a connection of their own', () => {
    /** The store as it is while the database is away for the first `times` statements. */
    function away(times: number): Hearing {
      let left = times
      const run: Store['run'] = (...statement) =>
        left-- > 0 ? Promise.reject(new Refusal('UNAVAILABLE')) : store.run(...statement)
      return { ...hearing, store: { ...store, run } }
    }

    it('are stored once the database is back', async () => {
      const id = await put({ state: 'sent', receipt: 'r1' })
      await makeHear(away(3), CHANNEL)([delivered('r1')])
      expect((await find(store.db, id)).state).toBe('delivered')
    })

    it('are refused when it stays away, so that the provider sends them again', { timeout: 15_000 }, async () => {
      await expect(makeHear(away(Infinity), CHANNEL)([delivered('r1')])).rejects.toThrow(/Unavailable/)
    })
  })
})
