/** GraphQL over HTTP and SSE: Yoga with our limits, our masking, and who is asking. */
import type { IncomingMessage } from 'node:http'
import { GraphQLError, type GraphQLSchema } from 'graphql'
import { createYoga, type CORSOptions, type Plugin } from 'graphql-yoga'
import type { Logger } from 'pino'
import { OPERATOR, readOperator } from '../audit/audit.ts'
import type { Context, Viewer } from '../context.ts'
import { Refusal } from '../errors.ts'
import { readJson } from '../json.ts'
import type { GraphqlContext } from './builder.ts'
import { limits, rememberedTexts } from './limits.ts'

/** The largest body of any call. */
export const BODY_LIMIT = 1024 * 1024
/** The admin's, who puts ten thousand rows into the directory at once. */
export const ADMIN_BODY_LIMIT = 16 * BODY_LIMIT
/** Up to this a body that is too large is read to its end all the same: a client that still writes would miss the answer. */
const PATIENCE = 8 * BODY_LIMIT
/** How long a browser need not ask again whether it may call; Chromium believes no more. */
const PREFLIGHT_SECONDS = 7200

/** What the HTTP or WebSocket server hands to Yoga for one operation. */
export type ServerContext = { viewer?: Viewer; requestId: string; req?: IncomingMessage } & Pick<
  GraphqlContext,
  'renew'
>

export type GraphiqlPage = () => Promise<string>

/** A request as it came in: the target is path and query as sent, the body the bytes as received. A signature covers it. */
export type Sent = { method: string; target: string; body: Uint8Array }

export type Authenticate = (authorization: string | undefined, sent?: Sent) => Promise<Viewer>

/** Makes the handler for `/graphql`, with `mask` for errors on their way out by another door. `graphiql` undefined: no page. */
export function makeYoga(
  context: Context,
  schema: GraphQLSchema,
  authenticate: Authenticate,
  graphiql: GraphiqlPage | undefined,
) {
  const yoga = createYoga<ServerContext, GraphqlContext>({
    schema,
    graphqlEndpoint: '/graphql',
    landingPage: false,
    cors: corsFor(context.config.ALLOWED_ORIGINS),
    multipart: false,
    batching: false,
    logging: false,
    maxRequestBodySize: false,
    graphiql: graphiql !== undefined,
    ...(graphiql === undefined ? {} : { renderGraphiQL: () => graphiql() }),
    maskedErrors: { maskError: (error) => withStatus(error, mask(error, context.log)) },
    parserAndValidationCache: rememberedTexts(),
    plugins: [onlyJson(authenticate), limits({ tellsSchema: graphiql !== undefined })],
    context: async ({ request, viewer, requestId, renew }) => ({
      posthouse: context,
      requestId,
      renew,
      operator: readOperator(request?.headers.get(OPERATOR)),
      viewer:
        viewer ?? (await authenticate(request?.headers.get('authorization') ?? undefined, request && sentAs(request))),
    }),
  })
  return Object.assign(yoga, {
    mask(error: unknown): GraphQLError {
      const masked = mask(error, context.log)
      delete masked.extensions['http']
      return masked
    },
  })
}

/**
 * Pages of these origins may call, of others not. There are no cookies to abuse: a page shows its token itself, so
 * browsers need not send anything of their own.
 */
function corsFor(allowed: readonly string[]): (request: Request) => CORSOptions {
  return ({ headers }) => {
    const origin = headers.get('origin')
    if (origin === null || !allowed.includes(origin)) return false
    return {
      origin,
      methods: ['GET', 'POST'],
      allowedHeaders: ['authorization', 'content-type', 'x-request-id', OPERATOR],
      exposedHeaders: ['retry-after', 'x-request-id'],
      credentials: false,
      maxAge: PREFLIGHT_SECONDS,
    }
  }
}

/**
 * A body is JSON, uncompressed, and read as strictly as on the documented calls. Forms and plain text are what a web
 * page can send across origins without asking; nobody else needs them.
 */
