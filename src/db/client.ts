import { DrizzleQueryError } from 'drizzle-orm'
import { drizzle, type PgRemoteDatabase } from 'drizzle-orm/pg-proxy'
import { PgDialect } from 'drizzle-orm/pg-core'
import { fillPlaceholders, sql, type SQL } from 'drizzle-orm/sql'
import type { Link } from './link.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'

export type Rows = Record<string, unknown>[] | unknown[][]

/**
 * What differs between PGlite and PostgreSQL, and nothing else. Both give `int8` as number, `uuid` as 32 hex digits,
 * `timestamptz` as Date and `jsonb` parsed.
 */
export type Driver = {
  kind: 'pglite' | 'postgres'
  /** Runs one statement; it is a transaction by itself. `all`: rows as arrays, `execute`: rows as objects. */
  run(text: string, params: unknown[], mode: 'all' | 'execute'): Promise<{ rows: Rows }>
  /** The same for the few statements over thousands of rows: it may take a minute, where `run` gives up within seconds. */
  runPatiently: Driver['run']
  /** Runs `act` while no other node runs one, for migrations. `script` runs several statements as one transaction. */
  exclusively(act: (script: (text: string) => Promise<void>) => Promise<void>): Promise<void>
  /** Sends a text of at most 8,000 bytes to every node that listens, this one included. Never waits for a commit. */
  notify(payload: string): Promise<void>
  /** Hears `notify`. `onGap` runs whenever something may have been missed, and at the start. */
  listen(onPayload: (payload: string) => void, onGap: () => void): Promise<Link>
  close(): Promise<void>
}

export type Store = Driver & {
  /** The typed handle. Every write is one statement: `transaction` does not exist here, by design (docs/decisions/0002). */
  db: Db
  /** The same for the few statements over thousands of rows: see `runPatiently`. */
  patient: Db
}

export type Db = PgRemoteDatabase

/** Opens PostgreSQL when there is a URL, otherwise PGlite in `dataDir` (undefined: in memory). */
export async function openStore(where: {
  databaseUrl?: string | undefined
  dataDir?: string | undefined
  /** Told when PostgreSQL is lost and when it is back. */
  onNews?: (what: string) => void
}): Promise<Store> {
  const driver =
    where.databaseUrl === undefined
      ? await openPglite(where.dataDir)
      : await openPostgres(where.databaseUrl, where.onNews ?? (() => {}))
  const over = (run: Driver['run']) =>
    unwrapping(drizzle((text, params, mode) => run(text, params, mode as 'all' | 'execute')))
  return { ...driver, db: over(driver.run), patient: over(driver.runPatiently) }
}

/**
 * Drizzle wraps what a driver throws, and puts every parameter into the message: a refusal would no longer be one, and
 * phones and addresses would reach the log. Here errors come out as they went in.
 */
function unwrapping(db: Db): Db {
  const { session } = db._
  const prepare = session.prepareQuery.bind(session)
  session.prepareQuery = (...how) => {
    const prepared = prepare(...how)
    const execute = prepared.execute.bind(prepared)
    prepared.execute = (...values: Parameters<typeof execute>) =>
      execute(...values).catch((error: unknown) => {
        throw error instanceof DrizzleQueryError ? error.cause : error
      })
    return prepared
  }
  return db
}

/** Whether the database answers now. */
export function answers({ run }: Pick<Store, 'run'>): Promise<boolean> {
  return run('select 1', [], 'all').then(
    () => true,
    () => false,
  )
}

/** Runs a visible `sql` block and gives its rows. */
export async function query<Row extends object>(db: Db, statement: SQL): Promise<Row[]> {
  return (await db.execute(statement)) as unknown as Row[]
}

/**
 * A hot statement: its text is built once; `sql.placeholder('name')` marks its parameters.
 * Drizzle builds an `execute(sql…)` anew at every call, which costs more than sending it.
 */
export function hot<Row extends object, Params extends Record<string, unknown>>(statement: SQL) {
  const built = new PgDialect().sqlToQuery(statement)
  return async (store: Pick<Store, 'run'>, params: Params): Promise<Row[]> => {
    const { rows } = await store.run(built.sql, fillPlaceholders(built.params, params), 'execute')
    return rows as Row[]
  }
}

/**
 * A list of texts as an SQL array over one JSON parameter; `= any(…)` over it keeps to an index however long the list is.
 * Not as a table in FROM: an alias of one there loses against a column of the same name outside.
 */
export function texts(list: readonly string[]): SQL {
  return sql`array(select jsonb_array_elements_text(${json(list)}::jsonb))`
}

/** A value as one JSON parameter: the same on both stores, and no limit of 65,535 binds. */
export function json(value: unknown): string {
  return JSON.stringify(value)
}
