import { Refusal } from '../errors.ts'
import type { Rows } from './client.ts'
import { connect } from './connect.ts'

/** Statements in flight at once: about what a small PostgreSQL commits in parallel. More wait here, not there. */
export const CONNECTIONS = 10
/** The server gives up on a statement by itself, so that the end of a slow one is known. */
const STATEMENT_TIMEOUT_MS = 2_000
/** Past this the peer is taken for dead (half-open): callers are to have an answer within 3 s. */
const DEADLINE_MS = 2_300
/** How many statements at once, when the server gives up on one, and when it is taken for dead. */
export type Pace = { connections: number; statementMs: number; deadlineMs: number }
const QUICK: Pace = { connections: CONNECTIONS, statementMs: STATEMENT_TIMEOUT_MS, deadlineMs: DEADLINE_MS }
/** For the few statements over thousands of rows, whose callers have come to wait; apart, so that they hold up nobody else. */
export const PATIENT: Pace = { connections: 2, statementMs: 60_000, deadlineMs: 62_000 }
/** By these the server says that it is not there for us now, SQLSTATE class or code: no connection, no entry, no room. */
const AWAY = /^(08|28|3D|53|57P0|58|25006)/
/** What the library throws when it is used wrongly. Anything else without an SQLSTATE came from a connection. */
const OUR_BUG = /^(UNDEFINED_VALUE|MAX_PARAMETERS|NOT_|ERR_INVALID|$)/
const STATEMENT_TIMED_OUT = '57014'

/**
 * One postgres.js client. Its first connection error, or the first statement past its deadline, retires it as a whole,
 * since after either the library may hang or write into the void. What was in flight is then *unknown* and refused as
 * UNAVAILABLE, never acknowledged.
 */
export type Generation = {
  /** One statement: its rows, or why not; never later than its deadline. */
  run(text: string, params: unknown[], mode: 'all' | 'execute'): Promise<Rows>
  retire(why: string): void
  isRetired(): boolean
  /** Says goodbye to the server and retires. */
  close(): Promise<void>
}

/** Begins one; it connects with its first statements. `onLost` runs at once when it is retired. */
export function begin(url: string, onLost: (why: string) => void, pace: Pace = QUICK): Generation {
  const client = connect(url, { max: pace.connections, statementTimeoutMs: pace.statementMs })
  const inFlight = new Set<(error: Error) => void>()
  let retiredFor: string | undefined

  function retire(why: string) {
    if (retiredFor !== undefined) return
    retiredFor = why
    onLost(why)
    for (const reject of inFlight) reject(unavailable(why))
    client.destroy()
  }

  function run(text: string, params: unknown[], mode: 'all' | 'execute'): Promise<Rows> {
    if (retiredFor !== undefined) return Promise.reject(unavailable(retiredFor))
    const { promise, resolve, reject } = Promise.withResolvers<Rows>()
    inFlight.add(reject)
    const deadline = setTimeout(() => retire(`no answer within ${pace.deadlineMs} ms`), pace.deadlineMs)
    const pending = client.sql.unsafe(text, params as never[], { prepare: true })
    const rows: PromiseLike<unknown> = mode === 'all' ? pending.values() : pending
    rows.then(
      (result) => resolve(result as Rows),
      (error: DatabaseError) => {
        reject(read(error))
        if (isLost(error)) retire(wordsOf(error))
      },
    )
    return promise.finally(() => {
      clearTimeout(deadline)
      inFlight.delete(reject)
    })
  }

  async function close() {
    await client.sql.end({ timeout: 1 })
    retire('closed')
  }

  return { run, retire, isRetired: () => retiredFor !== undefined, close }
}

/** The refusal for whoever needs the database while it is away. */
export function unavailable(why: string, cause?: unknown): Refusal {
  return new Refusal('UNAVAILABLE', { cause: new Error(`database: ${why}`, { cause }) })
}

/** What PostgreSQL (`name` is PostgresError, `code` an SQLSTATE), a socket or the library threw. */
export type DatabaseError = Error & { code?: string; errors?: Error[] }

/** Its words; those of several addresses that were tried come without any of their own. */
export function wordsOf(error: DatabaseError): string {
  return error.message || (error.errors ?? []).map(({ message }) => message).join(', ') || (error.code ?? error.name)
}

function isLost({ name, code = '' }: DatabaseError): boolean {
  return name === 'PostgresError' ? AWAY.test(code) : true
}

function read(error: DatabaseError): Error {
  const { name, code = '' } = error
  const isAway = name === 'PostgresError' ? AWAY.test(code) || code === STATEMENT_TIMED_OUT : !OUR_BUG.test(code)
  return isAway ? unavailable(wordsOf(error), error) : error
}
