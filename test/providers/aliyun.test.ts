import OpenApiUtil from '@alicloud/openapi-util'
import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'
import { authorization } from '../../src/delivery/providers/aliyun.ts'
import { httpServer, type Call, type Reply } from '../kit/http-server.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const KEY_ID = 'LTAI5tTestKeyOfNobody'
const SECRET = 'secret/of+nobody='
const USER = `${KEY_ID}:${encodeURIComponent(SECRET)}`
const ID = '0199c0ffee0070008000000000000001'
const BIZ_ID = '900619746936498440^0'
const DAY_LIMIT = { Code: 'isv.BUSINESS_LIMIT_CONTROL', Message: '触发天级流控Permits:40' }

const MARKS = ['a', 'Z', '9', '李', '🙂', 'é', '\n', '\0', ...` !"#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~`]

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closers.splice(0).toReversed()) await close()
})

/** Aliyun with this answer to whoever signs correctly; whoever does not gets what the real one says then. */
async function provider(reply: Reply = { body: { Code: 'OK', Message: 'OK', BizId: BIZ_ID, RequestId: 'R1' } }) {
  const server = await httpServer((call) => (isSigned(call) ? reply : WRONG_SIGNATURE))
  closers.push(server.stop)
  return server
}

const WRONG_SIGNATURE = {
  status: 400,
  body: { Code: 'SignatureDoesNotMatch', Message: 'Specified signature is not matched with our calculation.' },
}

/** The check that the documentation describes, made from what came over the wire and nothing of ours. */
function isSigned({ method, url, headers, body }: Call): boolean {
  const [, keyId, names = '', signature] =
    /^ACS3-HMAC-SHA256 Credential=(\w+),SignedHeaders=([\w;-]+),Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? []
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  const mustBeSigned = Object.keys(headers).filter((name) => name === 'host' || name.startsWith('x-acs-'))
  if (keyId !== KEY_ID || mustBeSigned.some((name) => !names.split(';').includes(name))) return false
  if (headers['x-acs-content-sha256'] !== hash(body)) return false
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`)
  const query = url.search.slice(1).split('&').toSorted().join('&')
  const request = [method, url.pathname, query, lines.join(''), names, hash(body)].join('\n')
  return (
    signature ===
    createHmac('sha256', SECRET)
      .update(`ACS3-HMAC-SHA256\n${hash(request)}`)
      .digest('hex')
  )
}

function open(endpoint: string, query = '&sign=东华医为', user = USER): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1001: `aliyun://${user}@default?endpoint=${endpoint}${query}` })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1001')
  return channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
}

const templateData = { templateId: 'SMS_154950909', paramData: { name: "李伟 🙂 (a*b)!'~", code: '1234+&=%' } }
const parcel = (more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  attempt: 1,
  messageId: ID,
  address: '+8618660886275',
  content: { templateData },
  ...more,
})
const send = (carrier: Carrier, what = parcel(), milliseconds = 10_000): Promise<Outcome> =>
  carrier.send(what, AbortSignal.timeout(milliseconds))

