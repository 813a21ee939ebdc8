/** One call to a provider's HTTP interface, kept within bounds: no redirects, a small answer, and never past its deadline. */
import type { ChannelUrl, Outcome, RetryCause } from '../channel.ts'
import { mayBeTaken } from './http-status.ts'

/** An answer of these interfaces has a few hundred bytes; more comes from something else in between. */
const ANSWER_BYTES = 64 * 1024
/** So much of an answer that nobody can read is worth telling. */
const EXCERPT_LENGTH = 100
const TOO_MANY_REQUESTS = 429

/** What a system call says that was under way before there was a connection, whatever its code. */
const CONNECTING = ['connect', 'getaddrinfo']
/** Codes of OpenSSL and of Node's own check of the certificate: the handshake failed, and no request follows it. */
const HANDSHAKE =
  /^(ERR_(SSL|TLS)_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE))/

type Request = { method: string; headers: Record<string, string>; body?: string }
type Reply = { status: number; headers: Headers; body: string }
type Retry = Extract<Outcome, { outcome: 'retry' }>

/** The whole answer, whatever its status; or a retry whose cause tells whether the request may have got there. */
async function call(url: URL, request: Request, signal: AbortSignal): Promise<Reply | Retry> {
  if (signal.aborted) return retry('temporary', `${url.host} was not called, since the time was up`)
  try {
    const response = await fetch(url, { ...request, signal, redirect: 'manual' })
    const body = await readBody(response)
    if (body === undefined) return retry('ambiguous', `${url.host} answered with more than ${ANSWER_BYTES / 1024} KiB`)
    return { status: response.status, headers: response.headers, body }
  } catch (error) {
    if (signal.aborted) return retry('ambiguous', `${url.host} did not answer in time`)
    return retry(wasConnected(error) ? 'ambiguous' : 'unavailable', `${url.host}: ${whyOf(error)}`)
  }
}

/** The JSON object that was answered. Anything else is a retry: it tells of the way to the provider, not of this delivery. */
export async function callJson(
  url: URL,
  request: Request,
  signal: AbortSignal,
): Promise<{ answer: Record<string, unknown> } | Retry> {
  const reply = await call(url, request, signal)
  if ('outcome' in reply) return reply
  const { status, headers, body } = reply
  const answered = `${url.host} answered HTTP ${status}`
  if (status >= 300 && status < 400) return retry('unavailable', `${answered}, and redirects are not followed`)
  if (status === TOO_MANY_REQUESTS || status >= 500)
    return { ...retry(causeOf(status), `${answered}: ${excerpt(body)}`), ...secondsIn(headers.get('retry-after')) }
  const answer = parse(body)
  if (answer !== undefined) return { answer }
  return retry(causeOf(status), `${answered} and no JSON object: ${excerpt(body)}`)
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

/** Unless it is certain that there never was a connection, the request may have gone out over it. */
function wasConnected(error: unknown): boolean {
  const { cause } = error as { cause?: NodeJS.ErrnoException & { errors?: unknown[] } }
  const { code = '', syscall = '', errors, message = '' } = cause ?? {}
  // One error for each address of the host.
  if (errors !== undefined) return errors.some((one) => wasConnected({ cause: one }))
  if (CONNECTING.includes(syscall) || code === 'UND_ERR_CONNECT_TIMEOUT' || HANDSHAKE.test(code)) return false
  // Only its words tell this ECONNRESET from one after the request.
  return !message.includes('before secure TLS connection was established')
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
