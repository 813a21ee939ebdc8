import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeBreaker } from '../../src/delivery/breaker.ts'

const SETTINGS = { failures: 5, openSeconds: 10, longestSeconds: 300 }
const T = 1_000_000
const SECOND = 1_000

/** One that has just opened at T. */
function opened(settings = SETTINGS) {
  const breaker = makeBreaker(settings)
  for (let times = 0; times < settings.failures; times++) breaker.saw(false, T)
  return breaker
}

describe('a circuit breaker', () => {
  it('opens at the fifth failure in a row, for its time, and then lets a probe through', () => {
    const breaker = makeBreaker(SETTINGS)
    for (let times = 0; times < 4; times++) breaker.saw(false, T)
    expect(breaker.allows(T)).toBe('yes')
    breaker.saw(false, T)
    expect(breaker.allows(T)).toBe('no')
    expect(breaker.waitSeconds(T + 4 * SECOND)).toBe(6)
    expect(breaker.allows(T + 10 * SECOND - 1)).toBe('no')
    expect(breaker.allows(T + 10 * SECOND)).toBe('probe')
  })

  it('counts only failures in a row', () => {
    const breaker = makeBreaker(SETTINGS)
    for (let times = 0; times < 50; times++) breaker.saw(times % 5 === 4, T)
    expect(breaker.allows(T)).toBe('yes')
  })

  it('closes at a probe that is answered, and starts from the beginning', () => {
    const breaker = opened()
    breaker.saw(false, T + 10 * SECOND)
    breaker.saw(true, T + 30 * SECOND)
    expect(breaker.allows(T + 30 * SECOND)).toBe('yes')
    for (let times = 0; times < 5; times++) breaker.saw(false, T + 40 * SECOND)
    expect(breaker.waitSeconds(T + 40 * SECOND)).toBe(10)
  })

  it('says the same however often it is asked', () => {
    const breaker = opened()
    for (let times = 0; times < 3; times++) expect(breaker.allows(T + 10 * SECOND)).toBe('probe')
  })

  it('gives the probe to one only, where callers take it', () => {
    const breaker = opened()
    breaker.takeProbe(T + 10 * SECOND)
    expect(breaker.allows(T + 40 * SECOND)).toBe('no')
    breaker.saw(false, T + 41 * SECOND)
    expect(breaker.waitSeconds(T + 41 * SECOND)).toBe(20)
  })

  it('gives another probe after its longest time, when nothing is ever heard of one', () => {
    const breaker = opened()
    breaker.takeProbe(T + 10 * SECOND)
    expect(breaker.allows(T + 309 * SECOND)).toBe('no')
    expect(breaker.allows(T + 310 * SECOND)).toBe('probe')
  })

  it('takes no probe while it is closed', () => {
    const breaker = makeBreaker(SETTINGS)
    breaker.takeProbe(T)
    expect(breaker.allows(T)).toBe('yes')
  })
})

describe('whatever happens, a circuit breaker', () => {
  const settings = fc
    .record({ failures: fc.integer({ min: 1, max: 8 }), openSeconds: fc.integer({ min: 1, max: 60 }) })
    .chain((some) =>
      fc.integer({ min: some.openSeconds, max: 600 }).map((longestSeconds) => ({ ...some, longestSeconds })),
    )
  /** What is done, and how much later; the clock may be set back. */
  const steps = fc.array(
    fc.record({
      does: fc.constantFrom('succeeds', 'fails', 'takes the probe'),
      afterMs: fc.oneof(
        { weight: 8, arbitrary: fc.integer({ min: 0, max: 700 * SECOND }) },
        { weight: 1, arbitrary: fc.integer({ min: -9e9, max: 0 }) },
      ),
    }),
    { maxLength: 60 },
  )

  it('is open only after that many failures in a row', () => {
    fc.assert(
      fc.property(settings, steps, (settings, steps) => {
        const breaker = makeBreaker(settings)
        let inARow = 0
        let now = T
        for (const { does, afterMs } of steps) {
          now += afterMs
          if (does === 'takes the probe') breaker.takeProbe(now)
          else breaker.saw(does === 'succeeds', now)
          if (does === 'succeeds') inARow = 0
          if (does === 'fails') inARow++
          expect(breaker.allows(now) === 'yes').toBe(inARow < settings.failures)
        }
      }),
    )
  })

  it('lets a probe through after its longest time, even when one was lost or the clock was set back', () => {
    fc.assert(
      fc.property(settings, steps, fc.integer({ min: -9e9, max: 9e9 }), (settings, steps, later) => {
        const breaker = makeBreaker(settings)
        let now = T
        for (const { does, afterMs } of steps) {
          now += afterMs
          if (does === 'takes the probe') breaker.takeProbe(now)
          else breaker.saw(does === 'succeeds', now)
          expect(breaker.waitSeconds(now)).toBeLessThanOrEqual(settings.longestSeconds)
        }
        const isBack = later < 0
        const isLater = later >= settings.longestSeconds * SECOND
        if (isBack || isLater) expect(breaker.allows(now + later)).not.toBe('no')
        expect(breaker.waitSeconds(now + later) === 0).toBe(breaker.allows(now + later) !== 'no')
      }),
    )
  })

  it('is open twice as long after each probe that fails, up to the longest', () => {
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 12 }), fc.boolean(), (settings, probes, takes) => {
        const breaker = opened(settings)
        let now = T
        for (let failed = 0; failed < probes; failed++) {
          const seconds = Math.min(settings.openSeconds * 2 ** failed, settings.longestSeconds)
          expect(breaker.allows(now + seconds * SECOND - 1)).toBe('no')
          now += seconds * SECOND
          expect(breaker.allows(now)).toBe('probe')
          if (takes) breaker.takeProbe(now)
          breaker.saw(false, now)
        }
      }),
    )
  })

  it('is not kept open longer by calls that were begun before it opened', () => {
    fc.assert(
      fc.property(settings, fc.array(fc.nat()), (settings, late) => {
        const breaker = opened(settings)
        for (const milliseconds of late) breaker.saw(false, T + (milliseconds % (settings.openSeconds * SECOND)))
        expect(breaker.allows(T + settings.openSeconds * SECOND)).toBe('probe')
      }),
    )
  })
})
