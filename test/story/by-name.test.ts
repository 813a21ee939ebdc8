/** A push that calls each person by name, in the language that he reads. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { fanOutNext } from '../../src/delivery/fan-out.ts'
import { saveTemplate } from '../../src/templates/templates.ts'
import { subscribe } from '../inbox/subscriber.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { makeApp, TEMPLATE, templateBody } from '../rest/door.ts'

const PEOPLE = [
  { code: 'WANG', name: '小王', phone: '19911110001', email: 'wang@example.org', locale: 'zh-CN' },
  { code: 'ANNA', name: 'Anna', phone: '19911110002', email: 'anna@example.org', locale: 'en-GB' },
  {
    code: 'EVIL',
    name: `<script>x</script>{{ user.code }}{% if %}"'`,
    phone: '19911110003',
    email: 'evil@example.org',
  },
  { code: 'LONG', name: '长'.repeat(200), phone: '19911110004', email: 'long@example.org' },
]
const UPSERT = 'mutation ($rows: [UserRowInput!]!) { upsertUsers(rows: $rows) { refused } }'
const INBOX = `query ($search: String) { inbox(first: 10, filter: { search: $search }) { edges { node { title content text } } } }`
const HELLO = {
  code: 'HELLO',
  name: '问候',
  msgType: 'notice',
  contents: {
    '1001': { content: `{{ user.name | default: "您" }}（{{ user.code }}）：{{ what }}` },
    '1002': { title: '致{{ user.name }}', content: '<p>{{ user.name }}：{{ what }}</p>' },
  },
  locales: {
    en: {
      '1001': { content: 'Dear {{ user.name }}: {{ what }}' },
      '1002': { title: 'To {{ user.name }}', content: '<p>{{ user.name }}: {{ what }}</p>' },
    },
  },
}

describe.each(stores)('a push by name, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
    await posthouse.graphql(posthouse.adminKey, UPSERT, { rows: PEOPLE })
    await saveTemplate(posthouse.context.db, HELLO)
  })
  afterAll(() => posthouse.stop())

  const push = (users: string[], what: string, more: object = {}) =>
    posthouse.post(
      TEMPLATE,
      templateBody({ templateCode: 'HELLO', channelParamData: { what }, receiverData: { user: users }, ...more }),
    )
  const inbox = async (user: string, search?: string): Promise<Record<string, string>[]> => {
    const { data } = await posthouse.graphql(await posthouse.token(user), INBOX, { search })
    return data?.['inbox'].edges.map(({ node }: { node: object }) => node)
  }
  const smsOf = (msgId: string | undefined) =>
    query<{ recipient: string; text: string; state: string }>(
      posthouse.context.db,
      sql`
        select recipient, coalesce(variants.content, contents.content) ->> 'content' as text, reason
        from deliveries
        join contents using (message_id, channel_id)
        left join variants using (message_id, channel_id, variant)
        where message_id = ${msgId} and channel_id = '1001'
        order by 1`,
    )

  it('calls each by his name in his language, in the inbox, live, in search and as SMS', async () => {
    const anna = subscribe(posthouse.socket(await posthouse.token('ANNA')))
    await anna.until('InboxCaughtUp')
    const { status, body } = await push(['WANG', 'ANNA'], 'A1')
    expect(status).toBe(200)
    expect((await anna.next()).item?.title).toBe('To Anna')
    await anna.leave()
    expect(await inbox('WANG')).toEqual([{ title: '致小王', content: '<p>小王：A1</p>', text: '小王：A1' }])
    expect(await inbox('ANNA', 'anna a1')).toMatchObject([{ title: 'To Anna' }])
    expect(await inbox('WANG', 'anna')).toEqual([])
    expect(await smsOf(body.msgId)).toEqual([
      { recipient: 'ANNA', text: 'Dear Anna: A1', reason: null },
      { recipient: 'WANG', text: '小王（WANG）：A1', reason: null },
    ])
  })

  it('is hurt by no name: it is neither HTML nor code', async () => {
    const { body } = await push(['EVIL'], 'B2')
    const [item] = await inbox('EVIL')
    expect(item!['content']).not.toContain('<script')
    expect(item!['text']).toBe(`${PEOPLE[2]!.name}：B2`)
    expect(await smsOf(body.msgId)).toMatchObject([{ text: `${PEOPLE[2]!.name}（EVIL）：B2` }])
  })

  it('fails for him alone to whom it cannot be said, and says why; nobody sends it again', async () => {
    const { body } = await push(['LONG', 'WANG'], 'x'.repeat(800))
    const found = await smsOf(body.msgId)
    expect(found).toMatchObject([
      { recipient: 'LONG', reason: 'UNFIT' },
      { recipient: 'WANG', reason: null },
    ])
    const { data } = await posthouse.graphql(
      posthouse.adminKey,
      `query ($id: ID!) { explainDelivery(msgId: $id, user: "LONG") { channelId code en said { content } } }`,
      { id: body.msgId },
    )
    expect(data!['explainDelivery'][0]).toMatchObject({ channelId: '1001', code: 'UNFIT' })
    expect(data!['explainDelivery'][0].en).toContain('is over the limit of 1000 characters')
    // The title does not fit either, so it is in no inbox of his.
    expect(data!['explainDelivery'][1]).toMatchObject({ channelId: '1002', code: 'UNFIT' })
    expect(await inbox('LONG')).toEqual([])
  })

  it('says to a bare address what it says to nobody in particular, and warns of it', async () => {
    const receiverData = { '1001': ['13000000000', 'ANNA'] }
    const { body, headers } = await push([], 'C3', { receiverType: 'custom', receiverData })
    expect(await smsOf(body.msgId)).toEqual([
      { recipient: '13000000000', text: '您（）：C3', reason: null },
      { recipient: 'ANNA', text: 'Dear Anna: C3', reason: null },
    ])
    expect(headers.get('x-posthouse-warning')).toContain('nameless=1')
  })

  it('uses the name of the day on which it goes out, and forgets the values once all have it', async () => {
    const sendTime = new Date(Date.now() + 3_600_000).toISOString()
    const { body } = await push(['WANG'], 'D4', { sendTime })
    await posthouse.graphql(posthouse.adminKey, UPSERT, { rows: [{ code: 'WANG', name: '老王' }] })
    await query(posthouse.context.db, sql`update messages set due_at = now() where id = ${body.msgId}`)
    posthouse.context.hints.send({ kind: 'work' })
    await eventually(async () => (await inbox('WANG'))[0]?.['title'] === '致老王')
    const [kept] = await query(
      posthouse.context.db,
      sql`select state, template_values as kept from messages where id = ${body.msgId}`,
    )
    expect(kept).toEqual({ state: 'fanned_out', kept: null })
  })

  it('is said to thousands chunk by chunk, to each once, though two go on with it at once', async () => {
    const rows = Array.from({ length: 2_500 }, (_, at) => ({
      code: `MANY${String(at).padStart(4, '0')}`,
      name: `名${at}`,
      phone: `1991${String(2_000_000 + at)}`,
      posts: ['POST008'],
    }))
    await posthouse.graphql(posthouse.adminKey, UPSERT, { rows })
    const { body } = await push([], 'E5', { receiverData: { post: ['POST008'] } })
    const isDone = async () => {
      await Promise.all([fanOutNext(posthouse.context), fanOutNext(posthouse.context)])
      return (
        await query(
          posthouse.context.db,
          sql`select id from messages where id = ${body.msgId} and state = 'fanned_out'`,
        )
      ).length
    }
    await eventually(isDone, 60_000)
    const [count] = await query(
      posthouse.context.db,
      sql`
        select count(*)::int as items, count(distinct items.user_code)::int as people,
          count(*) filter (where variants.content ->> 'title' = '致' || users.name)::int as named
        from items
        join users on users.code = items.user_code
        join variants on variants.message_id = items.message_id and variants.channel_id = '1002'
          and variants.variant = items.variant
        where items.message_id = ${body.msgId} and items.user_code like 'MANY%'`,
    )
    expect(count).toEqual({ items: 2_500, people: 2_500, named: 2_500 })
  })

  it('to all is an item of each, not a broadcast', async () => {
    const NOTE = { ...HELLO, code: 'NOTE', contents: { '1002': HELLO.contents['1002'] }, locales: {} }
    await saveTemplate(posthouse.context.db, NOTE)
    const { body, headers } = await push([], 'F6', {
      templateCode: 'NOTE',
      receiverType: 'all',
      receiverData: undefined,
    })
    expect(headers.get('x-posthouse-warning')).toContain('each-of-all=1002')
    await eventually(async () => (await inbox('ANNA', 'F6')).length === 1, 60_000)
    expect(await inbox('ANNA', 'F6')).toMatchObject([{ title: '致Anna' }])
    const broadcasts = await query(
      posthouse.context.db,
      sql`select seq from broadcasts where message_id = ${body.msgId}`,
    )
    expect(broadcasts).toEqual([])
  })

  it('is previewed for the first of them, and charged for what each of them gets', async () => {
    const app = await makeApp(posthouse, { guard: { recipients: null, smsSegmentsPerDay: 100 } })
    const body = templateBody({
      appId: app.id,
      templateCode: 'HELLO',
      channelParamData: { what: '好' },
      receiverData: { user: ['ANNA', 'LONG'] },
    })
    const { body: preview } = await posthouse.post('/api/openApi/message/preview/template', body, app.headers)
    // 209 characters in Chinese are four segments, Anna's are one.
    expect(preview.data).toMatchObject({ smsSegments: 5 })
    expect(preview.data!['examples']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          user: 'ANNA',
          channelId: '1001',
          content: { content: 'Dear Anna: 好' },
          segments: 1,
        }),
        expect.objectContaining({
          user: 'LONG',
          channelId: '1002',
          content: null,
          why: expect.stringContaining('title'),
        }),
      ]),
    )
    expect((await posthouse.post(TEMPLATE, body, app.headers)).status).toBe(200)
    expect(await query(posthouse.context.db, sql`select segments from app_budgets where app_id = ${app.id}`)).toEqual([
      { segments: 5 },
    ])
  })

  it('is refused as a template that asks for more of its reader, or calls a variable as the reader is', async () => {
    const save = async (contents: object, more: object = {}) => {
      const { errors } = await posthouse.graphql(
        posthouse.adminKey,
        'mutation ($input: SaveTemplateDraftInput!) { saveTemplateDraft(input: $input) { template { code } } }',
        { input: { code: 'ASKS', name: '问', contents, ...more } },
      )
      return errors?.[0]?.message
    }
    const sms = (content: string) => ({ '1001': { content } })
    expect(await save(sms('{{ user.phone }}x'))).toContain('contents.1001.content: there is no user.phone')
    expect(await save(sms('{{ user }}x'))).toContain('there is no user:')
    expect(await save(sms('{% assign u = user %}{{ u.phone }}x'))).toContain('there is no user:')
    expect(await save(sms('{{ user["phone"] }}x'))).toContain('there is no user.phone')
    expect(await save(sms('x'), { variables: [{ name: 'user' }] })).toContain('must not be user')
    // Nothing to say to a bare address.
    expect(await save(sms('{{ user.name }}'))).toContain('contents.1001')
    expect(await save(sms('{{ user.name | default: "您" }}'))).toBeUndefined()
  })
})
