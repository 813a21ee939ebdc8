/**
 * What is said on a socket: the same, message by message and code by code, as graphql-ws's own server says to the same
 * client, over the same schema; and what is let go of.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  execute,
  getOperationAST,
  GraphQLError,
  parse,
  subscribe,
  validate,
  type ExecutionResult,
  type GraphQLSchema,
} from 'graphql'
import { handleProtocols, type SubscribePayload } from 'graphql-ws'
import { useServer } from 'graphql-ws/use/ws'
import { createSchema } from 'graphql-yoga'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'
import { speak, type Answer } from '../../src/graphql/protocol.ts'
import { eventually } from '../kit/posthouse.ts'

const PROTOCOL = 'graphql-transport-ws'

/** Streams that run, each with how to end it. */
const running = new Set<() => void>()

/** Numbers up to `to`, then nothing until it is left. */
function numbers(to: number): AsyncIterableIterator<{ count: number }> {
  const left = Promise.withResolvers<void>()
  const leave = () => left.resolve()
  running.add(leave)
  let count = 0
  return {
    async next() {
      if (count < to) return { value: { count: ++count }, done: false }
      await left.promise
      return { value: undefined, done: true }
    },
    async return() {
      leave()
      running.delete(leave)
      return { value: undefined, done: true }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

const schema: GraphQLSchema = createSchema({
  typeDefs: `
    type Query { hello(name: String): String fail: String! }
    type Mutation { add(to: Int!): Int! }
    type Subscription { count(to: Int!): Int endless(to: Int!): Int break: Int }`,
  resolvers: {
    Query: {
      hello: (_root: unknown, { name }: { name?: string }) => `hello ${name ?? 'you'}`,
      fail: () => {
        throw new Error('no')
      },
    },
    Mutation: { add: (_root: unknown, { to }: { to: number }) => to + 1 },
    Subscription: {
      count: {
        async *subscribe(_root: unknown, { to }: { to: number }) {
          for (let count = 1; count <= to; count++) yield { count }
        },
      },
      endless: {
        subscribe: (_root: unknown, { to }: { to: number }) => numbers(to),
        resolve: ({ count }: { count: number }) => count,
      },
      break: {
        async *subscribe() {
          yield { break: 1 }
          throw new Error('broken')
        },
      },
    },
  },
})

async function begin({ query, operationName, variables }: SubscribePayload): Promise<Answer> {
  const document = parse(query)
  const errors = validate(schema, document)
  if (errors.length > 0) return { errors }
  const run = getOperationAST(document, operationName)?.operation === 'subscription' ? subscribe : execute
  const given = (await run({ schema, document, operationName, variableValues: variables })) as
    | ExecutionResult
    | AsyncIterableIterator<ExecutionResult>
  return { results: Symbol.asyncIterator in given ? given : [given] }
}
const asGraphQLError = (error: unknown) =>
  error instanceof GraphQLError ? error : new GraphQLError((error as Error).message)

const SERVERS = {
  ours(sockets: WebSocketServer) {
    sockets.options.handleProtocols = handleProtocols
    sockets.on('connection', (client) =>
      speak(client, {
        connect: async (params) => (params?.['refuse'] ? undefined : { welcome: params?.['name'] ?? 'you' }),
        take: (_id, asked) => () => begin(asked).catch((error) => ({ errors: [asGraphQLError(error)] })),
        room: async () => {},
        mask: asGraphQLError,
      }),
    )
  },
  "graphql-ws's"(sockets: WebSocketServer) {
    useServer(
      {
        schema,
        isProd: true,
        onConnect: ({ connectionParams }) =>
          connectionParams?.['refuse'] ? false : { welcome: connectionParams?.['name'] ?? 'you' },
        // It lets what cannot be parsed close the socket.
        onSubscribe(_context, _id, { query }) {
          try {
            parse(query)
          } catch (error) {
            return [asGraphQLError(error)]
          }
          return undefined
        },
      },
      sockets,
    )
  },
}

/** What to send, a string as it is; a number: wait until so many messages have come; 'closed': for the end. */
type Step = object | string | number
const INIT = { type: 'connection_init' }
const ask = (id: string, query: string, variables?: object) => ({
  id,
  type: 'subscribe',
  payload: { query, variables },
})
const CONVERSATIONS: [name: string, steps: Step[]][] = [
  ['a query', [INIT, 1, ask('1', '{ hello }'), 3]],
  ['a query with variables', [INIT, 1, ask('1', 'query ($a: String) { hello(name: $a) }', { a: 'x' }), 3]],
  ['a mutation', [INIT, 1, ask('1', 'mutation { add(to: 1) }'), 3]],
  ['what connection_init brings', [{ ...INIT, payload: { name: '名' } }, 1]],
  [
    'pings with and without a payload, before connection_init too',
    [{ type: 'ping' }, 1, { type: 'ping', payload: { a: 1 } }, 2],
  ],
  ['a pong that nobody asked for', [{ type: 'pong' }, { type: 'ping' }, 1]],
  ['an operation before connection_init', [ask('1', '{ hello }'), 'closed']],
  ['connection_init twice', [INIT, 1, INIT, 'closed']],
  ['one who may not come in', [{ ...INIT, payload: { refuse: true } }, 'closed']],
  ['one who does not say who it is', ['closed']],
  ['a stream to its end', [INIT, 1, ask('1', 'subscription { count(to: 3) }'), 5]],
  ['a stream that breaks', [INIT, 1, ask('1', 'subscription { break }'), 3, { type: 'ping' }, 4]],
  ['errors of a result', [INIT, 1, ask('1', '{ fail }'), 3]],
  ['what is no GraphQL', [INIT, 1, ask('1', '{'), 2, { type: 'ping' }, 3]],
  ['what the schema does not have', [INIT, 1, ask('1', '{ nothing }'), 2, ask('1', '{ hello }'), 4]],
  ['an id that is taken', [INIT, 1, ask('1', 'subscription { endless(to: 1) }'), 2, ask('1', '{ hello }'), 'closed']],
  [
    'complete, and the same id again',
    [
      INIT,
      1,
      ask('1', 'subscription { endless(to: 1) }'),
      2,
      { id: '1', type: 'complete' },
      { type: 'ping' },
      3,
      ask('1', 'subscription { endless(to: 2) }'),
      5,
    ],
  ],
  ['complete of what does not run', [INIT, 1, { id: 'x', type: 'complete' }, { type: 'ping' }, 2]],
  ['two streams at a time', [INIT, 1, ask('1', 'subscription { endless(to: 1) }'), 2, ask('2', '{ hello }'), 4]],
  ['nonsense', ['nonsense', 'closed']],
  ['a message without what it needs', [INIT, 1, { type: 'subscribe', payload: { query: '{ hello }' } }, 'closed']],
  ['a type that there is not', [{ type: 'hello' }, 'closed']],
]

describe('The protocol of a socket', () => {
  const servers: Server[] = []
  const urls: Record<string, string> = {}
  beforeAll(async () => {
    for (const [name, serve] of Object.entries(SERVERS)) {
      const server = createServer()
      servers.push(server)
      serve(new WebSocketServer({ server }))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      urls[name] = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
    }
  })
  afterAll(() => servers.forEach((server) => server.close().closeAllConnections()))

  async function client(url = '', protocols = [PROTOCOL]) {
    const socket = new WebSocket(url, protocols)
    const heard: unknown[] = []
    let isClosed = false
    socket.on('message', (data) => heard.push(String(data)))
    socket.on('close', (code, reason) => {
      isClosed = true
      heard.push([code, String(reason)])
    })
    await once(socket, 'open')
    return { socket, heard, isClosed: () => isClosed }
  }

  async function converse(url: string | undefined, steps: Step[]): Promise<unknown[]> {
    const { socket, heard, isClosed } = await client(url)
    for (const step of steps) {
      if (typeof step === 'number') await eventually(() => heard.length >= step)
      else if (step === 'closed') await eventually(isClosed)
      else socket.send(typeof step === 'string' ? step : JSON.stringify(step))
    }
    socket.terminate()
    await eventually(isClosed)
    return heard
  }

  it.each(CONVERSATIONS)("is graphql-ws's: %s", async (_name, steps) => {
    const [ours, theirs] = await Promise.all([converse(urls['ours'], steps), converse(urls["graphql-ws's"], steps)])
    expect(ours).toEqual(theirs)
  })

  it('is spoken with nobody who does not ask for it', async () => {
    for (const url of Object.values(urls)) {
      const { heard } = await client(url, [])
      await eventually(() => heard.length > 0)
      expect(heard).toEqual([[4406, 'Subprotocol not acceptable']])
    }
  })

  it('lets go of every stream of one who completes, and of one who is gone', async () => {
    await eventually(() => running.size === 0)
    const { socket, heard } = await client(urls['ours'])
    const send = (message: object) => socket.send(JSON.stringify(message))
    send(INIT)
    await eventually(() => heard.length === 1)
    for (const id of ['1', '2', '3']) send(ask(id, 'subscription { endless(to: 1) }'))
    await eventually(() => heard.length === 4)
    expect(running.size).toBe(3)
    send({ id: '2', type: 'complete' })
    await eventually(() => running.size === 2)
    socket.terminate()
    await eventually(() => running.size === 0)
  })

  it('says of an id that is too long for the reason only that it is taken', async () => {
    const { socket, heard } = await client(urls['ours'])
    const send = (message: object) => socket.send(JSON.stringify(message))
    send(INIT)
    await eventually(() => heard.length === 1)
    for (let times = 0; times < 2; times++) send(ask('长'.repeat(100), 'subscription { endless(to: 0) }'))
    await eventually(() => heard.length === 2)
    expect(heard[1]).toEqual([4409, 'Subscriber already exists'])
  })
})
