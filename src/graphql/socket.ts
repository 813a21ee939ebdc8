/** GraphQL over WebSocket: graphql-ws keeps the protocol, Yoga's pipeline runs the operations. */
import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import type { ExecutionArgs } from 'graphql'
import { CloseCode } from 'graphql-ws'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Viewer } from '../context.ts'
import { Refusal } from '../errors.ts'
import type { Authenticate, makeYoga } from './yoga.ts'

/** An operation with its variables; a push of 1 MiB belongs on HTTP. */
const PAYLOAD_BYTES = 64 * 1024
const SUBSCRIPTIONS_PER_SOCKET = 20
/** Finds peers that are gone without a word. */
const PING_MS = 12_000

type Extra = { socket: WebSocket; viewer?: Viewer; expiry?: NodeJS.Timeout; subscriptions: number }

/**
 * Serves graphql-ws on `path`. Who asks is settled once, by `connection_init {authorization}` or the upgrade's header;
 * the socket closes with 4403 when that person's token ends. `allows` judges the upgrade's Origin and Host.
 */
export function serveSockets(
  server: Server,
  path: string,
  yoga: ReturnType<typeof makeYoga>,
  authenticate: Authenticate,
  allows: (headers: { origin?: string | undefined; host?: string | undefined }) => boolean,
): { close(): Promise<void> } {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: PAYLOAD_BYTES, perMessageDeflate: false })
  server.on('upgrade', (request, socket, head) => {
    const isOurs = new URL(request.url ?? '/', 'http://localhost').pathname === path
    if (!isOurs || !allows(request.headers)) return void socket.end(`HTTP/1.1 ${isOurs ? '403 Forbidden' : '404 Not Found'}\r\n\r\n`)
    sockets.handleUpgrade(request, socket, head, (client) => sockets.emit('connection', client, request))
  })

  const running = useServer<{ authorization?: unknown; Authorization?: unknown }, Partial<Extra>>(
    {
      async onConnect({ connectionParams, extra }) {
        const own = extra as Extra & { request: { headers: { authorization?: string } } }
        const given = connectionParams?.authorization ?? connectionParams?.Authorization ?? own.request.headers.authorization
        try {
          own.viewer = await authenticate(typeof given === 'string' ? given : undefined)
        } catch (error) {
          if (error instanceof Refusal && error.code === 'UNAUTHENTICATED') return false
          throw error
        }
        own.subscriptions = 0
        if (own.viewer.kind === 'user') own.expiry = closeAt(own.viewer.expiresAt, own.socket)
        return true
      },
      onDisconnect: ({ extra }) => clearTimeout((extra as Extra).expiry),
      async onSubscribe({ extra, subscriptions }, _id, params) {
        const own = extra as Extra
        if (Object.keys(subscriptions).length > SUBSCRIPTIONS_PER_SOCKET) {
          own.socket.close(CloseCode.TooManyInitialisationRequests, `At most ${SUBSCRIPTIONS_PER_SOCKET} operations on a socket`)
          return []
        }
        const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
          viewer: own.viewer ?? { kind: 'nobody' as const },
          requestId: randomUUID(),
          params,
        })
        const document = parse(params.query)
        const errors = validate(schema, document)
        if (errors.length > 0) return errors
        return {
          schema,
          document,
          operationName: params.operationName,
          variableValues: params.variables,
          contextValue: await contextFactory(),
          rootValue: { execute, subscribe },
        } as ExecutionArgs
      },
      execute: (args) => (args.rootValue as Envelope).execute(args),
      subscribe: (args) => (args.rootValue as Envelope).subscribe(args),
    },
    sockets,
    PING_MS,
  )
  return {
    async close() {
      await running.dispose()
      sockets.close()
    },
  }
}

type Envelope = { execute(args: ExecutionArgs): never; subscribe(args: ExecutionArgs): never }

/** setTimeout takes at most 2^31 ms; tokens are far shorter. */
function closeAt(time: Date, socket: WebSocket): NodeJS.Timeout {
  return setTimeout(() => socket.close(CloseCode.Forbidden, 'Token expired'), Math.max(0, time.getTime() - Date.now()))
}
