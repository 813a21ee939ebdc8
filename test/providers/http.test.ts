import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import {
  closeAll,
  closers,
  gateway,
  ID,
  JSON_VENDOR,
  jsonVendor,
  mistakesOf,
  parcel,
  saying,
  send,
  TEXT_VENDOR,
  textVendor,
  urlOf,
} from './http-gateway.ts'

afterEach(closeAll)

describe('a vendor with a JSON API', () => {
  it('gets the message, and its id is the receipt though it is too long for a number', async () => {
    const { host, got } = await gateway(jsonVendor)
    const url = urlOf(`user:p%40ss@${host}/v1/send`, { ...JSON_VENDOR, app: '7', 'posthouse.header.X-Ref': '{{ id }}' })
    expect(await send(url)).toEqual({ outcome: 'sent', receipt: '9007199254740993123' })
    const [{ method, path, query, headers, body } = expect.fail('nothing arrived')] = got
    expect({ method, path, query: [...query] }).toEqual({ method: 'POST', path: '/v1/send', query: [['app', '7']] })
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      authorization: `Basic ${Buffer.from('user:p@ss').toString('base64')}`,
      'x-ref': ID,
    })
    expect(JSON.parse(body)).toEqual({ ref: ID, mobile: '18660886275', text: '【人民医院】您的检验报告已出' })
  })

  it('that refuses in a 200 is tried again, unless it says a code that is final', async () => {
    const { host } = await gateway(jsonVendor)
    const to = (address: string) => send(urlOf(`${host}/send`, JSON_VENDOR), parcel({ address }))
    expect(await to('+8613900000001')).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: 'HTTP 200: {"code":"4001","msg":"号码在黑名单"}',
    })
    expect(await to('+8613900000002')).toEqual({
      outcome: 'retry',
      cause: 'temporary',
      why: 'HTTP 200: {"code":5000,"msg":"try later"}',
    })
  })

  it('gets the documented members when no body is configured', async () => {
    const { host, got } = await gateway(jsonVendor)
    expect(await send(urlOf(`${host}/send`))).toEqual({ outcome: 'sent' })
    expect(await send(urlOf(`${host}/send`), parcel({ address: '+85251234567', content: { content: 'x' } }))).toEqual({
      outcome: 'sent',
    })
    expect(got.map(({ body }) => JSON.parse(body))).toEqual([
      { id: ID, phone: '18660886275', sign: '人民医院', content: '您的检验报告已出' },
      { id: ID, phone: '+85251234567', sign: null, content: 'x' },
    ])
  })

  it('gets template and parameters with takes=templateData, and no push without them', async () => {
    const { host, got } = await gateway(jsonVendor)
    const url = urlOf(`${host}/send`, { 'posthouse.takes': 'templateData' })
    const channel = loadConfig({ CHANNEL_1001: url }).config?.channels.get('1001')
    expect(channel?.provider.takes?.(channel.settings)).toBe('templateData')
    const paramData = { code: '12"34', constructor: 'x' }
    expect(await send(url, saying({ templateData: { templateId: 'T1', paramData } }))).toEqual({ outcome: 'sent' })
    expect(JSON.parse(got[0]?.body ?? '')).toEqual({
      id: ID,
      phone: '18660886275',
      sign: '人民医院',
      templateId: 'T1',
      params: paramData,
    })
    expect(await send(url)).toMatchObject({ outcome: 'failed', reason: 'INVALID_CONTENT' })
    expect(got.length).toBe(1)
  })
})

describe('a vendor with a query and plain text', () => {
  it('gets the values in the query, and what follows OK: is the receipt', async () => {
    const { host, got } = await gateway(textVendor)
    expect(await send(urlOf(`${host}/sms.php`, TEXT_VENDOR))).toEqual({ outcome: 'sent', receipt: '123' })
    const [{ method, path, query, headers, body } = expect.fail('nothing arrived')] = got
    expect({ method, path, body }).toEqual({ method: 'GET', path: '/sms.php', body: '' })
    expect(headers['content-type']).toBeUndefined()
    expect(Object.fromEntries(query)).toEqual({
      mobile: '18660886275',
      msg: '【人民医院】您的检验报告已出',
      key: 'sesame-and-more',
    })
  })

  it('that refuses in plain text is understood', async () => {
    const { host } = await gateway(textVendor)
    expect(await send(urlOf(`${host}/sms.php`, TEXT_VENDOR), parcel({ address: '+8613900000001' }))).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: 'HTTP 200: ERR:BLACKLIST',
    })
  })
})

