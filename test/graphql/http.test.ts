import { request } from 'node:http'
import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const MIB = 1024 * 1024

describe('GraphQL over HTTP', () => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let url: string
  beforeAll(async () => {
    // What is asked here touches the database only to authenticate.
    posthouse = await run(stores.at(-1)!)
    url = `${posthouse.url}/graphql`
  })
  afterAll(() => posthouse.stop())

  it.each(serverAudits({ url: () => url }).map(({ id, name, fn }) => ({ id, name, fn })))(
    'passes audit $id: $name',
    async ({ fn }) => {
      expect(await fn()).toMatchObject({ status: 'ok' })
    },
  )

  const post = (body: string | Uint8Array | ReadableStream, headers: Record<string, string> = {}) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: body as BodyInit,
      duplex: 'half',
    } as RequestInit)
  const query = JSON.stringify({ query: '{ __typename }' })

  it.each([
    ['application/x-www-form-urlencoded', 'query=%7B__typename%7D'],
    ['text/plain', query],
    ['text/plain; charset=application/json', query],
    [
      'multipart/form-data; boundary=x',
      `--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n${query}\r\n--x--`,
    ],
    ['application/graphql', '{ __typename }'],
    ['application/jsonp', query],
    ['', query],
  ])('refuses %s with 415', async (type, body) => {
    const response = await post(body, { 'content-type': type })
    expect(response.status).toBe(415)
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNSUPPORTED_MEDIA_TYPE' } }] })
  })

  it('refuses a compressed body with 415', async () => {
    expect((await post(query, { 'content-encoding': 'gzip' })).status).toBe(415)
  })

  it('refuses batches, and mutations over GET', async () => {
    expect((await post(`[${query},${query}]`)).status).toBe(400)
    const token = await posthouse.token('USER001')
    const get = await fetch(`${url}?query=${encodeURIComponent('mutation { markItemsRead(ids: []) { rev } }')}`, {
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
    })
    expect(get.status).toBe(405)
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(405)
  })

  it('answers a client that offers another protocol as if it had not, as Java does with h2c', async () => {
    const { hostname, port } = new URL(url)
    const body = '{"query":"{ __typename }"}'
    const offer = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAEAAEAAAAIAAAAB' }
    const answer = await new Promise((resolve, reject) => {
      const headers = { ...offer, 'content-type': 'application/json', 'content-length': body.length }
      request({ hostname, port, path: '/graphql', method: 'POST', headers }, async (response) =>
        resolve(JSON.parse(String(await response.toArray()))),
      )
        .on('error', reject)
        .end(body)
    })
    expect(answer).toEqual({ data: { __typename: 'Query' } })
  })

  it('gives other origins no leave, asked beforehand or not', async () => {
    for (const method of ['OPTIONS', 'POST']) {
      const response = await fetch(url, {
        method,
        headers: {
          origin: 'https://evil.example',
          'content-type': 'application/json',
          'access-control-request-method': 'POST',
        },
        ...(method === 'POST' ? { body: query } : {}),
      })
      const cors = [...response.headers.keys()].filter((name) => name.startsWith('access-control-'))
      expect(cors).toEqual([])
    }
  })

  it('refuses, with secrets made for development, a page under another name that points here', async () => {
    const development = await run(stores[0]!, { ADMIN_KEY: '', INBOX_JWT_SECRET: '' })
    const { hostname, port } = new URL(development.url)
    const ask = (headers: Record<string, string>) =>
      new Promise((resolve, reject) => {
        const upgrade = {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        }
        const more = headers['upgrade'] ? upgrade : {}
        request(
          { hostname, port, path: '/graphql?query={__typename}', headers: { ...more, ...headers } },
          ({ statusCode }) => resolve(statusCode),
        )
          .on('upgrade', (_response, socket) => (socket.destroy(), resolve(101)))
          .on('error', reject)
          .end()
      })
    expect(await ask({ host: `localhost:${port}` })).toBe(200)
    expect(await ask({ host: 'rebound.example' })).toBe(403)
    expect(await ask({ host: `localhost:${port}`, upgrade: 'websocket' })).toBe(101)
    expect(await ask({ host: 'rebound.example', upgrade: 'websocket' })).toBe(403)
    expect(await ask({ host: 'rebound.example', upgrade: 'websocket', origin: 'http://rebound.example' })).toBe(403)
    await development.stop()
  })

  it('takes a body of 1 MiB and refuses a larger one with 413, announced or not', async () => {
    const exact = JSON.stringify({ query: '{ __typename }', variables: { x: '' } })
    const padded = exact.replace('""', `"${'x'.repeat(MIB - exact.length)}"`)
    expect((await post(padded)).status).toBe(200)
    const larger = await post(padded.replace('xx', 'xxx'))
    expect(larger.status).toBe(413)
    expect(await larger.json()).toMatchObject({
      errors: [{ message: expect.stringContaining('1 MiB'), extensions: { code: 'TOO_LARGE', field: '(body)' } }],
    })
    const chunked = new ReadableStream({
      start(controller) {
        for (let n = 0; n < 20; n++) controller.enqueue(new TextEncoder().encode('x'.repeat(MIB / 8)))
        controller.close()
      },
    })
    expect((await post(chunked)).status).toBe(413)
  })

  it.each([
    [
      'bytes that are not UTF-8',
      new Uint8Array([...Buffer.from('{"query":"{ __typename }","x":"'), 0xd6, 0xd0, ...Buffer.from('"}')]),
    ],
    ['a NUL character', '{"query":"{ __typename }","variables":{"x":"\\u0000"}}'],
    ['half a surrogate pair', '{"query":"{ __typename }","variables":{"x":"\\ud800"}}'],
    ['a full-width comma', '{"query":"{ __typename }"，"variables":{}}'],
    ['a number', '5'],
    ['null', 'null'],
  ])('refuses %s with 400 and says what it is', async (_what, body) => {
    const response = await post(body)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      errors: [{ message: expect.stringMatching(/^Bad input: /), extensions: { code: 'BAD_INPUT' } }],
    })
  })

  it('gives every error of the caller a code', async () => {
    for (const wrong of [
      '{',
      '{ nothing }',
      'query ($a: Int!) { __typename }',
      '{ inbox(first: -1) { edges { cursor } } }',
    ]) {
      const { errors } = await posthouse.graphql(await posthouse.token('USER001'), wrong)
      expect(errors).not.toEqual([])
      for (const error of errors!) expect(error.extensions).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/) })
    }
  })

  it('explains itself in development', async () => {
    const { data } = await posthouse.graphql(undefined, '{ __schema { types { name description } } }')
    expect(data?.['__schema'].types.length).toBeGreaterThan(30)
  })
})
