/**
 * The short way of an event to a WebSocket: what a plan has written goes out in graphql-ws's own message, past the
 * executor, its iterators and the promises of both, which cost several times what sending does. docs/decisions/0019.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { render, type Plan } from './live-plan.ts'
import type { Readers } from './slow-readers.ts'

export type Direct = {
  /** Says it at once; false for what only the executor can answer, and nothing is said. */
  say(event: object): boolean
  /** Nothing more is to be said until there is room. */
  isFull(): boolean
  room(): Promise<void>
}

/** The way to the subscription `id` on this socket. */
export function directTo(client: WebSocket, connection: Duplex, readers: Readers, id: string, plan: Plan): Direct {
  const before = `{"id":${JSON.stringify(id)},"type":"next","payload":`
  return {
    say(event) {
      const text = render(plan, event)
      if (text === undefined) return false
      client.send(`${before}${text}}`)
      return true
    },
    isFull: () => readers.isFull(connection),
    room: () => readers.room(connection),
  }
}
