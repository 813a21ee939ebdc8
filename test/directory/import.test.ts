import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore, query } from '../../src/db/client.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { spawnPosthouse } from '../kit/process.ts'
import { stores } from '../kit/stores.ts'

const PEOPLE =
  '工号,姓名,手机号\r\nI1,"张, 三",１３８ 0000 0001\r\nI2,李四,0086 13800000002\r\nI3,,13800000003\r\nI4,王五,nothing\r\n'
const GOOD = [
  { code: 'I1', name: '张, 三', phone: '+8613800000001' },
  { code: 'I2', name: '李四', phone: '+8613800000002' },
]
const imported = sql`select code, name, phone from users where code like 'I_' order by code`

describe.each(stores)('importing a table of people on $name', ({ place }) => {
  const folder = mkdtempSync(join(tmpdir(), 'posthouse-import-test-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const file = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }

  it('on the command line keeps the good rows, tells each wrong line, and says so in its exit code', async () => {
    const { env, remove } = await place()
    const people = file('people.csv', PEOPLE)
    const run = (...args: string[]) => spawnPosthouse(env, { args, cwd: folder }).ended
    const first = await run('import', 'users', people)
    expect(first.code).toBe(1)
    expect(first.output).toContain('line 4 I3 name: ')
    expect(first.output).toContain('line 5 I4 phone: ')
    expect(first.output).toContain('2 created, 0 changed, 0 unchanged, 2 refused, 0 disabled')
    const again = await run('import', 'users', people)
    expect(again.output).toContain('0 created, 0 changed, 2 unchanged, 2 refused, 0 disabled')
    const store = await openStore({ databaseUrl: env['DATABASE_URL'], dataDir: env['DATA_DIR'] })
    expect(await query(store.db, imported)).toEqual(GOOD)
    const noted = await query(store.db, sql`select distinct actor from audit_entries`)
    expect(noted).toEqual([{ actor: 'command-line' }])
    await store.close()
    await remove()
  })

  it('says how it is used when it is not understood', async () => {
    const { env, remove } = await place()
    for (const args of [
      ['import'],
      ['import', 'people', 'x.csv'],
      ['export', 'users', 'x'],
      ['import', 'users', 'none.csv'],
    ]) {
      const { code, output } = await spawnPosthouse(env, { args, cwd: folder }).ended
      expect([code, /Usage: node src\/main.ts import|There is no file none.csv/.test(output)]).toEqual([2, true])
    }
    await remove()
  })
})

describe.each(stores)('importing a table over HTTP, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const send = async (what: string, body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const response = await fetch(`${posthouse.url}/api/admin/directory/import/${what}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${posthouse.adminKey}`, 'content-type': 'text/csv', ...headers },
      body: body as BodyInit,
    })
    return { status: response.status, body: (await response.json()) as Record<string, any> }
  }
  const progress = async (id: string) => {
    const response = await fetch(`${posthouse.url}/api/admin/directory/runs/${id}`, {
      headers: { authorization: `Bearer ${posthouse.adminKey}` },
    })
    return { status: response.status, body: (await response.json()) as Record<string, any> }
  }

  it('takes the file, answers with the id of the import, and tells how far it is until it is done', async () => {
    const { status, body } = await send('users', PEOPLE)
    expect([status, body]).toEqual([
      202,
      { code: 200, msg: '操作成功', data: { run: expect.any(String), expected: 4 } },
    ])
    const done = await eventually(async () => {
      const { data } = (await progress(body['data'].run)).body
      return data.state === 'finished' && data
    })
    expect(done).toMatchObject({ created: 2, refused: 2, expected: 4 })
    expect(done.problems.map(({ line, path }: { line: number; path: string }) => [line, path])).toEqual([
      [4, 'name'],
      [5, 'phone'],
    ])
    expect(await query(posthouse.context.db, imported)).toEqual(GOOD)
  })

  it('takes as many rows as there are', async () => {
    const rows = Array.from({ length: 12_000 }, (_, at) => `B${at},人${at}`).join('\n')
    const { body } = await send('users', `code,name\n${rows}\n`)
    const done = await eventually(async () => {
      const { data } = (await progress(body['data'].run)).body
      return data.state === 'finished' && data
    }, 60_000)
    expect(done).toMatchObject({ created: 12_000, batches: 6 })
  })

  it('refuses a full one that would disable too many, and changes nothing else', async () => {
    const { body } = await send('posts?full=true', 'code,name\nP-NEW,新岗位\n')
    const failed = await eventually(async () => {
      const { data } = (await progress(body['data'].run)).body
      return data.state === 'failed' && data
    })
    expect(failed.failure).toContain('超过 10%')
    const [posts] = await query<{ disabled: number }>(
      posthouse.context.db,
      sql`select count(*) as disabled from posts where not enabled`,
    )
    expect(posts).toEqual({ disabled: 0 })
  })

  it.each([
    ['users', '血型\nA\n', {}, 400, '工号'],
    ['users', '', {}, 400, ''],
    ['people', 'code,name\n', {}, 404, ''],
    ['users?encoding=latin1', 'code,name\nI9,x\n', {}, 400, 'encoding'],
    ['users', '{"code":"I9"}', { 'content-type': 'application/json' }, 415, 'text/csv'],
    ['users', 'code,name\n', { authorization: 'Bearer nonsense' }, 401, ''],
  ])('refuses %s with %j %j', async (what, text, headers, status, why) => {
    const refused = await send(what, text, headers as Record<string, string>)
    expect([refused.status, refused.body['code']]).toEqual([status, status === 415 ? 400 : status])
    expect(refused.body['msg']).toContain(why)
  })

  it('knows no import of another id', async () => {
    expect((await progress('none')).status).toBe(404)
  })
})
