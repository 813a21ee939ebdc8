/**
 * The protocol graphql-transport-ws on one socket: who may say what when, and what is answered. Messages and codes are
 * graphql-ws's, and its server is what this one is held beside (`test/graphql/protocol.test.ts`). That keeps, as long as
 * an operation runs, the bytes and the text that asked for it and the promises of their handling: of the thousands who
 * follow an inbox in which nothing happens, a large part of what each cost. docs/decisions/0021.
 */
import type { ExecutionResult, GraphQLError } from 'graphql'
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, MessageType, parseMessage, type SubscribePayload } from 'graphql-ws'
import type { WebSocket } from 'ws'

/** How long a client may take to say who it is. */
const INIT_MS = 3_000
/** A close frame has room for so much of a reason. */
const REASON_BYTES = 123

/** What an operation gives: why it is refused, or its results, and at their end who goes on. */
export type Answer = { errors: readonly GraphQLError[] } | { results: Results; follow?: () => GoOn | undefined }
/** Says by itself what comes, until a stream is wanted again, after `from`. Gives how to leave. */
type GoOn = (toStream: (from: number) => void) => () => void
type Results = AsyncIterableIterator<ExecutionResult> | ExecutionResult[]

/** What is behind the protocol. */
export type Behind = {
  /** Gives what the acknowledgement says; undefined for one who may not come in. */
  connect(params: Record<string, unknown> | undefined): Promise<object | undefined>
  /**
   * Takes an operation, or throws; `count`: with this one so many run. Gives how to begin, or to begin again after `from`.
   * That is kept as long as the operation runs, what is asked is not.
   */
  take(id: string, asked: SubscribePayload, count: number): Begin
  /** Waits until something may be written. */
  room(): Promise<void>
  /** What clients may read of an error. */
  mask(error: unknown): GraphQLError
}

export type Begin = (from?: number) => Promise<Answer>

/** `leave` ends what it does and lets go of what it holds. */
type Operation = { leave(): void }

/** Speaks with this client until it has left. */
export function speak(client: WebSocket, { connect, take, room, mask }: Behind): void {
  if (client.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL)
    return client.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable')
  const operations = new Map<string, Operation>()
  let stage: 'silent' | 'asking' | 'acknowledged' = 'silent'
  const tooLate = () => client.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout')
  let patience: NodeJS.Timeout | undefined = setTimeout(tooLate, INIT_MS)

  function hear(text: string): Promise<void> | void {
    const message = read(text)
    switch (message?.type) {
      case MessageType.ConnectionInit:
        return initialise(message.payload)
      case MessageType.Ping:
        return client.send(JSON.stringify({ type: MessageType.Pong, payload: message.payload ?? undefined }))
      case MessageType.Pong:
        return undefined
      case MessageType.Subscribe:
        return subscribe(message.id, message.payload)
      case MessageType.Complete:
        return leave(message.id)
      // What only servers say, and what nobody says.
      case MessageType.ConnectionAck:
      case MessageType.Next:
      case MessageType.Error:
      case undefined:
        return client.close(CloseCode.BadRequest, 'Invalid message received')
    }
  }

  async function initialise(params: Record<string, unknown> | undefined): Promise<void> {
    if (stage !== 'silent')
      return client.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests')
    stage = 'asking'
    clearTimeout(patience)
    patience = undefined
    const payload = await connect(params)
    if (payload === undefined) return client.close(CloseCode.Forbidden, 'Forbidden')
    stage = 'acknowledged'
    client.send(JSON.stringify({ type: MessageType.ConnectionAck, payload }))
  }

  function subscribe(id: string, asked: SubscribePayload): Promise<void> | void {
    if (stage !== 'acknowledged') return client.close(CloseCode.Unauthorized, 'Unauthorized')
    if (operations.has(id)) {
      const why = `Subscriber for ${id} already exists`
      return client.close(
        CloseCode.SubscriberAlreadyExists,
        Buffer.byteLength(why) > REASON_BYTES ? 'Subscriber already exists' : why,
      )
    }
    const operation: Operation = { leave() {} }
    operations.set(id, operation)
    try {
      return run(id, operation, take(id, asked, operations.size))
    } catch (error) {
      end(id, operation, { type: MessageType.Error, payload: [mask(error)] })
    }
  }

  /** Says the last of an operation, unless it has been left. */
  function end(id: string, operation: Operation, last: object): void {
    if (operations.get(id) !== operation) return
    operations.delete(id)
    client.send(JSON.stringify({ id, ...last }))
  }

  /** Says all that an operation gives, in order, and that it is all, unless something goes on. */
  async function run(id: string, operation: Operation, begin: Begin, from?: number): Promise<void> {
    // Another one may have its id by the time it ends.
    const isHere = () => operations.get(id) === operation
    try {
      const answer = await begin(from)
      if ('errors' in answer) return end(id, operation, { type: MessageType.Error, payload: answer.errors })
      operation.leave = () => letGo(answer.results)
      if (!isHere()) return operation.leave()
      for await (const result of answer.results) {
        await room()
        if (isHere()) await written(JSON.stringify({ id, type: MessageType.Next, payload: shown(result, mask) }))
      }
      const goOn = answer.follow?.()
      if (goOn === undefined) return end(id, operation, { type: MessageType.Complete })
      follow(id, operation, begin, goOn)
      if (!isHere()) operation.leave()
    } catch (error) {
      end(id, operation, { type: MessageType.Error, payload: [mask(error)] })
    }
  }

  /** Apart from `run`: nothing of what ran is kept then. */
  function follow(id: string, operation: Operation, begin: Begin, goOn: GoOn): void {
    operation.leave = goOn((from) => void run(id, operation, begin, from))
  }

  /** Waits until it was written, or the socket is gone. */
  function written(text: string): Promise<void> {
    return new Promise((resolve) => client.send(text, () => resolve()))
  }

  function leave(id: string): void {
    const operation = operations.get(id)
    operations.delete(id)
    operation?.leave()
  }

  client.on('message', (data: Buffer) => {
    hear(String(data))?.catch((error: unknown) => {
      mask(error)
      client.close(CloseCode.InternalServerError, 'Internal server error')
    })
  })
  client.on('close', () => {
    clearTimeout(patience)
    for (const id of operations.keys()) leave(id)
  })
}

/** Undefined for what is no message. */
function read(text: string) {
  try {
    return parseMessage(text)
  } catch {
    return undefined
  }
}

function shown({ errors, ...result }: ExecutionResult, mask: Behind['mask']): object {
  return errors ? { ...result, errors: errors.map(mask) } : result
}

/** Does not wait: a stream that is asked for its next event ends when it has it. */
function letGo(results: Results): void {
  if ('return' in results) void results.return?.()
}
