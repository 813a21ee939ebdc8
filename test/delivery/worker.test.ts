import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import { USUAL_LIMITS, type Outcome } from '../../src/delivery/channel.ts'
import { tidy } from '../../src/delivery/tidy.ts'
import { eventually } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { empty, putMails, row, rows, sent, work } from './kit.ts'

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const people = (count: number) => Array.from({ length: count }, (_, at) => `person${at}@example.org`)

describe.each(stores)('a worker, on $name', ({ open }) => {
  let store: Store
  let worker: Awaited<ReturnType<typeof work>> | undefined
  beforeAll(async () => {
    store = await open()
  })
  beforeEach(() => empty(store.db))
  afterEach(async () => {
    await worker?.stop()
    worker = undefined
  })
  afterAll(() => store.close())
  const become = (state: string) =>
    eventually(async () => {
      const only = await row(store.db)
      return only.state === state && only
    })

  it('tries again after a while what may pass, and notes how it ended', async () => {
    let attempts = 0
    await putMails(store.db, { addresses: ['a@example.org'] })
    worker = await work(store, async (): Promise<Outcome> =>
      ++attempts === 1
        ? { outcome: 'retry', cause: 'temporary', why: '450 busy' }
        : { outcome: 'sent', receipt: '250 taken' },
    )
    await eventually(() => attempts === 1)
    await pause(400)
    expect(await row(store.db)).toMatchObject({
      state: 'queued',
      reason: 'TEMPORARY',
      lastError: '450 busy',
      attempts: 1,
    })
    expect(await become('sent')).toMatchObject({ receipt: '250 taken', lastError: null, attempts: 2 })
  })

  it('wakes the provider at its start, for receipts that wait there', async () => {
    let woken = 0
    worker = await work(store, sent, undefined, {}, undefined, () => void woken++)
    expect(woken).toBe(1)
  })

  it('takes a throw for something that may pass', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    worker = await work(store, () => {
      throw new Error('oops')
    })
    await eventually(async () => (await row(store.db)).lastError === 'oops')
    expect(await row(store.db)).toMatchObject({ state: 'queued', reason: 'AMBIGUOUS', maybeSent: true })
  })

  it('gives up for good after the last attempt', async () => {
    let attempts = 0
    await putMails(store.db, { addresses: ['a@example.org'] })
    await query(store.db, sql`update deliveries set attempts = ${USUAL_LIMITS.attempts - 1}`)
    worker = await work(store, async () => ({ outcome: 'retry', cause: 'temporary', why: `busy ${++attempts}` }))
    expect(await become('dead')).toMatchObject({ reason: 'ATTEMPTS_USED_UP', lastError: 'busy 1', isSettled: true })
  })

  it('ends a delivery that no worker survives, without another attempt', async () => {
    let attempts = 0
    await putMails(store.db, { addresses: ['a@example.org'] })
    await query(
      store.db,
      sql`
      update deliveries set attempts = ${USUAL_LIMITS.attempts}, lease = gen_random_uuid(), lease_until = now() - interval '1 second'`,
    )
    worker = await work(store, async () => (attempts++, { outcome: 'sent' }))
    expect(await become('dead')).toMatchObject({ lastError: 'no worker survived it' })
    expect(attempts).toBe(0)
  })

  it('sends nothing that has become too old', async () => {
    let attempts = 0
    await putMails(store.db, { addresses: ['a@example.org'], ageHours: 25 })
    worker = await work(store, async () => (attempts++, { outcome: 'sent' }))
    expect(await become('expired')).toMatchObject({ reason: 'TOO_OLD', isSettled: true })
    expect(attempts).toBe(0)
  })

  it('leaves what it has no channel for to other nodes while a deployment may be under way', async () => {
    await putMails(store.db, { addresses: ['a@example.org'], channelId: '1077', dueInSeconds: -600 })
    expect(await tidy(store.db, ['1003'])).toBe(0)
    expect(await row(store.db)).toMatchObject({ state: 'queued', attempts: 0 })
    await query(store.db, sql`update contents set channel_id = '1003', kind = 'sms'`)
    await query(store.db, sql`update deliveries set channel_id = '1003'`)
    worker = await work(store, sent)
    await eventually(async () => (await row(store.db)).lastError === 'channel 1003 carries mail now, and this is sms')
    expect(await row(store.db)).toMatchObject({ state: 'queued', reason: 'UNAVAILABLE', maybeSent: false })
  })

  it('fails in the end what has no channel any more, or one that carries something else', async () => {
    const aged = { dueInSeconds: -1_000, ageHours: 1 }
    await putMails(store.db, { addresses: ['a@example.org'], channelId: '1077', ...aged })
    worker = await work(store, sent)
    expect(await become('failed')).toMatchObject({ reason: 'NO_CHANNEL', lastError: 'channel 1077 is not configured' })
    await query(store.db, sql`update contents set channel_id = '1003', kind = 'sms'`)
    await query(store.db, sql`update deliveries set channel_id = '1003', state = 'queued'`)
    await eventually(async () => (await row(store.db)).lastError === 'channel 1003 carries mail now, and this is sms')
    expect(await row(store.db)).toMatchObject({ state: 'failed', reason: 'NO_CHANNEL' })
  })

  it('leaves a provider that does not answer, and aborts what it had begun', async () => {
    let aborted = false
    await putMails(store.db, { addresses: ['a@example.org'] })
    const silent = (_parcel: unknown, signal: AbortSignal) => {
      signal.addEventListener('abort', () => (aborted = true))
      return new Promise<Outcome>(() => {})
    }
    worker = await work(store, silent, 300)
    await eventually(async () => (await row(store.db)).lastError === 'no answer within 300 ms')
    expect(aborted).toBe(true)
  })

  it('has no more attempts under way than the channel has slots, some of them kept for other lanes', async () => {
    let underWay = 0
    let most = 0
    await putMails(store.db, { addresses: people(35) })
    worker = await work(store, async () => {
      most = Math.max(most, ++underWay)
      await pause(50)
      underWay--
      return { outcome: 'sent' }
    })
    await eventually(async () => (await rows(store.db)).every(({ state }) => state === 'sent'))
    expect(most).toBe(7)
  })

  it('stops when the attempts under way have ended, begins no other, and leaves nothing claimed', async () => {
    let begun = 0
    let ended = 0
    await putMails(store.db, { addresses: people(35) })
    const stopping = await work(store, async () => {
      begun++
      await pause(200)
      ended++
      return { outcome: 'sent' }
    })
    await eventually(() => begun === 7)
    await stopping.stop()
    expect(ended).toBe(begun)
    const now = await rows(store.db)
    expect(now.filter(({ state }) => state === 'sent').length).toBe(ended)
    expect(now.filter(({ state, attempts }) => state === 'queued' && attempts === 0).length).toBe(35 - ended)
    await pause(300)
    expect(ended).toBe(begun)
  })

  it('stops in the time of one attempt though the provider never answers', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    let begun = false
    const stopping = await work(store, () => ((begun = true), new Promise<Outcome>(() => {})), 1_000)
    await eventually(() => begun)
    const startedAt = performance.now()
    await stopping.stop()
    expect(performance.now() - startedAt).toBeLessThan(2_500)
    expect(await row(store.db)).toMatchObject({ state: 'queued', reason: 'AMBIGUOUS', maybeSent: true })
  })

  it('asks the database a few times a second when there is nothing to do', async () => {
    const counted = counting(store)
    worker = await work(counted.store, sent)
    await pause(300)
    const before = counted.statements()
    await pause(2_000)
    expect(counted.statements() - before).toBeGreaterThanOrEqual(4)
    // Fan-out, the channel and waking twice a second each, tidying and suspects every two seconds.
    expect(counted.statements() - before).toBeLessThanOrEqual(16)
  })

  it('does not look for messages anew at every one of many hints', async () => {
    let looks = 0
    const run: Store['run'] = (text, params, mode) => {
      if (text.includes('"nextInSeconds"')) looks++
      return store.run(text, params, mode)
    }
    worker = await work({ ...store, run, db: drizzle((text, params, mode) => run(text, params, mode as 'all')) }, sent)
    await pause(100)
    looks = 0
    const startedAt = performance.now()
    while (performance.now() - startedAt < 500) {
      worker.hints.send({ kind: 'work' })
      await pause(2)
    }
    expect(looks).toBeGreaterThan(1)
    // One in 20 ms at the most.
    expect(looks).toBeLessThanOrEqual(1 + (performance.now() - startedAt) / 20)
  })

  it.each([
    ['is looking', 0],
    ['waits', 50],
  ])('begins at a hint that comes while it %s, not only at its beat', async (_when, later) => {
    let hintedAt = 0
    let lookedAgainAt = 0
    const run: Store['run'] = async (text, params, mode) => {
      const isClaim = text.includes('with recursive turn') && text.includes('lane as')
      if (isClaim && hintedAt > 0) lookedAgainAt ||= performance.now()
      const found = await store.run(text, params, mode)
      // The look has found nothing and the worker has not heard so yet.
      if (isClaim && hintedAt === 0 && worker !== undefined) {
        hintedAt = performance.now()
        if (later === 0) worker.hints.send({ kind: 'work' })
        else setTimeout(() => worker?.hints.send({ kind: 'work' }), later)
      }
      return found
    }
    worker = await work({ ...store, run, db: drizzle((text, params, mode) => run(text, params, mode as 'all')) }, sent)
    await eventually(() => lookedAgainAt)
    // The beat would take 500 ms.
    expect(lookedAgainAt - hintedAt).toBeLessThan(400)
  })

  it('begins no renewal of leases while the last is under way, and goes on after one that failed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const renewals: PromiseWithResolvers<void>[] = []
      const run: Store['run'] = async (text, params, mode) => {
        if (text.includes('update deliveries set lease_until = now()')) {
          renewals.push(Promise.withResolvers())
          await renewals.at(-1)!.promise
        }
        return store.run(text, params, mode)
      }
      const ended = Promise.withResolvers<Outcome>()
      let begun = 0
      await putMails(store.db, { addresses: ['a@example.org'] })
      const db = drizzle((text, params, mode) => run(text, params, mode as 'all'))
      worker = await work({ ...store, run, db }, () => (begun++, ended.promise))
      await eventually(() => begun === 1)
      vi.advanceTimersByTime(30_000)
      await pause(20)
      expect(renewals.length).toBe(1)
      renewals[0]!.reject(new Error('away'))
      await eventually(() => worker?.lines.some((line) => line.includes('leases not renewed')))
      vi.advanceTimersByTime(10_000)
      await eventually(() => renewals.length === 2)
      renewals[1]!.resolve()
      ended.resolve({ outcome: 'sent' })
      await become('sent')
    } finally {
      vi.useRealTimers()
    }
  })

  it('pauses while the database is away, goes on by itself, and sends nothing twice', async () => {
    const failing = counting(store)
    const attempts: string[] = []
    const startedAt = performance.now()
    worker = await work(failing.store, async ({ address }) => {
      attempts.push(address)
      // Away just when the outcome is to be noted.
      failing.failUntil(Date.now() + 1_200)
      return { outcome: 'sent' }
    })
    await putMails(store.db, { addresses: ['a@example.org'] })
    await become('sent')
    failing.failUntil(Date.now() + 500)
    await pause(600)
    await putMails(store.db, { addresses: ['b@example.org'] })
    await eventually(async () => (await rows(store.db)).every(({ state }) => state === 'sent'))
    expect(attempts).toEqual(['a@example.org', 'b@example.org'])
    const errors = worker.lines.filter((line) => line.includes('trying again'))
    expect(errors.length).toBeGreaterThan(0)
    // Each loop waits a second before it tries again.
    const most = 1 + Math.ceil((performance.now() - startedAt) / 1_000)
    for (const [what, same] of Map.groupBy(errors, (line) => (JSON.parse(line) as { msg: string }).msg))
      expect([what, same.length <= most]).toEqual([what, true])
  })

  it('writes no address into the log, whatever a provider or the database says', async () => {
    await putMails(store.db, { addresses: ['liwei@example.org'] })
    const why = '550 <LiWei@Example.org> unknown; tried +8618660886275 and 18660886834'
    worker = await work(store, async () => ({ outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }))
    expect(await become('failed')).toMatchObject({ lastError: why })
    await query(store.db, sql`alter table deliveries add constraint nothing_settles check (receipt is null)`)
    await worker.stop()
    const [first] = worker.lines.filter((line) => line.includes('not sent'))
    expect(JSON.parse(first ?? '')).toMatchObject({
      why: '550 [hidden] unknown; tried [hidden] and [hidden]',
      reason: 'REFUSED_BY_PROVIDER',
    })
    // The row that PostgreSQL quotes, and the parameters that its client adds, hold the address.
    worker = await work(store, async () => ({ outcome: 'sent', receipt: '250 for liwei@example.org' }))
    await query(store.db, sql`update deliveries set state = 'queued'`)
    const lines = worker.lines
    await eventually(() => lines.some((line) => line.includes('not settled')))
    expect(lines.join('')).toMatch(/nothing_settles/)
    expect(lines.join('')).not.toMatch(/liwei|18660886/i)
    await query(store.db, sql`alter table deliveries drop constraint nothing_settles`)
  })
})

/** The same store with its statements counted, which can be told to fail for a while. */
function counting(store: Store) {
  let statements = 0
  let until = 0
  const run: Store['run'] = (text, params, mode) => {
    statements++
    return Date.now() < until ? Promise.reject(new Error('the database is away')) : store.run(text, params, mode)
  }
  return {
    store: { ...store, run, db: drizzle((text, params, mode) => run(text, params, mode as 'all')) } as Store,
    statements: () => statements,
    failUntil: (time: number) => void (until = time),
  }
}
