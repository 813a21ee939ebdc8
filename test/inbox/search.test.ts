/** What the filters of an inbox find: by sender, by time, by words. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { SEARCHED_ITEMS } from '../../src/inbox/search.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

describe.each(stores)('searching an inbox, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const ask = async (user: string, args: Record<string, unknown>) =>
    posthouse.graphql(
      await posthouse.token(user),
      `query ($first: Int, $last: Int, $after: String, $before: String, $filter: InboxFilter) {
        inbox(first: $first, last: $last, after: $after, before: $before, filter: $filter) {
          pageInfo { hasNextPage endCursor startCursor } edges { node { id title } }
        }
      }`,
      args,
    )
  async function page(user: string, args: Record<string, unknown>) {
    const { data, errors } = await ask(user, args)
    expect(errors).toBeUndefined()
    const { edges, pageInfo } = data!['inbox']
    return { titles: edges.map(({ node }: any) => node.title).join(' '), pageInfo }
  }
  const find = async (user: string, search: string, more: Record<string, unknown> = {}) =>
    (await page(user, { filter: { search, ...more } })).titles
  const push = (user: string, title: string, content: string, more: Record<string, unknown> = {}) =>
    posthouse.push([user], title, { channelData: { '1002': { title, content } }, ...more })

  it('finds words in title and text, also Chinese ones and parts, whatever case and width', async () => {
    await push('USER001', '甲', '<p>患者张三血钾<b>危急</b>值，请及时处理</p>')
    await push('USER001', '乙', '<p>ＣＴ检查报告 Medical1001</p>')
    await push('USER001', '会诊通知', '<p>三楼会议室，CT 室主任参加</p>')
    await push('USER001', '丁', '体温 37.5℃，Ⅱ 级，１０㎡，ガーゼ…Cafe\u0301')
    const found = {
      危急: '甲',
      血钾危急值: '甲',
      张三: '甲',
      三: '会诊通知 甲',
      会诊: '会诊通知',
      ct: '会诊通知 乙',
      ｃｔ: '会诊通知 乙',
      'CT 报告': '乙',
      '报告　ＣＴ': '乙',
      '  ct\t会诊 ': '会诊通知',
      'CT 危急': '',
      MEDICAL1001: '乙',
      '１００１': '乙',
      '值,请': '甲',
      '值，请': '甲',
      // Neither the HTML around it, nor across title and text.
      '<b>': '',
      // What NFKC makes of letters in other shapes.
      '37.5°C': '丁',
      '37.5℃ ii': '丁',
      'ⅱ 10㎡': '丁',
      '⑩m2': '丁',
      café: '丁',
      'CAFE\u0301': '丁',
      '...': '丁',
      ｶﾞ: '丁',
      甲患者: '',
      李四: '',
    }
    for (const [search, titles] of Object.entries(found))
      expect([search, await find('USER001', search)]).toEqual([search, titles])
    // Nothing to search for is no filter.
    for (const search of ['', '  ', '　']) expect(await find('USER001', search)).toBe('丁 会诊通知 乙 甲')
    expect(await find('USER002', '危急')).toBe('')
  })

  it('takes wildcards for what they are', async () => {
    await push('USER003', '百', 'SpO2 90% a_b C:\\temp')
    await push('USER003', '无', 'SpO2 900 axb C:temp')
    const found = {
      '90%': '百',
      '9％': '',
      '0％': '百',
      '%': '百',
      _: '百',
      a_b: '百',
      '＿': '百',
      '\\': '百',
      '＼t': '百',
      'c:\\t': '百',
      "'": '',
      '"': '',
    }
    for (const [search, titles] of Object.entries(found))
      expect([search, await find('USER003', search)]).toEqual([search, titles])
  })

  it('finds also what was broadcast, and of archived ones only those, when asked for them', async () => {
    await posthouse.push([], '全院停水', { receiverType: 'all', receiverData: undefined })
    await find('USER004', '停水')
    await push('USER004', '停水补充', '三楼')
    expect(await find('USER004', '停水')).toBe('停水补充 全院停水')
    expect(await find('USER004', '停水', { archived: true })).toBe('')
    const { data } = await ask('USER004', { filter: { search: '三楼' } })
    await posthouse.graphql(
      await posthouse.token('USER004'),
      'mutation ($ids: [ID!]!) { archiveItems(ids: $ids) { rev } }',
      {
        ids: data!['inbox'].edges.map(({ node }: any) => node.id),
      },
    )
    expect(await find('USER004', '停水')).toBe('全院停水')
    expect(await find('USER004', '停水', { archived: true })).toBe('停水补充')
  })

  it('pages through what it finds, forward and backward, and stays put while items arrive', async () => {
    for (let n = 1; n <= 8; n++) await push('USER005', String(n), n % 2 === 0 ? '偶数' : '奇数')
    const first = await page('USER005', { first: 2, filter: { search: '偶数' } })
    expect([first.titles, first.pageInfo.hasNextPage]).toEqual(['8 6', true])
    await push('USER005', '10', '偶数')
    const second = await page('USER005', { first: 2, after: first.pageInfo.endCursor, filter: { search: '偶数' } })
    expect([second.titles, second.pageInfo.hasNextPage]).toEqual(['4 2', false])
    const back = await page('USER005', { last: 3, before: second.pageInfo.startCursor, filter: { search: '偶数' } })
    expect(back.titles).toBe('10 8 6')
  })

  it('filters by sender and by when it came', async () => {
    await find('USER006', '')
    for (const code of ['D1', 'D2', undefined])
      await push(
        'USER006',
        `由 ${code}`.replace(' ', ''),
        '话',
        code === undefined ? {} : { senderCode: code, senderName: code },
      )
    const filtered = async (filter: Record<string, unknown>) => (await page('USER006', { filter })).titles
    expect(await filtered({ senderCode: 'D2' })).toBe('由D2')
    expect(await filtered({ senderCode: 'd2' })).toBe('')
    expect(await filtered({ senderCode: null, since: null, until: null, search: null })).toBe(
      '由undefined 由D2 由D1 全院停水',
    )
    const at = (title: string, time: string) =>
      query(
        posthouse.context.db,
        sql`update items set created_at = ${time} from contents
          where items.user_code = 'USER006' and contents.message_id = items.message_id and content ->> 'title' = ${title}`,
      )
    await at('全院停水', '2025-01-01T00:00:00Z')
    await at('由D1', '2026-01-01T00:00:00Z')
    await at('由D2', '2026-01-02T00:00:00Z')
    await at('由undefined', '2026-01-03T00:00:00Z')
    expect(await filtered({ since: '2026-01-02T00:00:00Z' })).toBe('由undefined 由D2')
    expect(await filtered({ until: '2026-01-02T08:00:00+08:00' })).toBe('由D1 全院停水')
    expect(await filtered({ since: '2026-01-02T00:00:00Z', until: '2026-01-02T00:00:00.001Z', search: '话' })).toBe(
      '由D2',
    )
    expect(await filtered({ since: '-100000-01-01T00:00:00Z', until: '+200000-01-01T00:00:00Z' })).toContain('由D1')
    expect((await ask('USER006', { filter: { since: '2026-02-30T00:00:00Z' } })).errors).toHaveLength(1)
  })

  it.each([
    { search: '字'.repeat(101) },
    { search: 'a b c d e f g h i j k' },
    { search: 'a\u0000' },
    { search: '\ud800' },
    { senderCode: '\u0000' },
  ])('refuses %j', async (filter) => {
    const { errors } = await ask('USER001', { filter })
    expect(errors).toMatchObject([
      { extensions: { code: 'BAD_INPUT', field: expect.stringContaining(`filter.${Object.keys(filter)[0]}`) } },
    ])
  })

  it('takes 100 characters, as people count them, and ten words', async () => {
    for (const search of ['𠮷'.repeat(100), 'q w e r t z u i o xx', 'ﷺ'.repeat(100), '%'.repeat(100)])
      expect(await find('USER001', search)).toBe('')
  })

  it(`looks at the newest ${SEARCHED_ITEMS} items, and answers soon`, { timeout: 120_000 }, async () => {
    await push('USER007', '最旧', '找我')
    // Brings also the broadcast: one more.
    expect(await find('USER007', '找我')).toBe('最旧')
    await query(
      posthouse.context.db,
      sql`
        with copies as (
          insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
          select gen_random_uuid(), ${APP}, 'specified', '{}', '{}', 'notice', 2, now(), 'fanned_out', 'test'
          from generate_series(1, ${SEARCHED_ITEMS})
          returning id
        ),
        said as (
          insert into contents (message_id, channel_id, kind, content)
          select id, '1002', 'site', jsonb_build_object('title', '新', 'content', '', 'text', repeat('各科室知悉，ＣＴ ', 40)) from copies
        ),
        raised as (update inboxes set rev = rev + ${SEARCHED_ITEMS} where user_code = 'USER007')
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type)
        select 'USER007', id, 2 + row_number() over (), 2 + row_number() over (), ${APP}, 'notice' from copies`,
    )
    const startedAt = performance.now()
    expect(await find('USER007', '找我')).toBe('')
    console.info(`a search through ${SEARCHED_ITEMS} items took ${Math.round(performance.now() - startedAt)} ms`)
    // The same page, put together from several stretches, in either direction.
    const [newest, oldest] = [20_002, 3].map(String)
    await query(
      posthouse.context.db,
      sql`
        update contents set content = content || '{"title": "散", "text": "散落各处"}' from items
        where user_code = 'USER007' and created_rev in (3, 4003, 4004, 11000, 20002) and items.message_id = contents.message_id`,
    )
    const cursors = async (args: Record<string, unknown>) => {
      const { data } = await posthouse.graphql(
        await posthouse.token('USER007'),
        `query ($first: Int, $last: Int, $after: String, $before: String) {
          inbox(first: $first, last: $last, after: $after, before: $before, filter: { search: "散落" }) { edges { cursor } }
        }`,
        args,
      )
      return data!['inbox'].edges.map((edge: { cursor: string }) => edge.cursor).join(' ')
    }
    expect(await cursors({})).toBe('20002 11000 4004 4003 3')
    expect(await cursors({ first: 3 })).toBe('20002 11000 4004')
    expect(await cursors({ first: 3, after: '4004' })).toBe('4003 3')
    expect(await cursors({ last: 3 })).toBe('4004 4003 3')
    expect(await cursors({ last: 3, before: '4003' })).toBe('20002 11000 4004')
    expect(await cursors({ after: newest, before: oldest })).toBe('11000 4004 4003')
    // Two of the newer ones gone, the oldest is within the bound.
    await query(
      posthouse.context.db,
      sql`update items set deleted_at = now() where user_code = 'USER007' and created_rev in (2, 3)`,
    )
    expect(await find('USER007', '找我')).toBe('最旧')
    expect((await page('USER007', { last: 1, filter: { search: '找我' } })).titles).toBe('最旧')
  })
})
