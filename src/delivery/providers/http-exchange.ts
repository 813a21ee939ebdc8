/** One HTTP request and its answer, watched closely enough to tell what the loss of a connection means. */
import { once } from 'node:events'
import { request as plainRequest, type Agent, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as tlsRequest } from 'node:https'

/** An answer to a delivery has a few hundred bytes; more comes from something else in between. */
export const ANSWER_BYTES = 64 * 1024

export type Request = { method: string; headers: Record<string, string>; body?: string }
/** `body`: what came of it, up to a limit. `isWhole` false: the connection broke before its end. */
export type Reply = { status: number; headers: IncomingHttpHeaders; body: Buffer; isWhole: boolean }
/** No answer: `unavailable` when the request cannot have arrived, `ambiguous` when it may have. */
export type Lost = { cause: 'unavailable' | 'ambiguous'; why: string }

/**
 * Sends one request and reads its answer; follows no redirect and never rejects. When `signal` aborts, the connection is
 * cut. `fetch` is not used since it does not tell whether it ever had a connection. Without an `agent` it is Node's own,
 * which keeps connections for a few seconds.
 */
export async function exchange(
  url: URL,
  { method, headers, body }: Request,
  signal: AbortSignal,
  agent?: Agent,
): Promise<Reply | Lost> {
  if (signal.aborted) return { cause: 'unavailable', why: 'no connection in time' }
  const isTls = url.protocol === 'https:'
  const request = (isTls ? tlsRequest : plainRequest)(url, { method, headers, agent, signal })
  let isConnected = false
  const connected = () => void (isConnected = true)
  request.once('socket', (socket) => {
    if (request.reusedSocket) connected()
    else socket.once(isTls ? 'secureConnect' : 'connect', connected)
  })
  // Through a proxy the socket may come connected; written is written.
  request.once('finish', connected)
  // What comes after the answer has been read is nobody's business, and without a listener would end the process.
  request.on('error', () => {})
  try {
    const [response] = (await once(request.end(body), 'response')) as [IncomingMessage]
    const read = await readBody(response, signal)
    return { status: response.statusCode ?? 0, headers: response.headers, ...read }
  } catch (error) {
    const what = isConnected ? 'answer' : 'connection'
    const why = signal.aborted ? `no ${what} in time` : `no ${what}: ${whyOf(error as NodeJS.ErrnoException)}`
    return { cause: isConnected ? 'ambiguous' : 'unavailable', why }
  }
}

async function readBody(response: IncomingMessage, signal: AbortSignal): Promise<{ body: Buffer; isWhole: boolean }> {
  const chunks: Buffer[] = []
  let length = 0
  let isWhole = true
  try {
    // Leaving the loop closes the connection.
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= ANSWER_BYTES) break
    }
  } catch (error) {
    if (signal.aborted) throw error
    isWhole = false
  }
  return { body: Buffer.concat(chunks).subarray(0, ANSWER_BYTES), isWhole }
}

/** Where several addresses were tried, only the code tells why. */
function whyOf({ message, code = '' }: NodeJS.ErrnoException): string {
  const hint = /CERT|SELF_SIGNED|ISSUER/.test(code)
    ? '; name its authority in a file and that in NODE_EXTRA_CA_CERTS'
    : ''
  return (message || code) + hint
}
