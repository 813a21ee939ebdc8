import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Webhook } from 'standardwebhooks'
import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'
import { freePort } from '../kit/process.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OTHER = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD/x8y'
const ID = '0199c0ffee0070008000000000000001'
const LOCAL = 'allow=127.0.0.1'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

type Got = { path: string; headers: Record<string, string>; body: string }

/** A receiver that keeps what comes. */
async function receiver(answer: (got: Got, response: ServerResponse, request: IncomingMessage) => void) {
  const calls: Got[] = []
  const server = createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    const got = { path: request.url ?? '', headers: request.headers as Record<string, string>, body }
    calls.push(got)
    answer(got, response, request)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  /** Connections that stand. */
  const open = () => promisify(server.getConnections.bind(server))()
  return { calls, open, host: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}
const saying = (status: number, headers: Record<string, string> = {}, text = '') =>
  receiver((_got, response) => void response.writeHead(status, headers).end(text))

function open(host: string, query = `secret=${SECRET}&${LOCAL}`, path = '/hook'): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1004: `webhook+http://${host}${path}?${query}` })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1004')
  const carrier = channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
  closers.push(() => carrier.close())
  return carrier
}
const parcel = (more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  messageId: '0199c0ffee0070008000000000000000',
  address: '+8618660886275',
  content: { content: '您的检验报告已出' },
  attempt: 1,
  ...more,
})
const send = (carrier: Carrier, what = parcel(), milliseconds = 5_000): Promise<Outcome> =>
  carrier.send(what, AbortSignal.timeout(milliseconds))

describe('a webhook', () => {
  it('is signed as Standard Webhooks has it, with each secret while they rotate', async () => {
    const { calls, host } = await saying(204)
    const secrets = `secret=${SECRET},${encodeURIComponent(OTHER)}&${LOCAL}`
    expect(await send(open(host, secrets))).toEqual({ outcome: 'sent' })
    const [{ body, headers } = expect.fail('nothing came')] = calls
    for (const secret of [SECRET, OTHER]) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
    expect(() => new Webhook(`whsec_${Buffer.alloc(24).toString('base64')}`).verify(body, headers)).toThrow('signature')
    expect(() => new Webhook(SECRET).verify(`${body} `, headers)).toThrow('signature')
    expect(headers['webhook-id']).toBe(ID)
  })

  it('says the same in the same bytes at every attempt, and what the receiver needs', async () => {
    const { calls, host } = await saying(500)
    const carrier = open(host, `secret=${SECRET}&${LOCAL}&token=of%20theirs`)
    await send(carrier)
    await send(carrier, parcel({ attempt: 2 }))
    const [first, second] = calls
    expect(first?.body).toBe(second?.body)
    expect(first?.path).toBe('/hook?token=of%20theirs')
    expect(JSON.parse(first?.body ?? '')).toEqual({
      type: 'posthouse.delivery',
      timestamp: expect.stringMatching(/^20\d\d-.*Z$/),
      data: {
        deliveryId: ID,
        messageId: '0199c0ffee0070008000000000000000',
        address: '+8618660886275',
        content: { content: '您的检验报告已出' },
      },
    })
  })

  it('of a post into a group names no address', async () => {
    const { calls, host } = await saying(200)
    await send(open(host), parcel({ address: '*' }))
    expect(JSON.parse(calls[0]?.body ?? '').data).not.toHaveProperty('address')
  })
})

