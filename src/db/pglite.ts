import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite, types } from '@electric-sql/pglite'
import type { Driver, Rows } from './client.ts'

/** An empty database as `scripts/prepare.ts` leaves it after `npm ci`: opens several times faster than making one. */
export const EMPTY_IMAGE = new URL(`../../node_modules/.cache/posthouse/pglite-empty.tgz`, import.meta.url)

/**
 * PostgreSQL inside this process, in `dataDir` (or in memory when there is none). It survives a killed process, not
 * a killed machine: PGlite does not fsync.
 * Throws a sentence when another process has the directory: two at once would corrupt it without a word.
 */
export async function openPglite(dataDir: string | undefined): Promise<Driver> {
  const release = dataDir === undefined ? () => {} : lock(dataDir)
  try {
    const directory = dataDir === undefined ? undefined : join(dataDir, 'pglite')
    const fresh = directory === undefined || !existsSync(join(directory, 'PG_VERSION'))
    const pglite = await PGlite.create({
      ...(directory === undefined ? {} : { dataDir: directory }),
      ...(fresh && existsSync(EMPTY_IMAGE) ? { loadDataDir: new Blob([readFileSync(EMPTY_IMAGE)]) } : {}),
      parsers: { [types.INT8]: Number, [types.UUID]: (text: string) => text.replaceAll('-', '') },
    })
    await pglite.exec(`set time zone 'UTC'`)
    return {
      kind: 'pglite',
      async run(text, params, mode) {
        const { rows } = await pglite.query(text, params, { rowMode: mode === 'all' ? 'array' : 'object' })
        return { rows: rows as Rows }
      },
      // One process, one connection: nobody to exclude, and no other node to hear a hint.
      async exclusively(act) {
        await act(async (text) => void (await pglite.exec(text)))
      },
      async notify() {},
      async listen() {
        return async () => {}
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

/** Takes `dataDir/posthouse.pid`; a lock whose process is gone (kill -9) is taken over. */
function lock(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, 'posthouse.pid')
  const take = () => writeFileSync(file, identity(process.pid) ?? '', { flag: 'wx' })
  try {
    take()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const owner = readFileSync(file, 'utf8')
    const pid = Number.parseInt(owner)
    if (pid !== process.pid && identity(pid) === owner) {
      throw new Error(
        `Another Posthouse (process ${pid}) is using ${dataDir}. Stop it, or give this one its own DATA_DIR, ` +
          `or set DATABASE_URL so that both share one PostgreSQL.`,
        { cause: error },
      )
    }
    // A leftover. Remove it and take it anew, exclusively: of two that come at once only one gets it.
    rmSync(file)
    take()
  }
  return () => rmSync(file, { force: true })
}

/** A living process by its number and, where /proc tells, its start time: numbers are used again after a restart. */
function identity(pid: number): string | undefined {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined
  }
  const stat = `/proc/${pid}/stat`
  const startedAt = existsSync(stat) ? readFileSync(stat, 'utf8').split(') ')[1]?.split(' ')[19] : ''
  return `${pid} ${startedAt}`
}