describe('an SMS', () => {
  it('goes out by its template, with the delivery id as OutId; the receipt is the BizId', async () => {
    const server = await provider()
    expect(await send(open(server.url))).toEqual({ outcome: 'sent', receipt: BIZ_ID })
    const [{ method, url, headers } = expect.fail('nothing arrived')] = server.calls
    expect(method).toBe('POST')
    expect(headers).toMatchObject({ 'x-acs-action': 'SendSms', 'x-acs-version': '2017-05-25' })
    expect(Object.fromEntries(url.searchParams)).toEqual({
      PhoneNumbers: '18660886275',
      SignName: '东华医为',
      TemplateCode: 'SMS_154950909',
      TemplateParam: JSON.stringify(templateData.paramData),
      OutId: ID,
    })
  })

  it.each([
    ['+8618660886275', '18660886275'],
    ['+85251234567', '85251234567'],
    ['+14155552671', '14155552671'],
  ])('to %s is addressed to %s', async (address, number) => {
    const server = await provider()
    expect(await send(open(server.url), parcel({ address }))).toMatchObject({ outcome: 'sent' })
    expect(server.calls[0]?.url.searchParams.get('PhoneNumbers')).toBe(number)
  })

  it.each(['+8618660886275,+8618660886276', 'liwei', ''])('goes to nobody for the address %j', async (address) => {
    const server = await provider()
    expect(await send(open(server.url), parcel({ address }))).toMatchObject({
      outcome: 'failed',
      reason: 'INVALID_ADDRESS',
    })
    expect(server.calls).toEqual([])
  })

  it('carries the sign of its content rather than that of the channel, and the region of the URL', async () => {
    const server = await provider()
    const content = { sign: '驿站', templateData: { templateId: 'SMS_1', paramData: {} } }
    await send(open(server.url, '&sign=东华医为&region=cn-hangzhou'), parcel({ content }))
    expect(Object.fromEntries(server.calls[0]?.url.searchParams ?? [])).toEqual({
      PhoneNumbers: '18660886275',
      SignName: '驿站',
      TemplateCode: 'SMS_1',
      OutId: ID,
      RegionId: 'cn-hangzhou',
    })
  })

  it('without any sign fails, saying where to give one, and without templateData as well', async () => {
    const server = await provider()
    const outcome = { outcome: 'failed', reason: 'INVALID_CONTENT' }
    expect(await send(open(server.url, ''))).toEqual({ ...outcome, why: expect.stringMatching(/no signature.*sign=/) })
    expect(await send(open(server.url), parcel({ content: { content: 'hello' } }))).toEqual({
      ...outcome,
      why: expect.stringContaining('templateData'),
    })
    expect(server.calls).toEqual([])
  })
})

describe('the signature', () => {
  it("is that of the maker's own library, byte for byte", () => {
    // Above all what one escaping leaves alone and another does not.
    const text = fc.string({ unit: fc.constantFrom(...MARKS) })
    const query = fc.dictionary(fc.string({ minLength: 1, unit: fc.constantFrom(...'abcXYZ._-09') }), text)
    fc.assert(
      fc.property(query, text, fc.date({ noInvalidDate: true }), (query, secret, date) => {
        const headers = {
          host: 'dysmsapi.aliyuncs.com',
          'x-acs-action': 'SendSms',
          'x-acs-version': '2017-05-25',
          'x-acs-date': date.toISOString(),
          'x-acs-signature-nonce': 'd410180a5abf7fe235dd9b74aca91fc0',
        }
        const request = { method: 'POST', pathname: '/', query, headers } as never
        const payload = createHash('sha256').digest('hex')
        const theirs = OpenApiUtil.default.getAuthorization(request, 'ACS3-HMAC-SHA256', payload, KEY_ID, secret)
        expect(authorization(query, headers, KEY_ID, secret)).toBe(theirs)
      }),
    )
  })

  it('is made for the time of the call, in whole seconds, with a nonce of its own', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-01-31T23:59:59.999Z') })
    const server = await provider()
    const carrier = open(server.url)
    await send(carrier)
    await send(carrier)
    const [first, second] = server.calls.map(({ headers }) => headers)
    expect(first?.['x-acs-date']).toBe('2026-01-31T23:59:59Z')
    expect(first?.['x-acs-signature-nonce']).not.toBe(second?.['x-acs-signature-nonce'])
  })

  it('with a wrong secret is tried again, naming the key, without repeating what was sent', async () => {
    const server = await provider()
    expect(await send(open(server.url, '&sign=东华医为', `${KEY_ID}:wrong`))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: "SignatureDoesNotMatch: check the access key in the channel's URL",
    })
  })
})

