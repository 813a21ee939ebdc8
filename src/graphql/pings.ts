/**
 * Finds peers that are gone without a word. One timer for all sockets: two of each socket's own would be a part of what
 * an idle one costs. They come in by turns, so that thousands are not pinged at one moment.
 */
import type { WebSocket } from 'ws'

/** Each is pinged so often, and cut if it has not answered by the next time. */
const PING_SECONDS = 12

export type Pings = { watch(client: WebSocket): void; stop(): void }

export function startPings(): Pings {
  const turns = Array.from({ length: PING_SECONDS }, () => new Set<WebSocket>())
  /** Pinged, and not heard of since. */
  const silent = new Set<WebSocket>()
  let seconds = 0
  let watched = 0

  const timer = setInterval(() => {
    for (const client of turns[seconds++ % PING_SECONDS] ?? []) {
      if (client.readyState !== client.OPEN) continue
      if (silent.has(client)) {
        client.terminate()
      } else {
        silent.add(client)
        client.ping()
      }
    }
  }, 1_000)
  timer.unref()

  // These two know their socket by `this`: functions of each socket's own would be kept for each.
  function answered(this: WebSocket) {
    silent.delete(this)
  }
  function left(this: WebSocket) {
    silent.delete(this)
    for (const turn of turns) turn.delete(this)
  }

  return {
    watch(client) {
      turns[watched++ % PING_SECONDS]?.add(client)
      client.on('pong', answered).on('close', left)
    },
    stop: () => clearInterval(timer),
  }
}
