import { describe, expect, it } from 'vitest'
import { USUAL_LIMITS, type Outcome, type RetryCause } from '../../src/delivery/channel.ts'
import { after } from '../../src/delivery/retries.ts'

const { attempts: LIMIT } = USUAL_LIMITS
const retry = (cause: RetryCause, afterSeconds?: number): Outcome => ({
  outcome: 'retry',
  cause,
  why: '450 busy',
  ...(afterSeconds === undefined ? {} : { afterSeconds }),
})
const delays = (cause: RetryCause) =>
  Array.from({ length: LIMIT - 1 }, (_, at) => after(retry(cause), at + 1, LIMIT).delay)
const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one)

describe('the way after an attempt', () => {
  it('leads to dead with the last one', () => {
    expect(after(retry('temporary'), LIMIT - 1, LIMIT)).toMatchObject({ state: 'queued', reason: 'TEMPORARY' })
    const last = { state: 'dead', reason: 'ATTEMPTS_USED_UP', error: '450 busy' }
    expect(after(retry('temporary'), LIMIT, LIMIT)).toMatchObject(last)
  })

  it.each(['temporary', 'unavailable'] as const)('outlives two hours of %s, and hammers nobody', (cause) => {
    expect(sum(delays(cause))).toBeGreaterThan(2 * 3600)
    expect(Math.min(...delays(cause))).toBeGreaterThanOrEqual(1)
    expect(Math.max(...delays(cause))).toBeLessThanOrEqual(3600)
  })

  it('gives a throttling provider time, and an ambiguous attempt time for its receipt', () => {
    expect(Math.min(...delays('throttled'))).toBeGreaterThan(5)
    expect(after(retry('ambiguous'), 1, LIMIT)).toMatchObject({ state: 'queued', maybeSent: true })
    expect(after(retry('ambiguous'), 1, LIMIT).delay).toBeGreaterThan(2)
  })

  it('ends within a day whatever the cause', () => {
    for (const cause of ['throttled', 'temporary', 'unavailable', 'ambiguous'] as const)
      expect(sum(delays(cause))).toBeLessThan(86_400)
  })

  it('waits as long as the provider asks, never less, and spreads what comes back', () => {
    const asked = Array.from({ length: 50 }, () => after(retry('throttled', 90), 1, LIMIT).delay)
    expect(Math.min(...asked)).toBeGreaterThanOrEqual(90)
    expect(Math.max(...asked)).toBeLessThanOrEqual(108)
    expect(new Set(asked).size).toBeGreaterThan(10)
  })
})
