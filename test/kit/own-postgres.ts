/** A PostgreSQL server of a test's own, to be stopped, started and mistreated; the one that others use stays alone. */
import { execFile } from 'node:child_process'
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { freePort } from './process.ts'

const run = promisify(execFile)
/** PostgreSQL refuses to run as root; then it runs as this user, which its packages make. */
const UNPRIVILEGED = 'postgres'
const isRoot = process.getuid?.() === 0

/** Where the server's programs are; undefined when there are none, or nobody to run them. */
export async function findBinaries(): Promise<string | undefined> {
  const asked = await run('pg_config', ['--bindir']).then(
    ({ stdout }) => [stdout.trim()],
    () => [],
  )
  const found = [...asked, ...globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed()]
  const folder = found.find((one) => existsSync(join(one, 'initdb')) && existsSync(join(one, 'pg_ctl')))
  if (folder === undefined || !isRoot) return folder
  const hasUser = await run('id', ['-u', UNPRIVILEGED]).then(
    () => true,
    () => false,
  )
  return hasUser ? folder : undefined
}

/** Makes one and starts it: fsync on, no password, on a port of its own, with an empty database `posthouse`. */
export async function ownPostgres(binaries: string) {
  const folder = mkdtempSync(join(tmpdir(), 'posthouse-pg-'))
  const port = await freePort()
  if (isRoot) {
    const [uid = 0, gid = 0] = await Promise.all(
      ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, UNPRIVILEGED])).stdout)),
    )
    chownSync(folder, uid, gid)
  }
  const data = join(folder, 'data')
  const program = (name: string, ...args: string[]) => {
    const command = [join(binaries, name), ...args]
    // Not inside our working directory, which that user may not be allowed to enter.
    return isRoot
      ? run('runuser', ['-u', UNPRIVILEGED, '--', ...command], { cwd: folder })
      : run(command[0] ?? '', command.slice(1), { cwd: folder })
  }
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -c fsync=on -c max_connections=60`
  const start = () => program('pg_ctl', 'start', '-w', '-t', '60', '-D', data, '-l', join(folder, 'log'), '-o', options)
  await program('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync')
  await start()
  const url = (database: string, at = port) => `postgres://postgres@127.0.0.1:${at}/${database}`
  const connect = (database: string) => postgres(url(database), { max: 1, onnotice: () => {}, backoff: () => 0.1 })
  const admin = connect('postgres')
  await admin`create database posthouse`
  const inside = connect('posthouse')
  return {
    port,
    url,
    admin,
    /** Asks the database `posthouse`. */
    inside,
    start,
    stop: (mode: 'fast' | 'immediate') => program('pg_ctl', 'stop', '-w', '-m', mode, '-D', data),
    async remove() {
      await Promise.all([admin.end({ timeout: 0 }), inside.end({ timeout: 0 })])
      await program('pg_ctl', 'stop', '-w', '-m', 'immediate', '-D', data).catch(() => {})
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export type OwnPostgres = Awaited<ReturnType<typeof ownPostgres>>
