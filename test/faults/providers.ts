/**
 * Fake providers that misbehave: an SMS gateway over HTTP and, in smtp-provider.ts, a mail server. They live in the test's
 * process, so that nothing that is killed takes their ledger along.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { fateOf, type Ledger } from './ledger.ts'

export const SLOW_MS = 1_500

export type FakeProvider = {
  port: number
  /** The channel's setting for the process of that name. */
  urlFor(node: string): string
  /** Refuses connections and cuts those that are open. */
  down(): Promise<void>
  up(): Promise<void>
}

/** The gateway's answers, as many have them: HTTP 200 and a code. */
const TAKEN = { code: 0 }
const NO_SUCH_NUMBER = { code: 4001, message: 'no such number' }
const BUSY_NUMBER = { code: 5, message: 'this number is busy' }

export async function smsGateway(channelId: string, ledger: Ledger): Promise<FakeProvider> {
  const server = createServer((request, response) => {
    // A peer that is killed resets its connections.
    answer(request, response).catch(() => response.destroy())
  })

  async function answer(request: IncomingMessage, response: ServerResponse) {
    const fault = ledger.next(channelId)
    if (fault === 'halfway') {
      await once(request, 'data')
      return void response.destroy()
    }
    const body = Buffer.concat(await request.toArray()).toString()
    if (fault === 'busy') return reply(response, 429, { message: 'too many requests' }, { 'retry-after': '1' })
    if (fault === 'failing') return reply(response, 500, { message: 'internal error' })
    const { ref, mobile, text } = JSON.parse(body) as Record<'ref' | 'mobile' | 'text', string>
    const fate = fateOf(`+86${mobile}`)
    if (fate === 'never') return reply(response, 200, NO_SUCH_NUMBER)
    if (fate === 'always busy') return reply(response, 200, BUSY_NUMBER)

    const copy = ledger.take({
      channelId,
      key: ref,
      address: `+86${mobile}`,
      push: text,
      hash: createHash('sha256').update(body).digest('hex'),
      node: new URL(request.url ?? '', 'http://gateway').searchParams.get('node') ?? '',
    })
    response.once('finish', () => (copy.answeredAt = Date.now()))
    response.once('close', () => ledger.gone(copy))
    if (fault === 'lost') return void response.destroy()
    if (fault === 'hang') return
    if (fault === 'cut') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
      return void response.write('{"co', () => response.destroy())
    }
    const tell = () => ledger.answer(copy, () => reply(response, 200, TAKEN))
    if (fault === 'slow') setTimeout(tell, SLOW_MS)
    else tell()
  }

  await listening(server, 0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    urlFor(node) {
      const query = new URLSearchParams({
        node,
        'posthouse.ok': 'code=0',
        'posthouse.permanent': 'code=4001',
        'posthouse.takes': 'content',
        'posthouse.body': '{"ref":"{{ id }}","mobile":"{{ phone }}","text":"{{ text }}"}',
      })
      return `http://127.0.0.1:${port}/send?${query}`
    },
    async down() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    up: () => listening(server, port),
  }
}

function reply(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

export async function listening(
  server: { listen(port: number, host: string): unknown; once(event: 'listening', then: () => void): unknown },
  port: number,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.once('listening', resolve)
  server.listen(port, '127.0.0.1')
  await promise
}

/** Cuts a connection as a machine that goes away does. */
export function cut(socket: Socket): void {
  socket.resetAndDestroy()
}
