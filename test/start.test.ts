import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { afterEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { launch, spawnPosthouse } from './kit/process.ts'
import { eventually, SECRETS } from './kit/posthouse.ts'
import { onPostgres, type Place } from './kit/stores.ts'

/** It takes a second or two; a machine that runs all tests at once is slower. */
const START_MS = 30_000
/** The start itself waits for nothing, so a refusal comes as soon. */
const TEST_MS = 120_000

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'posthouse-start-'))
  cleanups.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function spawn(env: Record<string, string>, options?: { cwd: string }) {
  const child = spawnPosthouse({ LOG_LEVEL: 'warn', PORT: '0', ...env }, options)
  cleanups.push(() => child.kill('SIGKILL'))
  return child
}

/** Starts one that is to refuse, and gives what it says: one sentence for people, no stack. */
async function refusal(env: Record<string, string>): Promise<string> {
  const { code, output } = await spawn(env).ended
  expect(code).toBe(1)
  expect(output).toContain('Posthouse cannot start:')
  expect(output).not.toMatch(/^\s+at .*:\d+:\d+/m)
  return output.slice(output.indexOf('Posthouse cannot start:'))
}

async function place(): Promise<Place> {
  const found = await onPostgres!.place()
  cleanups.push(found.remove)
  return found
}

describe('a first start', { timeout: TEST_MS }, () => {
  it('tells its progress, then what to do next, with a curl that works as it is printed', async () => {
    const startedAt = performance.now()
    const posthouse = spawn({ DATA_DIR: folder() })
    const url = await posthouse.ready
    expect(performance.now() - startedAt).toBeLessThan(START_MS)
    const said = posthouse.output()
    const inOrder = [
      'opening the embedded database',
      'schema',
      'Loaded the sample hospital',
      `${url}/graphql`,
      'DATABASE_URL=postgres://',
      'Ready in',
    ]
    expect(inOrder.map((part) => said.indexOf(part))).toEqual(
      inOrder.map((part) => said.indexOf(part)).toSorted((a, b) => a - b),
    )
    expect(inOrder.filter((part) => !said.includes(part))).toEqual([])

    // As somebody would paste it: the line with the push and those it continues on.
    const push = /^ +(curl \S+\/message\/push\/channel[\s\S]*?[^\\])$/m.exec(said)?.[1]
    const { stdout } = await promisify(execFile)('sh', ['-c', push ?? 'false'])
    expect(JSON.parse(stdout)).toEqual({ code: 200, msg: '操作成功', msgId: expect.stringMatching(/^[0-9a-f]{32}$/) })

    const token = /Bearer (\S+)'/.exec(said)?.[1]
    const answer = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{"query":"{ inboxCounts { unread } }"}',
    })
    expect(await answer.json()).toEqual({ data: { inboxCounts: { unread: 1 } } })
  })

  it('leaves the sample hospital out with SAMPLE_DATA=no', async () => {
    const posthouse = spawn({ DATA_DIR: folder(), SAMPLE_DATA: 'no', ...SECRETS })
    const url = await posthouse.ready
    expect(posthouse.output()).not.toContain('sample')
    const answer = await fetch(`${url}/api/openApi/message/push/channel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"appId":"102343444"}',
    })
    expect(answer.status).toBe(401)
  })

  it('takes settings from .env, where a variable that is really set wins', async () => {
    const cwd = folder()
    writeFileSync(join(cwd, '.env'), 'TIME_ZONE=Nowhere/Land\nLOG_LEVEL=shout\n')
    const { code, output } = await spawn({ LOG_LEVEL: 'silent', DATA_DIR: join(cwd, 'data') }, { cwd }).ended
    expect(code).toBe(1)
    expect(output).toContain('TIME_ZONE')
    expect(output).not.toContain('LOG_LEVEL')
  })
})

describe('DATA_DIR', { timeout: TEST_MS }, () => {
  it('belongs to one process: a second one is refused, and Ctrl-C gives it back', async () => {
    const dataDir = folder()
    const first = spawn({ DATA_DIR: dataDir })
    await first.ready
    expect(await refusal({ DATA_DIR: dataDir })).toMatch(new RegExp(`process ${first.pid}\\) is using ${dataDir}`))
    expect((await fetch(`${await first.ready}/readyz`)).status).toBe(200)

    expect(await first.kill('SIGINT')).toMatchObject({ code: 0 })
    expect(existsSync(join(dataDir, 'posthouse.pid'))).toBe(false)
  })

  it('is given back at SIGTERM, after others had time to find out; sockets are told to come back', async () => {
    const posthouse = await launch({ DATA_DIR: folder() })
    cleanups.push(() => posthouse.kill('SIGKILL'))
    const socket = new WebSocket(`${posthouse.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    await once(socket, 'open')
    const closed = once(socket, 'close')
    const ended = posthouse.kill('SIGTERM')
    await eventually(async () => (await fetch(`${posthouse.url}/readyz`)).status === 503)
    expect((await posthouse.push(['USER001'], 'at the last moment')).status).toBe(200)
    expect((await closed)[0]).toBe(1012)
    expect(await ended).toMatchObject({ code: 0 })
  })

  it('is given back at a SIGTERM that comes before the start is done', async () => {
    const dataDir = folder()
    const posthouse = spawn({ DATA_DIR: dataDir })
    await eventually(() => posthouse.output().includes('opening'))
    expect(await posthouse.kill('SIGTERM')).toMatchObject({ code: 0 })
    expect(existsSync(join(dataDir, 'posthouse.pid'))).toBe(false)
  })

  it('is taken over from a process that was killed, with what it held', async () => {
    const dataDir = folder()
    const killed = await launch({ DATA_DIR: dataDir })
    cleanups.push(() => killed.kill('SIGKILL'))
    expect((await killed.push(['USER001'], 'kept')).status).toBe(200)
    await killed.kill('SIGKILL')
    expect(readFileSync(join(dataDir, 'posthouse.pid'), 'utf8')).toContain(`${killed.pid} `)

    const next = await launch({ DATA_DIR: dataDir })
    cleanups.push(() => next.kill('SIGKILL'))
    const { data } = await next.graphql(await next.token('USER001'), '{ inboxCounts { unread } }')
    expect(data).toEqual({ inboxCounts: { unread: 1 } })
    expect(next.output()).not.toContain('Loaded the sample hospital')
  })

  it('is opened again after a process was killed while it made the database', async () => {
    const dataDir = folder()
    const killed = spawn({ DATA_DIR: dataDir })
    while (!existsSync(join(dataDir, 'posthouse.pid'))) await new Promise((resolve) => setTimeout(resolve, 5))
    await killed.kill('SIGKILL')
    expect(killed.output()).not.toContain('Ready')
    await spawn({ DATA_DIR: dataDir }).ready
  })
})

