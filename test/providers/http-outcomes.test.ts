import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../kit/posthouse.ts'
import { closeAll, closers, gateway, open, parcel, send, textVendor, tlsGateway, urlOf } from './http-gateway.ts'

afterEach(closeAll)

describe('an answer', () => {
  const answering = async (status: number, headers: Record<string, string> = {}, text = 'busy <b>now</b>') =>
    (await gateway((_got, response) => void response.writeHead(status, headers).end(text))).host
  it.each([
    [429, '7', 'throttled', 7],
    [503, '120', 'unavailable', 120],
    [503, 'soon', 'unavailable', undefined],
    [502, undefined, 'ambiguous', undefined],
    [504, undefined, 'ambiguous', undefined],
    [500, undefined, 'ambiguous', undefined],
    [500, '60', 'ambiguous', 60],
    [507, undefined, 'ambiguous', undefined],
    [401, undefined, 'unavailable', undefined],
    [402, undefined, 'unavailable', undefined],
    [407, undefined, 'unavailable', undefined],
    [408, undefined, 'temporary', undefined],
    [425, undefined, 'temporary', undefined],
  ])('%i with Retry-After %s is %s and is tried again after %s', async (status, retryAfter, cause, afterSeconds) => {
    const host = await answering(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter })
    expect(await send(urlOf(`${host}/send`))).toEqual({
      outcome: 'retry',
      cause,
      why: `HTTP ${status}: busy <b>now</b>`,
      ...(afterSeconds === undefined ? {} : { afterSeconds }),
    })
  })

  it('that the operator names as throttled or unavailable is that, before its status or success is looked at', async () => {
    const options = { 'posthouse.throttled': 'code=22|43', 'posthouse.unavailable': 'code=1001' }
    const saying = async (status: number, code: number) =>
      send(urlOf(`${await answering(status, { 'retry-after': '30' }, `{"code":${code}}`)}/send`, options))
    const after = { afterSeconds: 30 }
    expect(await saying(200, 22)).toMatchObject({ outcome: 'retry', cause: 'throttled', ...after })
    expect(await saying(403, 43)).toMatchObject({ outcome: 'retry', cause: 'throttled', ...after })
    expect(await saying(200, 1001)).toMatchObject({ outcome: 'retry', cause: 'unavailable', ...after })
    expect(await saying(200, 7)).toEqual({ outcome: 'sent' })
  })

  it('with a date in Retry-After is tried again then', async () => {
    const host = await answering(503, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() })
    const { afterSeconds } = (await send(urlOf(`${host}/send`))) as { afterSeconds?: number }
    expect(afterSeconds).toBeGreaterThan(50)
    expect(afterSeconds).toBeLessThanOrEqual(60)
  })

  it.each([400, 403, 404, 422])('%i is final', async (status) => {
    expect(await send(urlOf(`${await answering(status)}/send`))).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: `HTTP ${status}: busy <b>now</b>`,
    })
  })

  it('that says a final code is final under 500 too, and never under 503', async () => {
    const options = { 'posthouse.permanent': 'code=4001' }
    const under = async (status: number) => send(urlOf(`${await answering(status, {}, '{"code":4001}')}/send`, options))
    expect(await under(500)).toMatchObject({ outcome: 'failed' })
    expect(await under(503)).toMatchObject({ outcome: 'retry' })
  })

  it('under 500 may mean that the message was taken, unless the gateway says by its own words that it was not', async () => {
    const options = { 'posthouse.ok': 'code=0', 'posthouse.unavailable': 'code=1001' }
    const saying = async (text: string, own: Record<string, string> = options) =>
      send(urlOf(`${await answering(500, {}, text)}/send`, own))
    expect(await saying('{"code":7}')).toMatchObject({ outcome: 'retry', cause: 'temporary' })
    expect(await saying('{"code":1001}')).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
    for (const text of ['', 'oops', '{"error":"Internal Server Error"}', '{"code":0}'])
      expect(await saying(text)).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    // Of any page it is true that it does not begin with OK.
    expect(await saying('oops', { 'posthouse.ok': 'text^=OK' })).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
  })

  it.each([301, 302, 307, 308])(
    '%i is followed nowhere: nobody gets through until the URL is mended',
    async (status) => {
      const target = await gateway(textVendor)
      const host = await answering(status, { location: `http://${target.host}/new?key=1` })
      expect(await send(urlOf(`${host}/send`))).toEqual({
        outcome: 'retry',
        cause: 'unavailable',
        why: `HTTP ${status} redirects to http://${target.host}/new, which is not followed; write the final address in the channel's URL`,
      })
      expect(target.got).toEqual([])
    },
  )

  it.each(['', '<html>', '{"code":00}', '['.repeat(9_000)])(
    'of garbage (%j) is no success by its JSON, and leaves open whether the message was taken',
    async (text) => {
      const host = await answering(200, {}, text)
      const outcome = await send(urlOf(`${host}/send`, { 'posthouse.ok': 'code=0' }))
      expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    },
  )

  it.each(['[0]', '{"code":{"a":0}}', '{"c":0}', '{"code":null}', 'null'])(
    'of JSON without what is looked for (%j) is no success, and leaves open whether the message was taken',
    async (text) => {
      const host = await answering(200, {}, text)
      const outcome = await send(urlOf(`${host}/send`, { 'posthouse.ok': 'code=0' }))
      expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    },
  )

  it.each([
    ['{"code":7}', 'code=0'],
    ['ERR:7', 'text^=OK:'],
  ])('that has another value than that of success (%j) says that the message was not taken', async (text, ok) => {
    const host = await answering(200, {}, text)
    const outcome = await send(urlOf(`${host}/send`, { 'posthouse.ok': ok }))
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'temporary' })
  })

  it('without a word says nothing of the message, whatever success begins with', async () => {
    const host = await answering(200, {}, '')
    const outcome = await send(urlOf(`${host}/send`, { 'posthouse.ok': 'text^=OK:' }))
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    expect(await send(urlOf(`${host}/send`))).toEqual({ outcome: 'sent' })
  })

  it('that breaks off is judged by what came; where that says nothing, the message may have been taken', async () => {
    const { host } = await gateway(({ path }, response) => {
      response.writeHead(path === '/refused' ? 422 : 200, { 'content-length': '500' })
      response.write(path === '/half' ? '{"code":0,"da' : path === '/ok' ? 'OK:123' : 'no', () =>
        response.socket?.destroy(),
      )
    })
    const json = { 'posthouse.ok': 'code=0' }
    const text = { 'posthouse.ok': 'text^=OK:', 'posthouse.receipt': 'text^=OK:' }
    expect(await send(urlOf(`${host}/half`, json))).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    expect(await send(urlOf(`${host}/half`, text))).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    expect(await send(urlOf(`${host}/ok`, text))).toEqual({ outcome: 'sent', receipt: '123' })
    expect(await send(urlOf(`${host}/refused`, text))).toMatchObject({ outcome: 'failed', why: 'HTTP 422: no' })
  })

  it('gives its first 300 characters as words, with what it repeats of our keys and of the number hidden', async () => {
    const keys = ['pass-in-url', 'key-in-query', 'key-in-header', 'key-in-body', '+8618660886275', '18660886275']
    const host = await answering(
      200,
      {},
      `${keys.join(' ')} ${Buffer.from('u:pass-in-url').toString('base64')} ${'药'.repeat(900)}`,
    )
    const outcome = await send(
      urlOf(`u:pass-in-url@${host}/send`, {
        token: 'key-in-query',
        'posthouse.header.X-Key': 'Bearer key-in-header',
        'posthouse.body': '{"apiKey":"key-in-body","to":"{{ phone }}","text":"{{ text }}"}',
        'posthouse.ok': 'code=0',
      }),
    )
    const hidden = '[hidden] '.repeat(7)
    const why = `HTTP 200: ${hidden}${'药'.repeat(300 - hidden.length)}`
    expect(outcome).toEqual({ outcome: 'retry', cause: 'ambiguous', why })
  })

  it('in GBK is read as such', async () => {
    const { host } = await gateway((_got, response) => {
      response.setHeader('content-type', 'text/plain; charset=GBK')
      response.end(Buffer.from([0xb3, 0xc9, 0xb9, 0xa6]))
    })
    expect(await send(urlOf(`${host}/send`, { 'posthouse.ok': 'text=成功' }))).toEqual({ outcome: 'sent' })
  })

  it('without end is read up to a limit', async () => {
    let isCutOff = false
    const { host } = await gateway((_got, response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      }
      response.on('drain', more).on('close', () => void (isCutOff = true))
      more()
    })
    const options = { 'posthouse.ok': 'text^=xxx', 'posthouse.receipt': 'text' }
    const outcome = await send(urlOf(`${host}/send`, options))
    expect(outcome).toMatchObject({ outcome: 'sent' })
    expect((outcome as { receipt: string }).receipt.length).toBe(64 * 1024)
    await eventually(() => isCutOff)
  })
})

