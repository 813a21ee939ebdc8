/**
 * How long clients are asked to wait before they come back: all of a node's sockets are lost at the same moment, and
 * what comes back at the same moment would keep the others waiting. Each gets a time of its own.
 */

/** Nobody comes back sooner: long enough for a load balancer to notice. */
const SOONEST_MS = 500
/** How many sockets a node takes back with ease, in a second. */
const A_SECOND = 400
/** Nobody is kept away for longer. */
const MOST_MS = 20_000
/** A close frame has room for 125 bytes, of which two are the code. */
const REASON_BYTES = 123

/** Advice to one of `sockets`: the more there are, the wider they are spread. `chance` from 0 to 1. */
export function reconnectAfterMs(sockets: number, chance = Math.random()): number {
  const spread = Math.min(SOONEST_MS + (sockets / A_SECOND) * 1_000, MOST_MS - SOONEST_MS)
  return Math.round(SOONEST_MS + spread * chance)
}

/** The reason of a close that asks a client to come back later, e.g. `Restarting; reconnectAfterMs=1250`. */
export function reasonWith(why: string, milliseconds: number): string {
  const advice = `; reconnectAfterMs=${milliseconds}`
  const room = REASON_BYTES - advice.length
  // `write` puts no half of a character.
  const bytes = Buffer.alloc(room)
  return bytes.toString('utf8', 0, bytes.write(why)) + advice
}
