/** One call to a provider's HTTP interface, kept within bounds: no redirects, a small answer, and never past its deadline. */
import type { ChannelUrl, Outcome } from '../channel.ts'

/** An answer of these interfaces has a few hundred bytes; more comes from something else in between. */
const ANSWER_BYTES = 64 * 1024
/** So much of an answer that nobody can read is worth telling. */
const EXCERPT_LENGTH = 100
const TOO_MANY_REQUESTS = 429

type Request = { method: string; headers: Record<string, string>; body?: string }
type Reply = { status: number; headers: Headers; body: string }
type Retry = Extract<Outcome, { outcome: 'retry' }>

/** The whole answer, whatever its status; or a retry that says why there is none (nobody knows then what came of it). */
async function call(url: URL, request: Request, signal: AbortSignal): Promise<Reply | Retry> {
  try {
    const response = await fetch(url, { ...request, signal, redirect: 'manual' })
    const body = await readBody(response)
    if (body === undefined) return retry(`${url.host} answered with more than ${ANSWER_BYTES / 1024} KiB`)
    return { status: response.status, headers: response.headers, body }
  } catch (error) {
    return retry(signal.aborted ? `${url.host} did not answer in time` : `${url.host}: ${whyOf(error)}`)
  }
}

/**
 * The JSON object that was answered. Anything else is a retry, as are redirects, HTTP 429 and 5xx: they tell of the way
 * to the provider or of its health, not of this delivery.
 */
export async function callJson(
  url: URL,
  request: Request,
  signal: AbortSignal,
): Promise<{ answer: Record<string, unknown> } | Retry> {
  const reply = await call(url, request, signal)
  if ('outcome' in reply) return reply
  const { status, headers, body } = reply
  const answered = `${url.host} answered HTTP ${status}`
  if (status >= 300 && status < 400) return retry(`${answered}, and redirects are not followed`)
  if (status === TOO_MANY_REQUESTS || status >= 500)
    return { ...retry(`${answered}: ${excerpt(body)}`), ...secondsIn(headers.get('retry-after')) }
  const answer = parse(body)
  return answer === undefined ? retry(`${answered} and no JSON object: ${excerpt(body)}`) : { answer }
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

function retry(why: string): Retry {
  return { outcome: 'retry', why }
}

async function readBody(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  // Leaving the loop cancels the body, which closes the connection.
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength
    if (length > ANSWER_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
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

function excerpt(body: string): string {
  return body.slice(0, EXCERPT_LENGTH).replace(/\s+/g, ' ').trim() || 'nothing'
}

/** Seconds are what providers send; the form with a date is left to our own back-off. */
function secondsIn(retryAfter: string | null): { afterSeconds?: number } {
  return /^\d{1,6}$/.test(retryAfter ?? '') ? { afterSeconds: Number(retryAfter) } : {}
}

/** fetch itself only ever says that it failed; the reason is in its cause. */
function whyOf(error: unknown): string {
  const { cause, message } = error as Error
  if (!(cause instanceof Error)) return message
  return cause.message || (cause as NodeJS.ErrnoException).code || message
}
