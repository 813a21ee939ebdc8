import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import Sign from 'tencentcloud-sdk-nodejs-common/tencentcloud/common/sign.js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'
import { authorization } from '../../src/delivery/providers/tencent.ts'
import { httpServer, type Call, type Reply } from '../kit/http-server.ts'

const SECRET_ID = 'AKIDTestIdOfNobody'
const SECRET_KEY = 'secret/of+nobody='
const USER = `${SECRET_ID}:${encodeURIComponent(SECRET_KEY)}`
const ID = '0199c0ffee0070008000000000000001'
const SERIAL = '5000:1045710669157053657849499619'
const DEFAULT_QUERY = '&app=1400006666&sign=东华医为'

const MARKS = ['a', 'Z', '9', '李', '🙂', 'é', '\n', '\0', ...` !"#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~`]

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closers.splice(0).toReversed()) await close()
})

/** One number's status, as the real one words it. */
const status = (Code: string, Message: string): Reply => ({
  body: {
    Response: {
      SendStatusSet: [{ SerialNo: '', PhoneNumber: '+8618660886275', Fee: 0, Code, Message }],
      RequestId: 'R1',
    },
  },
})
/** A refusal of the call as a whole: with HTTP 200 as well. */
const error = (Code: string, Message: string): Reply => ({
  body: { Response: { Error: { Code, Message }, RequestId: 'R1' } },
})
const SENT: Reply = {
  body: {
    Response: {
      SendStatusSet: [
        {
          SerialNo: SERIAL,
          PhoneNumber: '+8618660886275',
          Fee: 1,
          SessionContext: ID,
          Code: 'Ok',
          Message: 'send success',
          IsoCode: 'CN',
        },
      ],
      RequestId: 'R1',
    },
  },
}

/** Tencent with this answer to whoever signs correctly; whoever does not gets what the real one says then. */
async function provider(reply: Reply = SENT) {
  const server = await httpServer((call) =>
    isSigned(call) ? reply : error('AuthFailure.SignatureFailure', 'The provided credentials could not be validated.'),
  )
  closers.push(server.stop)
  return server
}

/** The check that the documentation describes, made from what came over the wire and nothing of ours. */
function isSigned({ method, url, headers, body }: Call): boolean {
  const [, id, date = '', names = '', signature] =
    /^TC3-HMAC-SHA256 Credential=(\w+)\/([\d-]{10})\/sms\/tc3_request, SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? []
  const timestamp = String(headers['x-tc-timestamp'])
  const isOfThatDay = new Date(Number(timestamp) * 1000).toISOString().startsWith(date)
  const isComplete = ['content-type', 'host'].every((name) => names.split(';').includes(name))
  if (id !== SECRET_ID || !isOfThatDay || !isComplete) return false
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim().toLowerCase()}\n`)
  const request = [method, url.pathname, url.search.slice(1), lines.join(''), names, hash(body)].join('\n')
  const key = hmac(hmac(hmac(`TC3${SECRET_KEY}`, date), 'sms'), 'tc3_request')
  const toSign = ['TC3-HMAC-SHA256', timestamp, `${date}/sms/tc3_request`, hash(request)].join('\n')
  return signature === hmac(key, toSign).toString('hex')
}

function open(endpoint: string, query = DEFAULT_QUERY, user = USER): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1001: `tencent://${user}@default?endpoint=${endpoint}${query}` })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1001')
  return channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
}

const saying = (paramData: Record<string, string>, sign?: string) => ({
  content: { sign, templateData: { templateId: '449739', paramData } },
})
const parcel = (more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  attempt: 1,
  messageId: ID,
  address: '+8618660886275',
  ...saying({ '1': '李伟 🙂 "<&+', '2': '8:30' }),
  ...more,
})
const send = (carrier: Carrier, what = parcel(), milliseconds = 10_000): Promise<Outcome> =>
  carrier.send(what, AbortSignal.timeout(milliseconds))

