/** Receipts from a gateway of any vendor, read by what the channel's URL says. */
import { describe, expect, it } from 'vitest'
import type { Callback } from '../../src/delivery/channel.ts'
import { ID, mistakesOf, open, urlOf } from './http-gateway.ts'

const KEY = '6f1d2c3b4a5968778695a4b3c2d1e0f0'
const BASE = {
  'posthouse.receipt': 'data.id',
  'posthouse.receipts.key': KEY,
  'posthouse.receipts.receipt': 'msgId',
  'posthouse.receipts.delivered': 'status=DELIVRD|0',
}
const channel = (more: Record<string, string> = {}) => open(urlOf('gateway.example/send', { ...BASE, ...more }))
const call = (body: string, more: Partial<Callback> = {}): Callback => ({
  method: 'POST',
  query: new URLSearchParams({ key: KEY }),
  headers: {},
  body: Buffer.from(body),
  ...more,
})
const read = async (callback: Callback, more?: Record<string, string>) => channel(more).readReceipts!(callback)
const receiptsOf = async (callback: Callback, more?: Record<string, string>) => {
  const answer = await read(callback, more)
  return answer.isGenuine ? answer.receipts : 'not genuine'
}

describe('a callback of a gateway', () => {
  it.each([
    ['JSON', call('{"msgId":"M1","status":"DELIVRD"}')],
    ['a number for an id', call('{"msgId":9007199254740993123,"status":0}')],
    ['a form', call('msgId=M1&status=DELIVRD')],
    ['a query', call('', { method: 'GET', query: new URLSearchParams({ key: KEY, msgId: 'M1', status: '0' }) })],
  ])('as %s says that a message arrived', async (_form, callback) => {
    expect(await receiptsOf(callback)).toEqual([
      { receipt: expect.stringMatching(/^(M1|9007199254740993123)$/), state: 'delivered' },
    ])
  })

  it('says why one did not arrive, and nothing of states in between', async () => {
    const options = { 'posthouse.receipts.pending': 'status=ENROUTE', 'posthouse.receipts.why': 'reason' }
    expect(await receiptsOf(call('{"msgId":"M1","status":"UNDELIV","reason":"空号"}'), options)).toEqual([
      { receipt: 'M1', state: 'undelivered', why: '空号' },
    ])
    expect(await receiptsOf(call('{"msgId":"M1","status":"ENROUTE"}'), options)).toEqual([])
    const named = { 'posthouse.receipts.undelivered': 'status=UNDELIV' }
    expect(await receiptsOf(call('{"msgId":"M1","status":"WHATEVER"}'), named)).toEqual([])
  })

  it('may carry a list, as the whole body or further in, each with its number', async () => {
    const list = '[{"msgId":"M1","status":"0","to":"13900000001"},{"msgId":"M2","status":"9","to":"+85251234567"}]'
    const phone = { 'posthouse.receipts.phone': 'to' }
    const expected = [
      { receipt: 'M1', address: '+8613900000001', state: 'delivered' },
      { receipt: 'M2', address: '+85251234567', state: 'undelivered', why: '9' },
    ]
    expect(await receiptsOf(call(list), phone)).toEqual(expected)
    const inside = { ...phone, 'posthouse.receipts.list': 'data.reports' }
    expect(await receiptsOf(call(`{"data":{"reports":${list}}}`), inside)).toEqual(expected)
    await expect(async () => receiptsOf(call('{"data":{}}'), inside)).rejects.toThrow('posthouse.receipts.list')
  })

  it('that repeats our id is known by it', async () => {
    const options = { 'posthouse.receipts.id': 'ref' }
    expect(await receiptsOf(call(`{"ref":"${ID}","msgId":"M1","status":"0"}`), options)).toEqual([
      { deliveryId: ID, state: 'delivered' },
    ])
  })

  it('needs the key, in the address or in the header that the channel names', async () => {
    const body = '{"msgId":"M1","status":"0"}'
    expect(await read(call(body, { query: new URLSearchParams() }))).toEqual({ isGenuine: false })
    expect(await read(call(body, { query: new URLSearchParams({ key: 'wrong' }) }))).toEqual({ isGenuine: false })
    const byHeader = { 'posthouse.receipts.keyHeader': 'X-Key' }
    expect(await read(call(body), byHeader)).toEqual({ isGenuine: false })
    expect(await read(call(body, { headers: { 'x-key': KEY } }), byHeader)).toMatchObject({ isGenuine: true })
  })

  it('hears what its vendor wants to hear', async () => {
    const body = '{"msgId":"M1","status":"0"}'
    expect(await read(call(body))).toMatchObject({ body: 'OK', contentType: expect.stringContaining('text/plain') })
    expect(await read(call(body), { 'posthouse.receipts.answer': '{"code":0}' })).toMatchObject({
      body: '{"code":0}',
      contentType: expect.stringContaining('application/json'),
    })
  })

  it('in which nothing can be understood is refused, so that somebody looks at the settings', async () => {
    await expect(async () => read(call('{"other":1}'))).rejects.toThrow('no receipt has its members')
  })
})

describe('the receipts of a URL', () => {
  const wrong = (more: Record<string, string>) =>
    mistakesOf(urlOf('gateway.example/send', { 'posthouse.receipt': 'data.id', ...more }))
  it.each<[string, Record<string, string>, RegExp]>([
    ['no key', { 'posthouse.receipts.receipt': 'id', 'posthouse.receipts.delivered': 's=0' }, /no key.*openssl rand/],
    ['a short key', { ...BASE, 'posthouse.receipts.key': 'short' }, /could be guessed.*openssl rand/],
    [
      'no place of the id',
      { 'posthouse.receipts.key': KEY, 'posthouse.receipts.delivered': 's=0' },
      /of which message/,
    ],
    ['no good state', { 'posthouse.receipts.key': KEY, 'posthouse.receipts.receipt': 'id' }, /which receipts are good/],
    [
      'an unknown option',
      { ...BASE, 'posthouse.receipts.nonsense': 'x' },
      /unknown posthouse\.receipts\.nonsense; write/,
    ],
    ['a test that says nothing', { ...BASE, 'posthouse.receipts.pending': 'x' }, /says nothing; write/],
    ['a header that is none', { ...BASE, 'posthouse.receipts.keyHeader': 'a b' }, /names no header; write X-Key/],
  ])('with %s are answered with what to write', (_what, options, mistake) => {
    expect(wrong(options)).toEqual([expect.stringMatching(mistake)])
  })

  it("that go by the gateway's id need that id to be kept when sending", () => {
    const { 'posthouse.receipt': _kept, ...without } = BASE
    expect(mistakesOf(urlOf('gateway.example/send', without))).toEqual([
      expect.stringMatching(/does not keep the gateway's id.*posthouse\.receipt=/),
    ])
  })

  it('are none unless they are asked for', () => {
    expect(open(urlOf('gateway.example/send')).readReceipts).toBeUndefined()
  })
})
