/** What both SMS clouds do with several recipients at once, and with the receipts that they send back. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Callback, Carrier, Parcel } from '../../src/delivery/channel.ts'
import { httpServer, type Call, type Reply } from '../kit/http-server.ts'
import { closers, tlsBrokenAfterRequest, tlsGateway } from './http-gateway.ts'

const KEY = '6f1d2c3b4a5968778695a4b3c2d1e0f0'
const MESSAGE = '0199c0ffee0070008000000000000000'
const id = (at: number) => `0199c0ffee00700080000000000000${String(at).padStart(2, '0')}`

afterEach(async () => {
  vi.unstubAllEnvs()
  for (const close of closers.splice(0).toReversed()) await close()
})

async function provider(answer: (call: Call) => Reply) {
  const server = await httpServer(answer)
  closers.push(server.stop)
  return server
}

function open(url: string): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1001: url })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1001')
  return channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
}

const parcels = (addresses: string[]): Parcel[] =>
  addresses.map((address, at) => ({
    id: id(at + 1),
    messageId: MESSAGE,
    address,
    attempt: 1,
    content: { sign: '驿站', templateData: { templateId: 'T1', paramData: { '1': 'a' } } },
  }))
const together = (carrier: Carrier, addresses: string[]) =>
  carrier.batch!.send(parcels(addresses), AbortSignal.timeout(10_000))
const callback = (body: unknown, key: string | undefined = KEY): Callback => ({
  method: 'POST',
  query: new URLSearchParams(key === undefined ? {} : { key }),
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
})

describe('Aliyun', () => {
  const channel = (url: string, more = `&callbackKey=${KEY}`) =>
    open(`aliyun://ID:SECRET@default?endpoint=${url}${more}`)
  const numbersOf = ({ url }: Call) => url.searchParams.get('PhoneNumbers')?.split(',') ?? []

  it('takes all recipients of a message in one call, under an id of the message', async () => {
    const server = await provider(() => ({ body: { Code: 'OK', BizId: 'B1' } }))
    const outcomes = await together(channel(server.url), ['+8613900000001', '+8613900000002', '+8613900000003'])
    expect(outcomes).toEqual(Array.from({ length: 3 }, () => ({ outcome: 'sent', receipt: 'B1' })))
    expect(server.calls.map(numbersOf)).toEqual([['13900000001', '13900000002', '13900000003']])
    expect(server.calls[0]?.url.searchParams.get('OutId')).toBe(`m-${MESSAGE}`)
  })

  it('has numbers from abroad called apart, and each number named once', async () => {
    const server = await provider(() => ({ body: { Code: 'OK', BizId: 'B1' } }))
    const addresses = ['+8613900000001', '+85251234567', '+8613900000001', '+85251234568', 'nonsense']
    const outcomes = await together(channel(server.url), addresses)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['sent', 'sent', 'sent', 'sent', 'failed'])
    expect(server.calls.map(numbersOf)).toEqual([['13900000001'], ['85251234567', '85251234568']])
  })

  it('that refuses a call for one bad number is asked for each alone, at once', async () => {
    const server = await provider(() => ({ body: { Code: 'isv.MOBILE_NUMBER_ILLEGAL', Message: '号码不合法' } }))
    const outcomes = await together(channel(server.url), ['+8613900000001', '+8613900000002'])
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ outcome: 'retry', cause: 'temporary', afterSeconds: 0 })
    }
    expect(await together(channel(server.url), ['+8613900000001'])).toMatchObject([{ outcome: 'failed' }])
  })

  it.each(['isv.AMOUNT_NOT_ENOUGH', 'isv.OUT_OF_SERVICE', 'isv.ACCOUNT_ABNORMAL', 'isv.PRODUCT_UN_SUBSCRIPT'])(
    'that refuses our account (%s) is not asked for each alone, which it would refuse as well',
    async (Code) => {
      const server = await provider(() => ({ body: { Code, Message: '账户余额不足' } }))
      const outcomes = await together(channel(server.url), ['+8613900000001', '+8613900000002'])
      for (const outcome of outcomes) expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
      for (const outcome of outcomes) expect(outcome).not.toHaveProperty('afterSeconds')
    },
  )

  it('that gives no answer leaves all of the call in doubt', async () => {
    const server = await provider(() => ({ status: 500, body: 'oops' }))
    const outcomes = await together(channel(server.url), ['+8613900000001', '+8613900000002'])
    for (const outcome of outcomes) expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
  })

  it('tells what became of SMS: by our id, or by its own with the number', async () => {
    const entry = {
      phone_number: '13900000001',
      send_time: '2026-11-24 10:00:00',
      report_time: '2026-11-24 10:00:05',
      success: true,
      err_code: 'DELIVERED',
      err_msg: '用户接收成功',
      sms_size: '1',
      biz_id: 'B1',
      out_id: id(7),
    }
    const at = new Date('2026-11-24T02:00:05Z')
    const why = 'DELIVERED: 用户接收成功'
    const answer = await channel('http://127.0.0.1:9').readReceipts!(
      callback([
        entry,
        { ...entry, out_id: `m-${MESSAGE}`, success: false, err_code: 'UNDELIV', err_msg: '' },
        { ...entry, out_id: `g-${MESSAGE}`, phone_number: '85251234567' },
        { ...entry, out_id: 'm-x', biz_id: undefined },
      ]),
    )
    expect(answer).toEqual({
      isGenuine: true,
      contentType: 'application/json',
      body: '{"code":0,"msg":"成功"}',
      receipts: [
        { deliveryId: id(7), state: 'delivered', why, at },
        { receipt: 'B1', address: '+8613900000001', state: 'undelivered', why: 'UNDELIV', at },
        { receipt: 'B1', address: '+85251234567', state: 'delivered', why, at },
      ],
    })
  })
})

describe('Tencent', () => {
  const channel = (url: string, more = `&callbackKey=${KEY}`) =>
    open(`tencent://ID:SECRET@default?app=1&endpoint=${url}${more}`)
  const numbersOf = ({ body }: Call) => JSON.parse(body).PhoneNumberSet as string[]

  it('answers for each number, in whatever order, and what it does not name is in doubt', async () => {
    const server = await provider((call) => {
      const [first, second, third] = numbersOf(call).toReversed()
      const SendStatusSet = [
        { PhoneNumber: first, Code: 'Ok', SerialNo: `S${first}` },
        { PhoneNumber: third, Code: 'FailedOperation.PhoneNumberInBlacklist', Message: 'blacklisted' },
      ]
      expect(second).toBeDefined()
      return { body: { Response: { SendStatusSet } } }
    })
    expect(await together(channel(server.url), ['+8613900000001', '+8613900000002', '+8613900000003'])).toEqual([
      { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why: expect.stringContaining('blacklisted') },
      { outcome: 'retry', cause: 'ambiguous', why: expect.any(String) },
      { outcome: 'sent', receipt: 'S+8613900000003' },
    ])
    expect(JSON.parse(server.calls[0]?.body ?? '').SessionContext).toBe(`m-${MESSAGE}`)
    expect(server.calls.length).toBe(1)
  })

  it('that refuses our account for each number is out of reach for each', async () => {
    const Code = 'FailedOperation.InsufficientBalanceInSmsPackage'
    const server = await provider((call) => ({
      body: { Response: { SendStatusSet: numbersOf(call).map((PhoneNumber) => ({ PhoneNumber, Code })) } },
    }))
    const outcomes = await together(channel(server.url), ['+8613900000001', '+8613900000002'])
    for (const outcome of outcomes) expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })

  it('that refuses the whole call refuses it for each', async () => {
    const server = await provider(() => ({
      body: { Response: { Error: { Code: 'AuthFailure.SecretIdNotFound', Message: '' } } },
    }))
    const outcomes = await together(channel(server.url), ['+8613900000001', '+8613900000002'])
    for (const outcome of outcomes) expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })

  it('tells what became of SMS by its SerialNo and the number', async () => {
    const entry = {
      user_receive_time: '2026-11-24 10:00:05',
      nationcode: '86',
      mobile: '13900000001',
      report_status: 'SUCCESS',
      errmsg: 'DELIVRD',
      description: '用户短信送达成功',
      sid: 'S1',
    }
    const at = new Date('2026-11-24T02:00:05Z')
    const fail = { ...entry, report_status: 'FAIL', errmsg: 'MK:1008', description: '空号' }
    expect(await channel('http://127.0.0.1:9').readReceipts!(callback([entry, fail, { ...entry, sid: '' }]))).toEqual({
      isGenuine: true,
      contentType: 'application/json',
      body: '{"result":0,"errmsg":"OK"}',
      receipts: [
        { receipt: 'S1', address: '+8613900000001', state: 'delivered', why: 'DELIVRD: 用户短信送达成功', at },
        { receipt: 'S1', address: '+8613900000001', state: 'undelivered', why: 'MK:1008: 空号', at },
      ],
    })
  })
})

describe.each([
  ['Aliyun', 'aliyun://ID:SECRET@default?sign=x'],
  ['Tencent', 'tencent://ID:SECRET@default?app=1&sign=x'],
])('%s over TLS', (_name, url) => {
  it('whose certificate nobody vouches for has taken nothing', async () => {
    const [told] = await together(open(`${url}&endpoint=https://${await tlsGateway()}`), ['+8613900000001'])
    expect(told).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })

  it('that breaks after it has had the request may have taken it', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const host = await tlsBrokenAfterRequest()
    const [told] = await together(open(`${url}&endpoint=https://${host}`), ['+8613900000001'])
    expect(told).toMatchObject({ outcome: 'retry', cause: 'ambiguous', why: expect.stringMatching(/SSL|ssl/) })
  })
})

describe.each([
  [
    'Aliyun',
    'aliyun://LTAI5tKey:SECRET%2Bof=nobody@default?sign=x',
    (Code: string, Message: string) => ({ Code, Message }),
  ],
  [
    'Tencent',
    'tencent://LTAI5tKey:SECRET%2Bof=nobody@default?app=1&sign=x',
    (Code: string, Message: string) => ({ Response: { Error: { Code, Message } } }),
  ],
])('what %s repeats of the number and of our keys', (_name, url, answer) => {
  const keys = ['LTAI5tKey', 'SECRET+of=nobody', 'SECRET%2Bof%3Dnobody']
  const said = [...keys, '+8613900000001', '%2B8613900000001', '8613900000001', '13900000001']

  it.each([
    ['a refusal', { body: answer('InvalidParameter', said.join(' ')) }, 'failed'],
    ['a page', { status: 502, body: said.join(' ') }, 'retry'],
    // Where the words are cut no half of one is left standing.
    ['the end of a page', { status: 403, body: `${'x'.repeat(95)}${said[3]}` }, 'retry'],
  ])('in %s is hidden', async (_what, reply, outcome) => {
    const server = await provider(() => reply)
    const [told] = await together(open(`${url}&endpoint=${server.url}`), ['+8613900000001'])
    expect(told).toMatchObject({ outcome, why: expect.stringMatching(/\[hid/) })
    // The port may hold any digits.
    const text = JSON.stringify(told).replaceAll(new URL(server.url).host, '')
    for (const one of [...keys, '139', 'nobody']) expect(text).not.toContain(one)
  })

  it('is hidden for numbers from abroad too', async () => {
    const server = await provider(() => ({ body: answer('InvalidParameter', '+85251234567 85251234567') }))
    const [told] = await together(open(`${url}&endpoint=${server.url}`), ['+85251234567'])
    expect(told).toMatchObject({ why: 'InvalidParameter: [hidden] [hidden]' })
  })
})

describe.each([
  ['aliyun', 'aliyun://ID:SECRET@default?sign=x'],
  ['tencent', 'tencent://ID:SECRET@default?app=1&sign=x'],
])('a callback to %s', (_name, url) => {
  it('without the key, with a wrong one, or where none is set, proves nothing', async () => {
    const withKey = open(`${url}&callbackKey=${KEY}`)
    expect(await withKey.readReceipts!(callback([], 'wrong'))).toEqual({ isGenuine: false })
    expect(await withKey.readReceipts!({ ...callback([]), query: new URLSearchParams() })).toEqual({ isGenuine: false })
    expect(await open(url).readReceipts!(callback([], ''))).toEqual({ isGenuine: false })
    expect(await open(url).readReceipts!({ ...callback([]), query: new URLSearchParams() })).toEqual({
      isGenuine: false,
    })
    expect(await withKey.readReceipts!(callback([]))).toMatchObject({ isGenuine: true, receipts: [] })
  })

  it.each(['', '{}', '[1]', '[null]', 'not json', '\xff'])('that is %j cannot be read', async (body) => {
    const carrier = open(`${url}&callbackKey=${KEY}`)
    await expect(async () => carrier.readReceipts!(callback(body))).rejects.toThrow(/\w/)
  })

  it('has a key that cannot be guessed, or the setting is refused', () => {
    expect(loadConfig({ CHANNEL_1001: `${url}&callbackKey=short` }).mistakes).toEqual([
      expect.stringMatching(/callbackKey of fewer than 16 characters; write/),
    ])
  })
})
