/** What a channel's calls tell of its provider: whether it answers, and whether it wants to be left alone for a while. */
import { makeBreaker } from './breaker.ts'
import type { Outcome } from './channel.ts'

/** Attempts without an answer in a row that open the circuit, and for how long. */
const CIRCUIT = { failures: 5, openSeconds: 5, longestSeconds: 60 }
/** Throttled so often in a row, the whole channel rests: for as long as the provider says, or this, and never longer than that. */
const THROTTLED_IN_A_ROW = 3
const REST_SECONDS = { usual: 5, most: 60 }

/** Keeps watch over a provider on this node. `onCircuit` hears whether it is left alone, at each call's end. */
export function watchProvider(onCircuit: (isOpen: boolean) => void) {
  const breaker = makeBreaker(CIRCUIT)
  let throttled = 0
  let restsUntil = 0
  const isOpen = () => breaker.allows(Date.now()) !== 'yes'
  onCircuit(false)

  return {
    isOpen,
    /** Whether to call now. `probe`: one call, and what comes of it decides. */
    allows: () => (restsUntil > Date.now() ? 'no' : breaker.allows(Date.now())),
    /** To be said with the call itself: a probe that is never made must not be waited for. */
    calls() {
      if (breaker.allows(Date.now()) === 'probe') breaker.takeProbe(Date.now())
    },
    /** What a call came to. One that throttles is there; three in a row are not about single numbers any more. */
    saw(outcomes: readonly Outcome[]) {
      const causes = outcomes.map((outcome) => (outcome.outcome === 'retry' ? outcome.cause : 'answered'))
      breaker.saw(!causes.every((cause) => cause === 'unavailable' || cause === 'ambiguous'), Date.now())
      onCircuit(isOpen())
      throttled = causes.every((cause) => cause === 'throttled') ? throttled + 1 : 0
      if (throttled < THROTTLED_IN_A_ROW) return
      const asked = outcomes.map((outcome) => (outcome.outcome === 'retry' ? (outcome.afterSeconds ?? 0) : 0))
      restsUntil = Date.now() + 1_000 * Math.min(Math.max(...asked) || REST_SECONDS.usual, REST_SECONDS.most)
    },
  }
}
