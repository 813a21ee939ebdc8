/** GraphQL over HTTP and SSE: Yoga with our limits, our masking, and who is asking. */
import type { IncomingMessage } from 'node:http'
import { GraphQLError, type GraphQLSchema } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import type { Logger } from 'pino'
import type { Context, Viewer } from '../context.ts'
import { Refusal } from '../errors.ts'
import type { GraphqlContext } from './builder.ts'

/** What the HTTP or WebSocket server hands to Yoga for one operation. */
export type ServerContext = { viewer?: Viewer; requestId: string; req?: IncomingMessage }

export type GraphiqlPage = () => Promise<string>

export type Authenticate = (authorization: string | undefined) => Promise<Viewer>

/** Makes the handler for `/graphql`. `graphiql` undefined: no page. */
export function makeYoga(context: Context, schema: GraphQLSchema, authenticate: Authenticate, graphiql: GraphiqlPage | undefined) {
  return createYoga<ServerContext, GraphqlContext>({
    schema,
    graphqlEndpoint: '/graphql',
    landingPage: false,
    // Pages of other origins may not call: there are no cookies to abuse, and clients of a host system go through it.
    cors: false,
    multipart: false,
    batching: false,
    logging: false,
    graphiql: graphiql !== undefined,
    ...(graphiql === undefined ? {} : { renderGraphiQL: () => graphiql() }),
    maskedErrors: { maskError: (error) => mask(error, context.log) },
    plugins: [onlyJson],
    context: async ({ request, viewer, requestId }) => ({
      posthouse: context,
      requestId,
      viewer: viewer ?? (await authenticate(request?.headers.get('authorization') ?? undefined)),
    }),
  })
}

/** A web page can send these across origins without asking; nobody else needs them. */
const onlyJson: Plugin = {
  onRequest({ request, endResponse, fetchAPI }) {
    if (request.method !== 'POST') return
    const type = request.headers.get('content-type') ?? ''
    if (!/^(application\/x-www-form-urlencoded|multipart\/|text\/)/i.test(type)) return
    endResponse(fetchAPI.Response.json({ errors: [{ message: 'Content-Type must be application/json' }] }, { status: 415 }))
  },
}

/** Refusals keep their words and get a code; GraphQL's own errors pass; anything else is our bug and is logged, not shown. */
export function mask(error: unknown, log: Logger): Error {
  const original = error instanceof GraphQLError ? error.originalError : error
  const at = error instanceof GraphQLError ? { nodes: error.nodes, path: error.path } : {}
  if (original instanceof Refusal) {
    const { code, path: field, kind } = original
    return new GraphQLError(original.message, {
      ...at,
      extensions: { code, ...(field ? { field } : {}), ...(kind.retryAfterSeconds ? { retryAfter: kind.retryAfterSeconds } : {}) },
    })
  }
  if (error instanceof GraphQLError && (original === undefined || original === null || original instanceof GraphQLError)) return error
  log.error({ err: original ?? error }, 'graphql: a bug of ours')
  return new GraphQLError('Internal server error', { ...at, extensions: { code: 'INTERNAL' } })
}
