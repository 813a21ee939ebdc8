/** How a channel's deliveries share it: lanes, apps, a rate, a circuit, calls for several at once. */
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'
import { eventually } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { empty, putMails, row, rows, sent, work } from './kit.ts'

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const many = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name}${at}@example.org`)
const CALL_MS = 30

describe.each(stores)('a channel, on $name', ({ open }) => {
  let store: Store
  let worker: Awaited<ReturnType<typeof work>> | undefined
  let sentTo: string[] = []
  beforeAll(async () => {
    store = await open()
  })
  beforeEach(async () => {
    await empty(store.db)
    await query(store.db, sql`truncate gates`)
    sentTo = []
  })
  afterEach(async () => {
    await worker?.stop()
    worker = undefined
  })
  afterAll(() => store.close())
  const slowly: Carrier['send'] = async ({ address }) => {
    sentTo.push(address)
    await pause(CALL_MS)
    return { outcome: 'sent' }
  }
  const allSent = () => eventually(async () => (await rows(store.db)).every(({ state }) => state === 'sent'), 20_000)

  it('sends a high message at once while a campaign fills the low lane', async () => {
    await putMails(store.db, { addresses: many('low', 2_000), priority: 1 })
    worker = await work(store, slowly)
    await eventually(() => sentTo.length > 20)
    const before = sentTo.length
    await putMails(store.db, { addresses: ['high@example.org'], priority: 3 })
    worker.hints.send({ kind: 'work' })
    await eventually(() => sentTo.includes('high@example.org'))
    // One round of the low lane's slots at the most went out in between.
    expect(sentTo.indexOf('high@example.org') - before).toBeLessThanOrEqual(12)
  })

  it('never starves the low lane under a flood of high messages', async () => {
    await putMails(store.db, { addresses: many('high', 1_000), priority: 3 })
    await putMails(store.db, { addresses: many('low', 5), priority: 1 })
    worker = await work(store, slowly, undefined, { concurrency: 2 })
    await eventually(() => sentTo.filter((address) => address.startsWith('low')).length === 5)
    expect(sentTo.length).toBeLessThan(100)
  })

  it('lets apps take turns: a long queue of one does not delay the others', async () => {
    await putMails(store.db, { addresses: many('first', 500), appId: 'first', dueInSeconds: -60 })
    await putMails(store.db, { addresses: many('second', 20), appId: 'second', dueInSeconds: -30 })
    await putMails(store.db, { addresses: many('third', 20), appId: 'third' })
    worker = await work(store, slowly, undefined, { concurrency: 1 })
    await eventually(() => sentTo.length >= 30)
    const ofApp = (name: string) => sentTo.slice(0, 30).filter((address) => address.startsWith(name)).length
    expect([ofApp('first'), ofApp('second'), ofApp('third')]).toEqual([10, 10, 10])
  })

  it('keeps to its rate, all nodes together', async () => {
    await putMails(store.db, { addresses: many('person', 60) })
    const startedAt = performance.now()
    const limits = { rate: 20, concurrency: 10 }
    worker = await work(store, slowly, undefined, limits)
    const second = await work(store, slowly, undefined, limits)
    await allSent()
    await second.stop()
    // A second's worth at once, the rest at 20 a second.
    expect(performance.now() - startedAt).toBeGreaterThan(1_900)
    expect(performance.now() - startedAt).toBeLessThan(8_000)
    expect(sentTo.length).toBe(60)
  })

  it('leaves a provider that does not answer alone, and finds out by single probes when it is back', async () => {
    let isUp = false
    let calls = 0
    await putMails(store.db, { addresses: many('person', 100) })
    worker = await work(store, async () => {
      calls++
      await pause(5)
      return isUp ? { outcome: 'sent' } : { outcome: 'retry', cause: 'unavailable', why: 'connection refused' }
    })
    const { openCircuits } = worker
    await eventually(() => openCircuits().includes('1003'))
    await pause(300)
    const atOpening = calls
    expect(atOpening).toBeLessThan(25)
    await pause(1_500)
    expect(calls).toBe(atOpening)
    const waiting = (await rows(store.db)).filter(({ state, attempts }) => state === 'queued' && attempts === 0)
    expect(waiting.length).toBeGreaterThan(70)
    isUp = true
    await query(store.db, sql`update deliveries set due_at = now() where state = 'queued'`)
    await allSent()
    expect(openCircuits()).toEqual([])
  })

  it('keeps sending what may be sent when single recipients are refused', async () => {
    await putMails(store.db, { addresses: many('busy', 20) })
    worker = await work(store, async () => ({ outcome: 'retry', cause: 'temporary', why: '450 busy' }))
    await eventually(async () => (await rows(store.db)).every(({ attempts }) => attempts > 0))
    expect(worker.openCircuits()).toEqual([])
  })

  it('rests when the provider throttles again and again', async () => {
    let calls = 0
    await putMails(store.db, { addresses: many('person', 100) })
    worker = await work(
      store,
      async () => (calls++, { outcome: 'retry', cause: 'throttled', why: 'too fast', afterSeconds: 30 }),
      undefined,
      { concurrency: 2 },
    )
    await eventually(() => calls >= 3)
    await pause(1_000)
    expect(calls).toBeLessThan(8)
  })

  it('sends together what says the same, with an outcome for each', async () => {
    const calls: Parcel[][] = []
    const batch: Carrier['batch'] = {
      most: 40,
      send: async (parcels) => {
        calls.push(parcels)
        return parcels.map(({ address }): Outcome =>
          address.startsWith('bad')
            ? { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'no such number' }
            : { outcome: 'sent', receipt: `for ${address}` },
        )
      },
    }
    await putMails(store.db, { addresses: [...many('good', 90), 'bad@example.org'] })
    await putMails(store.db, { addresses: many('other', 10) })
    worker = await work(store, slowly, undefined, { concurrency: 5 }, batch)
    await eventually(async () => (await rows(store.db)).every(({ state }) => state === 'sent' || state === 'failed'))
    const found = await rows(store.db)
    expect(found.filter(({ state }) => state === 'failed').map(({ recipient }) => recipient)).toEqual([
      'bad@example.org',
    ])
    for (const { recipient, receipt, state } of found) {
      if (state === 'sent' && receipt !== null) expect(receipt).toBe(`for ${recipient}`)
    }
    expect(calls.every((call) => call.length <= 40 && new Set(call.map(({ messageId }) => messageId)).size === 1)).toBe(
      true,
    )
    expect(calls.length + sentTo.length).toBeLessThan(20)
    expect([...calls.flat().map(({ address }) => address), ...sentTo].length).toBe(101)
  })

  it('sends alone what is tried again, with its own id as dedupe key', async () => {
    const calls: Parcel[][] = []
    const batch: Carrier['batch'] = {
      most: 50,
      send: async (parcels) => {
        calls.push(parcels)
        return parcels.map((): Outcome => ({
          outcome: 'retry',
          cause: 'temporary',
          why: 'not together',
          afterSeconds: 0,
        }))
      },
    }
    await putMails(store.db, { addresses: many('person', 12) })
    worker = await work(store, slowly, undefined, { concurrency: 4 }, batch)
    await allSent()
    expect(new Set(sentTo).size).toBe(12)
    expect(calls.every((call) => call.every(({ attempt }) => attempt === 1))).toBe(true)
  })

  it('sends alone what is replayed, also beside what is sent for the first time', async () => {
    const together: string[] = []
    const batch: Carrier['batch'] = {
      most: 50,
      send: async (parcels) => {
        together.push(...parcels.map(({ address }) => address))
        return parcels.map((): Outcome => ({ outcome: 'sent' }))
      },
    }
    await putMails(store.db, { addresses: [...many('first', 10), ...many('again', 10)] })
    await query(
      store.db,
      sql`
        update deliveries
        set reason = 'REPLAYED', history = '[{"at": "2026-01-01T00:00:00Z", "state": "failed", "attempt": 1}]'
        where recipient like 'again%'`,
    )
    // Few slots, so that most of them could only come along with another.
    worker = await work(store, slowly, undefined, { concurrency: 5 }, batch)
    await allSent()
    expect(together.filter((address) => address.startsWith('again'))).toEqual([])
    expect(sentTo.filter((address) => address.startsWith('again')).toSorted()).toEqual(many('again', 10))
    expect(together.length).toBeGreaterThan(5)
  })

  it('tells the provider who may have taken a delivery that got no answer before', async () => {
    const told: (string | undefined)[] = []
    await putMails(store.db, { addresses: ['a@example.org'] })
    worker = await work(store, async ({ maybeVia }) => {
      told.push(maybeVia)
      return told.length === 1
        ? { outcome: 'retry', cause: 'ambiguous', why: 'no answer', via: 'first', afterSeconds: 0 }
        : { outcome: 'sent', via: 'first' }
    })
    await allSent()
    expect(told).toEqual([undefined, 'first'])
  })

  it('tells the provider when a worker was lost with a delivery, so that anybody may have taken it', async () => {
    const told: unknown[] = []
    await putMails(store.db, { addresses: ['a@example.org'] })
    await query(
      store.db,
      sql`update deliveries set lease = gen_random_uuid(), lease_until = now() - interval '1 second', attempts = 1`,
    )
    worker = await work(store, async ({ maybeVia, maybeAnyone }) => {
      told.push([maybeVia, maybeAnyone])
      return { outcome: 'sent', via: 'first', why: 'may have been sent through another member as well' }
    })
    await allSent()
    expect(told).toEqual([[undefined, true]])
    expect(await row(store.db)).toMatchObject({ lastError: 'may have been sent through another member as well' })
  })

  it('sends a row that workers keep dying of alone, and lets its neighbours pass', async () => {
    let together = 0
    let most = 0
    await putMails(store.db, { addresses: many('person', 10) })
    await query(
      store.db,
      sql`update deliveries set losses = 2, lease = gen_random_uuid(), lease_until = now() - interval '1 second'`,
    )
    worker = await work(store, async () => {
      most = Math.max(most, ++together)
      await pause(5)
      together--
      return { outcome: 'sent' }
    })
    await allSent()
    expect(most).toBe(1)
  })

  it('sends the others while suspect rows cannot be looked for', async () => {
    const run: Store['run'] = async (text, ...rest) => {
      if (/and losses >= 2/.test(text)) throw new Error('the search failed')
      return store.run(text, ...rest)
    }
    await putMails(store.db, { addresses: many('person', 10) })
    worker = await work({ ...store, run }, sent)
    await allSent()
    expect(worker.lines.filter((line) => line.includes('suspects not looked for'))).not.toEqual([])
  })

  it('expires what waited too long for a provider that never came back', async () => {
    await putMails(store.db, { addresses: many('person', 30) })
    worker = await work(store, async () => ({ outcome: 'retry', cause: 'unavailable', why: 'connection refused' }))
    const { openCircuits } = worker
    await eventually(() => openCircuits().includes('1003'))
    await query(store.db, sql`update deliveries set expires_at = now() - interval '1 second', due_at = now()`)
    await eventually(async () => (await rows(store.db)).every(({ state }) => state === 'expired'))
    expect((await rows(store.db)).at(-1)?.history.at(-1)).toMatchObject({ state: 'expired', reason: 'TOO_OLD' })
  })

  it('stops an attempt whose lease has gone to another worker, and cannot settle it', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    const ended = Promise.withResolvers<Outcome>()
    worker = await work(store, () => (sentTo.push('begun'), ended.promise))
    await eventually(() => sentTo.length === 1)
    // As after a SIGSTOP beyond the lease: another worker has taken and settled it.
    await query(
      store.db,
      sql`update deliveries set lease = gen_random_uuid(), lease_until = now() + interval '1 minute'`,
    )
    ended.resolve({ outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why: '550' })
    const { lines } = worker
    await eventually(() => lines.some((line) => line.includes('settled too late')))
    expect((await rows(store.db))[0]).toMatchObject({ state: 'sending', lastError: null })
  })
})