describe('a start that cannot be', { timeout: TEST_MS }, () => {
  it('names every wrong setting at once, with its fix', async () => {
    const said = await refusal({ PORT: 'x', TIME_ZONE: 'y', CHANNEL_1003: 'smtp://mail', DATA_DIR: folder() })
    expect(said).toMatch(/- PORT .*0–65535/)
    expect(said).toMatch(/- TIME_ZONE .*Asia\/Shanghai/)
    expect(said).toMatch(/- CHANNEL_1003 .*from=/)
  })

  it('is refused where others could reach it and there are no secrets', async () => {
    const said = await refusal({ HOST: '0.0.0.0', DATA_DIR: folder() })
    expect(said).toContain('ADMIN_KEY must be set')
    expect(said).toContain('INBOX_JWT_SECRET must be set')
  })

  it('names a PORT that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    cleanups.push(() => other.close())
    const { port } = other.address() as AddressInfo
    const dataDir = folder()
    expect(await refusal({ PORT: `${port}`, DATA_DIR: dataDir })).toMatch(new RegExp(`PORT ${port} .*taken`))
    expect(existsSync(join(dataDir, 'posthouse.pid'))).toBe(false)
  })

  it('names a HOST that is not of this machine', async () => {
    expect(await refusal({ HOST: '192.0.2.1', DATA_DIR: folder(), ...SECRETS })).toMatch(
      /HOST 192\.0\.2\.1 .*127\.0\.0\.1/,
    )
  })

  it('names a DATABASE_URL where nobody answers, but never its password', async () => {
    const said = await refusal({ DATABASE_URL: 'postgres://someone:geheim@127.0.0.1:1/posthouse', DATA_DIR: folder() })
    expect(said).toMatch(
      /no PostgreSQL answers at postgres:\/\/someone@127\.0\.0\.1:1\/posthouse \(.*ECONNREFUSED.*DATABASE_URL/,
    )
    expect(said).not.toContain('geheim')
  })
})

describe.skipIf(onPostgres === undefined)('on PostgreSQL', { timeout: TEST_MS }, () => {
  it('names a database that does not exist', async () => {
    const { env } = await place()
    const url = new URL(env['DATABASE_URL'] ?? '')
    url.pathname = '/posthouse_missing'
    expect(await refusal({ ...env, DATABASE_URL: url.href })).toMatch(
      /database "posthouse_missing" does not exist .*createdb.*DATABASE_URL/,
    )
  })

  it('refuses one that may lose what it has committed, unless that is allowed by name', async () => {
    const { env } = await place()
    await inDatabase(env, (sql) =>
      sql.unsafe(`alter database ${new URL(env['DATABASE_URL'] ?? '').pathname.slice(1)} set synchronous_commit = off`),
    )
    expect(await refusal(env)).toMatch(/synchronous_commit=off.*ALLOW_LOSSY_DATABASE=yes/)
    await spawn({ ...env, ALLOW_LOSSY_DATABASE: 'yes' }).ready
  })

  it('lets two nodes start at once on an empty database: one migrates and loads the sample, both come up', async () => {
    const { env } = await place()
    await inDatabase(env, (sql) =>
      sql.unsafe('drop schema public cascade; create schema public; drop schema if exists drizzle cascade'),
    )
    const nodes = [spawn(env), spawn(env), spawn({ ...env, DATA_DIR: folder() })]
    const urls = await Promise.all(nodes.map(({ ready }) => ready))
    for (const url of urls) expect((await fetch(`${url}/readyz`)).status).toBe(200)
    expect(nodes.filter((node) => node.output().includes('Loaded the sample hospital'))).toHaveLength(1)
    await inDatabase(env, async (sql) => {
      const [applied] =
        await sql`select count(*)::int as times, count(distinct hash)::int as migrations from drizzle.__drizzle_migrations`
      expect(applied?.['times']).toBe(applied?.['migrations'])
      expect(await sql`select code, version from templates order by code`).toEqual([
        { code: 'MSG1001', version: 1 },
        // It has a history.
        { code: 'MSG1002', version: 2 },
      ])
      expect(await sql`select count(*)::int as apps from apps`).toEqual([{ apps: 1 }])
    })
  })
})

async function inDatabase(
  env: Record<string, string>,
  act: (sql: postgres.Sql) => PromiseLike<unknown>,
): Promise<void> {
  const sql = postgres(env['DATABASE_URL'] ?? '', { max: 1, onnotice: () => {} })
  try {
    await act(sql)
  } finally {
    await sql.end()
  }
}
