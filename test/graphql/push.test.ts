import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { putKey, saveApp } from '../../src/apps/apps.ts'
import { bearerKey, sha256 } from '../../src/apps/authenticate.ts'
import { query } from '../../src/db/client.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const SECRET = 'secret-of-the-push-tests'
const CHANNEL =
  'mutation ($input: PushChannelMessageInput!) { push: pushChannelMessage(input: $input) { msgId warnings isReplay message { id msgId state recipientCount } } }'
const TEMPLATE =
  'mutation ($input: PushTemplateMessageInput!) { push: pushTemplateMessage(input: $input) { msgId warnings isReplay } }'

describe.each(stores)('pushing and following messages over GraphQL, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  const bearer = bearerKey('push', SECRET)
  beforeAll(async () => {
    posthouse = await run(store, { CHANNEL_1004: 'log:chat' })
    await putKey(posthouse.context.db, { keyId: 'push', appId: APP, secretSha256: sha256(SECRET) })
  })
  afterAll(() => posthouse.stop())

  const ask = (text: string, variables: Record<string, unknown> = {}) => posthouse.graphql(bearer, text, variables)
  async function pushed(text: string, input: Record<string, unknown>) {
    const { data, errors } = await ask(text, { input })
    expect(errors).toBeUndefined()
    return data!['push']
  }
  /** A message as it was stored, without what is its own alone. */
  async function stored(msgId: string) {
    const [message] = await query<Record<string, unknown>>(
      posthouse.context.db,
      sql`
        select receiver_type, receiver, unresolved, business_id, msg_type, priority, sender_code, sender_name, template_code, state, recipients,
          (select jsonb_agg(jsonb_build_array(channel_id, kind, content) order by channel_id) from contents where message_id = messages.id) as contents,
          (select jsonb_agg(user_code order by user_code) from items where message_id = messages.id) as items,
          (select jsonb_agg(jsonb_build_array(channel_id, recipient, address, reason) order by channel_id, recipient) from deliveries where message_id = messages.id) as deliveries
        from messages where id = ${msgId}`,
    )
    return message
  }

  it('does the same in the typed form, in the documented form, and over REST', async () => {
    const more = { businessId: 'HR-1', msgType: 'reminder', senderCode: 'USER003' }
    const contents = {
      '1001': { sign: '东华', templateData: { templateId: 'T1', paramData: { name: '李伟' } }, content: '发工资了' },
      '1002': { title: '工资', content: '<b>发工资了</b><script>x</script>', website: 'http://xxxx' },
      '1003': { title: '工资条', content: '<p>见附件</p>' },
    }
    const receiverData = { user: ['USER001', 'nobody'], dept: ['DEPT100'] }
    const rest = await posthouse.post('/api/openApi/message/push/channel', {
      appId: APP,
      ...more,
      receiverType: 'specified',
      receiverData,
      channelData: contents,
      priority: '3',
    })
    const documented = await pushed(CHANNEL, {
      ...more,
      receiverType: 'specified',
      receiverData,
      channelData: contents,
      priority: 'HIGH',
    })
    const typed = await pushed(CHANNEL, {
      ...more,
      receiver: { specified: { users: ['USER001', 'nobody'], depts: ['DEPT100'] } },
      channels: [
        { channelId: '1001', sms: contents['1001'] },
        { channelId: '1002', site: contents['1002'] },
        { channelId: '1003', mail: contents['1003'] },
      ],
      priority: 'HIGH',
    })
    expect(rest.body.code).toBe(200)
    const expected = await stored(rest.body.msgId!)
    expect(expected).toMatchObject({
      business_id: 'HR-1',
      priority: 3,
      sender_name: '张三',
      unresolved: { user: ['nobody'] },
    })
    expect(await stored(documented.msgId)).toEqual(expected)
    expect(await stored(typed.msgId)).toEqual(expected)
    expect(typed.warnings).toEqual(['unresolved=1'])
    expect(typed.message).toMatchObject({ msgId: typed.msgId, state: 'FANNED_OUT', recipientCount: 4 })
  })

  it('reaches accounts, and everybody, in either form', async () => {
    const content = { channelId: '1002', site: { content: '通知' } }
    const custom = await pushed(CHANNEL, {
      receiver: { custom: [{ channelId: '1002', accounts: ['USER001', '18660886834'] }] },
      channels: [content],
    })
    const keyed = await pushed(CHANNEL, {
      receiverType: 'custom',
      receiverData: { '1002': ['USER001', '18660886834'] },
      channelData: { '1002': { content: '通知' } },
    })
    expect(await stored(custom.msgId)).toMatchObject({ items: ['USER001', 'USER002'] })
    expect(await stored(keyed.msgId)).toEqual(await stored(custom.msgId))
    const all = await pushed(CHANNEL, { receiver: { all: true }, channels: [content] })
    const keyedAll = await pushed(CHANNEL, { receiverType: 'all', channelData: { '1002': { content: '通知' } } })
    expect(await stored(all.msgId)).toMatchObject({ receiver_type: 'all', items: null })
    expect(await stored(keyedAll.msgId)).toEqual(await stored(all.msgId))
  })

  it('posts into a group chat in either form', async () => {
    const content = {
      title: '通知',
      content: '今晚停电',
      website: 'https://host/a',
      atMobiles: ['18660886275'],
      atAll: true,
    }
    const typed = await pushed(CHANNEL, {
      receiver: { custom: [{ channelId: '1004', accounts: ['群'] }] },
      channels: [{ channelId: '1004', chat: content }],
    })
    const keyed = await pushed(CHANNEL, {
      receiverType: 'custom',
      receiverData: { '1004': ['群'] },
      channelData: { '1004': content },
    })
    const expected = await stored(keyed.msgId)
    expect(expected).toMatchObject({
      recipients: 1,
      contents: [['1004', 'chat', { ...content, atMobiles: ['+8618660886275'] }]],
      deliveries: [['1004', '*', '*', null]],
    })
    expect(await stored(typed.msgId)).toEqual(expected)
  })

  it('renders a template the same in either form and over REST, whatever numbers the app uses for priority', async () => {
    const variables = { code: '20250801001', name: '王建国' }
    const receiver = { specified: { users: ['USER001'] } }
    const rest = await posthouse.post('/api/openApi/message/push/template', {
      appId: APP,
      templateCode: 'MSG1001',
      channelParamData: variables,
      receiverType: 'specified',
      receiverData: { user: ['USER001'] },
      priority: 0,
    })
    const typed = () =>
      pushed(TEMPLATE, {
        templateCode: 'MSG1001',
        receiver,
        priority: 'LOW',
        variables: Object.entries(variables).map(([name, value]) => ({ name, value })),
      })
    const keyed = await pushed(TEMPLATE, {
      templateCode: 'MSG1001',
      receiverType: 'specified',
      receiverData: { user: ['USER001'] },
      priority: 'LOW',
      channelParamData: variables,
    })
    const expected = await stored(rest.body.msgId!)
    expect(expected).toMatchObject({ template_code: 'MSG1001', priority: 1 })
    expect(await stored((await typed()).msgId)).toEqual(expected)
    expect(await stored(keyed.msgId)).toEqual(expected)

    const app = {
      id: APP,
      name: '示范',
      grants: ['channel:*', 'broadcast:1002', 'preview', 'recall', 'token'],
      legacyFrom: ['127.0.0.1/32'],
    }
    await saveApp(posthouse.context.db, { ...app, compat: { templatePriority: '123' } })
    expect(await stored((await typed()).msgId)).toEqual(expected)
    await saveApp(posthouse.context.db, app)
  })

  it('replays the first answer under an idempotency key, and refuses the key for anything else', async () => {
    const input = {
      receiver: { specified: { users: ['USER005'] } },
      channels: [{ channelId: '1002', site: { content: '一次' } }],
      idempotencyKey: '订单 7',
    }
    const [first, ...others] = await Promise.all([
      pushed(CHANNEL, input),
      pushed(CHANNEL, input),
      pushed(CHANNEL, input),
    ])
    expect(new Set([first, ...others].map(({ msgId }) => msgId)).size).toBe(1)
    expect([first, ...others].filter(({ isReplay }) => !isReplay)).toHaveLength(1)
    const { errors } = await ask(CHANNEL, { input: { ...input, businessId: 'other' } })
    expect(errors).toMatchObject([{ extensions: { code: 'IDEMPOTENCY_CONFLICT' } }])
    const counts = await posthouse.graphql(await posthouse.token('USER005'), '{ inbox { edges { node { title } } } }')
    expect(counts.data?.['inbox'].edges.filter(({ node }: any) => node.title === '一次')).toHaveLength(1)
  })

  const site = [{ channelId: '1002', site: { content: 'x' } }]
  const one = { specified: { users: ['USER001'] } }
  it.each<[string, Record<string, unknown>, string, string]>([
    ['an empty input', {}, 'BAD_INPUT', 'receiverType'],
    ['nobody', { receiver: { specified: {} }, channels: site }, 'BAD_INPUT', 'receiverData'],
    ['strangers only', { receiver: { specified: { users: ['nobody'] } }, channels: site }, 'BAD_INPUT', 'receiverData'],
    ['all: false', { receiver: { all: false }, channels: site }, 'BAD_INPUT', 'receiver.all'],
    ['all: null', { receiver: { all: null }, channels: site }, '', ''],
    ['two receivers', { receiver: { all: true, specified: { users: ['USER001'] } }, channels: site }, '', ''],
    ['both forms of the receiver', { receiver: one, receiverType: 'all', channels: site }, 'BAD_INPUT', 'receiver'],
    [
      'both forms of the contents',
      { receiver: one, channels: site, channelData: { '1002': { content: 'y' } } },
      'BAD_INPUT',
      'channels',
    ],
    ['no content', { receiver: one }, 'BAD_INPUT', 'channelData'],
    [
      'two kinds of content',
      { receiver: one, channels: [{ ...site[0], mail: { content: 'x' } }] },
      'BAD_INPUT',
      'channels.0',
    ],
    ['no kind of content', { receiver: one, channels: [{ channelId: '1002' }] }, 'BAD_INPUT', 'channels.0'],
    ['a channel twice', { receiver: one, channels: [...site, ...site] }, 'BAD_INPUT', 'channels'],
    [
      'an unknown channel',
      { receiver: one, channels: [{ channelId: '9', site: { content: 'x' } }] },
      'BAD_INPUT',
      'channelData.9',
    ],
    [
      'a NUL character',
      { receiver: one, channels: [{ channelId: '1002', site: { content: 'a\u0000b' } }] },
      'BAD_INPUT',
      'variables.input.channels.0.site.content',
    ],
    [
      'a website that is a script',
      { receiver: one, channels: [{ channelId: '1002', site: { content: 'x', website: 'javascript:x' } }] },
      'BAD_INPUT',
      'channelData.1002.website',
    ],
    ['an unknown msgType', { receiver: one, channels: site, msgType: 'spam' }, 'BAD_INPUT', 'msgType'],
    [
      'a date that is none',
      { receiver: one, channels: site, sendTime: '2026-02-30 10:00:00' },
      'BAD_INPUT',
      'sendTime',
    ],
    [
      'an idempotency key that is too long',
      { receiver: one, channels: site, idempotencyKey: 'x'.repeat(256) },
      'BAD_INPUT',
      'input.idempotencyKey',
    ],
  ])('refuses %s, naming the field', async (_what, input, code, field) => {
    const { errors, data } = await ask(CHANNEL, { input })
    expect(data?.['push']).toBeUndefined()
    // What GraphQL itself refuses has no field of ours, but a message that names it.
    expect(errors).toMatchObject([{ extensions: { code: code || 'BAD_INPUT', ...(field ? { field } : {}) } }])
    if (field && !errors![0]!.message.startsWith('Bad input: ')) throw new Error(errors![0]!.message)
  })

  it('refuses a NUL character that hides in an escape of the query itself', async () => {
    const { errors } = await ask(
      'mutation { pushChannelMessage(input: { receiver: { specified: { users: ["USER001"] } }, channels: [{ channelId: "1002", site: { content: "a\\u0000b" } }] }) { msgId } }',
    )
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_INPUT' }, message: expect.stringContaining('NUL') }])
    const messages = await ask('{ messages(businessId: "a\\u0000b") { edges { cursor } } }')
    expect(messages.errors).toMatchObject([{ extensions: { code: 'BAD_INPUT', field: 'businessId' } }])
  })

  it('refuses an unknown template, and missing variables', async () => {
    const base = { receiver: one }
    expect((await ask(TEMPLATE, { input: { ...base, templateCode: 'none' } })).errors).toMatchObject([
      { extensions: { code: 'TEMPLATE_NOT_FOUND' } },
    ])
    expect((await ask(TEMPLATE, { input: { ...base, templateCode: 'MSG1001' } })).errors).toMatchObject([
      { extensions: { code: 'BAD_INPUT' }, message: expect.stringMatching(/code.*name|name.*code/) },
    ])
  })

  it('reads literals of JSON arguments as it reads variables', async () => {
    const literal = `mutation { push: pushChannelMessage(input: { receiverType: specified, receiverData: { user: ["USER001"] },
      channelData: { _: null } }) { msgId } }`
    expect((await ask(literal)).errors).toMatchObject([{ extensions: { field: 'channelData._' } }])
    const { data, errors } = await ask(
      `mutation ($user: JSON) { push: pushTemplateMessage(input: { templateCode: "MSG1001", receiverType: specified, receiverData: { user: [$user] },
        channelParamData: { code: 7, name: "王", exact: 1.5, isFinal: true } }) { msgId message { receiver channels { channelId content } } } }`,
      { user: 'USER001' },
    )
    expect(errors).toBeUndefined()
    expect(data?.['push'].message.receiver).toEqual({ user: ['USER001'] })
    expect(JSON.stringify(data?.['push'].message.channels)).toContain('编号 7')
  })

  it('finds a message by msgId, by global id and as a node, with its channels and deliveries', async () => {
    const { msgId, message } = await pushed(CHANNEL, {
      receiver: { specified: { users: ['USER001', 'USER042', 'USER043'] } },
      channels: [...site, { channelId: '1001', sms: { content: 'x' } }],
    })
    const fields = `msgId appId state receiverType recipientCount channels { channelId kind totals { state count } }
      deliveries(first: 2) { pageInfo { hasNextPage endCursor } edges { node { recipient state reason } } }`
    const byMsgId = await ask(`query ($id: ID!) { found: message(id: $id) { ${fields} } }`, { id: msgId })
    expect(byMsgId.data?.['found']).toMatchObject({
      msgId,
      appId: APP,
      channels: [
        { channelId: '1001', kind: 'SMS' },
        { channelId: '1002', kind: 'SITE', totals: [{ state: 'unread', count: 3 }] },
      ],
      deliveries: { pageInfo: { hasNextPage: true }, edges: { length: 2 } },
    })
    const { endCursor } = byMsgId.data!['found'].deliveries.pageInfo
    const rest = await ask(
      'query ($id: ID!, $after: String) { message(id: $id) { deliveries(after: $after) { edges { node { recipient state reason } } } } }',
      { id: msgId, after: endCursor },
    )
    const all = [...byMsgId.data!['found'].deliveries.edges, ...rest.data!['message'].deliveries.edges].map(
      ({ node }: any) => `${node.recipient} ${node.reason}`,
    )
    expect(all.toSorted()).toEqual(['USER001 null', 'USER042 NO_ADDRESS', 'USER043 null'])

    const still = (text: string, id: string) =>
      ask(`query ($id: ID!) { found: ${text}(id: $id) { ... on Message { msgId } } }`, { id })
    expect((await still('message', message.id)).data).toEqual({ found: { msgId } })
    expect((await still('node', message.id)).data).toEqual({ found: { msgId } })
    const item = Buffer.from(`InboxItem:${msgId}:USER001`).toString('base64')
    for (const id of [
      '',
      'nonsense',
      '0'.repeat(32),
      item,
      Buffer.from('Message:x').toString('base64'),
      Buffer.from('Query:1').toString('base64'),
      Buffer.from('Nothing:1').toString('base64'),
    ]) {
      expect([id, await still('message', id)]).toEqual([id, { data: { found: null } }])
      expect([id, await still('node', id)]).toEqual([id, { data: { found: null } }])
    }
    const own = await posthouse.graphql(await posthouse.token('USER001'), 'query ($id: ID!) { node(id: $id) { id } }', {
      id: item,
    })
    expect(own.data).toEqual({ node: { id: item } })
    const others = await posthouse.graphql(
      await posthouse.token('USER042'),
      'query ($id: ID!) { node(id: $id) { id } }',
      { id: item },
    )
    expect(others.data).toEqual({ node: null })
  })

  it('pages through messages, newest first, each once, by businessId too', async () => {
    const ids: string[] = []
    const input = { receiver: one, channels: site, businessId: 'PAGES' }
    for (let n = 0; n < 3; n++)
      ids.push(...(await Promise.all([pushed(CHANNEL, input), pushed(CHANNEL, input)])).map(({ msgId }) => msgId))
    const seen: string[] = []
    let after: string | null = null
    for (;;) {
      const { data } = await ask(
        'query ($after: String) { messages(first: 2, after: $after, businessId: "PAGES") { pageInfo { hasNextPage endCursor } edges { node { msgId createdAt } } } }',
        { after },
      )
      seen.push(...data!['messages'].edges.map(({ node }: any) => node.msgId))
      after = data!['messages'].pageInfo.endCursor
      if (!data!['messages'].pageInfo.hasNextPage) break
    }
    expect(seen.toSorted()).toEqual(ids.toSorted())
    expect((await ask('{ messages(businessId: "none") { edges { cursor } pageInfo { endCursor } } }')).data).toEqual({
      messages: { edges: [], pageInfo: { endCursor: '' } },
    })
    expect((await ask('{ messages(after: "", businessId: "none") { edges { cursor } } }')).errors).toBeUndefined()
    for (const wrong of ['after: "nonsense"', 'last: 1', 'before: "x"', 'first: -1']) {
      const { errors } = await ask(`{ messages(${wrong}) { edges { cursor } } }`)
      expect(errors).toMatchObject([{ extensions: { code: expect.stringMatching(/^BAD_(INPUT|CURSOR)$/) } }])
    }
  })

  it('pages through messages of one millisecond', async () => {
    // As accepted at nearly one instant: the database keeps microseconds, of which a cursor must lose none.
    await pushed(CHANNEL, { receiver: one, channels: site, businessId: 'BURST' })
    await query(
      posthouse.context.db,
      sql`
        insert into messages (id, app_id, receiver_type, receiver, unresolved, business_id, msg_type, priority, due_at, state, request_id, created_at)
        select gen_random_uuid(), app_id, receiver_type, receiver, unresolved, business_id, msg_type, priority, due_at, state, request_id,
          date_trunc('milliseconds', created_at) + make_interval(secs => n / 1e6::double precision)
        from messages, generate_series(1, 9) as n where business_id = 'BURST'`,
    )
    const seen = new Set<string>()
    let after: string | null = null
    for (let pages = 0; pages < 10; pages++) {
      const { data } = await ask(
        'query ($after: String) { messages(first: 3, after: $after, businessId: "BURST") { pageInfo { hasNextPage endCursor } edges { node { msgId } } } }',
        { after },
      )
      for (const { node } of data!['messages'].edges) seen.add(node.msgId)
      after = data!['messages'].pageInfo.endCursor
      if (!data!['messages'].pageInfo.hasNextPage) break
    }
    expect(seen.size).toBe(10)
  })
})
