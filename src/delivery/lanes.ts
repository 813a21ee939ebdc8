/**
 * Lanes: high, normal and low priority share a channel's slots.
 *
 * Each lane has slots reserved for it, which the others leave alone; what is not reserved goes by priority. So a campaign
 * in the low lane, however long, never holds the slots that a high message needs, and the low lane always has one.
 * With too few slots to reserve any, priority decides, and whoever was passed over often enough is owed the next slot.
 */

/** 3 high, 2 normal, 1 low: the priority of the deliveries in it. */
export const LANES = [3, 2, 1] as const
export type Lane = (typeof LANES)[number]

/** Of a channel's slots, what is kept for each lane, and at the most so many: beyond that they would only lie idle. */
const RESERVED: Record<Lane, number> = { 3: 0.2, 2: 0.2, 1: 0.1 }
const RESERVED_AT_MOST = 20
/** With fewer slots none is reserved: nothing would be left to share. */
const RESERVE_FROM = 5
/** After so many slots that went to higher lanes, a lane is owed one. */
const OWED_AFTER = 8

/** What a lane may take now: of the slots `kept` for it, and beyond them of the pool that all share. */
export type LanePlan = { priority: Lane; kept: number; isOwed: boolean; afterApp: string }
/** What a claim may take: at most `total`, and of the shared slots at most `pool`. */
export type Plan = { lanes: LanePlan[]; pool: number; total: number }

/** Keeps the books of a channel with `slots` slots on this node. */
export function makeLanes(slots: number) {
  const held: Record<Lane, number> = { 3: 0, 2: 0, 1: 0 }
  const passedOver: Record<Lane, number> = { 3: 0, 2: 0, 1: 0 }
  const lastApp: Record<Lane, string> = { 3: '', 2: '', 1: '' }
  const reserved = (lane: Lane) =>
    slots < RESERVE_FROM ? 0 : Math.min(RESERVED_AT_MOST, Math.max(1, Math.floor(slots * RESERVED[lane])))
  const sum = (of: (lane: Lane) => number) => LANES.reduce((all, lane) => all + of(lane), 0)
  const pool = () => slots - sum(reserved) - sum((lane) => Math.max(0, held[lane] - reserved(lane)))

  return {
    free: () => slots - sum((lane) => held[lane]),
    /** Whether some lane may take nothing more, though others may. */
    isFull: () => pool() <= 0,
    /** What may be taken of `room` slots. */
    plan(room: number): Plan {
      const lanes = LANES.map((priority) => ({
        priority,
        kept: Math.max(0, reserved(priority) - held[priority]),
        isOwed: passedOver[priority] >= OWED_AFTER,
        afterApp: lastApp[priority],
      }))
      return { lanes, pool: pool(), total: room }
    },
    /** Notes what one claim has taken, in slots. */
    took(taken: readonly { priority: number; appId: string }[]) {
      const count = (lane: Lane) => taken.filter(({ priority }) => priority === lane).length
      let above = 0
      for (const lane of LANES) {
        const mine = count(lane)
        held[lane] += mine
        passedOver[lane] = mine > 0 ? 0 : passedOver[lane] + above
        above += mine
        lastApp[lane] = taken.findLast(({ priority }) => priority === lane)?.appId ?? lastApp[lane]
      }
    },
    /** A slot of that lane is free again. */
    left(priority: number) {
      held[priority as Lane]--
    },
  }
}
