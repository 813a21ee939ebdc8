/**
 * Readers that stop. What is said to a connection waits in this process while the other side does not take it, so a
 * connection that takes nothing is cut, and one that is behind is written no more until it has caught up. Whoever
 * follows an inbox comes back with its last rev and misses nothing.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** How often all connections are looked at: one timer for all of them. */
const SWEEP_MS = 1_000
/**
 * Looks without progress until a reader is told, and until it is cut. The first look may come a second late, so it is
 * cut within 5 s. Looks are counted, not time: a busy moment of this process is no fault of a reader.
 */
const TELL_AFTER = 3
const CUT_AFTER = 4
/** With more than this waiting nothing is added: some big snapshots, or thousands of events. */
const FULL_BYTES = 1024 * 1024

export type Readers = {
  /** Told before this connection is cut, so that it may hear why if it reads after all. */
  onStop(connection: Duplex, tell: () => void): void
  /** Waits until this connection may be written to, or is gone. Lets in one at a time, in the order they came. */
  room(connection: Duplex): Promise<void>
  isFull(connection: Duplex): boolean
  close(): void
}

/** How a connection stood at the last look. */
type Reader = { taken: number; queued: number; looks: number; tell?: () => void; line?: Promise<void> }

/** Watches every connection of the server, whatever is spoken on it. `onCut` hears of each that is cut. */
export function watchReaders(server: Server, onCut: () => void): Readers {
  const readers = new Map<Duplex, Reader>()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    readers.set(socket, { taken: 0, queued: 0, looks: 0 })
    socket.once('close', () => {
      sockets.delete(socket)
      readers.delete(socket)
    })
  })

  function look(socket: Socket, reader: Reader) {
    const taken = socket.bytesWritten - socket.writableLength
    const queued = bytesInOneWrite(socket)
    const hasMoved = taken !== reader.taken || queued !== reader.queued
    reader.looks = socket.writableLength === 0 || hasMoved ? 0 : reader.looks + 1
    Object.assign(reader, { taken, queued })
    if (reader.looks === TELL_AFTER) reader.tell?.()
    if (reader.looks < CUT_AFTER) return
    onCut()
    socket.destroy()
  }
  const sweep = setInterval(() => {
    for (const socket of sockets) {
      const reader = readers.get(socket)
      if (reader !== undefined) look(socket, reader)
    }
  }, SWEEP_MS)
  sweep.unref()

  const isFull = ({ writableLength }: Duplex) => writableLength > FULL_BYTES
  async function whenRoom(connection: Duplex): Promise<void> {
    // Whoever was before in the line has written by the next turn of the event loop.
    await nextTurn()
    if (!isFull(connection) || connection.destroyed) return
    await new Promise<void>((resolve) => {
      const end = () => {
        connection.off('drain', end).off('close', end)
        resolve()
      }
      connection.on('drain', end).on('close', end)
    })
  }

  return {
    onStop(connection, tell) {
      const reader = readers.get(connection)
      if (reader !== undefined) reader.tell = tell
    },
    async room(connection) {
      const reader = readers.get(connection)
      if (reader === undefined || (reader.line === undefined && !isFull(connection))) return
      const mine = (reader.line ?? Promise.resolve()).then(() => whenRoom(connection))
      reader.line = mine
      await mine
      if (reader.line === mine) delete reader.line
    },
    isFull,
    close: () => clearInterval(sweep),
  }
}

/**
 * What the system has not taken yet of the write under way. Node counts a write only when all of it is taken, which with
 * a large one on a slow line is long; its own timeouts read this field for that reason, and there is no public one.
 */
function bytesInOneWrite(socket: Socket & { _handle?: { writeQueueSize?: number } | null }): number {
  return socket._handle?.writeQueueSize ?? 0
}