describe('a gateway', () => {
  it('that is not there took nothing; one that hangs up may have', async () => {
    const { host } = await gateway(({ path }, response) => void (path === '/up' && response.socket?.destroy()))
    expect(await send(urlOf(`${host}/up`))).toEqual({
      outcome: 'retry',
      cause: 'ambiguous',
      why: expect.stringMatching(/^no answer: /),
    })
    for (const close of closers.splice(0)) await close()
    expect(await send(urlOf(`${host}/send`))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringMatching(/^no connection: .*ECONNREFUSED/),
    })
    expect(await send(urlOf('gateway.invalid/send'))).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })

  it.each(['before', 'within'])('that falls silent %s its answer is left at the deadline', async (when) => {
    const { host } = await gateway((_got, response) => void (when === 'within' && response.write('OK')))
    const startedAt = performance.now()
    expect(await send(urlOf(`${host}/send`), parcel(), 300)).toEqual({
      outcome: 'retry',
      cause: 'ambiguous',
      why: 'no answer in time',
    })
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('whose TLS does not come about took nothing, whether it is silent, plain or unknown', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    closers.push(async () => void silent.close())
    const { port } = silent.address() as AddressInfo
    const plain = await gateway(textVendor)
    const tls = (host: string) => urlOf(`${host}/send`).replace('http:', 'https:')
    const late = { outcome: 'retry', cause: 'unavailable', why: 'no connection in time' }
    expect(await send(tls(`127.0.0.1:${port}`), parcel(), 300)).toEqual(late)
    expect(await send(tls(plain.host))).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
    expect(plain.got).toEqual([])
    const known = await tlsGateway()
    expect(await send(tls(known))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    })
  })

  it('is not called any more once nobody waits', async () => {
    const { host, got } = await gateway(textVendor)
    const outcome = await open(urlOf(`${host}/send`)).send(parcel(), AbortSignal.abort())
    expect(outcome).toEqual({ outcome: 'retry', cause: 'unavailable', why: 'no connection in time' })
    expect(got).toEqual([])
  })

  it('that keeps its connection is called over it again, and what is lost on it may have been taken', async () => {
    const sockets = new Set<unknown>()
    const { host } = await gateway(({ path }, response) => {
      sockets.add(response.socket)
      if (path === '/up') response.socket?.destroy()
      else response.end('OK')
    })
    const one = open(urlOf(`${host}/send`))
    await one.send(parcel(), AbortSignal.timeout(5_000))
    await one.send(parcel(), AbortSignal.timeout(5_000))
    const outcome = await send(urlOf(`${host}/up`))
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    expect(sockets.size).toBe(1)
  })
})
