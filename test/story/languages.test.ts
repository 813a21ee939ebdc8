/** A hospital where 小王 reads Chinese and Anna English: one push, to each in words he reads. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { saveTemplate } from '../../src/templates/templates.ts'
import { subscribe } from '../inbox/subscriber.ts'
import { mailServer } from '../kit/mail-server.ts'
import { boot, eventually, run } from '../kit/posthouse.ts'
import { onPostgres, stores } from '../kit/stores.ts'
import { makeApp, TEMPLATE, templateBody } from '../rest/door.ts'

const PEOPLE = [
  { code: 'WANG', name: '小王', phone: '19911110001', email: 'wang@example.org', locale: 'zh-CN' },
  { code: 'ANNA', name: 'Anna', phone: '19911110002', email: 'anna@example.org', locale: 'en-GB' },
  { code: 'CHAN', name: '陳大文', phone: '19911110003', email: 'chan@example.org', locale: 'zh-HK' },
  { code: 'NONE', name: '无语', phone: '19911110004', email: 'none@example.org' },
  { code: 'JEAN', name: 'Jean', email: 'jean@example.org', locale: 'fr' },
]
const CODES = PEOPLE.map(({ code }) => code)
const UPSERT = 'mutation ($rows: [UserRowInput!]!) { upsertUsers(rows: $rows) { refused } }'
const INBOX = `query ($search: String) { inbox(first: 10, filter: { search: $search }) { edges { node { title text } } } }`

/** As its author has written it: mail in two languages, the inbox in three, SMS in two of different length. */
const VISIT = {
  code: 'VISIT',
  name: '查房',
  msgType: 'notice',
  contents: {
    '1001': { content: '{{ ward }}查房' },
    '1002': { title: '查房：{{ ward }}', content: '<p>请到{{ ward }}查房</p>' },
    '1003': { title: '查房：{{ ward }}', content: '<p>请到{{ ward }}查房</p>' },
  },
  locales: {
    en: {
      '1001': { content: `Ward round in ward {{ ward }}${'.'.repeat(150)}` },
      '1002': { title: 'Round: {{ ward }}', content: '<p>Please come to ward {{ ward }}</p>' },
      '1003': { title: 'Round: {{ ward }}', content: '<p>Please come to ward {{ ward }}</p>' },
    },
    'zh-Hant': { '1002': { title: '巡房：{{ ward }}', content: '<p>請到{{ ward }}巡房</p>' } },
  },
}

/** The same for everybody, in the inbox alone. */
const NEWS = {
  ...VISIT,
  code: 'NEWS',
  contents: { '1002': VISIT.contents['1002'] },
  locales: { en: { '1002': VISIT.locales.en['1002'] }, 'zh-Hant': VISIT.locales['zh-Hant'] },
}
const IN_AN_HOUR = new Date(Date.now() + 3_600_000).toISOString()
const TO_ALL = { templateCode: 'NEWS', receiverType: 'all', receiverData: undefined }

