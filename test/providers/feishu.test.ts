import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { httpServer, type Call, type Reply } from '../kit/http-server.ts'
import { channel, mistakes, open, post } from './robots.ts'

const TOKEN = 'b43e7bea-88fd-436e-9a1b-0123456789ab'
const SECRET = 'demo/of+nobody='
/** The old members still come along. */
const OK = { body: { StatusCode: 0, StatusMessage: 'success', code: 0, data: {}, msg: 'success' } }
const HOUR_SECONDS = 3_600

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closers.splice(0).toReversed()) await close()
})

/** Feishu with this answer to whoever knows the token and signs correctly. */
async function server(reply: Reply = OK) {
  const server = await httpServer((call) => refusalOf(call) ?? reply)
  closers.push(server.stop)
  return server
}

/** The checks that the documentation describes, made from what came over the wire and nothing of ours. */
function refusalOf({ url, body }: Call): Reply | undefined {
  if (url.pathname !== `/open-apis/bot/v2/hook/${TOKEN}`)
    return { body: { code: 19_001, data: {}, msg: 'param invalid: incoming webhook access token invalid' } }
  const { timestamp, sign } = JSON.parse(body)
  const expected = createHmac('sha256', `${timestamp}\n${SECRET}`).update('').digest('base64')
  const isFresh = /^\d{10}$/.test(timestamp) && Math.abs(Date.now() / 1000 - Number(timestamp)) < HOUR_SECONDS
  return isFresh && sign === expected
    ? undefined
    : { body: { code: 19_021, msg: 'sign match fail or timestamp is not within one hour from current time' } }
}

const url = (endpoint: string, user = `${TOKEN}:${encodeURIComponent(SECRET)}`) =>
  `feishu://${user}@default?endpoint=${endpoint}`
const sent = async (content: Record<string, unknown>) => {
  const { url: endpoint, calls } = await server()
  expect(await post(open(url(endpoint)), content)).toEqual({ outcome: 'sent' })
  const { timestamp: _, sign: __, ...message } = JSON.parse(calls[0]?.body ?? '')
  return message
}

describe('a post', () => {
  it('goes out as a card, signed; it calls everybody, and of others writes the number', async () => {
    const content = {
      title: '停电通知',
      content: '今晚**八点**\n停电',
      website: 'https://host/a',
      atMobiles: ['+8618660886275'],
      atAll: true,
    }
    const text = '今晚**八点**\n停电\n\n[查看详情](https://host/a)\n\n<at id=all></at> @18660886275'
    expect(await sent(content)).toEqual({
      msg_type: 'interactive',
      card: {
        config: { wide_screen_mode: true },
        header: { title: { tag: 'plain_text', content: '停电通知' } },
        elements: [{ tag: 'markdown', content: text }],
      },
    })
  })

  it('without a title has no header, and without a secret no signature', async () => {
    const { url: endpoint, calls, stop } = await httpServer(() => OK)
    closers.push(stop)
    expect(await post(open(url(endpoint, TOKEN)), { content: 'x' })).toEqual({ outcome: 'sent' })
    expect(JSON.parse(calls[0]?.body ?? '')).toEqual({
      msg_type: 'interactive',
      card: { config: { wide_screen_mode: true }, elements: [{ tag: 'markdown', content: 'x' }] },
    })
  })

  it('keeps the request within 20 KB, and a longer one goes to nobody', async () => {
    const { url: endpoint, calls } = await server()
    const carrier = open(url(endpoint))
    expect(await post(carrier, { content: 'a'.repeat(19_850) })).toEqual({ outcome: 'sent' })
    expect(Buffer.byteLength(calls[0]?.body ?? '')).toBeLessThan(20 * 1024)
    expect(await post(carrier, { content: 'a'.repeat(20_000) })).toMatchObject({ reason: 'INVALID_CONTENT' })
    expect(calls.length).toBe(1)
  })
})

describe('what Feishu answers', () => {
  const answered = async (reply: Reply) => {
    const { url: endpoint } = await server(reply)
    return post(open(url(endpoint)))
  }

  it('in the old form alone is read as well', async () => {
    expect(await answered({ body: { Extra: null, StatusCode: 0, StatusMessage: 'success' } })).toEqual({
      outcome: 'sent',
    })
  })

  it.each([
    [200, 19_024, 'Key Words Not Found'],
    [400, 9_499, 'Bad Request'],
    [200, 19_002, 'param invalid: msg_type'],
    [200, 987_654, 'never heard of'],
  ])('with HTTP %i as %i %s is about this post, and final', async (status, code, msg) => {
    const why = `${code}: ${msg}`
    const outcome = await answered({ status, body: { code, msg, data: {} } })
    expect(outcome).toEqual({ outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why })
  })

  it.each([
    [19_022, 'Ip Not Allowed'],
    [19_007, 'Bot Not Enabled'],
  ])('as %i %s is ours to mend, whatever the old member says', async (code, msg) => {
    const outcome = await answered({ body: { StatusCode: 0, StatusMessage: '', code, msg } })
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable', why: expect.stringContaining(msg) })
  })

  it.each([
    [200, { code: 11_232, data: {}, msg: 'frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]' }],
    [400, { code: 9_499, msg: 'too many request', data: {} }],
  ])('with HTTP %i as %j waits for a minute', async (status, body) => {
    expect(await answered({ status, body })).toMatchObject({ outcome: 'retry', cause: 'throttled', afterSeconds: 60 })
  })

  it('that tells neither yes nor no may have been a yes', async () => {
    expect(await answered({ body: { ok: true } })).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
  })

  it('to a wrong token, a wrong secret or a wrong clock is ours to mend', async () => {
    const { url: endpoint } = await server()
    for (const user of ['unknown', `${TOKEN}:wrong`])
      expect(await post(open(url(endpoint, user)))).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
    const strict = await httpServer((call) => (vi.useRealTimers(), refusalOf(call)))
    closers.push(strict.stop)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 2 * HOUR_SECONDS * 1000 })
    expect(await post(open(url(strict.url)))).toMatchObject({ cause: 'unavailable' })
  })

  it('never gives the token away, though it is in the path', async () => {
    const { url: endpoint, stop } = await httpServer((call) => ({
      status: 404,
      body: `Cannot POST ${call.url.pathname}`,
    }))
    closers.push(stop)
    const outcome = await post(open(url(endpoint)))
    expect(outcome).toMatchObject({ outcome: 'retry', why: expect.stringContaining('***') })
    expect(JSON.stringify(outcome)).not.toContain(TOKEN.slice(0, 4))
  })
})

describe('the URL', () => {
  it('without a token is answered with what to write', () => {
    expect(mistakes('feishu://default')).toEqual(['CHANNEL_1004 has no token; write feishu://TOKEN:SECRET@default'])
  })

  it.each([
    [`feishu://${TOKEN}@default`, 'https://open.feishu.cn/'],
    [`feishu://${TOKEN}@open.larksuite.com`, 'https://open.larksuite.com/'],
  ])('%s calls %s, slower than its limit', (text, endpoint) => {
    const { settings, limits } = channel(text)
    expect(String((settings as { endpoint: URL }).endpoint)).toBe(endpoint)
    expect(limits.rate).toBeLessThan(100 / 60)
  })
})
