/** One call to a provider's HTTP interface, kept within bounds: no redirects, a small answer, and never past its deadline. */
import type { ChannelUrl, Outcome, RetryCause } from '../channel.ts'
import { ANSWER_BYTES, exchange, type Reply, type Request } from './http-exchange.ts'
import { hide, mayBeTaken } from './http-status.ts'

/** So much of an answer that nobody can read is worth telling. */
const EXCERPT_LENGTH = 100
const TOO_MANY_REQUESTS = 429

type Retry = Extract<Outcome, { outcome: 'retry' }>

/** The whole answer, whatever its status; or a retry whose cause tells whether the request may have got there. */
async function call(url: URL, request: Request, signal: AbortSignal): Promise<Reply | Retry> {
  if (signal.aborted) return retry('temporary', `${url.host} was not called, since the time was up`)
  const reply = await exchange(url, request, signal)
  if ('cause' in reply) return retry(reply.cause, `${url.host}: ${reply.why}`)
  if (reply.body.length >= ANSWER_BYTES)
    return retry('ambiguous', `${url.host} answered with more than ${ANSWER_BYTES / 1024} KiB`)
  return reply.isWhole ? reply : retry('ambiguous', `${url.host} broke off within its answer`)
}

/**
 * The JSON object that was answered. Anything else is a retry: it tells of the way to the provider, not of this delivery,
 * in words without what is `hidden`.
 */
export async function callJson(
  url: URL,
  request: Request,
  signal: AbortSignal,
  hidden: readonly string[] = [],
): Promise<{ answer: Record<string, unknown> } | Retry> {
  const reply = await call(url, request, signal)
  if ('outcome' in reply) return reply
  const { status, headers } = reply
  const body = reply.body.toString()
  const answered = `${url.host} answered HTTP ${status}`
  if (status >= 300 && status < 400) return retry('unavailable', `${answered}, and redirects are not followed`)
  if (status === TOO_MANY_REQUESTS || status >= 500)
    return { ...retry(causeOf(status), `${answered}: ${excerpt(body, hidden)}`), ...secondsIn(headers['retry-after']) }
  const answer = parse(body)
  if (answer !== undefined) return { answer }
  return retry(causeOf(status), `${answered} and no JSON object: ${excerpt(body, hidden)}`)
}

/**
 * What a status means that came without a word of the provider's own. 503 is how a gateway turns a request away before
 * anybody has it (RFC 9110; Aliyun's ServiceUnavailable too); behind 500, 502 and 504 somebody may have taken it. A 4xx
 * was refused, by a proxy or at a wrong endpoint; but what a 2xx without a meaning has done nobody knows.
 */
function causeOf(status: number): RetryCause {
  if (status === TOO_MANY_REQUESTS) return 'throttled'
  return status < 300 || mayBeTaken(status) ? 'ambiguous' : 'unavailable'
}

/**
 * Where the calls go: `?endpoint=` if there is one, else over HTTPS to the host of the channel URL, of which `default`
 * means `standardHost`.
 */
export function readEndpoint(
  url: ChannelUrl,
  standardHost: string,
  mistake: (message: string) => void,
): URL | undefined {
  const { endpoint } = url.query
  const host = url.host === 'default' ? standardHost : url.host
  const port = url.port === undefined ? '' : `:${url.port}`
  const place = URL.parse(endpoint ?? `https://${host}${port}/`)
  const isOrigin = place !== null && /^https?:\/\/[^/?#@]+\/$/.test(place.href)
  if (isOrigin && (url.path === '' || url.path === '/')) return place
  const wrong = endpoint === undefined ? 'a host that is none' : `an unusable endpoint=${endpoint}`
  return void mistake(
    isOrigin
      ? `has a path after its host; write ${url.scheme}://…@${url.host}?…`
      : `has ${wrong}; write ${url.scheme}://…@default for ${standardHost}, or add endpoint=https://host:port`,
  )
}

/** A text that a provider answered, or nothing when it is something else. */
export function textIn(answer: Record<string, unknown>, member: string): string | undefined {
  const value = answer[member]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function retry(cause: RetryCause, why: string): Retry {
  return { outcome: 'retry', cause, why }
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** Hidden before it is cut, or what the cut goes through would be left standing by half. */
function excerpt(body: string, hidden: readonly string[]): string {
  return hide(body, hidden).slice(0, EXCERPT_LENGTH).replace(/\s+/g, ' ').trim() || 'nothing'
}

/** Seconds are what providers send; the form with a date is left to our own back-off. */
function secondsIn(retryAfter: string | undefined): { afterSeconds?: number } {
  return /^\d{1,6}$/.test(retryAfter ?? '') ? { afterSeconds: Number(retryAfter) } : {}
}