describe('hostile text', () => {
  const HOSTILE = [
    '","mobile":"13900000001',
    'a\\',
    'a\r\nb\u2028\0',
    '{{ id }}{% raw %}',
    '&mobile=13900000001&x=',
    '+%26#?=;/../ 🙂</script>',
    "'''",
  ]

  it.each(HOSTILE)('%j stays inside its JSON string', async (text) => {
    const { host, got } = await gateway(jsonVendor)
    const body = '{"mobile":"{{ phone }}","text":"{{ text }}","too":{{ text | json }},"all":"{{ params.a }}"}'
    const what = saying({ content: text, templateData: { templateId: 'T', paramData: { a: text } } })
    expect(await send(urlOf(`${host}/send`, { 'posthouse.body': body }), what)).toEqual({ outcome: 'sent' })
    expect(JSON.parse(got[0]?.body ?? '')).toEqual({ mobile: '18660886275', text, too: text, all: text })
  })

  it.each(HOSTILE)('%j stays inside its field of a form', async (text) => {
    const { host, got } = await gateway(textVendor)
    const options = {
      'posthouse.type': 'form',
      'posthouse.body': 'mobile={{ phone }}&text=【{{ sign }}】 {{ text }}&j={{ text | json }}',
    }
    expect(await send(urlOf(`${host}/send`, options), saying({ content: text }))).toEqual({ outcome: 'sent' })
    expect(got[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded; charset=utf-8')
    expect(got[0]?.body).toMatch(/^[\x21-\x7e]+$/)
    expect([...new URLSearchParams(got[0]?.body)]).toEqual([
      ['mobile', '18660886275'],
      ['text', `【人民医院】 ${text}`],
      ['j', JSON.stringify(text)],
    ])
  })

  it.each(HOSTILE)('%j stays inside its value of the query, and inside its header', async (text) => {
    const { host, got } = await gateway(textVendor)
    const options = { ...TEXT_VENDOR, msg: '{{ text }}', 'posthouse.header.X-Text': '{{ text }}' }
    expect(await send(urlOf(`${host}/send`, options), saying({ content: text }))).toMatchObject({ outcome: 'sent' })
    expect([...(got[0]?.query ?? [])]).toEqual([
      ['mobile', '18660886275'],
      ['msg', text],
      ['key', 'sesame-and-more'],
    ])
    expect(decodeURIComponent(String(got[0]?.headers['x-text']))).toBe(text)
  })

  it('in place of a parameter that the body needs and the push lacks is not made up', async () => {
    const { host, got } = await gateway(jsonVendor)
    const options = { 'posthouse.body': '{"mobile":"{{ phone }}","t":"{{ text }}","c":"{{ params.code }}"}' }
    expect(await send(urlOf(`${host}/send`, options))).toEqual({
      outcome: 'failed',
      reason: 'INVALID_CONTENT',
      why: expect.stringContaining('params.code'),
    })
    expect(got).toEqual([])
  })
})

describe('the URL', () => {
  it.each<[Record<string, string>, string]>([
    [{ 'posthouse.method': 'PUT' }, 'has an unknown posthouse.method=PUT; write POST or GET'],
    [{ 'posthouse.retries': '3' }, 'has an unknown posthouse.retries; write one of posthouse.method, '],
    [
      { ...TEXT_VENDOR, 'posthouse.body': 'x' },
      'has posthouse.body, but a GET has no body; write posthouse.method=POST, or use the query',
    ],
    [{ ...TEXT_VENDOR, 'posthouse.type': 'form' }, 'has posthouse.type, but a GET has no body'],
    [{ 'posthouse.body': '{"a":"{{ text }"}' }, 'has posthouse.body, which is no Liquid at line 1, column 7: '],
    [{ 'posthouse.body': '{"a":1,\n "b":"{{ text | shout }}"}' }, 'at line 2, column 7: undefined filter: shout'],
    [
      { 'posthouse.body': '{% include "/etc/passwd" %}' },
      'has posthouse.body, which is no Liquid at line 1, column 1: ',
    ],
    [{ 'posthouse.body': '{"a":"{{ text | raw }}"}' }, 'undefined filter: raw'],
    [
      { 'posthouse.body': '{"a":"{{ mobile }}"}' },
      'which has an unknown variable mobile; there are address, phone, text',
    ],
    [{ 'posthouse.body': '{"a":{{ text }}}' }, 'is no JSON when filled in; write values in quotes as in "{{ text }}"'],
    [{ 'posthouse.body': '{"a":{{ params.n }},"b":"{{ phone }}{{ text }}"}' }, 'is no JSON when filled in'],
    [
      { 'posthouse.body': '{"a":"{{ text }}"}' },
      'tells the gateway no recipient; add {{ phone }} or {{ address }} to posthouse.body',
    ],
    [{ 'posthouse.body': '{"a":"{{ phone }}"}' }, 'tells the gateway no text; add {{ text }} to posthouse.body'],
    [{ 'posthouse.method': 'GET' }, 'tells the gateway no recipient; add {{ phone }} or {{ address }} to the query'],
    [{ ...TEXT_VENDOR, msg: '{{ text' }, 'has msg in its query, which is no Liquid at line 1, column 1: '],
    [{ 'posthouse.ok': 'code' }, 'has posthouse.ok=code, which says nothing; write status, or code=0|200'],
    [{ 'posthouse.ok': 'a..b=0' }, 'has posthouse.ok=a..b=0, which says nothing'],
    [{ 'posthouse.permanent': 'status' }, 'has posthouse.permanent=status, which says nothing; write code=0|200'],
    [{ 'posthouse.receipt': 'data[0].id' }, 'has posthouse.receipt=data[0].id, which says nothing; write data.id'],
    [{ 'posthouse.takes': 'both' }, 'has an unknown posthouse.takes=both; write content or templateData'],
    [{ 'posthouse.header.X Y': 'secret-one' }, 'has posthouse.header.X Y, which no request can carry'],
    [{ 'posthouse.header.X-Y': '密码' }, 'has posthouse.header.X-Y, which no request can carry'],
    [{ 'posthouse.header.Content-Length': '3' }, 'has posthouse.header.Content-Length, which no request can carry'],
  ])('%j is answered with what to write', (options, sentence) => {
    const mistakes = mistakesOf(urlOf('gateway.example.org/send', options)) ?? []
    expect(mistakes).toEqual([expect.stringContaining(sentence)])
    expect(mistakes[0]).toMatch(/^CHANNEL_1001 /)
    expect(mistakes[0]).not.toContain('secret-one')
  })

  it('tells all its mistakes at once, and that a login is there twice', () => {
    const options = {
      'posthouse.type': 'xml',
      'posthouse.ok': '?',
      'posthouse.header.authorization': 'Bearer secret-one',
    }
    expect(mistakesOf(urlOf('u:p@gateway.example.org/send', options))).toEqual([
      expect.stringContaining('posthouse.type=xml'),
      'CHANNEL_1001 has a user and posthouse.header.Authorization; write one of them only',
      expect.stringContaining('posthouse.ok=?'),
    ])
  })

  it.each(['/a%3Fb%23c/%E7%9F%AD%E4%BF%A1', '/100%25/%255C', '/a;v=1/b@c:d,e'])('keeps the path %s', async (path) => {
    const { host, got } = await gateway(textVendor)
    expect(await send(urlOf(host + path))).toEqual({ outcome: 'sent' })
    expect(got[0]?.path).toBe(path)
  })

  it('tells a member text of a JSON answer from the text itself', async () => {
    const { host } = await gateway((_got, response) => void response.end('{"text":"OK"}'))
    expect(await send(urlOf(`${host}/send`, { 'posthouse.ok': '$.text=OK' }))).toEqual({ outcome: 'sent' })
    expect(await send(urlOf(`${host}/send`, { 'posthouse.ok': 'text=OK' }))).toMatchObject({ outcome: 'retry' })
  })
})

describe.each(stores)('a push to a gateway, on $name', (store) => {
  it('arrives under the id of its delivery, and the sender sees it sent', async () => {
    const { host, got } = await gateway(jsonVendor)
    const posthouse = await run(store, { CHANNEL_1001: urlOf(`${host}/send`, JSON_VENDOR) })
    closers.push(posthouse.stop)
    const { status, body } = await posthouse.post('/api/openApi/message/push/channel', {
      appId: APP,
      receiverType: 'custom',
      receiverData: { '1001': ['186 6088 6275'] },
      channelData: { '1001': { sign: '人民医院', content: '您好，"李伟"' } },
    })
    expect(status).toBe(200)
    const node = await eventually(async () => {
      const query = `query ($id: ID!) { message(id: $id) { deliveries { edges { node { id state attempts } } } } }`
      const { data } = await posthouse.graphql(posthouse.adminKey, query, { id: body.msgId })
      const found = data?.['message'].deliveries.edges[0].node
      return found.state === 'SENT' ? found : undefined
    })
    expect(node.attempts).toBe(1)
    expect(got.map((one) => JSON.parse(one.body))).toEqual([
      { ref: node.id, mobile: '18660886275', text: '【人民医院】您好，"李伟"' },
    ])
  })
})
