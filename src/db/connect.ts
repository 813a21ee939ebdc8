import { once } from 'node:events'
import { connect as dial, type Socket } from 'node:net'
import postgres, { type Sql } from 'postgres'

/** A server that does not take a connection within this is not there. */
const CONNECT_MS = 2_000

/**
 * A page at random costs an SSD hardly more than one in order. By its default, four times as much, PostgreSQL reads and sorts
 * all of a person's items rather than follow the index that has them in order. Also for PGlite, which runs the same statements.
 */
export const RANDOM_PAGE_COST = 1.1

export type Client = {
  sql: Sql
  /** Ends it at once, whatever is in flight: also the sockets of a peer that has fallen silent. */
  destroy(): void
}

type Options = {
  max: number
  /** The server gives up on a statement by itself after this; 0: never. */
  statementTimeoutMs: number
  onNotify?: (payload: string) => void
  /** A connection ended, in whatever way. */
  onClose?: () => void
}

/**
 * A postgres.js client that gives `int8` as number, `uuid` as 32 hex digits and `jsonb` parsed. Its sockets are ours:
 * by itself the library only asks a peer to close, and a silent peer's sockets would pile up.
 */
export function connect(url: string, { max, statementTimeoutMs, onNotify, onClose }: Options): Client {
  const sockets = new Set<Socket>()
  let isDestroyed = false
  let tried = 0

  async function open({ host, port, path }: { host: string[]; port: number[]; path?: string }): Promise<Socket> {
    if (isDestroyed) throw Object.assign(new Error('this client has ended'), { code: 'CONNECTION_ENDED' })
    const at = tried++ % host.length
    const where = path ? { path } : { host: host[at] ?? '', port: port[at] ?? 0 }
    const socket = dial({ ...where, noDelay: true })
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const timer = setTimeout(() => socket.destroy(noConnection()), CONNECT_MS)
    try {
      await once(socket, 'connect')
    } finally {
      clearTimeout(timer)
    }
    // The library looks for the name here when it checks the certificate.
    return Object.assign(socket, { host: host[at] })
  }

  const sql = postgres(url, {
    max,
    // The first three are missing from the library's types.
    ...{
      // One statement at a time on a connection.
      max_pipeline: 1,
      socket: open,
      onnotify: (_channel: string, payload: string) => onNotify?.(payload),
    },
    onclose: () => onClose?.(),
    idle_timeout: 0,
    max_lifetime: null,
    // No pause of the library's own: who uses a client replaces it when it is lost.
    backoff: false,
    fetch_types: false,
    onnotice: () => {},
    // Compiling a plan costs 20 ms, and every statement here is over sooner (a claim: 3 ms).
    connection: {
      application_name: 'posthouse',
      TimeZone: 'UTC',
      statement_timeout: statementTimeoutMs,
      jit: 'off',
      random_page_cost: RANDOM_PAGE_COST,
    },
    types: {
      int8: { to: 20, from: [20], serialize: String, parse: Number },
      uuid: { to: 2950, from: [2950], serialize: String, parse: (text: string) => text.replaceAll('-', '') },
      // JSON parameters come as text already.
      json: { to: 114, from: [114, 3802], serialize: (text: string) => text, parse: JSON.parse },
    },
  })
  return {
    sql,
    destroy() {
      isDestroyed = true
      sql.end({ timeout: 0 }).catch(() => {})
      for (const socket of sockets) socket.destroy()
    },
  }
}

function noConnection(): Error {
  return Object.assign(new Error(`no connection within ${CONNECT_MS} ms`), { code: 'CONNECT_TIMEOUT' })
}
