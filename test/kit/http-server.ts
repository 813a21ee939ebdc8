/** A local HTTP server that answers as a provider would: keeps what arrives, and answers as each test says. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Call = { method: string; url: URL; headers: IncomingHttpHeaders; body: string }
export type Reply = { status?: number; headers?: Record<string, string>; body: unknown }

/** Starts one on a free port of 127.0.0.1. `answer` gives the reply, or takes the response in hand and gives nothing. */
export async function httpServer(answer: (call: Call, response: ServerResponse) => Reply | undefined) {
  const calls: Call[] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    const { method = '', headers } = request
    const call = { method, url: new URL(request.url ?? '', `http://${headers.host}`), headers, body }
    calls.push(call)
    const reply = answer(call, response)
    if (reply === undefined) return
    response.writeHead(reply.status ?? 200, { 'content-type': 'application/json;charset=utf-8', ...reply.headers })
    response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