describe('an SMS', () => {
  it('goes out by its template, with the delivery id as SessionContext; the receipt is the SerialNo', async () => {
    const server = await provider()
    expect(await send(open(server.url))).toEqual({ outcome: 'sent', receipt: SERIAL })
    const [{ method, headers, body } = expect.fail('nothing arrived')] = server.calls
    expect(method).toBe('POST')
    expect(headers).toMatchObject({
      'x-tc-action': 'SendSms',
      'x-tc-version': '2021-01-11',
      'x-tc-region': 'ap-guangzhou',
    })
    expect(JSON.parse(body)).toEqual({
      PhoneNumberSet: ['+8618660886275'],
      SmsSdkAppId: '1400006666',
      SignName: '东华医为',
      TemplateId: '449739',
      TemplateParamSet: ['李伟 🙂 "<&+', '8:30'],
      SessionContext: ID,
    })
  })

  it.each([
    ['by number, not by text', { '10': 'j', '9': 'i', '1': 'a' }, ['a', 'i', 'j']],
    ['from 0 as well', { '1': 'b', '0': 'a' }, ['a', 'b']],
    ['with one name of any kind', { code: '1234' }, ['1234']],
    ['with none', {}, []],
  ])('has its variables in order: %s', async (_how, paramData, set) => {
    const server = await provider()
    expect(await send(open(server.url), parcel(saying(paramData)))).toMatchObject({ outcome: 'sent' })
    expect(JSON.parse(server.calls[0]?.body ?? '').TemplateParamSet).toEqual(set)
  })

  it.each<Record<string, string>>([
    { name: '李伟', amount: '5' },
    { '1': 'a', name: 'b' },
    { '1': 'a', '01': 'b' },
  ])('whose variables %j have no order goes out in no order at all', async (paramData) => {
    const server = await provider()
    expect(await send(open(server.url), parcel(saying(paramData)))).toEqual({
      outcome: 'failed',
      reason: 'INVALID_CONTENT',
      why: expect.stringContaining('name them "1", "2"'),
    })
    expect(server.calls).toEqual([])
  })

  it('carries the sign of its content rather than that of the channel, and the region of the URL', async () => {
    const server = await provider()
    await send(open(server.url, `${DEFAULT_QUERY}&region=ap-beijing`), parcel(saying({}, '驿站')))
    expect(JSON.parse(server.calls[0]?.body ?? '').SignName).toBe('驿站')
    expect(server.calls[0]?.headers['x-tc-region']).toBe('ap-beijing')
  })

  it('without any sign fails, saying where to give one; abroad none is needed', async () => {
    const server = await provider()
    const carrier = open(server.url, '&app=1400006666')
    expect(await send(carrier)).toEqual({
      outcome: 'failed',
      reason: 'INVALID_CONTENT',
      why: expect.stringMatching(/no signature.*sign=/),
    })
    expect(server.calls).toEqual([])
    expect(await send(carrier, parcel({ address: '+85251234567' }))).toMatchObject({ outcome: 'sent' })
    expect(JSON.parse(server.calls[0]?.body ?? '')).not.toHaveProperty('SignName')
  })

  it('without templateData, or without a single number, fails', async () => {
    const server = await provider()
    expect(await send(open(server.url), parcel({ content: { content: 'hello' } }))).toMatchObject({
      outcome: 'failed',
      reason: 'INVALID_CONTENT',
    })
    expect(await send(open(server.url), parcel({ address: '+8618660886275,+8618660886276' }))).toMatchObject({
      outcome: 'failed',
      reason: 'INVALID_ADDRESS',
    })
    expect(server.calls).toEqual([])
  })
})

