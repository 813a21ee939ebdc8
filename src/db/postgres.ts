import postgres from 'postgres'
import { Refusal } from '../errors.ts'
import type { Driver, Rows } from './client.ts'
import { listen } from './listener.ts'

/** Statements in flight at once: about what a small PostgreSQL commits in parallel. More wait here, not there. */
const CONNECTIONS = 10
/** The server gives up on a statement by itself, so that the end of a slow one is known. */
const STATEMENT_TIMEOUT_MS = 2_000
/** Past this the connection is taken for dead (a silent half-open peer): its outcome is unknown. */
const DEADLINE_MS = 2_800
/** How long a statement may wait for a free connection before the caller is told to come back. */
const WAIT_MS = 2_000
/** Serialisation failure and deadlock: rolled back whole, so safe to run again. */
const RUN_AGAIN = new Set(['40001', '40P01'])
const RUN_AGAIN_AT_MOST = 3
/** Errors by which the server says that it is not there for us now, by SQLSTATE class or code. */
const AWAY = /^(08|57P0|53300|25006)/
/** A failed migration lock means that another node has been migrating for this long. */
const MIGRATION_LOCK_MS = 60_000
const MIGRATION_LOCK = 7_302_119

/**
 * PostgreSQL through postgres.js. Its client misbehaves after a lost connection (requests that hang, writes that crash
 * the process), so a *generation* holds one client: a connection error, or a statement past its deadline, retires the
 * whole generation. What was in flight is then *unknown* and refused as UNAVAILABLE, never acknowledged, and a fresh
 * client takes over. Why: docs/decisions/0002-one-act-one-statement.md.
 */
export async function openPostgres(url: string, onTrouble: (what: string) => void): Promise<Driver> {
  const queue = waitingLine(CONNECTIONS)
  let current = begin()
  let closed = false

  function begin() {
    const generation = { client: connect(url), retired: false, inFlight: new Set<(error: Error) => void>() }
    return generation
  }

  function retire(generation: typeof current, why: string) {
    if (generation.retired) return
    generation.retired = true
    if (!closed) {
      onTrouble(why)
      current = begin()
    }
    const unknown = unavailable(why)
    for (const reject of generation.inFlight) reject(unknown)
    generation.client.end({ timeout: 0 }).catch(() => {})
  }

  /** One statement on the current generation: its rows, or why not. Never hangs past the deadline. */
  function attempt(text: string, params: unknown[], mode: 'all' | 'execute'): Promise<Rows> {
    const generation = current
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(deadline)
        generation.inFlight.delete(fail)
      }
      const fail = (error: Error) => {
        settle()
        reject(error)
      }
      const deadline = setTimeout(() => retire(generation, `no answer within ${DEADLINE_MS} ms`), DEADLINE_MS)
      generation.inFlight.add(fail)
      const pending = generation.client.unsafe(text, params as never[], { prepare: true })
      const rows = mode === 'all' ? pending.values() : pending
      rows.then(
        (result) => {
          settle()
          resolve(result as unknown as Rows)
        },
        (error: Error & { code?: string }) => {
          if (!isAway(error)) return fail(error.code === '57014' ? unavailable('statement timeout', error) : error)
          retire(generation, error.message)
          fail(unavailable(error.message, error))
        },
      )
    })
  }

  const driver: Driver = {
    kind: 'postgres',
    async run(text, params, mode) {
      const release = await queue.enter()
      try {
        for (let tries = 1; ; tries++) {
          try {
            return { rows: await attempt(text, params, mode) }
          } catch (error) {
            const again = RUN_AGAIN.has((error as { code?: string }).code ?? '') && tries < RUN_AGAIN_AT_MOST
            if (!again) throw error
          }
        }
      } finally {
        release()
      }
    },
    async exclusively(act) {
      const client = connect(url, { max: 1, statementTimeoutMs: 0 })
      try {
        await client.unsafe(`set lock_timeout = ${MIGRATION_LOCK_MS}`)
        await client.unsafe(`select pg_advisory_lock(${MIGRATION_LOCK})`)
        await act(async (text) => void (await client.unsafe(text).simple()))
      } finally {
        // Ending the session gives the lock back.
        await client.end({ timeout: 1 })
      }
    },
    async notify(payload) {
      await driver.run(`select pg_notify('posthouse', $1)`, [payload], 'execute')
    },
    listen: (onPayload, onGap) =>
      listen(() => connect(url, { max: 1 }), { onPayload, onGap, beat: () => driver.notify(''), onTrouble }),
    async close() {
      closed = true
      await current.client.end({ timeout: 1 })
    },
  }
  return driver
}

function connect(url: string, { max = CONNECTIONS, statementTimeoutMs = STATEMENT_TIMEOUT_MS } = {}) {
  return postgres(url, {
    max,
    // One statement at a time on a connection. The option is missing from the library's types.
    ...{ max_pipeline: 1 },
    connect_timeout: 2,
    idle_timeout: 0,
    max_lifetime: null,
    // No retry pause inside a client: a generation that cannot connect is replaced, and the next statement tries at once.
    backoff: false,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: 'posthouse', TimeZone: 'UTC', statement_timeout: statementTimeoutMs },
    types: {
      int8: { to: 20, from: [20], serialize: String, parse: Number },
      uuid: { to: 2950, from: [2950], serialize: String, parse: (text: string) => text.replaceAll('-', '') },
      // JSON parameters come as text already.
      json: { to: 114, from: [114, 3802], serialize: (text: string) => text, parse: JSON.parse },
    },
  })
}

function isAway(error: Error & { code?: string }): boolean {
  // A PostgresError carries a five-character SQLSTATE; anything else came from the socket or the client itself.
  return error.name !== 'PostgresError' || AWAY.test(error.code ?? '')
}

function unavailable(why: string, cause?: Error): Refusal {
  return new Refusal('UNAVAILABLE', { cause: new Error(`database: ${why}`, { cause }) })
}

/** At most `places` inside; others wait in order, and are refused when they have waited too long. */
function waitingLine(places: number) {
  type Waiter = { go: () => void; deadline: NodeJS.Timeout }
  const waiting = new Set<Waiter>()
  const leave = () => {
    const [next] = waiting
    if (next === undefined) {
      places++
      return
    }
    waiting.delete(next)
    clearTimeout(next.deadline)
    next.go()
  }
  return {
    async enter(): Promise<() => void> {
      if (places > 0) {
        places--
        return leave
      }
      return new Promise((resolve, reject) => {
        const waiter: Waiter = {
          go: () => resolve(leave),
          deadline: setTimeout(() => {
            waiting.delete(waiter)
            reject(unavailable(`no free connection within ${WAIT_MS} ms`))
          }, WAIT_MS),
        }
        waiting.add(waiter)
      })
    },
  }
}
