import { setTimeout as sleep } from 'node:timers/promises'
import type { Driver, Rows } from './client.ts'
import { connect } from './connect.ts'
import { begin, CONNECTIONS, PATIENT, unavailable, wordsOf, type DatabaseError, type Generation } from './generation.ts'
import { waitingLine } from './line.ts'
import { listen } from './listener.ts'

/** Serialisation failure and deadlock: rolled back whole, so safe to run again. */
const RUN_AGAIN = new Set(['40001', '40P01'])
const RUN_AGAIN_AT_MOST = 3
/** Between two looks whether the database is back. */
const RETRY_MS = 100
/** A failed migration lock means that another node has been migrating for this long. */
const MIGRATION_LOCK_MS = 60_000
const MIGRATION_LOCK = 7_302_119

/**
 * PostgreSQL through postgres.js, one generation after the other. While the database is away nobody is let in; a look
 * every so often begins the next generation, and only one that has answered takes over.
 * Rejects with a sentence when the database cannot be reached now. Why it is built so: docs/decisions/0002.
 */
export async function openPostgres(url: string, onNews: (what: string) => void): Promise<Driver> {
  const line = waitingLine(CONNECTIONS)
  let current: Generation | undefined
  let patient: Generation | undefined
  let isClosed = false

  /** The next generation, once it has answered. */
  async function next(): Promise<Generation> {
    const generation: Generation = begin(url, (why) => {
      if (generation === current && !isClosed) void comeBack(why)
    })
    try {
      await generation.run('select 1', [], 'all')
      return generation
    } catch (error) {
      generation.retire('did not answer')
      throw error
    }
  }

  async function comeBack(why: string): Promise<void> {
    onNews(`lost: ${why}`)
    line.hold()
    current = undefined
    while (current === undefined && !isClosed) {
      const generation = await next().catch(() => undefined)
      // It may be lost again already, before anybody looked.
      if (generation === undefined || generation.isRetired()) await sleep(RETRY_MS)
      else current = generation
    }
    if (!isClosed) onNews('answers again')
    line.open()
  }

  current = await next().catch((error: unknown) => {
    throw new Error(whyNot(url, error as Error), { cause: error })
  })

  const driver: Driver = {
    kind: 'postgres',
    async run(text, params, mode) {
      const leave = await line.enter()
      try {
        return await runAgain(() => {
          if (current === undefined) throw unavailable('away')
          return current.run(text, params, mode)
        })
      } finally {
        leave()
      }
    },
    // Connects when it is first wanted, and anew after a fault; nothing of it stands in the line of the others.
    runPatiently: (text, params, mode) =>
      runAgain(() => {
        if (isClosed) throw unavailable('closed')
        if (patient === undefined || patient.isRetired()) patient = begin(url, () => {}, PATIENT)
        return patient.run(text, params, mode)
      }),
    async exclusively(act) {
      const client = connect(url, { max: 1, statementTimeoutMs: 0 })
      try {
        await client.sql.unsafe(`set lock_timeout = ${MIGRATION_LOCK_MS}`)
        await client.sql.unsafe(`select pg_advisory_lock(${MIGRATION_LOCK})`)
        await act(async (text) => void (await client.sql.unsafe(text).simple()))
      } finally {
        // Ending the session gives the lock back.
        await client.sql.end({ timeout: 1 })
        client.destroy()
      }
    },
    async notify(payload) {
      // Nothing that has to last, so it waits for no disk; and whoever commits a message finds the disk free.
      await driver.run(
        `select set_config('synchronous_commit', 'off', true), pg_notify('posthouse', $1)`,
        [payload],
        'execute',
      )
    },
    listen: (onPayload, onGap) => listen(url, { onPayload, onGap, onNews }),
    async close() {
      isClosed = true
      await Promise.all([current?.close(), patient?.close()])
    },
  }
  return driver
}

/** Runs what was rolled back whole, for others' sake, once or twice more. */
async function runAgain(run: () => Promise<Rows>): Promise<{ rows: Rows }> {
  for (let tries = 1; ; tries++) {
    try {
      return { rows: await run() }
    } catch (error) {
      const again = RUN_AGAIN.has((error as DatabaseError).code ?? '') && tries < RUN_AGAIN_AT_MOST
      if (!again) throw error
    }
  }
}

/** Why a start is not possible, with what to do. The address is shown without its password. */
function whyNot(url: string, refusal: Error & { cause?: unknown }): string {
  const error = firstCause(refusal)
  const address = URL.parse(url)
  const where =
    address === null ? 'the address' : `${address.protocol}//${address.username}@${address.host}${address.pathname}`
  if (error.name !== 'PostgresError')
    return `no PostgreSQL answers at ${where} (${wordsOf(error)}). Start it, or correct DATABASE_URL.`
  if (error.code === '3D000')
    return `${wordsOf(error)} at ${where}. Create it, e.g. with createdb, or correct DATABASE_URL.`
  return `PostgreSQL at ${where} says: ${wordsOf(error)}. Mend that, or correct DATABASE_URL.`
}

function firstCause(error: Error & { cause?: unknown }): DatabaseError {
  return error.cause instanceof Error ? firstCause(error.cause) : error
}
