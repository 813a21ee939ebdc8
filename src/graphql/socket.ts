/** GraphQL over WebSocket: who may come in, and how much each may ask. */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { CloseCode, handleProtocols } from 'graphql-ws'
import { WebSocket, WebSocketServer } from 'ws'
import type { Person, Viewer } from '../context.ts'
import { Refusal } from '../errors.ts'
import { atEnd } from './expiry.ts'
import { takeOperation } from './operation.ts'
import { startPings } from './pings.ts'
import { speak } from './protocol.ts'
import { reasonWith, reconnectAfterMs } from './reconnect.ts'
import type { Readers } from './slow-readers.ts'
import type { Authenticate, makeYoga } from './yoga.ts'

/** An operation with its variables; a push of 1 MiB belongs on HTTP. */
const PAYLOAD_BYTES = 64 * 1024
const OPERATIONS_PER_SOCKET = 20
/** More than anybody has tabs and devices; a page that opens sockets in a loop stops here. */
const SOCKETS_PER_USER = 50
/** WebSocket's own code for "try again later". */
const TRY_AGAIN_LATER = 1013
const SERVICE_RESTART = 1012
/** Ours, of the range for private use; graphql-ws's client comes back after both. */
const TOO_SLOW = 4008
const TOO_MANY_SOCKETS = 4029

/** One socket. Whom it belongs to is known from `connection_init` on; what the upgrade said of it only until then. */
type Own = {
  client: WebSocket
  connection: Duplex
  authorization: string | undefined
  viewer: Viewer
  callOff: () => void
  /** Lets the same person stay on with another token; gives how long. */
  renew(authorization: string): Promise<Date>
}

/**
 * Serves graphql-ws on `path`. Who asks is settled once, by `connection_init {authorization}` or the upgrade's header;
 * the socket closes with 4403 when that person's token ends or he may not stay, with 4008 when its reader stops. `enter`
 * says that somebody is in, and calls when he has to leave; `allows` judges the upgrade's Origin and Host.
 */
export function serveSockets(
  server: Server,
  path: string,
  yoga: ReturnType<typeof makeYoga>,
  authenticate: Authenticate,
  readers: Readers,
  enter: (person: Person, leave: () => void) => () => void,
  allows: (headers: { origin?: string | undefined; host?: string | undefined }) => boolean,
): { close(): Promise<void> } {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: PAYLOAD_BYTES,
    perMessageDeflate: false,
    handleProtocols,
  })
  const pings = startPings()
  const ofUser = new Map<string, number>()
  const advice = () => reconnectAfterMs(sockets.clients.size)
  const closeForNow = (client: WebSocket, code: number, why: string) => client.close(code, reasonWith(why, advice()))

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node has taken its own listener away: an error that nobody hears would end the process.
    socket.on('error', destroyIt)
    if (request.url?.split('?', 1)[0] !== path) return refuse(socket, '404 Not Found')
    if (!allows(request.headers)) return refuse(socket, '403 Forbidden')
    sockets.handleUpgrade(request, socket, head, (client) => {
      const own: Own = {
        client,
        connection: socket,
        authorization: request.headers.authorization,
        viewer: { kind: 'nobody' },
        callOff: ignore,
        renew: (authorization) => renew(own, authorization),
      }
      welcome(own)
    })
  })

  /** Apart from the upgrade: what listens here would keep the request, with all its headers, as long as the socket. */
  function welcome(own: Own): void {
    const { client, connection } = own
    speak(client, {
      connect: (params) => connect(own, params),
      take(id, asked, count) {
        if (count > OPERATIONS_PER_SOCKET) throw tooMany()
        return takeOperation(yoga, readers, own, id, asked)
      },
      room: () => readers.room(connection),
      mask: yoga.mask,
    })
    // What a client sends wrong is no news of ours.
    client.on('error', ignore)
    pings.watch(client)
    readers.onStop(connection, () => closeForNow(client, TOO_SLOW, 'Reads too slowly: come back with your last rev'))
    // Whoever asks and does not take the answers is heard no further, since every ask is an answer more.
    const listenLess = () => {
      if (client.isPaused || !readers.isFull(connection)) return
      client.pause()
      void readers.room(connection).then(() => client.resume())
    }
    client.on('message', listenLess).on('ping', listenLess)
    client.on('close', () => own.callOff())
  }

  /** Who is it? Undefined for one who may not come in; for now, the socket is closed with the reason. */
  async function connect(own: Own, params: Record<string, unknown> | undefined): Promise<object | undefined> {
    const given = params?.['authorization'] ?? params?.['Authorization'] ?? own.authorization
    own.authorization = undefined
    try {
      own.viewer = await authenticate(typeof given === 'string' ? given : undefined)
    } catch (error) {
      if (error instanceof Refusal && error.code === 'UNAUTHENTICATED') return undefined
      closeForNow(own.client, TRY_AGAIN_LATER, yoga.mask(error).message)
      return {}
    }
    // It may have left while we looked who it is.
    if (own.viewer.kind === 'user' && own.client.readyState === WebSocket.OPEN) {
      const { viewer } = own
      const { code } = viewer
      const before = ofUser.get(code) ?? 0
      if (before === SOCKETS_PER_USER) {
        const why = `${SOCKETS_PER_USER} sockets are open: close one, or share one`
        closeForNow(own.client, TOO_MANY_SOCKETS, why)
        return {}
      }
      ofUser.set(code, before + 1)
      const noTimer = atEnd(viewer, () => own.client.close(CloseCode.Forbidden, 'Token expired'))
      const goOut = enter(viewer, () => own.client.close(CloseCode.Forbidden, 'Not good any more'))
      own.callOff = () => {
        noTimer()
        goOut()
        givePlace(code)
      }
    }
    return { reconnectAfterMs: advice() }
  }

  /** What runs on goes on: whoever asks in its name is the same object, whose token now ends later. */
  async function renew({ viewer }: Own, authorization: string): Promise<Date> {
    const renewed = await authenticate(authorization)
    if (viewer.kind !== 'user' || renewed.kind !== 'user' || renewed.code !== viewer.code) throw anotherPerson()
    Object.assign(viewer, { token: renewed.token, expiresAt: renewed.expiresAt })
    return renewed.expiresAt
  }

  function givePlace(user: string): void {
    const left = (ofUser.get(user) ?? 0) - 1
    if (left > 0) ofUser.set(user, left)
    else ofUser.delete(user)
  }

  return {
    async close() {
      pings.stop()
      // Clients take this for a reason to come back, not for the end.
      for (const client of sockets.clients) closeForNow(client, SERVICE_RESTART, 'Restarting')
      await new Promise((resolve) => sockets.close(resolve))
    },
  }
}

function destroyIt(this: Duplex): void {
  this.destroy()
}

function ignore(): void {}

function anotherPerson(): Refusal {
  return new Refusal('UNAUTHENTICATED', {
    path: 'token',
    zh: '令牌不是此连接的用户的',
    en: "is not of this socket's person: open another socket",
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