describe('what Aliyun answers', () => {
  it.each([
    ['isv.MOBILE_NUMBER_ILLEGAL', '号码不合法'],
    ['isv.SMS_TEMPLATE_ILLEGAL', '模板不合法(不存在或被拉黑)'],
    ['isv.SMS_SIGNATURE_ILLEGAL', '签名不合法(不存在或被拉黑)'],
    ['isv.TEMPLATE_MISSING_PARAMETERS', '模板变量缺少参数'],
    ['isv.BLACK_KEY_CONTROL_LIMIT', '变量中有黑名单关键字'],
    ['isv.MONTH_LIMIT_CONTROL', '触发月发送限额'],
    ['InvalidParameter.Something', 'never heard of'],
  ])('as %s is final, in its words', async (Code, Message) => {
    const server = await provider({ body: { Code, Message, RequestId: 'R1' } })
    expect(await send(open(server.url))).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: `${Code}: ${Message}`,
    })
  })

  it.each([
    ['isv.AMOUNT_NOT_ENOUGH', 'top up the account'],
    ['isv.OUT_OF_SERVICE', 'top up the account'],
    ['isv.ACCOUNT_NOT_EXISTS', 'account is in order'],
    ['isv.ACCOUNT_ABNORMAL', 'account is in order'],
    ['isv.PRODUCT_UNSUBSCRIBE', 'has the SMS service'],
    ['isv.PRODUCT_UN_SUBSCRIPT', 'has the SMS service'],
  ])('as %s is about our account: it is tried again, and says to see to it (%s)', async (Code, advice) => {
    const server = await provider({ body: { Code, Message: '账户余额不足' } })
    expect(await send(open(server.url))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining(advice),
    })
  })

  it('with HTTP 4xx and a code is judged by the code', async () => {
    const missing = await provider({ status: 400, body: { Code: 'MissingSignName', Message: 'SignName is mandatory' } })
    expect(await send(open(missing.url))).toMatchObject({
      outcome: 'failed',
      why: expect.stringContaining('mandatory'),
    })
    const throttled = await provider({ status: 400, body: { Code: 'Throttling.User', Message: 'flow control' } })
    expect(await send(open(throttled.url))).toEqual({
      outcome: 'retry',
      cause: 'throttled',
      why: 'Throttling.User: flow control',
    })
  })

  it.each([
    ['isv.BUSINESS_LIMIT_CONTROL', '触发分钟级流控Permits:1', 60],
    ['isv.BUSINESS_LIMIT_CONTROL', '触发小时级流控Permits:5', 3_600],
    [DAY_LIMIT.Code, DAY_LIMIT.Message, 21_600],
    ['isv.DAY_LIMIT_CONTROL', '触发日发送限额', 21_600],
  ])('as %s (%s) is tried again after the limit has passed', async (Code, Message, afterSeconds) => {
    const server = await provider({ body: { Code, Message } })
    expect(await send(open(server.url))).toEqual({
      outcome: 'retry',
      cause: 'throttled',
      why: `${Code}: ${Message}`,
      afterSeconds,
    })
  })

  it.each([
    ['isp.SYSTEM_ERROR', 'ambiguous'],
    ['isp.GATEWAY_ERROR', 'ambiguous'],
    ['SignatureNonceUsed', 'ambiguous'],
    ['Throttling', 'throttled'],
    ['Throttling.Api', 'throttled'],
    ['ServiceUnavailable', 'unavailable'],
  ])('as %s is tried again: %s', async (Code, cause) => {
    const server = await provider({ body: { Code, Message: 'later' } })
    expect(await send(open(server.url))).toEqual({ outcome: 'retry', cause, why: `${Code}: later` })
  })

  it.each([
    ['InvalidTimeStamp.Expired', 'clock'],
    ['InvalidAccessKeyId.NotFound', 'access key'],
    ['isp.RAM_PERMISSION_DENY', 'access key'],
  ])('as %s is tried again, and says to check the %s', async (Code, what) => {
    const server = await provider({ status: 400, body: { Code, Message: 'the whole request' } })
    const outcome = await send(open(server.url))
    expect(outcome).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining(`check the ${what}`),
    })
    expect(JSON.stringify(outcome)).not.toContain('whole request')
  })

  it.each([
    [
      { status: 503, body: 'busy', headers: { 'retry-after': '7' } },
      { cause: 'unavailable', why: expect.stringContaining('503: busy'), afterSeconds: 7 },
    ],
    [
      { status: 500, body: { Code: 'isv.MOBILE_NUMBER_ILLEGAL' } },
      { cause: 'ambiguous', why: expect.stringContaining('HTTP 500') },
    ],
    [
      { status: 429, body: '' },
      { cause: 'throttled', why: expect.stringContaining('429: nothing') },
    ],
    [{ body: '<html>Login</html>' }, { cause: 'ambiguous', why: expect.stringContaining('no JSON object: <html>') }],
    [{ body: '["OK"]' }, { cause: 'ambiguous', why: expect.stringContaining('no JSON object') }],
    [{ body: { Code: 1 } }, { cause: 'ambiguous', why: expect.stringContaining('without a Code') }],
    [
      { body: `{"Code":"OK","BizId":"${'9'.repeat(65_536)}"}` },
      { cause: 'ambiguous', why: expect.stringContaining('more than 64 KiB') },
    ],
  ])('as no answer of its own is tried again (%#)', async (reply, expected) => {
    const server = await provider(reply)
    expect(await send(open(server.url))).toEqual({ outcome: 'retry', ...expected })
  })

  it('as a redirect is not followed', async () => {
    const elsewhere = await provider()
    const server = await provider({ status: 307, headers: { location: elsewhere.url }, body: '' })
    expect(await send(open(server.url))).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining('redirects'),
    })
    expect(elsewhere.calls).toEqual([])
  })
})

