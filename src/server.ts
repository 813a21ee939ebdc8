/** The HTTP server: the documented calls in front, GraphQL beside them, callbacks of providers, health and metrics. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { authenticate } from './apps/authenticate.ts'
import { byOf, OPERATOR, readOperator } from './audit/audit.ts'
import type { Context } from './context.ts'
import { answers } from './db/client.ts'
import { callback } from './delivery/callbacks.ts'
import { DIRECTORY_PATH, directoryCall, openImports } from './directory/rest.ts'
import { SCIM_PATH, scimCall, scimRefusal } from './directory/scim/rest.ts'
import { Refusal } from './errors.ts'
import { watchReaders } from './graphql/slow-readers.ts'
import { serveSockets } from './graphql/socket.ts'
import type { GraphiqlViewer } from './graphiql.ts'
import { ADMIN_BODY_LIMIT, makeYoga, type Authenticate } from './graphql/yoga.ts'
import { unsubscribe, type UnsubscribeCall } from './preferences/unsubscribe.ts'
import { UNSUBSCRIBE_PATH } from './preferences/unsubscribe-link.ts'
import {
  addressOf,
  isAllowedOrigin,
  isLoopbackHost,
  isLoopbackPeer,
  mediaTypeOf,
  originOf,
  readBody,
  requestIdOf,
  wantsSocket,
} from './request.ts'
import { answer, type RestRequest } from './rest.ts'
import { schema } from './schema.ts'

/** How long a client may take over its headers and over a whole request. */
const HTTP = { headersTimeout: 10_000, requestTimeout: 30_000, shouldUpgradeCallback: wantsSocket }
/** What a request asks for whose target is no path. */
const NOWHERE = { pathname: '', searchParams: new URLSearchParams() }
/**
 * Connections that wait to be taken. Node asks for 511, and of ten thousand that come back at once some hundred then hang
 * for minutes: their side holds them for open. The system has the last word (Linux: `net.core.somaxconn`, 4096 as a rule).
 */
const BACKLOG = 16_384
const CALLBACKS = '/callbacks/'
/** What a request is counted under, by how its path begins. */
const DOORS = {
  '/graphql': 'graphql',
  '/api/': 'rest',
  '/scim/': 'scim',
  [CALLBACKS]: 'callbacks',
  [UNSUBSCRIBE_PATH]: 'unsubscribe',
  '/metrics': 'metrics',
}
/** The caller left before there was an answer: nginx counts it so. */
const CALLER_LEFT = 499

export type PosthouseServer = {
  url: string
  /** Stops accepting, lets requests under way end, tells sockets to come back (1012). */
  close(): Promise<void>
  /** From now on `/readyz` says no, so that a load balancer sends nobody here. */
  drain(): void
}

