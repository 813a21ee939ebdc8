/**
 * The short way of an event to a WebSocket: what a plan has written goes out in graphql-ws's own message, past the
 * executor, its iterators and the promises of both, which cost several times what sending does. docs/decisions/0019.
 */
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { render, type Plan } from './live-plan.ts'
import type { Readers } from './slow-readers.ts'

/** As a constant: to ask the socket for it costs another look. */
const OPEN = WebSocket.OPEN

export type Direct = {
  /** Says it at once; false for what only the executor can answer, and nothing is said. */
  say(event: object): boolean
  /** Nothing more is to be said until there is room. */
  isFull(): boolean
  room(): Promise<void>
}

/**
 * What goes on where a stream ends that has said all there was: says directly what comes, and `toStream` at what it
 * cannot say, or when it fails: a new stream begins then after `from`. Gives how to leave.
 */
export type Follow = (direct: Direct, toStream: (from: number) => void) => () => void

/** Between the stream of a subscription and what goes on without it. */
export type Handover = {
  /** Where a stream takes up again that was followed; undefined for one that begins. */
  from: number | undefined
  /** There is a short way to the socket. */
  isWanted: boolean
  /** Left here by a stream that ends for this to go on. */
  follow?: Follow
}

/** The way to a subscription on its socket: one object, for the reason that a bell is one (inbox/bell.ts). */
export class SocketWay implements Direct {
  #client: WebSocket
  #connection: Duplex
  #readers: Readers
  #plan: Plan
  #before: string

  constructor(client: WebSocket, connection: Duplex, readers: Readers, id: string, plan: Plan) {
    this.#client = client
    this.#connection = connection
    this.#readers = readers
    this.#plan = plan
    this.#before = `{"id":${JSON.stringify(id)},"type":"next","payload":`
  }

  say(event: object): boolean {
    const text = render(this.#plan, event)
    if (text === undefined) return false
    if (this.#client.readyState === OPEN) this.#connection.write(frameOf(`${this.#before}${text}}`))
    return true
  }

  isFull(): boolean {
    return this.#readers.isFull(this.#connection)
  }

  room(): Promise<void> {
    return this.#readers.room(this.#connection)
  }
}

/** A whole text frame of a server in one buffer: ws writes the head and the text apart, which costs a third more. */
function frameOf(text: string): Buffer {
  const bytes = Buffer.byteLength(text)
  const head = bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(head + bytes)
  frame[0] = 0x81
  frame[1] = head === 2 ? bytes : head === 4 ? 126 : 127
  if (head === 4) frame.writeUInt16BE(bytes, 2)
  if (head === 10) frame.writeBigUInt64BE(BigInt(bytes), 2)
  frame.write(text, head)
  return frame
}
