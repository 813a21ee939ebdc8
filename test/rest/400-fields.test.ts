import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { saveTemplate } from '../../src/templates/templates.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp, TEMPLATE, templateBody } from './door.ts'

const KIB = 1024
const site = (more: Record<string, unknown>) => ({ channelData: { '1002': { title: 't', content: 'c', ...more } } })
const sms = (content: unknown) => ({ channelData: { '1001': content } })
const tooLongList = Array.from({ length: 10_001 }, (_, at) => `U${at}`)
const WRONG_TYPE = 'receiverType: 只能是 all, specified, custom'
const WEBSITE = 'channelData.1002.website: 应为 http(s) 地址'
const AVAILABLE = '渠道不可用，可用渠道：1001, 1002'

/** What is wrong, the fields that make it so, and how the answer begins. */
const plain: [string, Record<string, unknown>, string][] = [
  ['no appId', { appId: undefined }, 'appId: 必填'],
  ['appId null', { appId: null }, 'appId: 必填'],
  ['an empty appId', { appId: '' }, 'appId: 必填'],
  ['appId true', { appId: true }, 'appId: 应为字符串'],
  ['appId as a list', { appId: ['102343444'] }, 'appId: 应为字符串'],
  ['appId as a number that JSON rounds', { appId: 2 ** 53 }, 'appId: 不是可精确表示的整数'],
  ['appId as a fraction', { appId: 1.5 }, 'appId: 不是可精确表示的整数'],
  ['appId of 129 characters', { appId: 'a'.repeat(129) }, 'appId: 超过上限 128'],

  ...[undefined, null, '', 'ALL', 'all ', ' all', 'Specified', 'customs', 'toString', 1, ['all'], { all: 1 }].map(
    (receiverType): [string, Record<string, unknown>, string] => [
      `receiverType ${JSON.stringify(receiverType)}`,
      { receiverType },
      WRONG_TYPE,
    ],
  ),
  ...[{ user: ['USER001'] }, { user: [] }, ['USER001'], 'USER001', 1, false].map(
    (receiverData): [string, Record<string, unknown>, string] => [
      `all with receiverData ${JSON.stringify(receiverData)}`,
      { receiverType: 'all', receiverData },
      'receiverData: receiverType 为 all 时必须为空',
    ],
  ),
  ['no receiverData', { receiverData: undefined }, 'receiverData: 必填'],
  ['receiverData null', { receiverData: null }, 'receiverData: 必填'],
  ['an empty receiverData', { receiverData: {} }, 'receiverData: 没有任何接收目标'],
  ['empty lists', { receiverData: { user: [], dept: null } }, 'receiverData: 没有任何接收目标'],
  ['lists of blanks', { receiverData: { user: ['', ' '] } }, 'receiverData: 没有任何接收目标'],
  ['codes in one text', { receiverData: { user: 'USER001,USER002' } }, 'receiverData.user: 应为数组'],
  ['a number in a list', { receiverData: { user: ['USER001', 1] } }, 'receiverData.user.1: 应为字符串'],
  ['null in a list', { receiverData: { dept: [null] } }, 'receiverData.dept.0: 应为字符串'],
  ['a list in a list', { receiverData: { role: [['ROLE001']] } }, 'receiverData.role.0: 应为字符串'],
  ['a list of people', { receiverData: ['USER001'] }, 'receiverData: 应为对象'],
  [
    'a key that does not exist',
    { receiverData: { user: ['USER001'], users: ['USER002'] } },
    'receiverData: 未知字段 users',
  ],
  [
    'a key of the prototype',
    { receiverData: { user: ['USER001'], constructor: ['USER002'] } },
    'receiverData: 未知字段 constructor',
  ],
  ['accounts under specified', { receiverData: { '1002': ['USER001'] } }, 'receiverData: 未知字段 1002'],
  ['10,001 codes', { receiverData: { user: tooLongList } }, 'receiverData.user: 最多 10000 项'],
  ['a code of 257 characters', { receiverData: { user: ['u'.repeat(257)] } }, 'receiverData.user.0: 超过上限 256'],
  [
    '10,001 accounts',
    { receiverType: 'custom', receiverData: { '1002': tooLongList } },
    'receiverData.1002: 最多 10000 项',
  ],
  [
    'accounts in one text',
    { receiverType: 'custom', receiverData: { '1002': 'USER001,USER002' } },
    'receiverData.1002: 应为数组',
  ],
  [
    'lists of users under custom',
    { receiverType: 'custom', receiverData: { user: ['USER001'] } },
    'receiverData.user: 该渠道没有内容',
  ],

  ['no channelData', { channelData: undefined }, 'channelData: 必填'],
  ['channelData null', { channelData: null }, 'channelData: 必填'],
  ['an empty channelData', { channelData: {} }, 'channelData: 至少需要一个渠道'],
  ['channelData as a list', { channelData: [] }, 'channelData: 应为对象'],
  ['channelData as text', { channelData: '{}' }, 'channelData: 应为对象'],
  ['an unknown channel', { channelData: { '9999': { content: 'c' } } }, `channelData.9999: ${AVAILABLE}`],
  ['a disabled channel', { channelData: { '1003': { content: 'c' } } }, `channelData.1003: ${AVAILABLE}`],
  [
    'a channel named constructor',
    { channelData: { constructor: { content: 'c' } } },
    `channelData.constructor: ${AVAILABLE}`,
  ],
  ['a channel id with a blank', { channelData: { '1002 ': { content: 'c' } } }, `channelData.1002 : ${AVAILABLE}`],
  ['content null', { channelData: { '1002': null } }, 'channelData.1002: 应为对象'],
  ['content as text', { channelData: { '1002': 'hello' } }, 'channelData.1002: 应为对象'],

  ['no site content', site({ content: undefined }), 'channelData.1002.content: 必填'],
  ['an empty site content', site({ content: '' }), 'channelData.1002.content: 不能为空'],
  ['site content as an object', site({ content: {} }), 'channelData.1002.content: 应为字符串'],
  [
    'a site content over 64 KiB',
    site({ content: 'x'.repeat(64 * KIB + 1) }),
    'channelData.1002.content: 超过上限 64 KiB',
  ],
  ['a title of 201', site({ title: '题'.repeat(201) }), 'channelData.1002.title: 超过上限 200'],
  ['a title as a number', site({ title: 1 }), 'channelData.1002.title: 应为字符串'],
  ['a javascript: website', site({ website: 'javascript:alert(1)' }), WEBSITE],
  ['a data: website', site({ website: 'data:text/html,x' }), WEBSITE],
  ['a website without scheme', site({ website: '//evil.example' }), WEBSITE],
  ['a website with credentials', site({ website: 'https://user:pass@example.org/' }), WEBSITE],
  ['a website over 2,048', site({ website: `/${'x'.repeat(2048)}` }), 'channelData.1002.website: 超过上限 2048'],
  ['an SMS that says nothing', sms({ sign: 's' }), 'channelData.1001: templateData 和 content 至少填一项'],
  ['an SMS over 1,000', sms({ content: '短'.repeat(1001) }), 'channelData.1001.content: 超过上限 1000'],
  [
    'an SMS template without id',
    sms({ templateData: { paramData: {} } }),
    'channelData.1001.templateData.templateId: 必填',
  ],
  [
    'null in paramData',
    sms({ templateData: { templateId: 'T', paramData: { code: null } } }),
    'channelData.1001.templateData.paramData.code: 只能是',
  ],

  ['a businessId of 129', { businessId: 'x'.repeat(129) }, 'businessId: 超过 128 字'],
  ['a businessId as a number', { businessId: 5 }, 'businessId: 应为字符串'],
  ['a senderCode as an object', { senderCode: {} }, 'senderCode: 应为字符串'],
  ['a senderName of 129', { senderName: 'x'.repeat(129) }, 'senderName: 超过 128 字'],
  ...['alert', 'Notice', ' notice', 1, {}].map((msgType): [string, Record<string, unknown>, string] => [
    `msgType ${JSON.stringify(msgType)}`,
    { msgType },
    'msgType: 只能是 notice, reminder',
  ]),
  ...['0', '4', 0, 2.5, '2.0', true, 'high', [3]].map((priority): [string, Record<string, unknown>, string] => [
    `priority ${JSON.stringify(priority)}`,
    { priority },
    'priority: 只能是 1, 2, 3',
  ]),
  ['an impossible sendTime', { sendTime: '2026-02-30 10:00:00' }, 'sendTime: 应为 yyyy-MM-dd HH:mm:ss'],
  ['an epoch sendTime', { sendTime: 1691122512000 }, 'sendTime: 应为 yyyy-MM-dd HH:mm:ss'],
  ['a sendTime too far ahead', { sendTime: '2999-01-01 00:00:00' }, 'sendTime: 不能晚于一年后'],
]