describe('the signature', () => {
  it("is that of the maker's own library, byte for byte", () => {
    // Above all what one escaping leaves alone and another does not.
    const text = fc.string({ unit: fc.constantFrom(...MARKS) })
    // Not beyond the year 9999, where the library writes dates in its own way.
    fc.assert(
      fc.property(text, text, fc.nat(253_402_300_799), (words, secretKey, timestamp) => {
        const body = JSON.stringify({ words })
        const theirs = Sign.default.sign3({
          method: 'POST',
          url: 'https://sms.tencentcloudapi.com/',
          payload: Buffer.from(body),
          timestamp,
          service: 'sms',
          secretId: SECRET_ID,
          secretKey,
          headers: { 'Content-Type': 'application/json; charset=utf-8' },
        } as never)
        expect(authorization('sms.tencentcloudapi.com', body, timestamp, SECRET_ID, secretKey)).toBe(theirs)
      }),
    )
  })

  it('is made for the time of the call, and its date is that of UTC', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-01-31T23:59:59.999Z') })
    const server = await provider()
    expect(await send(open(server.url))).toMatchObject({ outcome: 'sent' })
    const [{ headers } = expect.fail('nothing arrived')] = server.calls
    expect(headers['x-tc-timestamp']).toBe('1769903999')
    expect(headers.authorization).toContain('/2026-01-31/sms/')
  })

  it('with a wrong secret is tried again, naming the secret', async () => {
    const server = await provider()
    expect(await send(open(server.url, DEFAULT_QUERY, `${SECRET_ID}:wrong`))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: "AuthFailure.SignatureFailure: check the secret in the channel's URL",
    })
  })
})

describe.each([
  ['for the number', status],
  ['for the whole call', error],
])('what Tencent answers %s', (_whom, answer) => {
  it.each([
    ['InvalidParameterValue.IncorrectPhoneNumber', 'incorrect phone number'],
    ['FailedOperation.TemplateIncorrectOrUnapproved', 'template incorrect or unapproved'],
    ['FailedOperation.SignatureIncorrectOrUnapproved', 'signature incorrect or unapproved'],
    ['FailedOperation.PhoneNumberInBlacklist', 'blacklisted'],
    ['LimitExceeded.PhoneNumberCountLimit', 'too many numbers'],
    ['LimitExceeded.AppCountryOrRegionInBlacklist', 'the country is blacklisted'],
    ['MissingParameter', 'missing'],
    ['Something.NeverHeardOf', 'new'],
  ])('as %s is final, in its words', async (code, message) => {
    const server = await provider(answer(code, message))
    expect(await send(open(server.url))).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: `${code}: ${message}`,
    })
  })

  it.each([
    ['LimitExceeded.PhoneNumberThirtySecondLimit', 30],
    ['LimitExceeded.DeliveryFrequencyLimit', 60],
    ['LimitExceeded.PhoneNumberOneHourLimit', 3_600],
    ['LimitExceeded.PhoneNumberDailyLimit', 21_600],
    ['LimitExceeded.PhoneNumberSameContentDailyLimit', 21_600],
    ['LimitExceeded.AppDailyLimit', 21_600],
    ['LimitExceeded.AppMainlandChinaDailyLimit', 21_600],
    ['LimitExceeded.AppGlobalDailyLimit', 21_600],
    ['LimitExceeded.AppCountryOrRegionDailyLimit', 21_600],
    ['LimitExceeded.DailyLimit', 21_600],
    ['FailedOperation.MarketingSendTimeConstraint', 7_200],
  ])('as %s is tried again after %i seconds', async (code, afterSeconds) => {
    const server = await provider(answer(code, 'limited'))
    expect(await send(open(server.url))).toEqual({
      outcome: 'retry',
      cause: code.startsWith('Limit') ? 'throttled' : 'temporary',
      why: `${code}: limited`,
      afterSeconds,
    })
  })

  it.each([
    ['RequestLimitExceeded.UinLimitExceeded', 'throttled'],
    ['LimitExceeded', 'throttled'],
    ['ServiceUnavailable', 'unavailable'],
    ['InternalError.Timeout', 'ambiguous'],
    ['InternalError', 'ambiguous'],
  ])('as %s is tried again: %s', async (code, cause) => {
    const server = await provider(answer(code, 'later'))
    expect(await send(open(server.url))).toEqual({ outcome: 'retry', cause, why: `${code}: later` })
  })

  it.each([
    ['AuthFailure.SignatureExpire', 'clock'],
    ['InternalError.RequestTimeException', 'clock'],
    ['AuthFailure.SecretIdNotFound', 'secret'],
    ['UnauthorizedOperation.RequestIpNotInWhitelist', 'secret'],
    ['UnauthorizedOperation.SmsSdkAppIdVerifyFail', 'app'],
    ['UnauthorizedOperation.SdkAppIdIsDisabled', 'app'],
  ])('as %s is tried again, and says to check the %s', async (code, what) => {
    const server = await provider(answer(code, 'refused'))
    expect(await send(open(server.url))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining(`check the ${what}`),
    })
  })
})

