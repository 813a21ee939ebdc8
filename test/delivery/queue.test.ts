import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import type { Outcome } from '../../src/delivery/channel.ts'
import { after, claim, giveBack, MAX_ATTEMPTS, settle, TOO_OLD, type Claimed } from '../../src/delivery/queue.ts'
import { stores } from '../kit/stores.ts'
import { empty, putMails, row, rows } from './kit.ts'

const SENT = after({ outcome: 'sent', receipt: '250 taken' }, 1)
const retry = (afterSeconds?: number): Outcome => ({
  outcome: 'retry',
  why: '450 busy',
  ...(afterSeconds === undefined ? {} : { afterSeconds }),
})

describe.each(stores)('the queue, on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
  })
  beforeEach(() => empty(store.db))
  afterAll(() => store.close())

  const claimOne = async (): Promise<Claimed> => {
    const [claimed] = await claim(store.db, randomUUID(), 1)
    if (claimed === undefined) throw new Error('Nothing was claimed')
    return claimed
  }
  const endLease = () =>
    query(store.db, sql`update deliveries set lease_until = now() - interval '1 second' where state = 'sending'`)

  it('gives a delivery to one worker only', async () => {
    await putMails(store.db, { addresses: ['a@example.org', 'b@example.org', 'c@example.org'] })
    const claims = await Promise.all([
      claim(store.db, randomUUID(), 2),
      claim(store.db, randomUUID(), 2),
      claim(store.db, randomUUID(), 2),
    ])
    expect(
      claims
        .flat()
        .map(({ address }) => address)
        .toSorted(),
    ).toEqual(['a@example.org', 'b@example.org', 'c@example.org'])
    expect(await claim(store.db, randomUUID(), 10)).toEqual([])
  })

  it('gives nothing for a limit of 0', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    expect(await claim(store.db, randomUUID(), 0)).toEqual([])
    expect(await row(store.db)).toMatchObject({ state: 'queued', attempts: 0 })
  })

  it('gives high priority first, and what is not due not at all', async () => {
    await putMails(store.db, { addresses: ['low@example.org'], priority: 1, dueInSeconds: -60 })
    await putMails(store.db, { addresses: ['normal@example.org'], priority: 2, dueInSeconds: -30 })
    await putMails(store.db, { addresses: ['high@example.org'], priority: 3 })
    await putMails(store.db, { addresses: ['later@example.org'], priority: 3, dueInSeconds: 60 })
    const order = [await claimOne(), await claimOne(), await claimOne()].map(({ address }) => address)
    expect(order).toEqual(['high@example.org', 'normal@example.org', 'low@example.org'])
    expect(await claim(store.db, randomUUID(), 10)).toEqual([])
  })

  it('takes over from a worker that died, before anything that waits, and lets that worker settle no more', async () => {
    await putMails(store.db, { addresses: ['a@example.org'], priority: 1 })
    const first = await claimOne()
    await putMails(store.db, { addresses: ['b@example.org'], priority: 3 })
    await endLease()
    const second = await claimOne()
    expect(second).toMatchObject({ id: first.id, attempts: 2 })
    expect(await settle(store.db, first, SENT)).toBe(false)
    expect(await rows(store.db)).toMatchObject([{ state: 'sending' }, { state: 'queued' }])
    expect(await settle(store.db, second, after(retry(), 2))).toBe(true)
    // Nor when the row is queued again, or with a third worker.
    expect(await settle(store.db, first, SENT)).toBe(false)
    expect(await settle(store.db, second, SENT)).toBe(false)
  })

  it('settles with state, reason, words and times', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    await settle(store.db, await claimOne(), after(retry(), 1))
    const waiting = await row(store.db)
    expect(waiting).toMatchObject({
      state: 'queued',
      reason: 'RETRYING',
      lastError: '450 busy',
      attempts: 1,
      isSettled: false,
    })
    expect(waiting.dueInSeconds).toBeGreaterThan(0.5)
    expect(waiting.dueInSeconds).toBeLessThanOrEqual(2)
    await query(store.db, sql`update deliveries set due_at = now()`)
    await settle(store.db, await claimOne(), SENT)
    expect(await row(store.db)).toMatchObject({
      state: 'sent',
      reason: null,
      lastError: null,
      receipt: '250 taken',
      attempts: 2,
      isSettled: true,
    })
  })

  it('expires what is too old, or would be at its next attempt, and keeps the last words', async () => {
    await putMails(store.db, { addresses: ['a@example.org'], ageHours: 23 })
    const claimed = await claimOne()
    expect(claimed.isTooOld).toBe(false)
    await settle(store.db, claimed, after(retry(3 * 3600), 1))
    expect(await row(store.db)).toMatchObject({
      state: 'expired',
      reason: 'TOO_OLD',
      lastError: '450 busy',
      isSettled: true,
    })

    await query(
      store.db,
      sql`update deliveries set state = 'queued', created_at = now() - interval '25 hours', due_at = now()`,
    )
    const old = await claimOne()
    expect(old.isTooOld).toBe(true)
    await settle(store.db, old, TOO_OLD)
    expect(await row(store.db)).toMatchObject({
      state: 'expired',
      reason: 'TOO_OLD',
      lastError: '450 busy',
      isSettled: true,
    })
  })

  it.each<[string, Outcome, string]>([
    ['words that no database takes', { outcome: 'retry', why: 'bell \0 and half \ud800 '.repeat(50) }, 'queued'],
    ['nothing but NUL', { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why: '\0' }, 'failed'],
    ['a receipt without end', { outcome: 'sent', receipt: `x${'😀'.repeat(400)}\0` }, 'sent'],
    ['later than any calendar', { outcome: 'retry', why: 'x', afterSeconds: 1e300 }, 'expired'],
    ['never', { outcome: 'retry', why: 'x', afterSeconds: Infinity }, 'expired'],
    ['no number', { outcome: 'retry', why: 'x', afterSeconds: NaN }, 'queued'],
    ['a time ago', { outcome: 'retry', why: 'x', afterSeconds: -5 }, 'queued'],
  ])('settles whatever a provider answers: %s', async (_answer, outcome, state) => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    expect(await settle(store.db, await claimOne(), after(outcome, 1))).toBe(true)
    const settled = await row(store.db)
    expect(settled.state).toBe(state)
    expect(settled.lastError?.length ?? 0).toBeLessThanOrEqual(500)
  })

  it('takes a claim back as if it had not been made', async () => {
    await putMails(store.db, { addresses: ['a@example.org', 'b@example.org'] })
    const [mine, other] = [await claimOne(), await claimOne()]
    await giveBack(store.db, mine.lease)
    expect(await settle(store.db, mine, SENT)).toBe(false)
    const again = await claimOne()
    expect(again).toMatchObject({ id: mine.id, attempts: 1 })
    expect(await settle(store.db, other, SENT)).toBe(true)
  })
})

describe('the way after an attempt', () => {
  it('leads to dead with the last one', () => {
    expect(after(retry(), MAX_ATTEMPTS - 1)).toMatchObject({ state: 'queued' })
    expect(after(retry(), MAX_ATTEMPTS)).toMatchObject({ state: 'dead', reason: 'ATTEMPTS_USED_UP', error: '450 busy' })
  })

  it('outlives a provider that is away for two hours, and does not hammer it', () => {
    const delays = Array.from({ length: MAX_ATTEMPTS - 1 }, (_, at) => after(retry(), at + 1).delay)
    expect(delays.reduce((sum, delay) => sum + delay)).toBeGreaterThan(2 * 3600)
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(1)
    expect(Math.max(...delays)).toBeLessThanOrEqual(3600)
  })

  it('waits as long as the provider asks', () => {
    expect(after(retry(90), 1).delay).toBe(90)
  })
})
