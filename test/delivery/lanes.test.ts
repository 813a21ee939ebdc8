import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LANES, makeLanes, type Lane } from '../../src/delivery/lanes.ts'

/** What a claim would take: of lanes with so much waiting, as the statement in queue.ts chooses. */
function takeFrom(lanes: ReturnType<typeof makeLanes>, waiting: Record<Lane, number>, room = lanes.free()): Lane[] {
  const plan = lanes.plan(room)
  let { pool } = plan
  const rows = plan.lanes.flatMap(({ priority, kept, isOwed }) =>
    Array.from({ length: waiting[priority] }, (_, at) => ({
      priority,
      isKept: at < kept,
      isFirst: isOwed && at === 0,
    })),
  )
  const inOrder = [...rows.filter(({ isFirst }) => isFirst), ...rows.filter(({ isFirst }) => !isFirst)]
  const taken = inOrder.filter(({ isKept }) => isKept || pool-- > 0).slice(0, room)
  for (const { priority } of taken) waiting[priority]--
  lanes.took(taken.map(({ priority }) => ({ priority, appId: 'app' })))
  return taken.map(({ priority }) => priority)
}

describe('the lanes of a channel', () => {
  it('keep slots free for high messages, however much of low there is', () => {
    const lanes = makeLanes(10)
    expect(takeFrom(lanes, { 3: 0, 2: 0, 1: 1_000 }).length).toBe(6)
    expect(takeFrom(lanes, { 3: 0, 2: 1_000, 1: 1_000 })).toEqual([2, 2])
    expect(takeFrom(lanes, { 3: 1_000, 2: 1_000, 1: 1_000 })).toEqual([3, 3])
  })

  it('keep a slot for low messages, however much of high there is', () => {
    const lanes = makeLanes(10)
    expect(takeFrom(lanes, { 3: 1_000, 2: 0, 1: 0 }).length).toBe(7)
    expect(takeFrom(lanes, { 3: 1_000, 2: 0, 1: 1_000 })).toEqual([1])
  })

  it('let priority decide where there are too few slots to keep any, and the others have one in nine', () => {
    const lanes = makeLanes(1)
    const waiting = { 3: 90, 2: 90, 1: 90 }
    const order = Array.from({ length: 90 }, () => {
      const [taken] = takeFrom(lanes, waiting)
      lanes.left(taken!)
      return taken!
    })
    expect(order.slice(0, 8)).toEqual([3, 3, 3, 3, 3, 3, 3, 3])
    const count = (lane: Lane) => order.filter((one) => one === lane).length
    expect(count(2)).toBeGreaterThanOrEqual(8)
    expect(count(1)).toBeGreaterThanOrEqual(8)
    expect(count(3)).toBeGreaterThan(60)
  })

  it('never hand out more slots than there are, nor keep any when all are free again', () => {
    const step = fc.record({
      waiting: fc.record({ 3: fc.nat(20), 2: fc.nat(20), 1: fc.nat(20) }),
      leaving: fc.nat(10),
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 60 }), (slots, steps) => {
        const lanes = makeLanes(slots)
        const held: Lane[] = []
        for (const { waiting, leaving } of steps) {
          const before = { ...waiting }
          const taken = takeFrom(lanes, waiting as Record<Lane, number>)
          held.push(...taken)
          expect(held.length).toBeLessThanOrEqual(slots)
          // Where a lane has work and holds nothing, a slot is found for it whenever any is free, or it is passed over for a higher one.
          if (slots >= 5) for (const lane of LANES) if (before[lane] > 0) expect(held).toContain(lane)
          for (const lane of held.splice(0, leaving)) lanes.left(lane)
        }
        for (const lane of held.splice(0)) lanes.left(lane)
        expect(lanes.free()).toBe(slots)
      }),
    )
  })
})
