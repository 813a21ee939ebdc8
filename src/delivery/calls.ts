/** Which claimed deliveries go out together, and what the provider is given of each. */
import type { Call } from './attempt.ts'
import type { Parcel } from './channel.ts'
import type { Claimed } from './queue.ts'
import { sayingKey } from './sayings.ts'

/** A call to the provider with the deliveries it carries, all of the message of the first and in its words; it takes one slot of its lane. */
export type UnderWay = { first: Claimed; claimed: readonly Claimed[]; call?: Call }

/**
 * Calls of one delivery each; of several, where the provider takes them together and they say the same. What is tried
 * again, or was before a replay, goes out alone, with the same bytes as before.
 */
export function callsOf(claimed: readonly Claimed[], perCall: number): UnderWay[] {
  if (perCall === 1) return claimed.map(alone)
  const together = [
    ...Map.groupBy(
      claimed.filter(({ isUntried }) => isUntried),
      sayingKey,
    ).values(),
  ]
  return [
    ...claimed.filter(({ isUntried }) => !isUntried).map(alone),
    ...together.flatMap((all) => inParts(all, perCall)),
  ]
}

/** One delivery in a call of its own. */
export const alone = (one: Claimed): UnderWay => ({ first: one, claimed: [one] })

function inParts(all: readonly Claimed[], size: number): UnderWay[] {
  const [first] = all
  if (first === undefined) return []
  return [{ first, claimed: all.slice(0, size) }, ...inParts(all.slice(size), size)]
}

/** A delivery as a provider is given it. */
export function parcelOf(
  { id, messageId, address, attempts, maybeVia, maybeAnyone }: Claimed,
  content: Parcel['content'],
  unsubscribe?: string,
): Parcel {
  const parcel: Parcel = { id, messageId, address, content, attempt: attempts }
  if (unsubscribe !== undefined) parcel.unsubscribe = unsubscribe
  if (maybeVia !== null) parcel.maybeVia = maybeVia
  if (maybeAnyone) parcel.maybeAnyone = true
  return parcel
}
