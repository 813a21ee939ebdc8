/**
 * A circuit breaker: leaves alone who does not answer, and finds out when that is over.
 *
 *   closed ── failures in a row ──▶ open ── its time is over ──▶ half-open: one probe
 *     ▲                              ▲                            │ │
 *     │                              └── failed: twice as long ───┘ │
 *     └────────────────────────────────────────────── answered ─────┘
 *
 * It reads no clock: `now` is in milliseconds, and should one go back, a probe comes early rather than late.
 */

export type BreakerSettings = {
  /** In a row, until it opens. */
  failures: number
  /** The first time; twice as long after every probe that fails. */
  openSeconds: number
  longestSeconds: number
}

export type Breaker = {
  /** Whether to call now. `probe`: one call, and what comes of it decides. Asking changes nothing. */
  allows(now: number): 'yes' | 'probe' | 'no'
  /** For callers that run side by side: whoever takes the probe is the only one until it is seen what came of it. */
  takeProbe(now: number): void
  /** What came of a call: whether there was an answer. Calls begun before it opened may still be told, and prolong nothing. */
  saw(ok: boolean, now: number): void
  /** Until the next probe; 0 when there is nothing to wait for. */
  waitSeconds(now: number): number
}

/** `since`: when it opened, or when the probe was taken. */
type State = { is: 'closed'; failures: number } | { is: 'open' | 'half-open'; since: number; seconds: number }

export function makeBreaker({ failures, openSeconds, longestSeconds }: BreakerSettings): Breaker {
  let state: State = { is: 'closed', failures: 0 }

  function waitSeconds(now: number): number {
    if (state.is === 'closed' || now < state.since) return 0
    // A probe of which nothing is ever heard must not be the last.
    const seconds = state.is === 'half-open' ? longestSeconds : state.seconds
    return Math.max(0, seconds - (now - state.since) / 1_000)
  }

  return {
    waitSeconds,
    allows(now) {
      if (state.is === 'closed') return 'yes'
      return waitSeconds(now) === 0 ? 'probe' : 'no'
    },
    takeProbe(now) {
      if (state.is !== 'closed') state = { ...state, is: 'half-open', since: now }
    },
    saw(ok, now) {
      if (ok) state = { is: 'closed', failures: 0 }
      else if (state.is === 'closed' && state.failures + 1 < failures)
        state = { ...state, failures: state.failures + 1 }
      else if (state.is === 'closed') state = { is: 'open', since: now, seconds: Math.min(openSeconds, longestSeconds) }
      else if (state.is === 'half-open' || waitSeconds(now) === 0)
        state = { is: 'open', since: now, seconds: Math.min(state.seconds * 2, longestSeconds) }
    },
  }
}