const template: [string, Record<string, unknown>, string][] = [
  ['no templateCode', { templateCode: undefined }, 'templateCode: 必填'],
  ['an empty templateCode', { templateCode: '' }, 'templateCode: 必填'],
  ['a templateCode as a number', { templateCode: 1001 }, 'templateCode: 应为字符串'],
  ['a disabled template', { templateCode: 'OFF' }, 'templateCode: 模板 OFF 已停用'],
  ['a template on a channel that is disabled', { templateCode: 'MSG1001' }, `templateCode.1003: ${AVAILABLE}`],
  ['variables as a list', { channelParamData: [] }, 'channelParamData: 应为对象'],
  ['variables as text', { channelParamData: 'code=1' }, 'channelParamData: 应为对象'],
  [
    'a variable null',
    { channelParamData: { code: null, name: 'n' } },
    'channelParamData.code: 只能是字符串、数字或布尔值',
  ],
  [
    'a variable as an object',
    { channelParamData: { code: {}, name: 'n' } },
    'channelParamData.code: 只能是字符串、数字或布尔值',
  ],
  [
    'a variable as a list',
    { channelParamData: { code: 'c', name: ['n'] } },
    'channelParamData.name: 只能是字符串、数字或布尔值',
  ],
  [
    'an extra variable as an object',
    { channelParamData: { code: 'c', name: 'n', more: {} } },
    'channelParamData.more: 只能是字符串、数字或布尔值',
  ],
  ['an unknown priority', { priority: '4' }, 'priority: 只能是 0, 1, 2, 3'],
  ['an unknown msgType', { msgType: 'alert' }, 'msgType: 只能是 notice, reminder'],
]

