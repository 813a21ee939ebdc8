import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, deliveriesOn, makeApp, messageOf, TEMPLATE, templateBody, timesInInbox } from './door.ts'

const OK = { code: 200, msg: '操作成功', msgId: expect.stringMatching(/^[0-9a-f]{32}$/) }

describe.each(stores)('200, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = (more: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    posthouse.post(CHANNEL, channelBody(more), headers)
  const pushed = async (more: Record<string, unknown> = {}) => messageOf(posthouse, await push(more))
  const pushedTemplate = async (more: Record<string, unknown> = {}) =>
    messageOf(posthouse, await posthouse.post(TEMPLATE, templateBody(more)))

  it('is answered with exactly the three documented members, whatever the call', async () => {
    for (const answer of [await push(), await posthouse.post(TEMPLATE, templateBody())]) {
      expect(answer.status).toBe(200)
      expect(answer.body).toEqual(OK)
      expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
      expect(answer.headers.get('x-request-id')).toMatch(/^[\w.:-]+$/)
      expect((await messageOf(posthouse, answer))['msgId']).toBe(answer.body.msgId)
    }
  })

  it.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json; charset="utf-8"',
    'application/json; charset=utf8',
  ])('accepts Content-Type %s', async (type) => {
    expect((await push({}, { 'content-type': type })).body).toEqual(OK)
  })

  it.each([
    ['a BOM', (text: string) => `\uFEFF${text}`],
    ['blanks around it', (text: string) => `\n\t ${text} \r\n`],
    ['fields it does not know', (text: string) => `{"future": [{}], "toString": 1, ${text.slice(1)}`],
    [
      'keys of the prototype',
      (text: string) => `{"__proto__": {"receiverType": "all"}, "constructor": {"prototype": 1}, ${text.slice(1)}`,
    ],
    ['appId as a number', (text: string) => text.replace(`"${APP}"`, APP)],
    ['an escaped emoji', (text: string) => text.replace('"t"', '"\\ud83d\\ude00"')],
  ])('accepts a body with %s', async (_what, change) => {
    expect((await posthouse.post(CHANNEL, change(JSON.stringify(channelBody())))).body).toEqual(OK)
    expect(({} as Record<string, unknown>)['receiverType']).toBeUndefined()
  })

  it('takes the last of a key given twice', async () => {
    const body = JSON.stringify(channelBody()).replace('{', '{"businessId": "first", "businessId": "last", ')
    expect(await messageOf(posthouse, await posthouse.post(CHANNEL, body))).toMatchObject({ businessId: 'last' })
  })

  it.each([
    [undefined, 2],
    [null, 2],
    ['', 2],
    ['3', 3],
    ['2', 2],
    ['1', 1],
    [3, 3],
    [1, 1],
    [' 2 ', 2],
  ])('reads priority %j of a plain push as %i', async (priority, level) => {
    expect(await pushed({ priority })).toMatchObject({ priority: level })
  })

  it.each([
    [undefined, 2],
    ['', 2],
    ['0', 1],
    ['1', 2],
    ['2', 3],
    ['3', 3],
    [0, 1],
    [2, 3],
  ])('reads priority %j of a template push as %i', async (priority, level) => {
    expect(await pushedTemplate({ priority })).toMatchObject({ priority: level })
  })

  it.each([
    ['3', 3],
    ['2', 2],
    ['1', 1],
  ])('reads priority %j of a template push as %i for an app with templatePriority 123', async (priority, level) => {
    const { id, headers } = await makeApp(posthouse, { compat: { templatePriority: '123' } })
    const answer = await posthouse.post(TEMPLATE, templateBody({ appId: id, priority }), headers)
    expect(await messageOf(posthouse, answer)).toMatchObject({ priority: level, appId: id })
  })

  it.each([
    [undefined, 'notice'],
    [null, 'notice'],
    ['', 'notice'],
    ['notice', 'notice'],
    ['reminder', 'reminder'],
  ])('reads msgType %j as %s', async (msgType, read) => {
    expect(await pushed({ msgType })).toMatchObject({ msgType: read })
  })

  it.each([
    ['a code of the directory', { senderCode: 'USER003' }, { senderCode: 'USER003', senderName: '张三' }],
    ['an unknown code', { senderCode: 'HIS' }, { senderCode: 'HIS', senderName: null }],
    [
      'a code and a name',
      { senderCode: 'USER003', senderName: '财务科' },
      { senderCode: 'USER003', senderName: '财务科' },
    ],
    ['empty texts', { senderCode: '', senderName: '' }, { senderCode: null, senderName: null }],
  ])('keeps a sender given by %s', async (_what, given, kept) => {
    expect(await pushed(given)).toMatchObject(kept)
  })

  it.each([['2023-08-04 12:15:12'], ['2023-08-04T12:15:12+08:00'], ['0001-01-01 00:00:00'], [''], [null]])(
    'sends at once for sendTime %j',
    async (sendTime) => {
      const message = await pushed({ sendTime })
      expect(message).toMatchObject({ state: 'FANNED_OUT', recipientCount: 1 })
      expect(Date.parse(message['dueAt'])).toBe(Date.parse(message['createdAt']))
    },
  )

  it('reads a sendTime ahead in Asia/Shanghai unless told otherwise', async () => {
    const inTwoHours = new Date(Math.ceil(Date.now() / 1000) * 1000 + 7_200_000)
    const local = new Date(inTwoHours.getTime() + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ')
    const message = await pushed({ sendTime: local })
    expect(message).toMatchObject({ state: 'SCHEDULED', recipientCount: 0 })
    expect(new Date(message['dueAt'])).toEqual(inTwoHours)
  })

  it('trims codes, takes each once, and never splits one on commas', async () => {
    const answer = await push({
      receiverData: { user: [' USER001 ', 'USER001', '', ' ', 'USER002,USER003'], dept: null, role: [] },
    })
    const message = await messageOf(posthouse, answer)
    expect(message).toMatchObject({
      receiver: { user: ['USER001', 'USER002,USER003'] },
      unresolved: { user: ['USER002,USER003'] },
      recipientCount: 1,
    })
    expect(answer.headers.get('x-posthouse-warning')).toBe('unresolved=1')
    expect(await timesInInbox(posthouse, 'USER002', answer.body.msgId)).toBe(0)
  })

  it('gives everybody one item, however often and by whatever list they are meant', async () => {
    const answer = await push({
      receiverData: {
        user: ['USER001', 'USER001'],
        dept: ['DEPT001', 'DEPT011'],
        post: ['POST001'],
        role: ['ROLE001'],
      },
    })
    expect(await timesInInbox(posthouse, 'USER001', answer.body.msgId)).toBe(1)
    expect(await timesInInbox(posthouse, 'USER018', answer.body.msgId)).toBe(1)
  })

  it('reaches sub-departments, unless the app has switched that off', async () => {
    const { id, headers } = await makeApp(posthouse, { compat: { deptIncludesDescendants: false } })
    expect(await pushed({ receiverData: { dept: ['DEPT001'] } })).toMatchObject({ recipientCount: 11 })
    const alone = await push({ appId: id, receiverData: { dept: ['DEPT001'] } }, headers)
    expect(await messageOf(posthouse, alone)).toMatchObject({ recipientCount: 2 })
  })

  it('goes on without the unknown codes, and warns of their number', async () => {
    const answer = await push({
      receiverData: { user: ['USER001', 'NOBODY', 'USER044'], dept: ['NOWHERE'], post: ['POST001'] },
    })
    expect(answer.body).toEqual(OK)
    expect(answer.headers.get('x-posthouse-warning')).toBe('unresolved=3')
    expect(await messageOf(posthouse, answer)).toMatchObject({
      unresolved: { user: ['NOBODY', 'USER044'], dept: ['NOWHERE'] },
    })
  })

  it('skips people without an address, with that reason', async () => {
    const answer = await push({
      receiverData: { user: ['USER001', 'USER042'] },
      channelData: { '1001': { content: 'c' } },
    })
    const message = await eventually(async () => {
      const found = await messageOf(posthouse, answer)
      return deliveriesOn(found, '1001').includes('USER001 SENT') ? found : undefined
    })
    expect(deliveriesOn(message, '1001')).toEqual(['USER001 SENT', 'USER042 SKIPPED NO_ADDRESS'])
  })

  it('accepts 10,000 entries in a list', async () => {
    const user = ['USER001', ...Array.from({ length: 9_999 }, (_, at) => `NOBODY${at}`)]
    const answer = await push({ receiverData: { user } })
    expect(answer.headers.get('x-posthouse-warning')).toBe('unresolved=9999')
    expect(await messageOf(posthouse, answer)).toMatchObject({ recipientCount: 1 })
  })

  it.each([{}, null, undefined, []])('broadcasts to all with receiverData %j', async (receiverData) => {
    const answer = await push({ receiverType: 'all', receiverData })
    expect(answer.body).toEqual(OK)
    expect(await timesInInbox(posthouse, 'USER043', answer.body.msgId)).toBe(1)
  })

  it('accepts limits to the letter', async () => {
    const emoji = '😀'
    const answer = await push({
      channelData: {
        '1002': { title: emoji.repeat(200), content: 'c', website: 'http://xxxx' },
        '1001': { content: emoji.repeat(1000) },
      },
      businessId: emoji.repeat(128),
    })
    expect(await messageOf(posthouse, answer)).toMatchObject({ businessId: emoji.repeat(128) })
  })

  it('renders a template with texts, numbers and booleans, and ignores variables it has no use for', async () => {
    const message = await pushedTemplate({ channelParamData: { code: 42, name: true, extra: 'x', constructor: 'y' } })
    expect(message).toMatchObject({ templateCode: 'MSG1001', msgType: 'notice' })
    const said = Object.fromEntries(message['channels'].map(({ channelId, content }: any) => [channelId, content]))
    expect(said['1001'].content).toBe('true的检验报告（编号 42）已审核，请登录系统查看。')
    expect(said['1002'].title).toBe('检验报告已出：true')
  })

  it('gives a front end a token for one inbox', async () => {
    const { status, body } = await posthouse.post('/api/openApi/inbox/token', {
      appId: APP,
      user: 'USER001',
      ttlSeconds: 60,
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      code: 200,
      msg: '操作成功',
      data: { token: expect.any(String), expiresAt: expect.any(String) },
    })
    const { token, expiresAt } = body.data as { token: string; expiresAt: string }
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(60_000)
    const { data } = await posthouse.graphql(token, '{ inboxCounts { unread } }')
    expect(data?.['inboxCounts'].unread).toBeGreaterThan(0)
  })
})
