/** GraphQL over WebSocket: graphql-ws keeps the protocol, Yoga's pipeline runs the operations. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ExecutionArgs, GraphQLError } from 'graphql'
import { CloseCode, type SubscribePayload } from 'graphql-ws'
import { useServer, type Extra } from 'graphql-ws/use/ws'
import { WebSocket, WebSocketServer } from 'ws'
import type { Viewer } from '../context.ts'
import { Refusal } from '../errors.ts'
import { directTo } from './direct.ts'
import { at } from './expiry.ts'
import { planOf } from './live-plan.ts'
import { reasonWith, reconnectAfterMs } from './reconnect.ts'
import type { Readers } from './slow-readers.ts'
import type { Authenticate, makeYoga } from './yoga.ts'

/** An operation with its variables; a push of 1 MiB belongs on HTTP. */
const PAYLOAD_BYTES = 64 * 1024
const OPERATIONS_PER_SOCKET = 20
/** More than anybody has tabs and devices; a page that opens sockets in a loop stops here. */
const SOCKETS_PER_USER = 50
/** Finds peers that are gone without a word. */
const PING_MS = 12_000
/** WebSocket's own code for "try again later". */
const TRY_AGAIN_LATER = 1013
const SERVICE_RESTART = 1012
/** Ours, of the range for private use; graphql-ws's client comes back after both. */
const TOO_SLOW = 4008
const TOO_MANY_SOCKETS = 4029

/** What a socket keeps from `connection_init` on. */
type Own = { viewer: Viewer; callOff: () => void }
type Init = { authorization?: unknown; Authorization?: unknown }

/**
 * Serves graphql-ws on `path`. Who asks is settled once, by `connection_init {authorization}` or the upgrade's header;
 * the socket closes with 4403 when that person's token ends, with 4008 when its reader stops. `allows` judges the
 * upgrade's Origin and Host.
 */
