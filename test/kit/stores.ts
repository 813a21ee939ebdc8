/**
 * The stores that a test which touches the database runs on: `describe.each(stores)('…on $name', ({ open }) => …)`.
 * Every `open()` gives a fresh, migrated one; close it afterwards.
 */
import { createHash, randomUUID } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { openStore, type Store } from '../../src/db/client.ts'
import { migrate } from '../../src/db/migrate.ts'

const LOCAL = 'postgres://postgres@127.0.0.1:5432/postgres'
/** One test file at a time makes the template; the others wait for it. */
const TEMPLATE_LOCK = 5_310_774
const CONNECT_SECONDS = 2

export type TestStore = {
  name: 'PGlite' | 'PostgreSQL'
  open: () => Promise<Store>
  /** Settings under which a Posthouse of its own runs on such a store, and how to remove it afterwards. */
  place: () => Promise<Place>
}
export type Place = { env: Record<string, string>; remove: () => Promise<void> }

const server = await findServer()

/** PGlite, and PostgreSQL where there is one (TEST_DATABASE_URL, or a local server that trusts us). */
export const stores: TestStore[] = [
  { name: 'PGlite', open: openPglite, place: placePglite },
  ...(server === undefined
    ? []
    : [{ name: 'PostgreSQL' as const, open: () => openPostgres(server), place: () => placePostgres(server) }]),
]

/**
 * Where several nodes can meet: `describe.skipIf(!onPostgres)('…', () => …)`, so that what is left out where there is no
 * PostgreSQL is named. Inside, it is there.
 */
export const onPostgres = stores.find(({ name }) => name === 'PostgreSQL')

async function openPglite(): Promise<Store> {
  const store = await openStore({})
  await migrate(store)
  return store
}

async function placePglite(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'posthouse-'))
  return { env: { DATA_DIR: folder }, remove: async () => rmSync(folder, { recursive: true, force: true }) }
}

async function openPostgres(url: string): Promise<Store> {
  const { env, remove } = await placePostgres(url)
  const store = await openStore({ databaseUrl: env['DATABASE_URL'] })
  return {
    ...store,
    async close() {
      await store.close()
      await remove()
    },
  }
}

async function placePostgres(url: string): Promise<Place> {
  const template = await makeTemplate(url)
  const name = `posthouse_test_${randomUUID().replaceAll('-', '')}`
  await asAdmin(url, (sql) => sql.unsafe(`create database ${name} template ${template}`))
  const data = await placePglite()
  return {
    env: { ...data.env, DATABASE_URL: inDatabase(url, name) },
    async remove() {
      await data.remove()
      await asAdmin(url, (sql) => sql.unsafe(`drop database if exists ${name} with (force)`))
    },
  }
}

let template: Promise<string> | undefined

/** A migrated database to copy from, named by what it was migrated with, so that the next run finds it ready. */
function makeTemplate(url: string): Promise<string> {
  template ??= asAdmin(url, async (sql) => {
    const name = `posthouse_template_${migrationsHash()}`
    await sql`select pg_advisory_lock(${TEMPLATE_LOCK})`
    const [ready] = await sql`select 1 from pg_database where datname = ${name}`
    if (ready !== undefined) return name
    // Under another name until it is whole: a run killed half-way leaves no template that lacks tables.
    const making = `${name}_making`
    await sql.unsafe(`drop database if exists ${making} with (force)`)
    await sql.unsafe(`create database ${making} template template0 encoding 'UTF8'`)
    const store = await openStore({ databaseUrl: inDatabase(url, making) })
    try {
      await migrate(store)
    } finally {
      await store.close()
    }
    // A connection that has just been closed may live on for a moment and would forbid the renaming.
    await sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = ${making}`
    await sql.unsafe(`alter database ${making} rename to ${name}`)
    return name
  })
  return template
}

function migrationsHash(): string {
  const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))
  const hash = createHash('sha256')
  for (const file of globSync('**/*.{sql,json}', { cwd: folder }).toSorted())
    hash.update(file).update(readFileSync(`${folder}/${file}`))
  return hash.digest('hex').slice(0, 12)
}

/** Where PostgreSQL is. Without TEST_DATABASE_URL its absence is no fault; with it, it is. */
async function findServer(): Promise<string | undefined> {
  const wanted = process.env['TEST_DATABASE_URL']
  const url = wanted ?? LOCAL
  try {
    await asAdmin(url, (sql) => sql`select 1`)
    return url
  } catch (error) {
    if (wanted !== undefined) throw new Error(`No PostgreSQL answers at TEST_DATABASE_URL`, { cause: error })
    console.warn('PostgreSQL not found: its half of the tests is skipped')
    return undefined
  }
}

/** Lends one connection and closes it, which also gives back its locks. */
async function asAdmin<Result>(url: string, act: (sql: postgres.Sql) => PromiseLike<Result>): Promise<Result> {
  const sql = postgres(url, { max: 1, connect_timeout: CONNECT_SECONDS, onnotice: () => {} })
  try {
    return await act(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function inDatabase(url: string, name: string): string {
  const address = new URL(url)
  address.pathname = `/${name}`
  return address.href
}
