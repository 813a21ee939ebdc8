import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

type Node = { code: string } & Record<string, any>

describe.each(stores)('lists of the directory on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const ask = async (query: string, variables = {}) => {
    const { data, errors } = await posthouse.graphql(posthouse.adminKey, query, variables)
    if (errors) throw new Error(errors[0]?.message)
    return data!
  }
  const users = async (filter: object, fields = 'code'): Promise<Node[]> =>
    (
      await ask(`query ($filter: UserFilter) { users(filter: $filter, first: 100) { edges { node { ${fields} } } } }`, {
        filter,
      })
    )['users'].edges.map(({ node }: { node: Node }) => node)
  const groups = async (kind: string, filter: object, fields = 'code'): Promise<Node[]> =>
    (
      await ask(
        `query ($kind: GroupKind!, $filter: GroupFilter) {
          groups(kind: $kind, filter: $filter, first: 100) { edges { node { ${fields} } } }
        }`,
        { kind, filter },
      )
    )['groups'].edges.map(({ node }: { node: Node }) => node)
  const codes = (nodes: Node[]) => nodes.map(({ code }) => code)

  it('gives everybody once, page by page, also who comes and goes meanwhile', async () => {
    const seen: string[] = []
    let after: string | null = null
    do {
      const { edges, pageInfo }: { edges: { node: Node }[]; pageInfo: any } = (
        await ask(
          'query ($after: String) { users(first: 7, after: $after) { edges { node { code } } pageInfo { hasNextPage endCursor } } }',
          { after },
        )
      )['users']
      seen.push(...edges.map(({ node }) => node.code))
      after = pageInfo.hasNextPage ? pageInfo.endCursor : null
      // Behind the cursor: no page that follows shows it, and none is shifted by it.
      await ask('mutation { upsertUsers(rows: [{ code: "AAA", name: "先来" }]) { created } }')
    } while (after !== null)
    expect(seen).toEqual(Array.from({ length: 44 }, (_, at) => `USER${String(at + 1).padStart(3, '0')}`))
    expect(codes(await users({ search: 'aaa' }))).toEqual(['AAA'])
  })

  it('finds people by part of a code, name, phone or mail address, whatever the case, and takes % and _ as they are', async () => {
    expect(codes(await users({ search: 'user04' }))).toEqual(['USER040', 'USER041', 'USER042', 'USER043', 'USER044'])
    expect(codes(await users({ search: '晓' }))).toEqual(['USER010', 'USER031'])
    expect(codes(await users({ search: '0886275' }))).toEqual(['USER001'])
    expect(codes(await users({ search: ' LiWei@ ' }))).toEqual(['USER001'])
    expect(await users({ search: '%' })).toEqual([])
    expect(await users({ search: '_' })).toEqual([])
    expect(codes(await users({ search: 'USER', enabled: false }))).toEqual(['USER044'])
  })

  it('finds who is in a group, and in what is below it', async () => {
    expect(codes(await users({ group: { kind: 'DEPT', code: 'DEPT001' } }))).toEqual(['USER009', 'USER010'])
    const below = codes(await users({ group: { kind: 'DEPT', code: 'DEPT001', withBelow: true } }))
    expect(below).toContain('USER001')
    expect(below).toHaveLength(11)
    expect(codes(await users({ group: { kind: 'ROLE', code: 'ROLE003' } }))).toEqual(['USER038', 'USER039'])
    expect(codes(await users({ search: '苏', group: { kind: 'ROLE', code: 'ROLE003' } }))).toEqual(['USER038'])
    expect(await users({ group: { kind: 'ROLE', code: 'DEPT001' } })).toEqual([])
  })

  it('tells all there is to know of one person', async () => {
    await ask(
      'mutation { upsertUsers(rows: [{ code: "USER006", name: "刘芳", locale: "en-gb", timeZone: "Europe/London", externalId: "e-6" }]) { changed } }',
    )
    const fields = 'code name phone email locale timeZone enabled externalId vanishedAt groups { kind code name }'
    const { user, nobody } = await ask(`{ user(code: "USER006") { ${fields} } nobody: user(code: "user006") { code } }`)
    expect(user).toEqual({
      code: 'USER006',
      name: '刘芳',
      phone: '+8619900000006',
      email: 'liufang@example.org',
      locale: 'en-GB',
      timeZone: 'Europe/London',
      enabled: true,
      externalId: 'e-6',
      vanishedAt: null,
      groups: [
        { kind: 'DEPT', code: 'DEPT100', name: '院办' },
        { kind: 'POST', code: 'POST008', name: '职员' },
      ],
    })
    expect(nobody).toBeNull()
  })

  it('tells the tree level by level, and how many are in a group', async () => {
    expect(await groups('DEPT', { parentCode: '' }, 'code name parentCode members')).toEqual([
      { code: 'HOSP001', name: '示范医院', parentCode: null, members: 0 },
    ])
    expect(codes(await groups('DEPT', { parentCode: 'DEPT001' }))).toEqual(['DEPT011', 'DEPT012'])
    expect(await groups('ROLE', { search: '管理' }, 'kind code members enabled parentCode')).toEqual([
      { kind: 'ROLE', code: 'ROLE003', members: 2, enabled: true, parentCode: null },
    ])
    expect(codes(await groups('POST', {}))).toHaveLength(8)
    expect(await groups('POST', { parentCode: 'DEPT001' })).toEqual([])
  })
})