/** Listens on HOST and PORT; rejects when it cannot. `viewers` are tokens that GraphiQL may offer, for development. */
export async function startServer(context: Context, viewers: GraphiqlViewer[]): Promise<PosthouseServer> {
  const { config, log } = context
  const ask: Authenticate = (authorization, sent) => authenticate(context, authorization, sent)
  // The page is 9 MB: loaded when somebody first looks at it.
  const page = async () => (await import('./graphiql.ts')).graphiqlPage({ viewers, defaultViewer: 'user' })
  const graphiql = (config.GRAPHIQL ?? config.isLoopback) ? page : undefined
  const yoga = makeYoga(context, schema, ask, graphiql)
  const imports = openImports()
  let isReady = true
  const startedAt = new WeakMap<ServerResponse, number>()

  const server = createServer(HTTP, (request, response) => {
    startedAt.set(response, performance.now())
    const requestId = requestIdOf(request)
    response.setHeader('x-request-id', requestId)
    response.setHeader('x-content-type-options', 'nosniff')
    handle(request, response, requestId).catch((error) => {
      log.error({ err: error, requestId }, 'http: a bug of ours')
      if (!response.headersSent) send(response, 500, { code: 500, msg: '服务器内部错误' })
      else response.destroy()
    })
  })

  async function handle(request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> {
    const { pathname: path, searchParams } = URL.parse(`http://localhost${request.url ?? '/'}`) ?? NOWHERE
    const door = Object.entries(DOORS).find(([start]) => path.startsWith(start))?.[1] ?? 'other'
    response.once('close', () =>
      context.metrics?.requestDone(door, response.headersSent ? response.statusCode : CALLER_LEFT),
    )
    // Under whatever name somebody reaches us, through a tunnel perhaps: these prove themselves, and tell nothing else.
    if (path.startsWith(CALLBACKS))
      return receive(request, response, 'callback', { requestId, path }, (call) =>
        callback(context, path.slice(CALLBACKS.length), { ...call, query: searchParams }),
      )
    if (path.startsWith(UNSUBSCRIBE_PATH))
      return receive(request, response, 'unsubscribe', { requestId }, (call) =>
        unsubscribe(context, path.slice(UNSUBSCRIBE_PATH.length), call),
      )
    if (!isOwnHost(request.headers)) return send(response, 403, { code: 401, msg: '身份验证失败' })
    if (path === '/graphql') {
      response.once('close', () => logDone('graphql', request, response, requestId, {}))
      return void (await yoga(request, response, { requestId }))
    }
    if (path === '/healthz') return send(response, 200, { status: 'ok' })
    if (path === '/readyz') return ready(response)
    if (path === '/metrics') return metrics(request, response)
    if (path === '/' && config.isLoopback) return void response.writeHead(302, { location: '/graphql' }).end()
    if (path.startsWith(DIRECTORY_PATH)) return directory(request, response, { path, query: searchParams }, requestId)
    if (path === SCIM_PATH || path.startsWith(`${SCIM_PATH}/`))
      return scim(request, response, { path, query: searchParams }, requestId)
    await rest(request, response, { path, query: searchParams }, requestId)
  }

  async function rest(
    request: IncomingMessage,
    response: ServerResponse,
    target: Pick<RestRequest, 'path' | 'query'>,
    requestId: string,
  ): Promise<void> {
    const call: RestRequest = {
      ...target,
      method: request.method ?? '',
      target: request.url ?? '',
      headers: request.headers as RestRequest['headers'],
      body: () => readBody(request),
      address: addressOf(request, config.TRUSTED_PROXIES),
      requestId,
    }
    const { status, headers, body } = await answer(context, call, (error) =>
      log.error({ err: error, requestId }, 'rest: a bug of ours'),
    )
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    // What is left of a body that was refused is not read: the connection ends with the answer.
    if (!request.complete) response.setHeader('connection', 'close')
    send(response, status, body)
    logDone('rest', request, response, requestId, { path: target.path, code: body['code'], msgId: body['msgId'] })
  }

  /** What the doors of the admin are called with. Whoever asks is known before any of the body is read. */
  async function adminCall(request: IncomingMessage, requestId: string) {
    const viewer = await ask(request.headers.authorization)
    if (viewer.kind !== 'admin') throw new Refusal(viewer.kind === 'nobody' ? 'UNAUTHENTICATED' : 'FORBIDDEN')
    const operator = readOperator(request.headers[OPERATOR] as string | undefined)
    return {
      method: request.method ?? '',
      mediaType: mediaTypeOf(request.headers),
      body: () => readBody(request, ADMIN_BODY_LIMIT),
      by: byOf({ viewer, requestId, operator }),
    }
  }

  /** The admin's calls about the directory. */
  async function directory(
    request: IncomingMessage,
    response: ServerResponse,
    { path, query }: { path: string; query: URLSearchParams },
    requestId: string,
  ): Promise<void> {
    try {
      const call = {
        ...(await adminCall(request, requestId)),
        path: path.slice(DIRECTORY_PATH.length),
        query,
        stream: request,
      }
      const { status, data } = await directoryCall(context, call, imports)
      send(response, status, { code: 200, msg: '操作成功', data })
    } catch (error) {
      if (!(error instanceof Refusal)) log.error({ err: error, requestId }, 'directory: a bug of ours')
      const { kind, zh } = error instanceof Refusal ? error : new Refusal('INTERNAL')
      // What is left of a body that was refused is not read: the connection ends with the answer.
      if (!request.complete) response.setHeader('connection', 'close')
      send(response, kind.status, { code: kind.restCode, msg: zh })
    }
    logDone('directory', request, response, requestId, { path })
  }

  /** An identity provider's call, with the admin's key. */
  async function scim(
    request: IncomingMessage,
    response: ServerResponse,
    { path, query }: { path: string; query: URLSearchParams },
    requestId: string,
  ): Promise<void> {
    const called = { path: path.slice(SCIM_PATH.length), query, origin: originOf(request.headers) }
    const answer = await adminCall(request, requestId)
      .then((call) => scimCall(context, { ...call, ...called }))
      .catch((error: unknown) => {
        const refusal = scimRefusal(error)
        if (refusal.isOurs) log.error({ err: error, requestId }, 'scim: a bug of ours')
        return refusal
      })
    for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value)
    if (!request.complete) response.setHeader('connection', 'close')
    if (answer.body === undefined) response.writeHead(answer.status).end()
    else write(response, answer.status, 'application/scim+json; charset=utf-8', JSON.stringify(answer.body))
    logDone('scim', request, response, requestId, { path })
  }

  /** A call that proves itself. Its query or path may hold a secret, and its body whom it is about: none is logged. */
  async function receive(
    request: IncomingMessage,
    response: ServerResponse,
    door: 'callback' | 'unsubscribe',
    logged: { requestId: string; path?: string },
    act: (
      call: UnsubscribeCall,
    ) => Promise<{ status: number; contentType: string; body: string; headers?: Record<string, string> }>,
  ): Promise<void> {
    const {
      status,
      contentType,
      body,
      headers = {},
    } = await act({
      method: request.method ?? '',
      headers: request.headers as RestRequest['headers'],
      body: () => readBody(request),
    })
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (!request.complete) response.setHeader('connection', 'close')
    write(response, status, contentType, body)
    const { requestId, ...fields } = logged
    logDone(door, request, response, requestId, fields)
  }

  /** For the admin; in development also for whoever calls from this machine, as the pages there. */
  async function metrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isHere = context.secrets.areMade && isLoopbackPeer(addressOf(request, []))
    const viewer = isHere ? undefined : await ask(request.headers.authorization).catch(() => undefined)
    if (!isHere && viewer?.kind !== 'admin') return send(response, 401, { code: 401, msg: '身份验证失败' })
    const read = await context.metrics?.read(context)
    write(response, 200, read?.contentType ?? 'text/plain', read?.text ?? '')
  }

  /** One line a request; a subscription's when it ends. */
  function logDone(
    door: string,
    { method }: IncomingMessage,
    response: ServerResponse,
    requestId: string,
    more: object,
  ): void {
    const milliseconds = Math.round(performance.now() - (startedAt.get(response) ?? performance.now()))
    log.info({ requestId, method, status: response.statusCode, ...more, milliseconds }, door)
  }

  /** Ready: not on the way out, and the database answers. */
  async function ready(response: ServerResponse): Promise<void> {
    const isUp = isReady && (await answers(context.store))
    send(response, isUp ? 200 : 503, { status: isUp ? 'ready' : 'not ready' })
  }

  // In development pages hold ready tokens, so nothing is served to a page under another name that points here.
  const isOwnHost = ({ host }: { host?: string | undefined }) => !context.secrets.areMade || isLoopbackHost(host)
  const readers = watchReaders(server, () => context.metrics?.readerCut())
  const allows = (headers: IncomingMessage['headers']) =>
    isOwnHost(headers) && isAllowedOrigin(headers, config.ALLOWED_ORIGINS)
  const sockets = serveSockets(server, '/graphql', yoga, ask, readers, context.live.guests.enter, allows)
  await listen(server, config.PORT, config.HOST)
  const { port } = server.address() as AddressInfo
  const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST
  return {
    url: `http://${host}:${port}`,
    drain() {
      isReady = false
    },
    async close() {
      isReady = false
      const closed = new Promise((resolve) => server.close(resolve))
      await sockets.close()
      server.closeIdleConnections()
      const force = setTimeout(() => server.closeAllConnections(), 1_000)
      await closed
      clearTimeout(force)
      await imports.close()
      readers.close()
    },
  }
}

function send(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  write(response, status, 'application/json; charset=utf-8', JSON.stringify(body))
}

function write(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }).end(text)
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: BACKLOG }, () => resolve())
  })
}
