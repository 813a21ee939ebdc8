/** Which claimed deliveries go out together, and what the provider is given of each. */
import type { Call } from './attempt.ts'
import type { Parcel } from './channel.ts'
import type { Claimed } from './queue.ts'

/** A call to the provider with the deliveries it carries; it takes one slot of its lane. */
export type UnderWay = { claimed: Claimed[]; call?: Call }

/**
 * Calls of one delivery each; of several, where the provider takes them together and they say the same. What is tried
 * again, or was before a replay, goes out alone, with the same bytes as before.
 */
export function callsOf(claimed: readonly Claimed[], perCall: number): UnderWay[] {
  if (perCall === 1) return claimed.map((one) => ({ claimed: [one] }))
  const alone = claimed.filter(({ isUntried }) => !isUntried).map((one) => ({ claimed: [one] }))
  const together = [
    ...Map.groupBy(
      claimed.filter(({ isUntried }) => isUntried),
      ({ messageId }) => messageId,
    ).values(),
  ]
  return [...alone, ...together.flatMap((all) => inParts(all, perCall))]
}

function inParts(all: Claimed[], size: number): UnderWay[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => ({
    claimed: all.slice(at * size, (at + 1) * size),
  }))
}

/** A delivery as a provider is given it. */
export function parcelOf(
  { id, messageId, address, attempts, maybeVia, maybeAnyone }: Claimed,
  content: Parcel['content'],
): Parcel {
  const parcel: Parcel = { id, messageId, address, content, attempt: attempts }
  if (maybeVia !== null) parcel.maybeVia = maybeVia
  if (maybeAnyone) parcel.maybeAnyone = true
  return parcel
}
