import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const UPSERT = `mutation ($rows: [UserRowInput!]!, $allOrNothing: Boolean) {
  upsertUsers(rows: $rows, allOrNothing: $allOrNothing) { created changed unchanged refused isKept problems { line code path en } }
}`
const MIB = 1024 * 1024

describe.each(stores)('the directory in GraphQL on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const asAdmin = async (query: string, variables = {}) => {
    const { data, errors } = await posthouse.graphql(posthouse.adminKey, query, variables)
    return { data, code: errors?.[0]?.extensions?.['code'], message: errors?.[0]?.message }
  }
  const entries = async (act: string) => {
    const { data } = await asAdmin(
      `{ auditEntries(filter: { act: "${act}" }) { edges { node { subject before after actor } } } }`,
    )
    return data?.['auditEntries'].edges.map(({ node }: { node: object }) => node)
  }
  const received = async (user: string, title: string) => {
    const { data } = await posthouse.graphql(await posthouse.token(user), '{ inbox { edges { node { title } } } }')
    return data?.['inbox'].edges.some(({ node }: { node: { title: string } }) => node.title === title)
  }
  const pushTo = (receiverData: object, title: string) => posthouse.push([], title, { receiverData })

  it('reaches somebody who has just come, in the department he is in now', async () => {
    await asAdmin(UPSERT, { rows: [{ code: 'NEW1', name: '新来', depts: ['DEPT600'] }] })
    await pushTo({ dept: ['DEPT600'] }, '欢迎')
    expect(await received('NEW1', '欢迎')).toBe(true)
    await asAdmin(UPSERT, { rows: [{ code: 'NEW1', name: '新来', depts: ['DEPT700'] }] })
    await pushTo({ dept: ['DEPT600'] }, '信息中心')
    await pushTo({ dept: ['DEPT700'] }, '财务科')
    expect(await received('NEW1', '信息中心')).toBe(false)
    expect(await received('NEW1', '财务科')).toBe(true)
  })

  it('reaches nobody who is disabled, until he is enabled again', async () => {
    const set = (enabled: boolean) =>
      asAdmin(`mutation { setUserEnabled(code: "USER038", enabled: ${enabled}) { isChanged } }`)
    expect((await set(false)).data).toEqual({ setUserEnabled: { isChanged: true } })
    expect((await set(false)).data).toEqual({ setUserEnabled: { isChanged: false } })
    await pushTo({ role: ['ROLE003'] }, '停用时')
    await set(true)
    await pushTo({ role: ['ROLE003'] }, '启用后')
    expect(await received('USER038', '停用时')).toBe(false)
    expect(await received('USER038', '启用后')).toBe(true)
    expect(await entries('user.disable')).toEqual([
      { subject: 'USER038', before: { enabled: true }, after: { enabled: false }, actor: 'admin' },
    ])
  })

  it('takes people into a group and out of it, and notes each who really moved', async () => {
    const change = (act: string, users: string[]) =>
      asAdmin(
        `mutation ($users: [String!]!) { done: ${act}(kind: ROLE, group: "ROLE004", users: $users) { changed } }`,
        { users },
      )
    expect((await change('addToGroup', ['USER001', 'USER002', 'USER007'])).data).toEqual({ done: { changed: 2 } })
    await pushTo({ role: ['ROLE004'] }, '质控')
    expect(await received('USER002', '质控')).toBe(true)
    expect((await change('removeFromGroup', ['USER002', 'USER003'])).data).toEqual({ done: { changed: 1 } })
    expect(await entries('user.join')).toHaveLength(2)
    expect(await entries('user.leave')).toEqual([
      { subject: 'USER002', before: { role: 'ROLE004' }, after: null, actor: 'admin' },
    ])
    const missing = await change('addToGroup', ['USER005', 'NOBODY'])
    expect(missing).toMatchObject({ code: 'BAD_INPUT', message: expect.stringContaining('NOBODY') })
    await pushTo({ role: ['ROLE004'] }, '再来')
    expect(await received('USER005', '再来')).toBe(false)
  })

  it('takes for unknown a group that is disabled', async () => {
    await asAdmin('mutation { setGroupEnabled(kind: POST, code: "POST006", enabled: false) { isChanged } }')
    const { status, body } = await pushTo({ post: ['POST006'] }, '无人')
    expect([status, body.msg]).toEqual([400, expect.stringContaining('POST006')])
    const { code } = await asAdmin('mutation { setGroupEnabled(kind: DEPT, code: "NO", enabled: true) { isChanged } }')
    expect(code).toBe('BAD_INPUT')
  })

  it(
    'takes ten thousand rows of the admin in one body, and a megabyte of everybody else',
    { timeout: 60_000 },
    async () => {
      const rows = Array.from({ length: 10_000 }, (_, n) => ({
        code: `G${n}`,
        name: '很长的名字'.repeat(10),
        email: `g${n}@example.org`,
        posts: ['POST004'],
      }))
      const body = JSON.stringify({ query: UPSERT, variables: { rows } })
      expect(body.length).toBeGreaterThan(MIB)
      const send = (bearer: string) =>
        fetch(`${posthouse.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
          body,
        })
      const answer = await send(posthouse.adminKey)
      expect(await answer.json()).toMatchObject({ data: { upsertUsers: { created: 10_000, problems: [] } } })
      expect((await send(await posthouse.token('USER001'))).status).toBe(413)
      expect((await send('nonsense')).status).toBe(413)
    },
  )
})
