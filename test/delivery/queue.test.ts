import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import type { Outcome } from '../../src/delivery/channel.ts'
import { giveBack, renew } from '../../src/delivery/leases.ts'
import { claim, type Claimed } from '../../src/delivery/queue.ts'
import { LANES } from '../../src/delivery/lanes.ts'
import { after, TOO_OLD, type Settlement } from '../../src/delivery/retries.ts'
import { settleAll } from '../../src/delivery/settle.ts'
import { stores } from '../kit/stores.ts'
import { claimSome, empty, putMails, row, rows } from './kit.ts'

const SENT = after({ outcome: 'sent', receipt: '250 taken' }, 1, 12)
const retry = (afterSeconds?: number): Outcome => ({
  outcome: 'retry',
  cause: 'temporary',
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
    const [claimed] = await claimSome(store, 1)
    if (claimed === undefined) throw new Error('Nothing was claimed')
    return claimed
  }
  /** Whether the lease still held. */
  const settle = async (delivery: Claimed, to: Settlement) =>
    (await settleAll(store, [{ delivery, to, via: 'smtp' }])).has(delivery.id)
  const endLease = () =>
    query(store.db, sql`update deliveries set lease_until = now() - interval '1 second' where lease is not null`)

  it('gives a delivery to one worker only', async () => {
    await putMails(store.db, { addresses: ['a@example.org', 'b@example.org', 'c@example.org'] })
    const claims = await Promise.all([claimSome(store, 2), claimSome(store, 2), claimSome(store, 2)])
    expect(
      claims
        .flat()
        .map(({ address }) => address)
        .toSorted(),
    ).toEqual(['a@example.org', 'b@example.org', 'c@example.org'])
    expect(await claimSome(store, 10)).toEqual([])
  })

  it.each<[string, [provider: string, cause: string][], string | null]>([
    ['did not answer', [['a', 'ambiguous']], 'a'],
    [
      'was the last not to answer',
      [
        ['a', 'ambiguous'],
        ['b', 'ambiguous'],
      ],
      'b',
    ],
    [
      'was out of reach afterwards',
      [
        ['a', 'temporary'],
        ['b', 'ambiguous'],
        ['b', 'temporary'],
      ],
      'b',
    ],
    [
      'did not answer again',
      [
        ['a', 'ambiguous'],
        ['b', 'temporary'],
        ['a', 'ambiguous'],
      ],
      'a',
    ],
    [
      'must have refused it since others were asked',
      [
        ['a', 'ambiguous'],
        ['b', 'temporary'],
      ],
      null,
    ],
    [
      'must have refused it before it was asked again',
      [
        ['a', 'ambiguous'],
        ['b', 'temporary'],
        ['a', 'throttled'],
      ],
      null,
    ],
    ['did answer', [['a', 'temporary']], null],
  ])('tells who may have taken a delivery: who %s', async (_who, steps, expected) => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    for (const [via, cause] of steps) {
      const delivery = await claimOne()
      const outcome = { outcome: 'retry', cause, why: 'x' } as Outcome
      await settleAll(store, [{ delivery, to: after(outcome, delivery.attempts, 12), via }])
      await query(store.db, sql`update deliveries set due_at = now()`)
    }
    expect((await claimOne()).maybeVia).toBe(expected)
  })

  it('gives nothing for a limit of 0', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    expect(await claimSome(store, 0)).toEqual([])
    expect(await row(store.db)).toMatchObject({ state: 'queued', attempts: 0 })
  })

  it('gives high priority first, and what is not due not at all', async () => {
    await putMails(store.db, { addresses: ['low@example.org'], priority: 1, dueInSeconds: -60 })
    await putMails(store.db, { addresses: ['normal@example.org'], priority: 2, dueInSeconds: -30 })
    await putMails(store.db, { addresses: ['high@example.org'], priority: 3 })
    await putMails(store.db, { addresses: ['later@example.org'], priority: 3, dueInSeconds: 60 })
    const order = [await claimOne(), await claimOne(), await claimOne()].map(({ address }) => address)
    expect(order).toEqual(['high@example.org', 'normal@example.org', 'low@example.org'])
    expect(await claimSome(store, 10)).toEqual([])
  })

  it('takes over from a worker that died, before what waits in the lane, and lets that worker settle no more', async () => {
    await putMails(store.db, { addresses: ['a@example.org'], priority: 1 })
    const first = await claimOne()
    await putMails(store.db, { addresses: ['b@example.org'], priority: 1 })
    await endLease()
    const second = await claimOne()
    expect(second).toMatchObject({ id: first.id, attempts: 2 })
    expect(await settle(first, SENT)).toBe(false)
    expect(await rows(store.db)).toMatchObject([{ state: 'sending' }, { state: 'queued' }])
    expect(await settle(second, after(retry(), 2, 12))).toBe(true)
    // Nor when the row is queued again, or with a third worker.
    expect(await settle(first, SENT)).toBe(false)
    expect(await settle(second, SENT)).toBe(false)
  })

  it('settles with state, reason, words and times', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    await settle(await claimOne(), after(retry(), 1, 12))
    const waiting = await row(store.db)
    expect(waiting).toMatchObject({
      state: 'queued',
      reason: 'TEMPORARY',
      lastError: '450 busy',
      attempts: 1,
      isSettled: false,
    })
    expect(waiting.dueInSeconds).toBeGreaterThan(0.5)
    expect(waiting.dueInSeconds).toBeLessThanOrEqual(2)
    await query(store.db, sql`update deliveries set due_at = now()`)
    await settle(await claimOne(), SENT)
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
    await settle(claimed, after(retry(3 * 3600), 1, 12))
    expect(await row(store.db)).toMatchObject({
      state: 'expired',
      reason: 'TOO_OLD',
      lastError: '450 busy',
      isSettled: true,
    })

    await query(
      store.db,
      sql`update deliveries set state = 'queued', expires_at = now() - interval '1 hour', due_at = now()`,
    )
    const old = await claimOne()
    expect(old.isTooOld).toBe(true)
    await settle(old, TOO_OLD)
    expect(await row(store.db)).toMatchObject({
      state: 'expired',
      reason: 'TOO_OLD',
      lastError: '450 busy',
      isSettled: true,
    })
  })

  it.each<[string, Outcome, string]>([
    [
      'words that no database takes',
      { outcome: 'retry', cause: 'temporary', why: 'bell \0 and half \ud800 '.repeat(50) },
      'queued',
    ],
    ['nothing but NUL', { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why: '\0' }, 'failed'],
    ['a receipt without end', { outcome: 'sent', receipt: `x${'😀'.repeat(400)}\0` }, 'sent'],
    ['later than any calendar', { outcome: 'retry', cause: 'temporary', why: 'x', afterSeconds: 1e300 }, 'expired'],
    ['never', { outcome: 'retry', cause: 'temporary', why: 'x', afterSeconds: Infinity }, 'expired'],
    ['no number', { outcome: 'retry', cause: 'temporary', why: 'x', afterSeconds: NaN }, 'queued'],
    ['a time ago', { outcome: 'retry', cause: 'temporary', why: 'x', afterSeconds: -5 }, 'queued'],
  ])('settles whatever a provider answers: %s', async (_answer, outcome, state) => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    expect(await settle(await claimOne(), after(outcome, 1, 12))).toBe(true)
    const settled = await row(store.db)
    expect(settled.state).toBe(state)
    expect(settled.lastError?.length ?? 0).toBeLessThanOrEqual(500)
  })

  it('takes a claim back as if it had not been made', async () => {
    await putMails(store.db, { addresses: ['a@example.org', 'b@example.org'] })
    const [mine, other] = [await claimOne(), await claimOne()]
    await giveBack(store.db, mine.lease)
    expect(await settle(mine, SENT)).toBe(false)
    const again = await claimOne()
    expect(again).toMatchObject({ id: mine.id, attempts: 1 })
    expect(await settle(other, SENT)).toBe(true)
  })

  it('renews the leases that still hold and tells which do not', async () => {
    await putMails(store.db, { addresses: ['a@example.org', 'b@example.org'] })
    const [mine, lost] = [await claimOne(), await claimOne()]
    await query(store.db, sql`update deliveries set lease_until = now() + interval '1 second'`)
    await query(store.db, sql`update deliveries set lease = gen_random_uuid() where id = ${lost.id}`)
    expect(await renew(store.db, [mine, lost])).toEqual(new Set([mine.id]))
    const [{ seconds } = { seconds: 0 }] = await query<{ seconds: number }>(
      store.db,
      sql`select extract(epoch from lease_until - now())::float8 as seconds from deliveries where id = ${mine.id}`,
    )
    expect(seconds).toBeGreaterThan(20)
  })

  it('remembers that an attempt may have gone out, and what happened at each', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    const unanswered: Outcome = { outcome: 'retry', cause: 'ambiguous', why: 'no answer' }
    await settle(await claimOne(), after(unanswered, 1, 12))
    await query(store.db, sql`update deliveries set due_at = now()`)
    await claimOne()
    await endLease()
    await settle(await claimOne(), SENT)
    const { maybeSent, history } = await row(store.db)
    expect(maybeSent).toBe(true)
    expect(history.map(({ state, attempt, reason }) => [state, attempt, reason])).toEqual([
      ['queued', 1, 'AMBIGUOUS'],
      ['queued', 2, 'WORKER_LOST'],
      ['sent', 3, undefined],
    ])
    expect(history.every(({ at }) => Math.abs(Date.parse(at) - Date.now()) < 60_000)).toBe(true)
    expect(history[0]).toMatchObject({ provider: 'smtp', why: 'no answer' })
  })

  it('gives a row that has lost two workers only to who asks for such', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    for (let losses = 0; losses < 3; losses++) {
      expect(await claimSome(store, 1, { isSuspect: true })).toEqual([])
      expect(await claimOne()).toMatchObject({ losses })
      await endLease()
      if (losses === 2) break
    }
    expect(await claimSome(store, 1)).toEqual([])
    const [suspect] = await claimSome(store, 1, { isSuspect: true })
    expect(suspect).toMatchObject({ losses: 3, attempts: 4 })
    // An attempt that ends clears it.
    await settle(suspect!, after(retry(0), 4, 12))
    await query(store.db, sql`update deliveries set due_at = now()`)
    expect(await claimOne()).toMatchObject({ losses: 0 })
  })

  it('remembers the workers a row has lost when it is given back untried', async () => {
    await putMails(store.db, { addresses: ['a@example.org'] })
    for (let losses = 0; losses < 2; losses++) {
      await claimOne()
      await endLease()
      const { lease, ...taken } = await claimOne()
      expect(taken).toMatchObject({ losses: losses + 1 })
      await giveBack(store.db, lease)
    }
    expect(await claimSome(store, 1)).toEqual([])
    expect(await claimSome(store, 1, { isSuspect: true })).toMatchObject([{ losses: 2 }])
  })

  it('takes a suspect row only into a lane that has room', async () => {
    await putMails(store.db, { addresses: ['a@example.org'], priority: 1 })
    await query(store.db, sql`update deliveries set losses = 2`)
    const take = (kept: number, pool: number) => {
      const lanes = LANES.map((priority) => ({
        priority,
        kept: priority === 3 ? 1 : kept,
        isOwed: false,
        afterApp: '',
      }))
      return claim(store, '1003', { lanes, pool, total: 1 }, randomUUID(), true)
    }
    expect(await take(0, 0)).toEqual([])
    expect(await take(0, 1)).toMatchObject([{ address: 'a@example.org' }])
  })

  it('settles many in one statement, each by its own lease', async () => {
    const addresses = Array.from({ length: 50 }, (_, at) => `person${at}@example.org`)
    await putMails(store.db, { addresses })
    const claimed = await claimSome(store, 50)
    const settlings = claimed.map((delivery, at) => ({
      delivery: at === 7 ? { ...delivery, lease: randomUUID() } : delivery,
      to: at % 2 === 0 ? SENT : after(retry(), 1, 12),
      via: 'smtp',
    }))
    const done = await settleAll(store, settlings)
    expect(done.size).toBe(49)
    const found = await rows(store.db)
    expect(found.filter(({ state }) => state === 'sent').length).toBe(25)
    expect(found.filter(({ state }) => state === 'queued').length).toBe(24)
    expect(found.filter(({ state }) => state === 'sending').length).toBe(1)
  })
})
