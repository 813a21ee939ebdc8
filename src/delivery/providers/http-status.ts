/** What the status of an answer says by itself, whatever its words. */
import type { RetryCause } from '../channel.ts'

/**
 * About us, the moment or the way there rather than about this delivery (RFC 9110, section 15; RFC 8470 has 425). Behind
 * 502 and 504 stands a proxy that had no good answer from the one it asked: that one may have taken it all the same. 503
 * is said before anything is done. 500 and the like are not here, since what they mean depends on who says it: of them
 * `mayBeTaken` tells.
 */
export const CAUSES: Readonly<Record<number, RetryCause>> = {
  401: 'unavailable',
  402: 'unavailable',
  407: 'unavailable',
  408: 'temporary',
  425: 'temporary',
  429: 'throttled',
  502: 'ambiguous',
  503: 'unavailable',
  504: 'ambiguous',
}

const SERVICE_UNAVAILABLE = 503

/** Whether something broke after which somebody may have the message all the same: of 5xx only 503 is said before that. */
export function mayBeTaken(status: number): boolean {
  return status >= 500 && status !== SERVICE_UNAVAILABLE
}

const WORDS_LENGTH = 300

/** `Retry-After`, a number of seconds or a date, as the member of a retry; nothing where there is none. */
export function afterSeconds(retryAfter: string | undefined): { afterSeconds?: number } {
  if (retryAfter === undefined) return {}
  const seconds = /^\s*\d+\s*$/.test(retryAfter)
    ? Number(retryAfter)
    : Math.ceil((Date.parse(retryAfter) - Date.now()) / 1_000)
  return Number.isFinite(seconds) ? { afterSeconds: Math.max(seconds, 0) } : {}
}

/** An answer in words: its status and the start of its text, without what is `hidden`. */
export function wordsOf(status: number, text: string, hidden: readonly string[]): string {
  // Hidden before it is cut, or a key that the cut goes through would be left standing by half.
  const words = [...hide(text, hidden)].slice(0, WORDS_LENGTH).join('')
  return `HTTP ${status}${words === '' ? ' without a word' : `: ${words}`}`
}

/** A redirect in words; of the target only what can be no key. */
export function redirectWords(status: number, location: string | undefined, hidden: readonly string[]): string {
  const target = location === undefined ? '' : ` to ${location.replace(/[?#].*$/s, '').slice(0, WORDS_LENGTH)}`
  const fix = "write the final address in the channel's URL"
  return hide(`HTTP ${status} redirects${target}, which is not followed; ${fix}`, hidden)
}

/** Of secrets that contain one another, the longer must come first. */
export function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((hidden, secret) => (secret === '' ? hidden : hidden.replaceAll(secret, '[hidden]')), text)
}