describe('a server', () => {
  it('that is not there is tried again', async () => {
    const server = await provider()
    await server.stop()
    expect(await send(open(server.url))).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it.each([
    ['before its answer', () => {}],
    ['within its answer', (response: { write(text: string): void }) => response.write('{"Code":"O')],
  ])('that falls silent %s is left at the deadline of the attempt', async (_when, begin) => {
    const server = await httpServer((_call, response) => void begin(response))
    closers.push(server.stop)
    expect(await send(open(server.url), parcel(), 200)).toMatchObject({
      outcome: 'retry',
      cause: 'ambiguous',
      why: expect.stringContaining('in time'),
    })
    expect(server.calls.length).toBe(1)
  })

  it('gets nothing of an attempt that was given up before it began', async () => {
    const server = await provider()
    expect(await open(server.url).send(parcel(), AbortSignal.abort())).toMatchObject({
      outcome: 'retry',
      cause: 'temporary',
    })
    expect(server.calls).toEqual([])
  })

  it('that drops the connection is tried again, by the queue and not behind its back', async () => {
    const server = await httpServer((_call, response) => void response.destroy())
    closers.push(server.stop)
    expect(await send(open(server.url))).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    expect(server.calls.length).toBe(1)
  })
})

describe('the URL', () => {
  it.each([
    ['aliyun://default', /no access key; write aliyun:\/\//],
    ['aliyun://K@default', /no access key/],
    ['aliyun://K:S@default/sms', /has a path after its host; write aliyun:\/\//],
    ['aliyun://K:S@default?endpoint=ftp://x', /unusable endpoint=ftp:\/\/x; write/],
    ['aliyun://K:S@default?endpoint=http://127.0.0.1/a', /unusable endpoint=/],
  ])('%s is answered with what to write', (url, mistake) => {
    const { mistakes } = loadConfig({ CHANNEL_1001: url })
    expect(mistakes).toEqual([expect.stringMatching(mistake)])
    expect(mistakes[0]).toMatch(/^CHANNEL_1001 /)
  })

  it.each([
    ['aliyun://K:S@default', 'https://dysmsapi.aliyuncs.com/'],
    ['aliyun://K:S@dysmsapi.ap-southeast-1.aliyuncs.com', 'https://dysmsapi.ap-southeast-1.aliyuncs.com/'],
    ['aliyun://K:S@sms.example.org:8443', 'https://sms.example.org:8443/'],
  ])('%s calls %s', (url, endpoint) => {
    const settings = loadConfig({ CHANNEL_1001: url }).config?.channels.get('1001')?.settings
    expect(String((settings as { endpoint: URL }).endpoint)).toBe(endpoint)
  })
})

it('refuses a push that has only words of its own, and names templateData', async () => {
  const [store = expect.fail('there is no store')] = stores
  const posthouse = await run(store, { CHANNEL_1001: `aliyun://${USER}@default?endpoint=http://127.0.0.1:9` })
  closers.push(posthouse.stop)
  const { status, body } = await posthouse.post('/api/openApi/message/push/channel', {
    appId: APP,
    receiverType: 'specified',
    receiverData: { user: ['USER001'] },
    channelData: { '1001': { content: '您好' } },
  })
  expect({ status, code: body.code }).toEqual({ status: 400, code: 400 })
  expect(body.msg).toContain('channelData.1001.templateData')
})