describe.each(stores)('a push in several languages, on $name', (store) => {
  let server: Awaited<ReturnType<typeof mailServer>>
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    server = await mailServer()
    posthouse = await run(store, { CHANNEL_1003: `smtp://localhost:${server.port}?from=posthouse@hospital.example` })
    await posthouse.graphql(posthouse.adminKey, UPSERT, { rows: PEOPLE })
    for (const template of [VISIT, NEWS]) await saveTemplate(posthouse.context.db, template)
  })
  afterAll(async () => {
    await posthouse.stop()
    await server.stop()
  })

  const push = (more: object = {}, ward = 'A1') =>
    posthouse.post(
      TEMPLATE,
      templateBody({ templateCode: 'VISIT', channelParamData: { ward }, receiverData: { user: CODES }, ...more }),
    )
  const titles = async (user: string, search?: string) => {
    const { data } = await posthouse.graphql(await posthouse.token(user), INBOX, { search })
    return data?.['inbox'].edges.map(({ node }: { node: { title: string } }) => node.title)
  }
  const localesOf = (msgId: string | undefined, channel: string) =>
    query<{ recipient: string; variant: string | null }>(
      posthouse.context.db,
      sql`select recipient, variant from deliveries where message_id = ${msgId} and channel_id = ${channel} order by 1`,
    )

  it('says to each what he reads: exactly his language, a wider one, his script, or the default', async () => {
    expect((await push()).status).toBe(200)
    expect(await titles('WANG')).toEqual(['查房：A1'])
    expect(await titles('ANNA')).toEqual(['Round: A1'])
    expect(await titles('CHAN')).toEqual(['巡房：A1'])
    expect(await titles('NONE')).toEqual(['查房：A1'])
    expect(await titles('JEAN')).toEqual(['查房：A1'])
    await eventually(() => server.arrived.length === CODES.length)
    const mails = server.arrived.map(({ to, mail }) => `${to.join()} ${mail.subject} ${mail.text?.trim()}`)
    expect(mails.toSorted()).toEqual([
      'anna@example.org Round: A1 Please come to ward A1',
      'chan@example.org 查房：A1 请到A1查房',
      'jean@example.org 查房：A1 请到A1查房',
      'none@example.org 查房：A1 请到A1查房',
      'wang@example.org 查房：A1 请到A1查房',
    ])
  })

  it('is stored once in each language, however many people read it', async () => {
    const { body } = await push({}, 'B2')
    const rows = await query(
      posthouse.context.db,
      sql`select channel_id as channel, variant from variants where message_id = ${body.msgId} order by 1, 2`,
    )
    expect(rows).toEqual([
      { channel: '1001', variant: 'en' },
      { channel: '1002', variant: 'en' },
      { channel: '1002', variant: 'zh-Hant' },
      { channel: '1003', variant: 'en' },
    ])
    expect(await localesOf(body.msgId, '1001')).toEqual([
      { recipient: 'ANNA', variant: 'en' },
      { recipient: 'CHAN', variant: null },
      { recipient: 'JEAN', variant: null },
      { recipient: 'NONE', variant: null },
      { recipient: 'WANG', variant: null },
    ])
  })

  it('is found by the words that the person reads, and not by those of others', async () => {
    await push({}, 'C3')
    expect(await titles('ANNA', 'come c3')).toEqual(['Round: C3'])
    expect(await titles('ANNA', '请到C3')).toEqual([])
    expect(await titles('WANG', '请到C3')).toEqual(['查房：C3'])
    expect(await titles('WANG', 'come c3')).toEqual([])
    expect(await titles('CHAN', '請到C3')).toEqual(['巡房：C3'])
  })

  it('comes live to two people of one node, to each in his language, also when all get it', async () => {
    const [anna, wang] = await Promise.all(
      ['ANNA', 'WANG'].map(async (user) => subscribe(posthouse.socket(await posthouse.token(user)))),
    )
    await Promise.all([anna!.until('InboxCaughtUp'), wang!.until('InboxCaughtUp')])
    await push({}, 'D4')
    expect([(await anna!.next()).item?.title, (await wang!.next()).item?.title]).toEqual(['Round: D4', '查房：D4'])
    await push(TO_ALL, 'E5')
    expect([(await anna!.next()).item?.title, (await wang!.next()).item?.title]).toEqual(['Round: E5', '查房：E5'])
    await Promise.all([anna!.leave(), wang!.leave()])
    expect((await titles('CHAN'))[0]).toBe('巡房：E5')
  })

  it('is in the language that the person reads when it goes out, not when it was accepted', async () => {
    const { body } = await push({ receiverData: { user: ['JEAN'] }, sendTime: IN_AN_HOUR }, 'F6')
    const all = await push(TO_ALL, 'G7')
    expect(all.status).toBe(200)
    await posthouse.graphql(posthouse.adminKey, UPSERT, { rows: [{ code: 'JEAN', name: 'Jean', locale: 'en' }] })
    await query(posthouse.context.db, sql`update messages set due_at = now() where id = ${body.msgId}`)
    posthouse.context.hints.send({ kind: 'work' })
    await eventually(async () => (await titles('JEAN')).includes('Round: F6'))
    expect(await titles('JEAN')).toContain('Round: G7')
    expect(await localesOf(body.msgId, '1003')).toEqual([{ recipient: 'JEAN', variant: 'en' }])
  })

  it('reads the language of people behind custom accounts; a bare address gets the default', async () => {
    const receiverData = { '1002': ['ANNA'], '1003': ['ANNA', 'guest@example.org'], '1001': ['ANNA'] }
    const { body } = await push({ receiverType: 'custom', receiverData }, 'H8')
    expect(await localesOf(body.msgId, '1003')).toEqual([
      { recipient: 'ANNA', variant: 'en' },
      { recipient: 'guest@example.org', variant: null },
    ])
    expect(await titles('ANNA')).toContain('Round: H8')
  })

  it('tells its sender what it says in which language, and to whom', async () => {
    const { body } = await push({ receiverData: { user: ['ANNA', 'WANG'] } }, 'I9')
    const { data, errors } = await posthouse.graphql(
      posthouse.adminKey,
      `query ($id: ID!) {
        message(id: $id) {
          channels { channelId isPersonal content translations { locale content } }
          deliveries { edges { node { channelId recipient locale } } }
        }
        explainDelivery(msgId: $id, user: "ANNA") { channelId said { locale content } }
      }`,
      { id: body.msgId },
    )
    expect(errors?.map(({ message }) => message)).toBeUndefined()
    expect(data!['message'].channels[1]).toEqual({
      channelId: '1002',
      isPersonal: false,
      content: { title: '查房：I9', content: '<p>请到I9查房</p>', text: '请到I9查房' },
      translations: [
        {
          locale: 'en',
          content: { title: 'Round: I9', content: '<p>Please come to ward I9</p>', text: 'Please come to ward I9' },
        },
        { locale: 'zh-Hant', content: { title: '巡房：I9', content: '<p>請到I9巡房</p>', text: '請到I9巡房' } },
      ],
    })
    expect(data!['message'].deliveries.edges.map(({ node }: { node: object }) => node)).toEqual([
      { channelId: '1001', recipient: 'ANNA', locale: 'en' },
      { channelId: '1001', recipient: 'WANG', locale: null },
      { channelId: '1003', recipient: 'ANNA', locale: 'en' },
      { channelId: '1003', recipient: 'WANG', locale: null },
    ])
    expect(data!['explainDelivery']).toMatchObject([
      { channelId: '1001', said: { locale: 'en' } },
      { channelId: '1002', said: { locale: 'en', content: { title: 'Round: I9' } } },
      { channelId: '1003', said: { locale: 'en' } },
    ])
  })

  it('is previewed language by language, and charged for what each person gets', async () => {
    const app = await makeApp(posthouse, { guard: { recipients: null, smsSegmentsPerDay: 4 } })
    const body = templateBody({
      appId: app.id,
      templateCode: 'VISIT',
      channelParamData: { ward: 'A' },
      receiverData: { user: ['WANG', 'ANNA', 'CHAN'] },
    })
    const { body: preview } = await posthouse.post('/api/openApi/message/preview/template', body, app.headers)
    expect(preview.data).toMatchObject({ smsSegments: 4, needsConfirmation: [] })
    expect((preview.data!['channels'] as object[])[0]).toMatchObject({
      channelId: '1001',
      reachable: 3,
      segments: 1,
      languages: [
        { locale: null, reachable: 2, segments: 1, content: { content: 'A查房' } },
        { locale: 'en', reachable: 1, segments: 2 },
      ],
    })
    expect((await posthouse.post(TEMPLATE, body, app.headers)).status).toBe(200)
    expect(await query(posthouse.context.db, sql`select segments from app_budgets where app_id = ${app.id}`)).toEqual([
      { segments: 4 },
    ])
    expect((await posthouse.post(TEMPLATE, body, app.headers)).status).toBe(409)
  })

  it('is refused whole when it cannot be said in one of its languages, naming language, channel and fault', async () => {
    const ward = 'x'.repeat(880)
    const before = await query(posthouse.context.db, sql`select id from messages`)
    const { status, body } = await push({}, ward)
    expect([status, body.msg]).toEqual([400, '参数有误：templateCode.locales.en.1001.content: 超过上限 1000 个字符'])
    expect(await query(posthouse.context.db, sql`select id from messages`)).toHaveLength(before.length)
  })

  it('leaves a push without languages as it was: nothing is stored of it, and nobody looks', async () => {
    const { body } = await posthouse.push(['ANNA'], '通知')
    const counts = await query(
      posthouse.context.db,
      sql`
        select (select count(*)::int from variants where message_id = ${body.msgId}) as variants,
          (select count(variant)::int from items where message_id = ${body.msgId}) as items,
          (select count(locales)::int from contents where message_id = ${body.msgId}) as contents`,
    )
    expect(counts).toEqual([{ variants: 0, items: 0, contents: 0 }])
  })
})

describe.skipIf(!onPostgres)('a broadcast in several languages on two nodes', () => {
  it('comes to each in his language, whichever node copies it to him', async () => {
    const place = await onPostgres!.place()
    const nodes = [await boot(place.env), await boot(place.env)] as const
    await nodes[0].graphql(nodes[0].adminKey, UPSERT, { rows: PEOPLE })
    await saveTemplate(nodes[0].context.db, NEWS)
    const listeners = await Promise.all(
      nodes.flatMap((node) =>
        ['ANNA', 'WANG', 'CHAN'].map(async (user) => subscribe(node.socket(await node.token(user)))),
      ),
    )
    await Promise.all(listeners.map((one) => one.until('InboxCaughtUp')))
    await nodes[0].post(TEMPLATE, templateBody({ channelParamData: { ward: 'Z' }, ...TO_ALL }))
    const heard = await Promise.all(listeners.map(async (one) => (await one.next()).item?.title))
    expect(heard).toEqual(['Round: Z', '查房：Z', '巡房：Z', 'Round: Z', '查房：Z', '巡房：Z'])
    await Promise.all(listeners.map((one) => one.leave()))
    for (const node of nodes) await node.stop()
    await place.remove()
  })
})
