import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { httpServer, type Call, type Reply } from '../kit/http-server.ts'
import { channel, mistakes, open, post } from './robots.ts'

const TOKEN = '566cc69da782ec33e42541b09b08551f09fbe864eb8008112e994b43887fb2a1'
const SECRET = 'SEC0f+/=b6c0dd4e1a8a4d1d1f7a0b2c3d4e5f6'
const OK = { body: { errcode: 0, errmsg: 'ok' } }
const HOUR_MS = 3_600_000

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closers.splice(0).toReversed()) await close()
})

/** DingTalk with this answer to whoever knows the token and signs correctly. The real one answers everything with HTTP 200. */
async function server(reply: Reply = OK) {
  const server = await httpServer((call) => refusalOf(call) ?? reply)
  closers.push(server.stop)
  return server
}

/** The checks that the documentation describes, made from what came over the wire and nothing of ours. */
function refusalOf({ method, url, headers }: Call): Reply | undefined {
  const given = url.searchParams
  if (method !== 'POST' || url.pathname !== '/robot/send')
    return { status: 404, body: `Cannot POST ${url.pathname}${url.search}` }
  if (!headers['content-type']?.startsWith('application/json'))
    return { body: { errcode: 43004, errmsg: 'bad content-type' } }
  if (given.get('access_token') !== TOKEN) return { body: { errcode: 300005, errmsg: 'token is not exist' } }
  if (Math.abs(Date.now() - Number(given.get('timestamp'))) > HOUR_MS)
    return { body: { errcode: 310000, errmsg: 'invalid timestamp' } }
  const sign = createHmac('sha256', SECRET)
    .update(`${given.get('timestamp')}\n${SECRET}`)
    .digest('base64')
  return given.get('sign') === sign ? undefined : { body: { errcode: 310000, errmsg: 'sign not match' } }
}

const url = (endpoint: string, user = `${TOKEN}:${encodeURIComponent(SECRET)}`) =>
  `dingtalk://${user}@default?endpoint=${endpoint}`
const sent = async (content: Record<string, unknown>) => {
  const { url: endpoint, calls } = await server()
  expect(await post(open(url(endpoint)), content)).toEqual({ outcome: 'sent' })
  return JSON.parse(calls[0]?.body ?? '')
}

describe('a post', () => {
  it('goes out as Markdown, signed, with its title, its link and those it calls in the text', async () => {
    const content = {
      title: '停电通知',
      content: '今晚**八点**\n停电',
      website: 'https://host/a?b=(c)',
      atMobiles: ['+8618660886275', '+85251234567'],
      atAll: true,
    }
    expect(await sent(content)).toEqual({
      msgtype: 'markdown',
      markdown: {
        title: '停电通知',
        text: '### 停电通知\n\n今晚**八点**  \n停电\n\n[查看详情](https://host/a?b=%28c%29)\n\n@18660886275 @+85251234567',
      },
      at: { atMobiles: ['18660886275', '+85251234567'], isAtAll: true },
    })
  })

  it('without a title has one for the notification only', async () => {
    expect(await sent({ content: `${'停'.repeat(41)}\n电` })).toEqual({
      msgtype: 'markdown',
      markdown: { title: '停'.repeat(40), text: `${'停'.repeat(41)}  \n电` },
      at: { atMobiles: [], isAtAll: false },
    })
  })

  it('without a secret is not signed', async () => {
    const { url: endpoint, calls, stop } = await httpServer(() => OK)
    closers.push(stop)
    expect(await post(open(url(endpoint, TOKEN)))).toEqual({ outcome: 'sent' })
    expect([...(calls[0]?.url.searchParams.keys() ?? [])]).toEqual(['access_token'])
  })

  it('of more than 20,000 bytes goes to nobody', async () => {
    const { url: endpoint, calls } = await server()
    expect(await post(open(url(endpoint)), { content: '"'.repeat(10_000) })).toMatchObject({
      outcome: 'failed',
      reason: 'INVALID_CONTENT',
      why: expect.stringContaining('takes 20000'),
    })
    expect(calls).toEqual([])
  })
})