describe.each(stores)('400 for fields, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store, { CHANNEL_1003: 'off' })
    const contents = { '1002': { content: '{{ code }} {{ name }}' } }
    for (const code of ['ON', 'OFF'])
      await saveTemplate(posthouse.context.db, { code, name: code, msgType: 'notice', contents })
    await query(posthouse.context.db, sql`update templates set enabled = false where code = 'OFF'`)
  })
  afterAll(() => posthouse.stop())

  async function push(path: string, body: unknown, headers: Record<string, string> = {}) {
    const answer = await posthouse.post(path, body, headers)
    return { status: answer.status, body: answer.body, isShort: [...answer.body.msg].length <= 100 }
  }
  const refused = (text: string) => ({
    status: 400,
    body: { code: 400, msg: expect.stringContaining(`参数有误：${text}`) },
    isShort: true,
  })

  it.each(plain)('refuses a plain push with %s', async (_what, more, text) => {
    expect(await push(CHANNEL, channelBody(more))).toEqual(refused(text))
  })

  it.each(template)('refuses a template push with %s', async (_what, more, text) => {
    expect(await push(TEMPLATE, templateBody({ templateCode: 'ON', ...more }))).toEqual(refused(text))
  })

  it('names all missing variables', async () => {
    for (const channelParamData of [{}, null, undefined]) {
      const { body } = await posthouse.post(TEMPLATE, templateBody({ templateCode: 'ON', channelParamData }))
      expect(body).toEqual({ code: 400, msg: expect.stringMatching(/^参数有误：channelParamData: .*code.*name/) })
    }
  })

  it('names the channels that this app may use', async () => {
    const { id, headers } = await makeApp(posthouse, { grants: ['channel:1002'] })
    const body = channelBody({ appId: id, channelData: { '1001': { content: 'c' } } })
    expect(await push(CHANNEL, body, headers)).toEqual(refused('channelData.1001: 渠道不可用，可用渠道：1002'))
  })

  it('cuts the text at 100 code points, never within one', async () => {
    const users = Array.from({ length: 80 }, (_, at) => `😀${at}`)
    const { body } = await posthouse.post(CHANNEL, channelBody({ receiverData: { user: users } }))
    expect([...body.msg]).toHaveLength(100)
    expect(body.msg.isWellFormed()).toBe(true)
    expect(body.msg.endsWith('…')).toBe(true)
  })

  it.each(['', 'ä', 'x'.repeat(256)])('refuses Idempotency-Key %j', async (key) => {
    const answer = await push(CHANNEL, channelBody(), { 'idempotency-key': key })
    expect(answer).toEqual(refused('Idempotency-Key: 应为 1 到 255 个可打印字符'))
  })

  it.each([
    ['no user', {}, 'user: 必填'],
    ['somebody who has left', { user: 'USER044' }, 'user: 没有这个用户'],
    ['a user as a list', { user: ['USER001'] }, 'user: 应为字符串'],
    ['no time at all', { user: 'USER001', ttlSeconds: 0 }, 'ttlSeconds: '],
    ['more than a day', { user: 'USER001', ttlSeconds: 86_401 }, 'ttlSeconds: 超过上限 86400'],
    ['a time as text', { user: 'USER001', ttlSeconds: '60' }, 'ttlSeconds: 应为'],
  ])('refuses a token for %s', async (_what, more, text) => {
    expect(await push('/api/openApi/inbox/token', { appId: APP, ...more })).toEqual(refused(text))
  })
})
