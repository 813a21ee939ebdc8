import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Takes `dataDir` for this process until the function it gives is called. A lock whose process is gone (kill -9) is
 * taken over. Throws a sentence when another process has it.
 */
export function lock(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true })
  const file = join(dataDir, 'posthouse.pid')
  const mine = join(dataDir, `posthouse.pid.${process.pid}`)
  writeFileSync(mine, identity(process.pid) ?? '')
  try {
    while (!take(mine, file)) removeLeftover(dataDir, file)
  } finally {
    rmSync(mine, { force: true })
  }
  return () => rmSync(file, { force: true })
}

/** Whether the lock was free. A link comes into being whole and only once, unlike a file that is then written. */
function take(mine: string, file: string): boolean {
  try {
    linkSync(mine, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Removes the lock of a process that is gone, and of nobody else: another one may be taking over at this moment. */
function removeLeftover(dataDir: string, file: string): void {
  const owner = readOwner(file)
  if (owner === undefined) return
  const pid = Number.parseInt(owner, 10)
  if (identity(pid) === owner) {
    throw new Error(
      `another Posthouse (process ${pid}) is using ${dataDir}. Stop it, or give this one its own DATA_DIR, ` +
        `or set DATABASE_URL so that both share one PostgreSQL.`,
    )
  }
  const aside = `${file}.leftover.${process.pid}`
  try {
    renameSync(file, aside)
  } catch {
    return
  }
  // In the meantime the leftover went, and what was moved is the lock of somebody quicker: it goes back.
  if (readOwner(aside) !== owner) take(aside, file)
  rmSync(aside, { force: true })
}

function readOwner(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** A living process by its number and, where /proc tells, its start time: numbers are used again after a restart. */
function identity(pid: number): string | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined
  }
  const stat = `/proc/${pid}/stat`
  const startedAt = existsSync(stat) ? readFileSync(stat, 'utf8').split(') ').at(-1)?.split(' ')[19] : ''
  return `${pid} ${startedAt}`
}
