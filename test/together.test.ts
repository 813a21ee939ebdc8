import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Store } from '../src/db/client.ts'
import { together } from '../src/db/together.ts'
import { Refusal } from '../src/errors.ts'

/** Who is at which store matters here, not what is in it. */
const somewhere = () => ({}) as Store

/** Doubles numbers, each call when it is let go; `calls` are those begun. */
function doubling({ most = 100, cannot = -1 } = {}) {
  const calls: { all: readonly number[]; end: () => void }[] = []
  const double = together<number, number>({
    async act(_store, all) {
      const { promise, resolve } = Promise.withResolvers<void>()
      calls.push({ all, end: resolve })
      await promise
      if (all.includes(cannot)) throw new Error(`cannot ${cannot}`)
      return all.map((one) => 2 * one)
    },
    weigh: (one) => one,
    most,
  })
  return { calls, double, callsSoFar: () => calls.map(({ all }) => all) }
}

describe('What is asked for together', () => {
  it('goes at once when nothing is under way, and in the next call when something is', async () => {
    const { calls, double, callsSoFar } = doubling()
    const store = somewhere()
    const answers = [1, 2, 3].map((one) => double(store, one))
    expect(callsSoFar()).toEqual([[1]])
    calls[0]?.end()
    expect(await answers[0]).toBe(2)
    await sleep(1)
    expect(callsSoFar()).toEqual([[1], [2, 3]])
    calls[1]?.end()
    expect(await Promise.all(answers)).toEqual([2, 4, 6])
  })

  it('is no more than a call may weigh, but for one that weighs more by itself', async () => {
    const { calls, double, callsSoFar } = doubling({ most: 10 })
    const store = somewhere()
    const answers = [1, 4, 6, 50, 3].map((one) => double(store, one))
    for (let at = 0; at < 4; at++) {
      calls[at]?.end()
      await sleep(1)
    }
    expect(callsSoFar()).toEqual([[1], [4, 6], [50], [3]])
    expect(await Promise.all(answers)).toEqual([2, 8, 12, 100, 6])
  })

  it('fails alone where it cannot be done', async () => {
    const { calls, double } = doubling({ cannot: 4 })
    const store = somewhere()
    const answers = Promise.allSettled([1, 2, 3, 4, 5].map((one) => double(store, one)))
    const letting = setInterval(() => calls.forEach(({ end }) => end()), 1)
    const settled = await answers
    clearInterval(letting)
    expect(settled.map((one) => ('value' in one ? one.value : String(one.reason)))).toEqual([
      2,
      4,
      6,
      'Error: cannot 4',
      10,
    ])
  })

  it('is not tried again when the database was away', async () => {
    let calls = 0
    const ask = together<number, number>({
      async act(_store, all) {
        calls++
        await sleep(1)
        if (all.length > 1) throw new Refusal('UNAVAILABLE')
        return all
      },
      most: 100,
    })
    const store = somewhere()
    const settled = await Promise.allSettled([1, 2, 3].map((one) => ask(store, one)))
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(calls).toBe(2)
  })

  it('does not wait for a call that does not end', async () => {
    const { calls, double, callsSoFar } = doubling()
    const store = somewhere()
    const stuck = double(store, 1)
    const next = double(store, 2)
    await sleep(100)
    expect(callsSoFar()).toEqual([[1], [2]])
    calls[1]?.end()
    expect(await next).toBe(4)
    calls[0]?.end()
    expect(await stuck).toBe(2)
  })

  it('waits for nobody at another store', async () => {
    const { calls, double, callsSoFar } = doubling()
    const answers = [double(somewhere(), 1), double(somewhere(), 2)]
    expect(callsSoFar()).toEqual([[1], [2]])
    calls.forEach(({ end }) => end())
    expect(await Promise.all(answers)).toEqual([2, 4])
  })
})
