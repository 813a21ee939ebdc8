import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveApp } from '../../src/apps/apps.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

type Page = {
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string; endCursor: string }
  edges: { cursor: string; node: { title: string } }[]
}

describe.each(stores)('paging through an inbox, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let token: string
  beforeAll(async () => {
    posthouse = await run(store)
    token = await posthouse.token('USER001')
    for (let n = 1; n <= 7; n++)
      await posthouse.push(['USER001'], String(n), { msgType: n % 3 === 0 ? 'reminder' : 'notice' })
  })
  afterAll(() => posthouse.stop())

  const ask = (args: Record<string, unknown>) =>
    posthouse.graphql(
      token,
      `query ($first: Int, $last: Int, $after: String, $before: String, $filter: InboxFilter) {
        inbox(first: $first, last: $last, after: $after, before: $before, filter: $filter) {
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { title } }
        }
      }`,
      args,
    )
  async function page(args: Record<string, unknown>): Promise<Page> {
    const { data, errors } = await ask(args)
    expect(errors).toBeUndefined()
    return data!['inbox']
  }
  const titles = ({ edges }: Page) => edges.map(({ node }) => node.title).join('')

  it('goes forward, newest first', async () => {
    const first = await page({ first: 3 })
    expect([titles(first), first.pageInfo.hasNextPage, first.pageInfo.hasPreviousPage]).toEqual(['765', true, false])
    const second = await page({ first: 3, after: first.pageInfo.endCursor })
    expect([titles(second), second.pageInfo.hasNextPage, second.pageInfo.hasPreviousPage]).toEqual(['432', true, true])
    const third = await page({ first: 3, after: second.pageInfo.endCursor })
    expect([titles(third), third.pageInfo.hasNextPage]).toEqual(['1', false])
    const none = await page({ first: 3, after: third.pageInfo.endCursor })
    expect([titles(none), none.pageInfo.hasNextPage]).toEqual(['', false])
  })

  it('goes backward', async () => {
    const last = await page({ last: 3 })
    expect([titles(last), last.pageInfo.hasPreviousPage, last.pageInfo.hasNextPage]).toEqual(['321', true, false])
    const before = await page({ last: 3, before: last.pageInfo.startCursor })
    expect([titles(before), before.pageInfo.hasPreviousPage, before.pageInfo.hasNextPage]).toEqual(['654', true, true])
    const top = await page({ last: 3, before: before.pageInfo.startCursor })
    expect([titles(top), top.pageInfo.hasPreviousPage]).toEqual(['7', false])
    // Between two cursors.
    const [{ cursor: seven }, , , , , , { cursor: one }] = (await page({})).edges as [any, any, any, any, any, any, any]
    expect(titles(await page({ after: seven, before: one }))).toBe('65432')
    expect(titles(await page({ last: 2, after: seven, before: one }))).toBe('32')
    expect(titles(await page({ first: 2, after: seven, before: one }))).toBe('65')
  })

  it('filters, alone and together', async () => {
    const { edges } = (await posthouse.graphql(token, '{ inbox { edges { node { id title } } } }')).data!['inbox']
    const id = (title: string) => edges.find(({ node }: any) => node.title === title).node.id
    await posthouse.graphql(
      token,
      'mutation ($read: [ID!]!, $archived: [ID!]!) { markItemsRead(ids: $read) { rev } archiveItems(ids: $archived) { rev } }',
      {
        read: [id('7'), id('6'), id('1')],
        archived: [id('1'), id('2')],
      },
    )
    expect(titles(await page({}))).toBe('76543')
    expect(titles(await page({ filter: { unread: true } }))).toBe('543')
    expect(titles(await page({ filter: { unread: false } }))).toBe('76')
    expect(titles(await page({ filter: { unread: null, archived: null, msgType: null, appId: null } }))).toBe('76543')
    expect(titles(await page({ filter: { archived: true } }))).toBe('21')
    expect(titles(await page({ filter: { archived: true, unread: true } }))).toBe('2')
    expect(titles(await page({ filter: { msgType: 'reminder' } }))).toBe('63')
    expect(titles(await page({ filter: { msgType: 'reminder', unread: true } }))).toBe('3')
    expect(titles(await page({ filter: { msgType: 'unheard of' } }))).toBe('')
    const filtered = await page({ first: 1, filter: { msgType: 'reminder' } })
    expect(titles(await page({ first: 1, after: filtered.pageInfo.endCursor, filter: { msgType: 'reminder' } }))).toBe(
      '3',
    )
  })

  it('filters by app', async () => {
    await saveApp(posthouse.context.db, {
      id: 'second',
      name: '另一个系统',
      grants: ['channel:*'],
      legacyFrom: ['127.0.0.1'],
    })
    await posthouse.push(['USER002'], '甲')
    await posthouse.push(['USER002'], '乙', { appId: 'second' })
    token = await posthouse.token('USER002')
    expect(titles(await page({ filter: { appId: 'second' } }))).toBe('乙')
    expect(titles(await page({ filter: { appId: APP } }))).toBe('甲')
    token = await posthouse.token('USER001')
  })

  it('stays put while items arrive', async () => {
    const first = await page({ first: 2 })
    await posthouse.push(['USER001'], '新')
    expect(titles(await page({ first: 2, after: first.pageInfo.endCursor }))).toBe('54')
    expect(titles(await page({ last: 2, before: first.pageInfo.startCursor }))).toBe('新')
  })

  it('gives at most 100, whatever is asked, and none for 0', async () => {
    const ids = await Promise.all(Array.from({ length: 101 }, (_, n) => posthouse.push(['USER003'], String(n))))
    expect(ids).toHaveLength(101)
    token = await posthouse.token('USER003')
    for (const args of [{ first: 101 }, { first: 2_147_483_647 }, { last: 101 }]) {
      const { edges, pageInfo } = await page(args)
      expect([args, edges.length, pageInfo.hasNextPage || pageInfo.hasPreviousPage]).toEqual([args, 100, true])
    }
    expect((await page({})).edges).toHaveLength(20)
    expect((await page({ first: 0 })).edges).toEqual([])
    token = await posthouse.token('USER001')
  })

  it.each([{ after: 'nonsense' }, { before: '-1' }, { after: '9'.repeat(16) }, { after: "1' or '1'='1" }])(
    'refuses a bad cursor: $after$before',
    async (args) => {
      const { errors } = await ask(args)
      expect(errors).toMatchObject([{ extensions: { code: 'BAD_CURSOR', field: Object.keys(args)[0] } }])
    },
  )

  it.each([
    { first: -1 },
    { last: -1 },
    { first: 1, last: 1 },
    { filter: { msgType: 'a\u0000' } },
    { filter: { appId: '\ud800' } },
  ])('refuses %j', async (args) => {
    const { errors, data } = await ask(args)
    if ('first' in args && 'last' in args) expect(errors ?? data).toBeDefined()
    else expect(errors).toMatchObject([{ extensions: { code: 'BAD_INPUT' } }])
  })

  it('takes the empty cursor of an empty page', async () => {
    token = await posthouse.token('USER004')
    const empty = await page({})
    expect(empty).toEqual({
      edges: [],
      pageInfo: { hasNextPage: false, hasPreviousPage: false, startCursor: '', endCursor: '' },
    })
    await posthouse.push(['USER004'], '第一条')
    expect(titles(await page({ after: empty.pageInfo.endCursor }))).toBe('第一条')
    expect(titles(await page({ last: 5, before: empty.pageInfo.startCursor }))).toBe('第一条')
  })
})
