/**
 * npm run bench:directory [-- --json]: a full sync of 100,000 users by CSV on the command line, `import departments` and then
 * `import users … --full`, as an administrator runs them: each a process of its own, whose start, reading of the file and
 * checks are part of the time. On PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us).
 *
 * 2,000 departments in a tree; each user has a phone, an address, one or two departments, a post and a role. Three syncs in
 * turn: into an empty directory (`first`), the same file once more (`unchanged`), and with other phones and departments of 5 %
 * (`changed`). Their floor, in the same run: one bare INSERT … SELECT of the very rows of users and memberships that the first
 * one wrote, from copies of them; without the checks, the audit log and the marks of who was named.
 *
 * Memory is the peak RSS of the process as Linux tells it, beside that of 10,000 users into an empty directory: it is bounded if
 * ten times the users hardly take more.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { openStore, query } from '../src/db/client.ts'
import { migrate } from '../src/db/migrate.ts'
import { SECRETS } from '../test/kit/posthouse.ts'
import { median, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const ROUNDS = 3
const USERS = 100_000
const FEW_USERS = 10_000
const DEPTS = 2_000
/** Of each dept so many are below it. */
const BELOW = 12
/** Of every so many users one has changed. */
const CHANGED = 20
const LOOK_MS = 20
const MAIN = new URL('../src/main.ts', import.meta.url).pathname

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const folder = mkdtempSync(join(tmpdir(), 'posthouse-bench-'))
const admin = postgres(SERVER, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
const store = await openStore({ databaseUrl: url })
await migrate(store)
const db = store.patient

const dept = (at: number) => `D${String(at % DEPTS).padStart(5, '0')}`

function write(file: string, lines: string[]): string {
  const path = join(folder, file)
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

/** The first `count` users; with `moved` some have another phone and department. */
function usersFile(count: number, moved: boolean): string {
  const lines = Array.from({ length: count }, (_, at) => {
    const shift = moved && at % CHANGED === 0 ? 1 : 0
    const depts = [dept(at + shift), ...(at % 3 === 0 ? [dept(at * 7 + 3)] : [])].join('|')
    const phone = `1${shift === 0 ? 3 : 5}${String(at).padStart(9, '0')}`
    return `P${String(at).padStart(6, '0')},员工${at},${phone},p${at}@hospital.example,${depts},P${at % 40},R${at % 25}`
  })
  return write(`users-${count}-${moved}.csv`, ['工号,姓名,手机号,邮箱,科室,岗位,角色', ...lines])
}

function groupsFile(kind: string, codes: string[], parentOf?: (at: number) => string): string {
  const header = parentOf === undefined ? 'code,name' : 'code,name,parentCode'
  const lines = codes.map((code, at) => `${code},${code}${parentOf === undefined ? '' : `,${parentOf(at)}`}`)
  return write(`${kind}.csv`, [header, ...lines])
}

const numbered = (letter: string, count: number) => Array.from({ length: count }, (_, at) => `${letter}${at}`)
const groups = {
  departments: groupsFile(
    'departments',
    Array.from({ length: DEPTS }, (_, at) => dept(at)),
    (at) => (at === 0 ? '' : dept(Math.floor((at - 1) / BELOW))),
  ),
  posts: groupsFile('posts', numbered('P', 40)),
  roles: groupsFile('roles', numbered('R', 25)),
}

type Imported = { seconds: number; peakMiB: number }

async function importFile(kind: string, file: string): Promise<Imported> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [MAIN, 'import', kind, file, '--full', '--confirm'], {
    env: { ...process.env, ...SECRETS, DATABASE_URL: url, DATA_DIR: folder },
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (said += data.toString()))
  let peakMiB = 0
  const looking = setInterval(() => (peakMiB = Math.max(peakMiB, peakOf(child.pid ?? 0))), LOOK_MS)
  const [code] = (await once(child, 'exit')) as [number]
  clearInterval(looking)
  if (code !== 0) throw new Error(`The import of ${file} ended with ${code}:\n${said}`)
  return { seconds: (performance.now() - startedAt) / 1_000, peakMiB }
}

/** The most that the process has ever had in memory; 0 when it has just ended. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024
  } catch {
    return 0
  }
}

async function sync(users: string): Promise<Imported> {
  const departments = await importFile('departments', groups.departments)
  const imported = await importFile('users', users)
  return {
    seconds: departments.seconds + imported.seconds,
    peakMiB: Math.max(departments.peakMiB, imported.peakMiB),
  }
}

async function begin(): Promise<void> {
  await query(db, sql`truncate users, memberships, departments, posts, roles, directory_runs, directory_named cascade`)
  await importFile('posts', groups.posts)
  await importFile('roles', groups.roles)
  await query(db, sql`checkpoint`)
}

/** What the first sync wrote, once more, from copies. */
async function floorSeconds(): Promise<number> {
  await query(db, sql`drop table if exists users_copy, memberships_copy`)
  await query(db, sql`create unlogged table users_copy as table users`)
  await query(db, sql`create unlogged table memberships_copy as table memberships`)
  await query(db, sql`truncate users, memberships`)
  await query(db, sql`checkpoint`)
  const startedAt = performance.now()
  await query(db, sql`insert into users select * from users_copy`)
  await query(db, sql`insert into memberships select * from memberships_copy`)
  return (performance.now() - startedAt) / 1_000
}

async function mustHave(users: number): Promise<void> {
  const [count] = await query<{ users: number }>(db, sql`select count(*)::int as users from users where enabled`)
  if (count?.users !== users) throw new Error(`${count?.users} users are there, not ${users}`)
}

const files = { few: usersFile(FEW_USERS, false), all: usersFile(USERS, false), changed: usersFile(USERS, true) }
const few: Imported[] = []
const first: Imported[] = []
const unchanged: Imported[] = []
const changed: Imported[] = []
const floors: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  await begin()
  few.push(await sync(files.few))
  await mustHave(FEW_USERS)
  await begin()
  first.push(await sync(files.all))
  await mustHave(USERS)
  floors.push(await floorSeconds())
  await query(db, sql`analyze`)
  unchanged.push(await sync(files.all))
  changed.push(await sync(files.changed))
  await mustHave(USERS)
}

const seconds = (all: Imported[]) => median(all.map((one) => one.seconds))
const peak = (all: Imported[]) => Math.max(...all.map((one) => one.peakMiB))
report({
  firstSeconds: seconds(first),
  unchangedSeconds: seconds(unchanged),
  changedSeconds: seconds(changed),
  bareInsertSeconds: median(floors),
  firstVsBareInsert: median(first.map((one, round) => (floors[round] ?? 0) / one.seconds)),
  peakMiB: peak([...first, ...unchanged, ...changed]),
  peakMiBOf10k: peak(few),
})

await store.close()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
rmSync(folder, { recursive: true, force: true })
process.exit(0)
