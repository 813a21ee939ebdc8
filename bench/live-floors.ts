/**
 * What bench:live stands beside, in a process of its own: a bare `ws` server that does nothing but send, and graphql-yoga
 * with graphql-ws as their documentation has them, events from memory. `POST /` with what to say sends it to everybody:
 * to a floor each subscriber is one topic.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ExecutionArgs } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer, type WebSocket } from 'ws'

type Floor = {
  sockets: WebSocketServer
  /** Says this message, the whole of it as a subscriber gets it, to all. */
  say(message: string): void
}

/** Answers the handshake, remembers the socket, sends texts. */
function bareWs(): Floor {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  const subscribers = new Map<string, WebSocket>()
  sockets.on('connection', (socket) => {
    let user = ''
    socket.on('message', (data) => {
      const { type, payload } = JSON.parse((data as Buffer).toString()) as { type: string; payload: { user: string } }
      if (type === 'connection_init') {
        ;({ user } = payload)
        socket.send('{"type":"connection_ack"}')
      } else if (type === 'subscribe') subscribers.set(user, socket)
    })
    socket.on('close', () => subscribers.delete(user))
  })
  return {
    sockets,
    say(message) {
      for (const socket of subscribers.values()) socket.send(message)
    },
  }
}

/** As the guides of both say; the schema is ours, with the resolvers that come without saying. */
function bareYoga(): Floor {
  const pubSub = createPubSub<Record<string, [event: object]>>()
  const users = new Set<string>()
  const subscribe = (_root: unknown, _args: unknown, { connectionParams }: { connectionParams: { user: string } }) => {
    users.add(connectionParams.user)
    return pubSub.subscribe(connectionParams.user)
  }
  const schema = createSchema({
    typeDefs: readFileSync(fileURLToPath(new URL('../schema.graphql', import.meta.url)), 'utf8'),
    resolvers: { Subscription: { inboxChanges: { subscribe, resolve: (event: object) => event } } },
  })
  const yoga = createYoga({ schema, logging: false })
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  type Run = Pick<ReturnType<typeof yoga.getEnveloped>, 'execute' | 'subscribe'>
  useServer(
    {
      execute: (args) => (args.rootValue as Run).execute(args),
      subscribe: (args) => (args.rootValue as Run).subscribe(args),
      async onSubscribe(context, _id, params) {
        const enveloped = yoga.getEnveloped({ ...context, req: context.extra.request, params })
        const args: ExecutionArgs = {
          schema: enveloped.schema,
          operationName: params.operationName,
          document: enveloped.parse(params.query),
          variableValues: params.variables,
          contextValue: await enveloped.contextFactory(),
          rootValue: { execute: enveloped.execute, subscribe: enveloped.subscribe },
        }
        const errors = enveloped.validate(args.schema, args.document)
        return errors.length > 0 ? errors : args
      },
    },
    sockets,
  )
  return {
    sockets,
    say(message) {
      const { payload } = JSON.parse(message) as { payload: { data: { inboxChanges: object } } }
      for (const user of users) pubSub.publish(user, payload.data.inboxChanges)
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const floor = process.argv[2] === 'ws' ? bareWs() : bareYoga()
const server = createServer(async (request, response) => {
  const message = await bodyOf(request)
  floor.say(message)
  response.end()
})
server.on('upgrade', (request, socket, head) => {
  floor.sockets.handleUpgrade(request, socket, head, (client) => floor.sockets.emit('connection', client, request))
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