export function serveSockets(
  server: Server,
  path: string,
  yoga: ReturnType<typeof makeYoga>,
  authenticate: Authenticate,
  readers: Readers,
  allows: (headers: { origin?: string | undefined; host?: string | undefined }) => boolean,
): { close(): Promise<void> } {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: PAYLOAD_BYTES, perMessageDeflate: false })
  const ofUser = new Map<string, number>()
  const advice = () => reconnectAfterMs(sockets.clients.size)
  const closeForNow = (client: WebSocket, code: number, why: string) => client.close(code, reasonWith(why, advice()))

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node has taken its own listener away: an error that nobody hears would end the process.
    socket.on('error', () => socket.destroy())
    if (request.url?.split('?', 1)[0] !== path) return refuse(socket, '404 Not Found')
    if (!allows(request.headers)) return refuse(socket, '403 Forbidden')
    sockets.handleUpgrade(request, socket, head, (client) => {
      sockets.emit('connection', client, request)
      // What a client sends wrong is no news of ours: graphql-ws would print the first and leave the next to end the process.
      client.removeAllListeners('error').on('error', () => {})
      answerOnlyThoseHere(client, socket)
      readers.onStop(socket, () => closeForNow(client, TOO_SLOW, 'Reads too slowly: come back with your last rev'))
      // Whoever asks and does not take the answers is heard no further, since every ask is an answer more.
      const listenLess = () => {
        if (client.isPaused || !readers.isFull(socket)) return
        client.pause()
        void readers.room(socket).then(() => client.resume())
      }
      client.on('message', listenLess).on('ping', listenLess)
    })
  })

  /** False for a person who has too many already. Gives the place back when the socket closes. */
  function takePlace(client: WebSocket, user: string): boolean {
    const before = ofUser.get(user) ?? 0
    if (before === SOCKETS_PER_USER) return false
    ofUser.set(user, before + 1)
    client.once('close', () => {
      const left = (ofUser.get(user) ?? 0) - 1
      if (left > 0) ofUser.set(user, left)
      else ofUser.delete(user)
    })
    return true
  }

  type Enveloped = ReturnType<typeof yoga.getEnveloped>
  const envelopes = new WeakMap<ExecutionArgs, Pick<Enveloped, 'execute' | 'subscribe'>>()

  /** One operation, parsed and valid, as Yoga's pipeline would run it over HTTP. */
  async function prepare(
    { socket, request, viewer = { kind: 'nobody' } }: Extra & Partial<Own>,
    id: string,
    params: SubscribePayload,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
      viewer,
      requestId: randomUUID(),
      params,
    })
    const document = parse(params.query)
    const errors = validate(schema, document)
    if (errors.length > 0) return errors
    const { operationName, variables: variableValues } = params
    const plan = planOf(schema, document, operationName, variableValues)
    const direct = plan && directTo(socket, request.socket, readers, id, plan)
    const contextValue = Object.assign(await contextFactory(), { direct })
    const args: ExecutionArgs = { schema, document, operationName, variableValues, contextValue }
    envelopes.set(args, { execute, subscribe })
    return args
  }

  const running = useServer<Init, Partial<Own>>(
    {
      // Otherwise errors that are our bugs would go out as close reasons.
      isProd: true,
      async onConnect({ connectionParams, extra }) {
        const given =
          connectionParams?.authorization ?? connectionParams?.Authorization ?? extra.request.headers.authorization
        try {
          extra.viewer = await authenticate(typeof given === 'string' ? given : undefined)
        } catch (error) {
          if (error instanceof Refusal && error.code === 'UNAUTHENTICATED') return false
          closeForNow(extra.socket, TRY_AGAIN_LATER, yoga.mask(error).message)
          return true
        }
        // It may have left while we looked who it is.
        if (extra.viewer.kind === 'user' && extra.socket.readyState === WebSocket.OPEN) {
          if (!takePlace(extra.socket, extra.viewer.code)) {
            const why = `${SOCKETS_PER_USER} sockets are open: close one, or share one`
            closeForNow(extra.socket, TOO_MANY_SOCKETS, why)
            return true
          }
          extra.callOff = at(extra.viewer.expiresAt, () => extra.socket.close(CloseCode.Forbidden, 'Token expired'))
        }
        return { reconnectAfterMs: advice() }
      },
      onClose: ({ extra }) => extra.callOff?.(),
      async onSubscribe({ extra, subscriptions }, id, params) {
        try {
          if (Object.keys(subscriptions).length > OPERATIONS_PER_SOCKET) throw tooMany()
          const prepared = await prepare(extra, id, params)
          return 'schema' in prepared ? prepared : prepared.map(yoga.mask)
        } catch (error) {
          return [yoga.mask(error)]
        }
      },
      // Results pass the pipeline's mask; what it left there for HTTP stays here.
      async onNext({ extra }, _id, _params, _args, { errors, ...result }) {
        await readers.room(extra.request.socket)
        return errors && { ...result, errors: errors.map((error) => yoga.mask(error).toJSON()) }
      },
      execute: (args) => envelopes.get(args)?.execute(args),
      subscribe: (args) => envelopes.get(args)?.subscribe(args),
    },
    sockets,
    PING_MS,
  )
  return {
    async close() {
      // Clients take this for a reason to come back, not for the end.
      for (const client of sockets.clients) closeForNow(client, SERVICE_RESTART, 'Restarting')
      await running.dispose()
      sockets.close()
    },
  }
}

/** What did not reach somebody who is gone is no fault: graphql-ws would print each answer that was under way as one. */
function answerOnlyThoseHere(client: WebSocket, connection: Duplex): void {
  const send = client.send.bind(client)
  Object.assign(client, {
    send: (data: string, done?: (error?: Error) => void) =>
      done === undefined ? send(data) : send(data, (error) => done(connection.destroyed ? undefined : error)),
  })
}

function tooMany(): Refusal {
  return new Refusal('TOO_LARGE', {
    path: 'socket',
    zh: `已有 ${OPERATIONS_PER_SOCKET} 个操作，请先结束一个或另开连接`,
    en: `carries ${OPERATIONS_PER_SOCKET} operations already: complete one first, or open another socket`,
  })
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
}
