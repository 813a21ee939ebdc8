/** What a request says of itself: from where it comes, how it found us, and its body. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { Refusal } from './errors.ts'
import { BODY_LIMIT } from './graphql/yoga.ts'
import { includes } from './ranges.ts'

const REQUEST_ID = /^[\w.:-]{1,64}$/

/** A web page under another name that points here (DNS rebinding) shows itself by its Host. */
export function isLoopbackHost(host: string | undefined): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host ?? '')
}

/** Browsers say where a page comes from, which must be here or one of `allowed`; other clients say nothing. */
export function isAllowedOrigin(
  { origin, host }: { origin?: string | undefined; host?: string | undefined },
  allowed: readonly string[],
): boolean {
  return origin === undefined || URL.parse(origin)?.host === host || allowed.includes(origin)
}

/**
 * The caller's address; undefined where nobody vouches for one. A peer that is none of `trusted` says who calls by its own
 * address, unless it says itself that it calls for somebody, or it is a browser on this machine under another name (DNS
 * rebinding), which calls for any web page.
 */
export function addressOf({ headers, socket }: IncomingMessage, trusted: readonly string[]): string | undefined {
  const peer = socket.remoteAddress
  const forwarded = headers['x-forwarded-for']
  if (peer !== undefined && includes(trusted, peer))
    return forwarded === undefined ? undefined : forwardedAddress([forwarded].flat().join(), trusted)
  const isForwarded = forwarded !== undefined || headers['forwarded'] !== undefined
  const isMisled = isLoopbackPeer(peer) && !isLoopbackHost(headers.host)
  return isForwarded || isMisled ? undefined : peer
}

/**
 * Each proxy appends whom it was called by, so the list is read from its end: the first that is not one of ours is the
 * caller. What stands before it anybody may have written.
 */
function forwardedAddress(list: string, trusted: readonly string[]): string | undefined {
  const hops = list.split(',').map(withoutPort)
  const caller = hops.findLast((hop) => isIP(hop) === 0 || !includes(trusted, hop)) ?? hops[0]
  return caller !== undefined && isIP(caller) !== 0 && !caller.includes('%') ? caller : undefined
}

/** Some proxies write the port as well: 192.0.2.7:4711, [2001:db8::7]:4711. */
function withoutPort(hop: string): string {
  const [, bracketed, plain] = /^(?:\[([\da-f:.]+)\](?::\d+)?|([\d.]+):\d+)$/i.exec(hop.trim()) ?? []
  return bracketed ?? plain ?? hop.trim()
}

/** Java's client offers h2c on every plain request: whoever offers anything but a WebSocket is answered as if he had not. */
export function wantsSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket'
}

/** Whether an address is one of this machine. */
export function isLoopbackPeer(address: string | undefined): boolean {
  return /^(::1|(::ffff:)?127\.)/.test(address ?? '')
}

/** Where the caller believes us to be; a proxy in front says whether it is reached by TLS. */
export function originOf({ host, 'x-forwarded-proto': protocol }: IncomingMessage['headers']): string {
  return `${protocol === 'https' ? 'https' : 'http'}://${host ?? 'localhost'}`
}

/** The media type of its body, in lower case and without parameters. */
export function mediaTypeOf(headers: IncomingMessage['headers']): string {
  return (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

/** The caller's own id where it is a decent one, else ours. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

const callerLeft = () => new Error('the caller left before the whole body was here')

/** All of its body; refuses one that is larger than `limit`. */
export function readBody(request: IncomingMessage, limit = BODY_LIMIT): Promise<Uint8Array> {
  const mib = limit / BODY_LIMIT
  const tooLarge = () =>
    new Refusal('TOO_LARGE', { path: '(body)', zh: `超过上限 ${mib} MiB`, en: `is over the limit of ${mib} MiB` })
  if (Number(request.headers['content-length'] ?? 0) > limit) return Promise.reject(tooLarge())
  // The request's own iterator does the same for much more, which tells at hundreds of pushes a second.
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= limit) return void chunks.push(chunk)
      request.pause()
      reject(tooLarge())
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('error', reject)
    request.once('close', () => request.readableEnded || reject(callerLeft()))
    if (request.destroyed) reject(callerLeft())
  })
}