const onlyJson = (authenticate: Authenticate): Plugin => ({
  onRequestParse({ request, setRequestParser, endResponse, fetchAPI }) {
    if (request.method !== 'POST') return
    const type = request.headers.get('content-type') ?? ''
    const encoding = request.headers.get('content-encoding') ?? 'identity'
    if (/^application\/json\s*(;|$)/i.test(type) && encoding === 'identity')
      return setRequestParser((body) => parseBody(body, authenticate))
    const message = encoding === 'identity' ? 'Content-Type must be application/json' : 'Content-Encoding must be none'
    const errors = [{ message, extensions: { code: 'UNSUPPORTED_MEDIA_TYPE' } }]
    endResponse(fetchAPI.Response.json({ errors }, { status: 415 }))
  },
})

/** The bytes of bodies, until it is known who asks: a signature covers them. */
const received = new WeakMap<Request, Uint8Array>()

function sentAs(request: Request): Sent {
  const { pathname, search } = new URL(request.url)
  return { method: request.method, target: pathname + search, body: received.get(request) ?? new Uint8Array() }
}

async function parseBody(request: Request, authenticate: Authenticate) {
  const bytes = await readBytes(request, await bodyLimit(request, authenticate))
  received.set(request, bytes)
  const body = readJson(bytes)
  if (typeof body === 'object' && body !== null) return body
  throw new Refusal('BAD_INPUT', { path: '(body)', zh: '应为 JSON 对象', en: 'must be a JSON object' })
}

/** Decided before any of it is read; who asks is only looked up where it makes a difference. */
async function bodyLimit({ headers }: Request, authenticate: Authenticate): Promise<number> {
  if (Number(headers.get('content-length') ?? Infinity) <= BODY_LIMIT) return BODY_LIMIT
  const viewer = await authenticate(headers.get('authorization') ?? undefined).catch(() => undefined)
  return viewer?.kind === 'admin' ? ADMIN_BODY_LIMIT : BODY_LIMIT
}

async function readBytes({ headers, body }: Request, limit: number): Promise<Uint8Array> {
  const tooLarge = () => {
    const most = `${limit / BODY_LIMIT} MiB`
    return new Refusal('TOO_LARGE', { path: '(body)', zh: `超过上限 ${most}`, en: `is over the limit of ${most}` })
  }
  const patience = Math.max(limit, PATIENCE)
  if (Number(headers.get('content-length') ?? 0) > patience) throw tooLarge()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > patience) throw tooLarge()
    if (bytes <= limit) chunks.push(chunk)
  }
  if (bytes > limit) throw tooLarge()
  return Buffer.concat(chunks)
}

/**
 * Refusals keep their words and get a code; GraphQL's own errors are the caller's, so they get one too; anything else is
 * our bug and is logged, not shown.
 */
function mask(error: unknown, log: Logger): GraphQLError {
  const original = error instanceof GraphQLError ? error.originalError : error
  const at = error instanceof GraphQLError ? { nodes: error.nodes, path: error.path } : {}
  if (original instanceof Refusal) {
    const { code, path: field, retryAfterSeconds } = original
    return new GraphQLError(original.message, {
      ...at,
      extensions: {
        code,
        ...(field ? { field } : {}),
        ...(retryAfterSeconds === undefined ? {} : { retryAfter: retryAfterSeconds }),
      },
    })
  }
  if (
    error instanceof GraphQLError &&
    (original === undefined || original === null || original instanceof GraphQLError)
  ) {
    error.extensions['code'] ??= 'BAD_INPUT'
    return error
  }
  log.error({ err: original ?? error }, 'graphql: a bug of ours')
  return new GraphQLError('Internal server error', { ...at, extensions: { code: 'INTERNAL' } })
}

/** As long as nothing was executed, the HTTP status tells of a refusal as well. Yoga takes `http` out again. */
function withStatus(error: unknown, masked: GraphQLError): GraphQLError {
  if (!(error instanceof Refusal)) return masked
  const { status } = error.kind
  // What is left of a body that is far too large is not read: the connection ends with the answer.
  masked.extensions['http'] = { status, headers: status === 413 ? { connection: 'close' } : {} }
  return masked
}
