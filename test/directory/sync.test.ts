import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const RUN = 'id state covers batches created changed unchanged refused disabled'
const BEGIN = `mutation ($run: String!, $covers: [DirectoryKind!]) { beginSync(run: $run, covers: $covers) { ${RUN} } }`
const FINISH = `mutation ($run: String!, $confirm: Boolean) { finishSync(run: $run, confirm: $confirm) { ${RUN} } }`
const USERS = `mutation ($rows: [UserRowInput!]!, $run: String) {
  upsertUsers(rows: $rows, run: $run) { created changed unchanged refused problems { code en } }
}`

describe.each(stores)('a full sync of the directory, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeEach(async () => {
    posthouse = await run(store, { SAMPLE_DATA: 'no', SYNC_GUARD_PERCENT: '40' })
    await put(staff(10))
  })
  afterEach(() => posthouse.stop())

  const staff = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ code: `U${at}`, name: `员工${at}`, depts: [] as string[] }))
  const asked = async (text: string, variables: Record<string, unknown>) => {
    const { data, errors } = await posthouse.graphql(posthouse.adminKey, text, variables)
    const answer: Record<string, any> = { ...(Object.values(data ?? {})[0] as object), error: errors?.[0]?.message }
    return answer
  }
  const put = (rows: object[], of?: string) => asked(USERS, { rows, run: of })
  const begin = (id: string, covers: string[] = ['USER']) => asked(BEGIN, { run: id, covers })
  const finish = (id: string, confirm?: boolean) => asked(FINISH, { run: id, confirm })
  const enabled = async () =>
    (
      await query<{ code: string }>(
        posthouse.context.db,
        sql`select code from users where enabled order by code collate "C"`,
      )
    ).map(({ code }) => code)

  it('disables at its end whom it did not name, and nobody before', async () => {
    expect(await begin('night-1')).toMatchObject({ state: 'OPEN', batches: 0 })
    await put(staff(7).slice(0, 4), 'night-1')
    await put([...staff(7).slice(4), { code: 'NEW', name: '新来' }], 'night-1')
    expect(await enabled()).toHaveLength(11)
    expect(await finish('night-1')).toMatchObject({
      state: 'FINISHED',
      batches: 2,
      created: 1,
      unchanged: 7,
      disabled: 3,
      error: undefined,
    })
    expect(await enabled()).toEqual(['NEW', 'U0', 'U1', 'U2', 'U3', 'U4', 'U5', 'U6'])
    const again = await finish('night-1')
    expect(again).toMatchObject({ state: 'FINISHED', disabled: 3 })
  })

  it('notes each of them in the audit log, and brings back whom a later one names', async () => {
    await begin('one')
    await put(staff(9), 'one')
    await finish('one')
    const noted = await asked(
      `{ auditEntries(filter: { act: "user.vanish" }) { edges { node { subject before after } } } }`,
      {},
    )
    expect(noted['edges']).toEqual([{ node: { subject: 'U9', before: { enabled: true }, after: { enabled: false } } }])
    await asked('mutation { setUserEnabled(code: "U0", enabled: false) { isChanged } }', {})
    await begin('two')
    await put(staff(10), 'two')
    await finish('two')
    // U9 had vanished and is back; U0 was disabled by somebody, and stays so.
    expect(await enabled()).toEqual(['U1', 'U2', 'U3', 'U4', 'U5', 'U6', 'U7', 'U8', 'U9'])
  })

  it('refuses to disable suspiciously many, says whom, stays open, and does it when that is confirmed', async () => {
    await begin('short')
    await put(staff(5), 'short')
    const { error } = await finish('short')
    expect(error).toContain('5 of 10 enabled users would be disabled (U5, U6, U7 …), more than 40 %')
    expect(await enabled()).toHaveLength(10)
    await put([{ code: 'U5', name: '员工5' }], 'short')
    expect(await finish('short', true)).toMatchObject({ state: 'FINISHED', disabled: 4 })
  })

  it('goes on where it was cut off: begun again it tells how far it is, and a batch twice is harmless', async () => {
    await begin('cut')
    await put(staff(8), 'cut')
    expect(await begin('cut')).toMatchObject({ state: 'OPEN', batches: 1, unchanged: 8 })
    await put(staff(8), 'cut')
    expect(await finish('cut')).toMatchObject({ disabled: 2, created: 0 })
  })

  it('is one at a time, and one that is given up harms nothing', async () => {
    await begin('first')
    await put(staff(1), 'first')
    expect((await begin('second')).error).toContain('another sync is open, first')
    const given = await asked(`mutation { abandonSync(run: "first") { state disabled } }`, {})
    expect(given).toMatchObject({ state: 'ABANDONED', disabled: 0 })
    expect(await enabled()).toHaveLength(10)
    expect((await begin('second')).state).toBe('OPEN')
    expect((await begin('first')).error).toContain('first is over (abandoned): take another')
    expect((await put(staff(1), 'first')).error).toContain('first is not open: begin it first')
  })

  it('takes nobody for gone whose row is wrong', async () => {
    await begin('typo')
    const rows = [...staff(9), { code: 'U9', name: '员工9', phone: 'not a phone' }]
    expect(await put(rows, 'typo')).toMatchObject({ refused: 1, problems: [{ code: 'U9' }] })
    expect(await finish('typo')).toMatchObject({ disabled: 0, refused: 1 })
  })

  it('takes people out of the groups that it covers and does not name, and leaves those it does not cover', async () => {
    const groups = (name: string) =>
      `mutation ($rows: [${name}!]!) { put: upsert${name === 'GroupRowInput' ? 'Roles' : 'Departments'}(rows: $rows) { created } }`
    await asked(groups('DepartmentRowInput'), { rows: [{ code: 'D1', name: '科室' }] })
    await asked(groups('GroupRowInput'), { rows: [{ code: 'R1', name: '角色' }] })
    await put([{ code: 'U0', name: '员工0', depts: ['D1'], roles: ['R1'] }])
    await begin('groups', ['USER', 'DEPT'])
    await asked(
      `mutation ($rows: [DepartmentRowInput!]!, $run: String) { upsertDepartments(rows: $rows, run: $run) { created } }`,
      { rows: [{ code: 'D1', name: '科室' }], run: 'groups' },
    )
    await put(
      staff(10).map(({ code, name }) => ({ code, name })),
      'groups',
    )
    expect((await finish('groups')).error).toBeUndefined()
    const left = await query(
      posthouse.context.db,
      sql`select kind, group_code as code from memberships where user_code = 'U0'`,
    )
    expect(left).toEqual([{ kind: 'role', code: 'R1' }])
  })
})