it.each(['FailedOperation.InsufficientBalanceInSmsPackage', 'UnauthorizedOperation.SerivceSuspendDueToArrears'])(
  'what Tencent answers as %s is about our account: it is tried again, and says to top it up',
  async (code) => {
    const server = await provider(status(code, 'insufficient'))
    expect(await send(open(server.url))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: `${code}: top up the account with Tencent`,
    })
  },
)

describe('a server', () => {
  it.each([
    [{ status: 502, body: 'busy' }, 'HTTP 502: busy'],
    [{ body: '<html>Login</html>' }, 'no JSON object: <html>'],
    [{ body: {} }, 'without a Code'],
    [{ body: { Response: null } }, 'without a Code'],
    [{ body: { Response: { SendStatusSet: [], RequestId: 'R1' } } }, 'without a Code'],
    [{ body: { Response: { SendStatusSet: [null] } } }, 'without a Code'],
    [{ body: `{"Response":"${'9'.repeat(65_536)}"}` }, 'more than 64 KiB'],
    [{ status: 302, headers: { location: 'http://127.0.0.1:9/' }, body: '' }, 'redirects are not followed'],
  ])('that gives no answer of Tencent is tried again (%#)', async (reply, why) => {
    const server = await provider(reply)
    expect(await send(open(server.url))).toEqual({
      outcome: 'retry',
      cause: why.includes('redirects') ? 'unavailable' : 'ambiguous',
      why: expect.stringContaining(why),
    })
  })

  it('that falls silent is left at the deadline of the attempt', async () => {
    const server = await httpServer(() => undefined)
    closers.push(server.stop)
    expect(await send(open(server.url), parcel(), 200)).toMatchObject({
      outcome: 'retry',
      cause: 'ambiguous',
      why: expect.stringContaining('in time'),
    })
    expect(server.calls.length).toBe(1)
  })
})

describe('the URL', () => {
  it.each([
    ['tencent://default?app=1', [/no secret; write tencent:\/\//]],
    ['tencent://I:K@default', [/no SMS application; add \?app=/]],
    ['tencent://I:K@default?app=mine', [/no SMS application; add \?app=/]],
    ['tencent://I:K@default/sms?app=1', [/has a path after its host; write tencent:\/\//]],
    ['tencent://I:K@default?app=1&endpoint=x', [/unusable endpoint=x; write/]],
    ['tencent:nonsense', [/no secret/, /no SMS application/]],
  ])('%s is answered with what to write', (url, expected) => {
    const { mistakes } = loadConfig({ CHANNEL_1001: url })
    expect(mistakes).toEqual(expected.map((mistake) => expect.stringMatching(mistake)))
  })

  it.each([
    ['tencent://I:K@default?app=1', 'https://sms.tencentcloudapi.com/'],
    ['tencent://I:K@sms.intl.tencentcloudapi.com?app=1', 'https://sms.intl.tencentcloudapi.com/'],
  ])('%s calls %s', (url, endpoint) => {
    const settings = loadConfig({ CHANNEL_1001: url }).config?.channels.get('1001')?.settings
    expect(String((settings as { endpoint: URL }).endpoint)).toBe(endpoint)
  })
})
