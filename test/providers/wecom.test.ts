import { afterEach, describe, expect, it } from 'vitest'
import { httpServer, type Call, type Reply } from '../kit/http-server.ts'
import { channel, mistakes, open, post } from './robots.ts'

const KEY = '693a91f6-7abc-4bc4-97a0-0ec2fa5aaa01'
const TRACE =
  ', hint: [1755605200056773468916791], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com/devtool/query?e='

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

/** WeCom with this answer to whoever has the key and keeps its limits. The real one answers everything with HTTP 200. */
async function server(reply: Reply = { body: { errcode: 0, errmsg: 'ok' } }) {
  const server = await httpServer((call) => refusalOf(call) ?? reply)
  closers.push(server.stop)
  return server
}

function refusalOf({ url, body }: Call): Reply | undefined {
  const refuse = (errcode: number, errmsg: string) => ({ body: { errcode, errmsg: `${errmsg}${TRACE}${errcode}` } })
  if (url.pathname !== '/cgi-bin/webhook/send' || url.searchParams.get('key') !== KEY)
    return refuse(93_000, 'invalid webhook url')
  const { msgtype, ...message } = JSON.parse(body)
  const most = { text: 2_048, markdown: 4_096 }[msgtype as 'text' | 'markdown']
  if (most === undefined) return refuse(40_008, 'invalid message type')
  const { content } = message[msgtype]
  if (!content) return refuse(44_004, 'empty content')
  const isLong = Buffer.byteLength(content) > most
  return isLong ? refuse(40_058, `${msgtype}.content exceed max length ${most}. invalid Request Parameter`) : undefined
}

const url = (endpoint: string, key = KEY) => `wecom://${key}@default?endpoint=${endpoint}`
const sent = async (content: Record<string, unknown>) => {
  const { url: endpoint, calls } = await server()
  expect(await post(open(url(endpoint)), content)).toEqual({ outcome: 'sent' })
  return JSON.parse(calls[0]?.body ?? '')
}
const full = { title: '停电通知', content: '今晚**八点**\n停电', website: 'https://host/a' }

describe('a post', () => {
  it('goes out as Markdown with its title and link', async () => {
    expect(await sent(full)).toEqual({
      msgtype: 'markdown',
      markdown: { content: '### 停电通知\n今晚**八点**\n停电\n[查看详情](https://host/a)' },
    })
    expect(await sent({ content: 'x' })).toEqual({ msgtype: 'markdown', markdown: { content: 'x' } })
  })

  it.each([
    [{ atMobiles: ['+8618660886275', '+85251234567'] }, ['18660886275', '+85251234567']],
    [{ atAll: true }, ['@all']],
    [{ atMobiles: ['+8618660886275'], atAll: true }, ['18660886275', '@all']],
  ])('that calls somebody (%j) goes out as text', async (at, mentioned) => {
    expect(await sent({ ...full, ...at })).toEqual({
      msgtype: 'text',
      text: { content: '停电通知\n今晚**八点**\n停电\nhttps://host/a', mentioned_mobile_list: mentioned },
    })
  })

  it.each([
    [4_096, {}],
    [2_048, { atAll: true }],
  ])('has at most %i bytes, and a longer one goes to nobody', async (most, at) => {
    await sent({ content: 'a'.repeat(most), ...at })
    const { url: endpoint, calls } = await server()
    expect(await post(open(url(endpoint)), { content: 'a'.repeat(most + 1), ...at })).toEqual({
      outcome: 'failed',
      reason: 'INVALID_CONTENT',
      why: `makes ${most + 1} bytes, and this robot takes ${most}`,
    })
    expect(calls).toEqual([])
  })
})

describe('what WeCom answers', () => {
  const answered = async (errcode: number, errmsg: string) => {
    const { url: endpoint } = await server({ body: { errcode, errmsg: `${errmsg}${TRACE}${errcode}` } })
    return post(open(url(endpoint)))
  }

  it.each([
    [40_008, 'invalid message type'],
    [40_058, 'markdown.content exceed max length 4096. invalid Request Parameter'],
    [44_004, 'empty content'],
    [987_654, 'never heard of'],
  ])('as %i is about this post, and final, in its words without the trace', async (errcode, errmsg) => {
    const why = `${errcode}: ${errmsg}`
    expect(await answered(errcode, errmsg)).toEqual({ outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why })
  })

  it('as too many in a minute waits for one, as too many at once a moment', async () => {
    const why = '45009: api freq out of limit'
    expect(await answered(45_009, 'api freq out of limit')).toEqual({
      outcome: 'retry',
      cause: 'throttled',
      afterSeconds: 60,
      why,
    })
    expect(await answered(45_033, 'api concurrent out of limit')).toMatchObject({
      outcome: 'retry',
      cause: 'throttled',
    })
  })

  it('when it is busy, or tells nothing, is tried again', async () => {
    expect(await answered(-1, 'system busy')).toEqual({ outcome: 'retry', cause: 'temporary', why: '-1: system busy' })
    const { url: endpoint } = await server({ body: { ok: true } })
    expect(await post(open(url(endpoint)))).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
  })

  it('to a wrong key is ours to mend', async () => {
    const { url: endpoint } = await server()
    expect(await post(open(url(endpoint, 'unknown')))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: "93000: invalid webhook url; check the robot's settings in the chat and the channel's URL",
    })
  })
})

describe('the URL', () => {
  it.each([
    ['wecom://default', /^CHANNEL_1004 has no token; write wecom:\/\/KEY@default$/],
    [`wecom://${KEY}:SECRET@default`, /has a secret, which these robots do not; write wecom:\/\/KEY@default/],
  ])('%s is answered with what to write', (text, mistake) => {
    expect(mistakes(text)).toEqual([expect.stringMatching(mistake)])
  })

  it('calls WeCom itself by default, slower than its limit', () => {
    const { settings, limits } = channel(`wecom://${KEY}@default`)
    expect(String((settings as { endpoint: URL }).endpoint)).toBe('https://qyapi.weixin.qq.com/')
    expect(limits.rate).toBeLessThan(20 / 60)
  })
})
