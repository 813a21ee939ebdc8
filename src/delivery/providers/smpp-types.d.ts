/** What is used here of the package `smpp` 0.5, which brings no types. */
declare module 'smpp' {
  import type { EventEmitter } from 'node:events'
  import type { Server, Socket } from 'node:net'

  /** One message of the protocol. Its other members are the parameters and TLVs of its command, by their names in SMPP 5.0. */
  export type Pdu = {
    command: string
    command_status: number
    sequence_number: number
    isResponse(): boolean
    response(fields?: Record<string, unknown>): Pdu
    toBuffer(): Buffer
    [field: string]: unknown
  }

  /** Emits `pdu`, `close` and `error`. After an unreadable PDU it emits `error` and is deaf: its socket must go then. */
  export type Session = EventEmitter & {
    socket: Socket
    /** False when the socket takes nothing any more. Gives a request its sequence number. */
    send(pdu: Pdu): boolean
    close(): void
    destroy(): void
  }

  type Parameter = { type: unknown; filter?: unknown }

  const smpp: {
    Session: new (options: { socket: Socket }) => Session
    PDU: {
      new (command: string, fields?: Record<string, unknown>): Pdu
      /** Reads the first four bytes; false when they are not there yet. Throws when they are too much. */
      commandLength(stream: Socket): number | false
    }
    createServer(
      options: { key?: string | Buffer; cert?: string | Buffer },
      listener: (session: Session) => void,
    ): Server
    commands: Record<string, { id: number; params?: Record<string, Parameter> }>
    types: { tlv: { buffer: unknown } }
    tlvs: Record<string, { id: number }>
    encodings: Record<
      string,
      { encode(text: string): Buffer; decode(bytes: Buffer): string; match(text: string): boolean }
    >
    addCommand(command: string, definition: { id: number; params: Record<string, Parameter> }): void
    addTLV(tag: string, definition: { id: number; type: unknown }): void
  }
  export default smpp
}