describe('an answer of the receiver', () => {
  it.each([
    [200, { outcome: 'sent' }],
    [204, { outcome: 'sent' }],
    [400, { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER' }],
    [410, { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER' }],
    [422, { outcome: 'failed' }],
    [401, { outcome: 'retry', cause: 'unavailable' }],
    [403, { outcome: 'retry', cause: 'unavailable' }],
    [404, { outcome: 'retry', cause: 'unavailable' }],
    [408, { outcome: 'retry', cause: 'temporary' }],
    [429, { outcome: 'retry', cause: 'throttled', afterSeconds: 7 }],
    [500, { outcome: 'retry', cause: 'ambiguous' }],
    [501, { outcome: 'retry', cause: 'temporary' }],
    [502, { outcome: 'retry', cause: 'ambiguous' }],
    [504, { outcome: 'retry', cause: 'ambiguous' }],
    [503, { outcome: 'retry', cause: 'unavailable', afterSeconds: 7 }],
    [302, { outcome: 'retry', cause: 'unavailable' }],
  ])('%i is understood', async (status, expected) => {
    const { host } = await saying(status, { 'retry-after': '7' }, 'words for +8618660886275')
    const outcome = await send(open(host))
    expect(outcome).toMatchObject(expected)
    expect(JSON.stringify(outcome)).not.toContain('18660886275')
  })

  it.each([
    ['the address where it would be cut', `${'x'.repeat(290)}+8618660886275`],
    ['the number without its country code', 'no such person: 18660886275'],
    ['the number in the code of a URL', 'bad query: to=%2B8618660886275'],
    ['a short text of the content', 'unknown recipient 王小明'],
    ['a short text of the content, in the code of JSON', String.raw`{"error":"unknown \u738b\u5c0f\u660e"}`],
  ])('keeps %s to itself', async (_what, words) => {
    const { host } = await saying(422, {}, words)
    const outcome = await send(open(host), parcel({ content: { templateData: { paramData: { name: '王小明' } } } }))
    expect(outcome).toMatchObject({ why: expect.stringMatching(/^HTTP 422: .*\[hid/s) })
    expect(JSON.stringify(outcome)).not.toMatch(/1866|王小明|738b/)
  })

  it.each<[string, (body: string) => string]>([
    ['whole', (body) => body],
    ['in the code of JSON', (body) => JSON.stringify({ invalid: body })],
    ['in ASCII', (body) => body.replaceAll(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)],
    ['in the code of a URL', (body) => encodeURIComponent(body)],
    ['in part', (body) => `cannot read: ${body.slice(body.indexOf('检验'), -8)}`],
  ])('that repeats the request %s is not kept in its words', async (_how, repeat) => {
    const { host } = await receiver(({ body }, response) => void response.writeHead(422).end(repeat(body)))
    const outcome = await send(open(host), parcel({ content: { content: '您的检验报告已出：血糖偏高' } }))
    expect(outcome).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: 'HTTP 422, in words that repeat the request and so are not kept',
    })
  })

  it('to a post into a group keeps its asterisks', async () => {
    const { host } = await saying(400, {}, 'no * here')
    expect(await send(open(host), parcel({ address: '*' }))).toMatchObject({ why: 'HTTP 400: no * here' })
  })

  it('that does not come leaves open whether it was taken; a receiver that is not there has not', async () => {
    const { host } = await receiver(() => {})
    expect(await send(open(host), parcel(), 200)).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    const gone = `127.0.0.1:${await freePort()}`
    expect(await send(open(gone))).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })
})

describe('an address that is not public', () => {
  it('is not called, and the words say how to allow it', async () => {
    const { calls, host } = await saying(200)
    for (const name of [host, host.replace('127.0.0.1', 'localhost')]) {
      expect(await send(open(name, `secret=${SECRET}`))).toEqual({
        outcome: 'retry',
        cause: 'unavailable',
        why: expect.stringMatching(/no public address.*allow=/),
      })
    }
    expect(calls).toEqual([])
  })

  it('is not called by way of a redirect either', async () => {
    const inside = await saying(200)
    const outside = await saying(307, { location: `http://127.0.0.2:${inside.host.split(':')[1]}/inside` })
    expect(await send(open(outside.host))).toMatchObject({
      cause: 'unavailable',
      why: expect.stringContaining('127.0.0.2'),
    })
    const metadata = await saying(308, { location: 'http://169.254.169.254/latest/meta-data' })
    expect(await send(open(metadata.host))).toMatchObject({ why: expect.stringContaining('169.254.169.254') })
    expect(inside.calls).toEqual([])
  })

  it.each([307, 308])('that is allowed is followed to by a %i, with method, body and signature', async (status) => {
    const there = await saying(200)
    const { host } = await saying(status, { location: `http://${there.host}/new` })
    expect(await send(open(host))).toEqual({ outcome: 'sent' })
    const [{ body, headers, path } = expect.fail('nothing came')] = there.calls
    expect(path).toBe('/new')
    expect(new Webhook(SECRET).verify(body, headers)).toBeDefined()
  })

  it('is left after three redirects', async () => {
    const { host, calls } = await receiver(
      (_got, response) => void response.writeHead(307, { location: '/again' }).end(),
    )
    expect(await send(open(host))).toMatchObject({ cause: 'unavailable', why: expect.stringContaining('3 times') })
    expect(calls.length).toBe(4)
  })
})

it('keeps no connection idle for long, which a firewall might forget', { timeout: 15_000 }, async () => {
  const { host, open: count } = await saying(200)
  await send(open(host))
  expect(await count()).toBe(1)
  await sleep(6_000)
  expect(await count()).toBe(0)
})

describe('the URL', () => {
  it.each([
    ['/a%2Fb%3Fc%23d/e', ''],
    ['/p', '&to=1&to=2&flag&q=a%20b+c%26d'],
    ['/%E4%BD%A0%E5%A5%BD/100%25', '&a=%E5%A5%BD'],
  ])('%s%s is requested as written, without our own parameters', async (path, theirs) => {
    const { calls, host } = await saying(200)
    await send(open(host, `secret=${SECRET}${theirs}&${LOCAL}`, path))
    expect(calls[0]?.path).toBe(path + theirs.replace('&', '?'))
  })

  it.each([
    ['webhook+https://h.example/x', /needs \?secret=whsec_/],
    ['webhook+https://h.example/x?secret=plain', /needs \?secret=whsec_/],
    ['webhook+https://h.example/x?secret=whsec_c2hvcnQ=', /needs \?secret=whsec_/],
    [`webhook+https://h.example/x?secret=${SECRET}&allow=10.0.0.0/99`, /unusable allow=.*write networks or names/],
    [`webhook+https://300.1.2.3/x?secret=${SECRET}`, /names a host that is none.*write webhook\+https:/],
    [`webhook+https://u:p@h.example/x?secret=${SECRET}`, /has a user/],
  ])('%s is answered with what to write', (url, mistake) => {
    expect(loadConfig({ CHANNEL_1004: url }).mistakes).toEqual([expect.stringMatching(mistake)])
  })
})