describe('what DingTalk answers', () => {
  it.each([
    [310_000, 'keywords not in content'],
    [310_000, 'description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;'],
    [40_035, '缺少参数 json'],
    [400_105, '不支持的消息类型'],
    [430_102, '含有不合适的文本'],
    [460_101, 'message too long, exceed 20000 bytes'],
    [987_654, 'never heard of'],
  ])('as %i %s is about this post, and final', async (errcode, errmsg) => {
    const { url: endpoint } = await server({ body: { errcode, errmsg } })
    expect(await post(open(url(endpoint)))).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: `${errcode}: ${errmsg}`,
    })
  })

  it.each([
    [310_000, 'ip 203.0.113.7 not in whitelist'],
    [
      310_000,
      'description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在调用的网址中，请确认机器人的密钥加密和填写正确;',
    ],
    [300_001, 'token is not exist'],
    [400_013, '群已被解散'],
    [400_102, '机器人已停用'],
    [400_106, '机器人不存在'],
  ])('as %i %s is ours to mend', async (errcode, errmsg) => {
    const { url: endpoint } = await server({ body: { errcode, errmsg } })
    const outcome = await post(open(url(endpoint)))
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
    expect((outcome as { why: string }).why).toBe(
      `${errcode}: ${errmsg}; check the robot's settings in the chat and the channel's URL`,
    )
  })

  it.each([
    [{ errcode: 130_101, errmsg: 'send too fast, exceed 20 times per minute' }],
    [{ errcode: 410_100, errmsg: '发送速度太快而限流' }],
    [{ errcode: 999_999, errmsg: 'send too fast' }],
    [{ status: 1111, wait: 5, source: 'x5', punish: 'deny', uuid: '24ce64f68ff5dc054dca012fc3931165' }],
  ])('as %j waits for the ten minutes that it keeps us out', async (body) => {
    const { url: endpoint } = await server({ body })
    expect(await post(open(url(endpoint)))).toMatchObject({ outcome: 'retry', cause: 'throttled', afterSeconds: 600 })
  })

  it('when it is busy, or tells nothing, is tried again', async () => {
    const busy = await server({ body: { errcode: -1, errmsg: '系统繁忙' } })
    expect(await post(open(url(busy.url)))).toEqual({ outcome: 'retry', cause: 'temporary', why: '-1: 系统繁忙' })
    const mute = await server({ body: { success: true } })
    expect(await post(open(url(mute.url)))).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
  })

  it('to a wrong token, a wrong secret or a wrong clock is ours to mend', async () => {
    const { url: endpoint } = await server()
    for (const user of ['unknown', `${TOKEN}:wrong`])
      expect(await post(open(url(endpoint, user)))).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
    const slow = await httpServer((call) => (vi.useRealTimers(), refusalOf(call)))
    closers.push(slow.stop)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 2 * HOUR_MS })
    expect(await post(open(url(slow.url)))).toMatchObject({
      cause: 'unavailable',
      why: expect.stringContaining('invalid timestamp'),
    })
  })

  it.each([
    ['whole', (call: Call) => ({ status: 502, body: call.url.search })],
    [
      'cut short',
      (call: Call) => ({ status: 502, body: `Cannot POST /robot/send to the host behind${call.url.search}` }),
    ],
    [
      'in its words',
      (call: Call) => ({ body: { errcode: 7, errmsg: `no ${call.url.searchParams.get('access_token')}` } }),
    ],
  ])('never gives the token away, though a proxy repeats it %s', async (_how, answer) => {
    const { url: endpoint, stop } = await httpServer(answer)
    closers.push(stop)
    const outcome = await post(open(url(endpoint)))
    expect(outcome.outcome).not.toBe('sent')
    expect((outcome as { why: string }).why).toContain('***')
    expect(JSON.stringify(outcome)).not.toContain(TOKEN.slice(0, 4))
  })
})

describe('the URL', () => {
  it.each([
    ['dingtalk://default', /^CHANNEL_1004 has no token; write dingtalk:\/\/ACCESS_TOKEN:SECRET@default$/],
    ['dingtalk://T@default/robot/send', /has a path after its host/],
    ['dingtalk://T@default?endpoint=ftp://x', /unusable endpoint=ftp:\/\/x/],
  ])('%s is answered with what to write', (text, mistake) => {
    expect(mistakes(text)).toEqual([expect.stringMatching(mistake)])
  })

  it('calls DingTalk itself by default, slower than its limit', () => {
    const { settings, limits, kind } = channel(`dingtalk://${TOKEN}@default`)
    expect(String((settings as { endpoint: URL }).endpoint)).toBe('https://oapi.dingtalk.com/')
    expect(limits.rate).toBeLessThan(20 / 60)
    expect({ kind, concurrency: limits.concurrency }).toEqual({ kind: 'chat', concurrency: 1 })
  })
})
