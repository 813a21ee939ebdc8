import { cpSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PGlite, types } from '@electric-sql/pglite'
import type { Driver, Rows } from './client.ts'
import { RANDOM_PAGE_COST } from './connect.ts'
import { lock } from './lock.ts'

/** The schema's last change: a copy made before it is not taken for one made after it. */
const schema = JSON.parse(readFileSync(new URL('../../drizzle/meta/_journal.json', import.meta.url), 'utf8')) as {
  entries: { when: number }[]
}
const name = `../../node_modules/.cache/posthouse/pglite-${schema.entries.at(-1)?.when}`
/**
 * A database with the schema and nothing in it, twice, as `scripts/prepare.js` leaves it after `npm ci`: opening a copy
 * is several times faster than making one. The image is for one in memory, the directory for one on disk.
 */
export const EMPTY_IMAGE = new URL(`${name}.tgz`, import.meta.url)
export const EMPTY_DIRECTORY = new URL(name, import.meta.url)

/**
 * PostgreSQL inside this process, in `dataDir` (or in memory when there is none). It survives a killed process, not
 * a killed machine: PGlite does not fsync.
 * Throws a sentence when another process has the directory: two at once would corrupt it without a word.
 */
export async function openPglite(dataDir: string | undefined): Promise<Driver> {
  const release = dataDir === undefined ? () => {} : lock(dataDir)
  try {
    const pglite = dataDir === undefined ? await open() : await openIn(join(dataDir, 'pglite'))
    await pglite.exec(`set time zone 'UTC'; set random_page_cost = ${RANDOM_PAGE_COST}`)
    const run: Driver['run'] = async (text, params, mode) => {
      const { rows } = await pglite.query(text, params, { rowMode: mode === 'all' ? 'array' : 'object' })
      return { rows: rows as Rows }
    }
    return {
      kind: 'pglite',
      run,
      // It gives up on nothing.
      runPatiently: run,
      // One process, one connection: nobody to exclude, and no other node to hear a hint.
      async exclusively(act) {
        await act(async (text) => void (await pglite.exec(text)))
      },
      async notify() {},
      async listen() {
        return { isUp: () => true, async close() {} }
      },
      async close() {
        await pglite.close()
        release()
      },
    }
  } catch (error) {
    release()
    throw error
  }
}

/** Opens what is in `directory`, or a new one, which is made beside it: a process killed half-way leaves nothing half made. */
async function openIn(directory: string): Promise<PGlite> {
  if (existsSync(directory)) return open(directory)
  const making = `${directory}.making`
  rmSync(making, { recursive: true, force: true })
  if (existsSync(EMPTY_DIRECTORY)) cpSync(fileURLToPath(EMPTY_DIRECTORY), making, { recursive: true })
  else await (await open(making)).close()
  renameSync(making, directory)
  return open(directory)
}

function open(directory?: string): Promise<PGlite> {
  const isNew = directory === undefined || !existsSync(directory)
  return PGlite.create({
    ...(directory === undefined ? {} : { dataDir: directory }),
    ...(isNew && existsSync(EMPTY_IMAGE) ? { loadDataDir: new Blob([readFileSync(EMPTY_IMAGE)]) } : {}),
    parsers: { [types.INT8]: Number, [types.UUID]: (text: string) => text.replaceAll('-', '') },
  })
}
