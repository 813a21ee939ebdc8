/** Where a delivery goes after an attempt. */
import type { DeliveryState } from '../db/tables.ts'
import type { Outcome, RetryCause } from './channel.ts'
import { MAX_AGE_SECONDS } from './queue.ts'

/**
 * Exponential back-off by cause, in seconds. Throttled: the provider counts by the minute as a rule. Temporary: a busy
 * mailbox or number. Unavailable: the circuit breaker holds the others back meanwhile; a mail server may be down for
 * hours. Ambiguous: a receipt may still tell that it was taken.
 */
const BACK_OFF: Record<RetryCause, { first: number; factor: number; most: number }> = {
  throttled: { first: 15, factor: 2, most: 900 },
  temporary: { first: 2, factor: 4, most: 3_600 },
  unavailable: { first: 2, factor: 3, most: 3_600 },
  ambiguous: { first: 5, factor: 4, most: 3_600 },
}
/** A provider may ask for any number; less would be a busy loop. */
const ASKED_AT_LEAST_SECONDS = 0.5

export type Settlement = {
  state: DeliveryState
  reason: string | null
  /** The provider's words. */
  error: string | null
  receipt: string | null
  /** Seconds until the next attempt. */
  delay: number
  /** The provider may have taken it. */
  maybeSent: boolean
}

const settled = { reason: null, error: null, receipt: null, delay: 0, maybeSent: false }

/** For a delivery that nobody wants any more. */
export const TOO_OLD: Settlement = { ...settled, state: 'expired', reason: 'TOO_OLD' }

/** Where a delivery goes after its attempt number `attempts` of at most `limit`. A retry's reason is its cause. */
export function after(outcome: Outcome, attempts: number, limit: number): Settlement {
  if (outcome.outcome === 'sent') return sent(outcome)
  if (outcome.outcome === 'failed') return { ...settled, state: 'failed', reason: outcome.reason, error: outcome.why }
  const maybeSent = outcome.cause === 'ambiguous'
  if (attempts >= limit) return { ...settled, state: 'dead', reason: 'ATTEMPTS_USED_UP', error: outcome.why, maybeSent }
  const delay = delayOf(outcome, attempts)
  return { ...settled, state: 'queued', reason: outcome.cause.toUpperCase(), error: outcome.why, delay, maybeSent }
}

/** Most are sent without a word: they share one. */
const PLAINLY_SENT: Settlement = { ...settled, state: 'sent' }

function sent({ why, receipt }: Extract<Outcome, { outcome: 'sent' }>): Settlement {
  if (why === undefined && receipt === undefined) return PLAINLY_SENT
  return { ...PLAINLY_SENT, error: why ?? null, receipt: receipt ?? null }
}

/** What the provider asks for, within reason; otherwise our own back-off. Always with jitter: what failed together should not come back together. */
function delayOf({ cause, afterSeconds }: Extract<Outcome, { outcome: 'retry' }>, attempts: number): number {
  if (afterSeconds !== undefined && !Number.isNaN(afterSeconds)) {
    // Never sooner than asked.
    return Math.min(Math.max(afterSeconds, ASKED_AT_LEAST_SECONDS) * (1 + Math.random() / 5), MAX_AGE_SECONDS)
  }
  const { first, factor, most } = BACK_OFF[cause]
  return Math.min(first * factor ** (attempts - 1), most) * (0.5 + Math.random() / 2)
}
