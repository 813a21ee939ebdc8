import { connect } from 'node:net'
import { sql } from 'drizzle-orm'
import { createClient, type Client, type ClientOptions } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { query } from '../../src/db/client.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { subscribe, subscribeSse, SUBSCRIPTION } from '../inbox/subscriber.ts'

const PROTOCOL = 'graphql-transport-ws'

describe.each(stores)('GraphQL over WebSocket and SSE, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let url: string
  const clients: Client[] = []
  beforeAll(async () => {
    posthouse = await run(store)
    url = `${posthouse.url.replace('http', 'ws')}/graphql`
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.dispose()
  })
  afterAll(() => posthouse.stop())

  const connected = () => posthouse.context.live.connected()
  async function client(user: string, seconds?: number, more: Partial<ClientOptions> = {}): Promise<Client> {
    const authorization = `Bearer ${await posthouse.token(user, seconds)}`
    const made = createClient({
      url,
      webSocketImpl: WebSocket,
      connectionParams: { authorization },
      retryAttempts: 0,
      ...more,
    })
    clients.push(made)
    return made
  }
  /** A bare socket, past `connection_init` with this payload. */
  async function socket(payload: unknown, headers: Record<string, string> = {}) {
    const made = new WebSocket(url, PROTOCOL, { headers })
    const messages: Record<string, any>[] = []
    const closed = new Promise<{ code: number; reason: string }>((resolve) =>
      made.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
    )
    made.on('message', (data) => messages.push(JSON.parse(String(data))))
    await new Promise((resolve, reject) => made.on('open', resolve).on('error', reject))
    made.send(JSON.stringify({ type: 'connection_init', payload }))
    const send = (id: string, query: string, variables = {}) =>
      made.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }))
    const answerTo = (id: string) => eventually(() => messages.find((message) => message['id'] === id))
    await Promise.race([closed, eventually(() => messages.some(({ type }) => type === 'connection_ack'))])
    return { made, messages, closed, send, answerTo }
  }
  const whoAmI = '{ inboxCounts { unread } }'

  it('takes the token from connection_init and from the header of the upgrade', async () => {
    const authorization = `Bearer ${await posthouse.token('USER001')}`
    for (const [payload, headers] of [
      [{ authorization }, {}],
      [{ Authorization: authorization }, {}],
      [undefined, { authorization }],
    ] as const) {
      const { made, send, answerTo } = await socket(payload, headers)
      send('1', whoAmI)
      expect(await answerTo('1')).toMatchObject({ type: 'next', payload: { data: { inboxCounts: { unread: 0 } } } })
      made.close()
    }
  })

  it('closes with 4403 on a wrong or expired token', async () => {
    const expired = await posthouse.token('USER001', -60)
    for (const authorization of ['Bearer nonsense', 'nonsense', `Bearer ${expired}`]) {
      const { closed } = await socket({ authorization })
      expect(await closed).toMatchObject({ code: 4403 })
    }
  })

  it('ends with the token: 4403 on a socket, an error over SSE', async () => {
    const { closed, send, answerTo } = await socket({ authorization: `Bearer ${await posthouse.token('USER001', 3)}` })
    const sse = await subscribeSse(posthouse.url, await posthouse.token('USER002', 3))
    send('1', SUBSCRIPTION)
    expect(await answerTo('1')).toMatchObject({
      type: 'next',
      payload: { data: { inboxChanges: { __typename: 'InboxSnapshot' } } },
    })
    await sse.until('InboxCaughtUp')
    expect(await closed).toEqual({ code: 4403, reason: 'Token expired' })
    expect((await sse.result()).errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED', field: 'token' } }])
    await sse.ended()
    await eventually(() => connected() === 0)
  })

  it('carries queries, mutations and subscriptions on one socket', async () => {
    const shared = await client('USER003')
    const once = async (query: string, variables = {}) => (await shared.iterate({ query, variables }).next()).value
    const changes = subscribe(shared)
    await changes.until('InboxCaughtUp')
    const { msgId } = (await posthouse.push(['USER003'], '一')).body
    await changes.next()
    expect(await once(whoAmI)).toMatchObject({ data: { inboxCounts: { unread: 1 } } })
    expect(
      await once('mutation ($id: ID!) { markItemsRead(ids: [$id]) { counts { unread } } }', { id: msgId }),
    ).toMatchObject({
      data: { markItemsRead: { counts: { unread: 0 } } },
    })
    expect(await changes.next()).toMatchObject({ change: 'READ' })
  })

  it('refuses the 21st operation at a time, and leaves the other twenty alone', async () => {
    const { made, send, answerTo, messages } = await socket({
      authorization: `Bearer ${await posthouse.token('USER004')}`,
    })
    for (let n = 1; n <= 21; n++) send(String(n), SUBSCRIPTION)
    expect(await answerTo('21')).toMatchObject({
      type: 'error',
      payload: [{ message: expect.stringContaining('20 operations'), extensions: { code: 'TOO_LARGE' } }],
    })
    for (let n = 1; n <= 20; n++) expect(await answerTo(String(n))).toMatchObject({ type: 'next' })
    // One that completes makes room.
    made.send(JSON.stringify({ id: '1', type: 'complete' }))
    send('22', SUBSCRIPTION)
    expect(await answerTo('22')).toMatchObject({ type: 'next' })
    await posthouse.push(['USER004'], '到')
    await eventually(() => messages.filter(({ payload }) => payload?.data?.inboxChanges.change === 'NEW').length === 20)
    made.terminate()
    await eventually(() => connected() === 0)
  })

  it('refuses pages of other origins before the upgrade', async () => {
    const host = new URL(url).host
    for (const [headers, status] of [
      [{ origin: 'https://evil.example' }, 403],
      [{ origin: 'null' }, 403],
      [{ origin: `http://${host}.evil.example` }, 403],
      [{ origin: `http://${host}:80` }, 403],
      [{ origin: `http://${host}` }, 101],
      [{}, 101],
    ] as const) {
      const made = new WebSocket(url, PROTOCOL, { headers })
      const got = await new Promise((resolve) => {
        made
          .on('open', () => resolve(101))
          .on('unexpected-response', (_request, response) => resolve(response.statusCode))
          .on('error', () => {})
      })
      expect([headers, got]).toEqual([headers, status])
      made.terminate()
    }
  })

  it('survives clients that break off during the upgrade, or ask for what is no path', async () => {
    const { hostname, port } = new URL(url)
    const upgrade = (path: string, more = '') =>
      `GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${more}\r\n`
    for (const text of [
      upgrade('//'),
      upgrade('http://[/'),
      upgrade('/nowhere'),
      upgrade('/graphql', 'Origin: https://evil.example\r\n'),
    ]) {
      for (const isReset of [true, false]) {
        const raw = connect(Number(port), hostname)
        raw.on('error', () => {})
        raw.write(text, () => isReset && raw.resetAndDestroy())
        await new Promise((resolve) => raw.on('close', resolve).resume())
      }
    }
    expect((await posthouse.graphql(undefined, '{ __typename }')).data).toEqual({ __typename: 'Query' })
  })

  it('refuses what is wrong with the operation, and keeps the socket', async () => {
    const { made, send, answerTo } = await socket({ authorization: `Bearer ${await posthouse.token('USER005')}` })
    const wrong = [
      ['{', 'BAD_INPUT'],
      ['{ nothing }', 'BAD_INPUT'],
      ['query ($a: Int!) { inbox(first: $a) { edges { cursor } } }', 'BAD_INPUT'],
      ['{ messages { edges { cursor } } }', 'FORBIDDEN'],
      ['query a { inboxCounts { unread } } query b { inboxCounts { unread } }', 'BAD_INPUT'],
    ] as const
    for (const [text, code] of wrong) {
      send(text, text)
      const { payload } = await answerTo(text)
      const errors = Array.isArray(payload) ? payload : payload.errors
      expect(errors[0]).toMatchObject({ message: expect.any(String), extensions: { code } })
      expect(JSON.stringify(errors)).not.toContain('"http"')
    }
    send('ok', whoAmI)
    expect(await answerTo('ok')).toMatchObject({ type: 'next', payload: { data: {} } })
    made.close()
  })

  it('closes on a message over 64 KiB, and on one that is no message', async () => {
    const large = await socket({})
    large.send('1', `{ ${'a'.repeat(70_000)} }`)
    expect(await large.closed).toMatchObject({ code: 1009 })
    const odd = await socket({})
    odd.made.send('nonsense')
    expect(await odd.closed).toMatchObject({ code: 4400 })
  })

  it('lets go of the bell of everybody who leaves: completed, vanished, aborted', async () => {
    const changes = subscribe(await client('USER006'))
    await changes.until('InboxCaughtUp')
    expect(connected()).toBe(1)
    await changes.leave()
    await eventually(() => connected() === 0)

    const vanishing = await socket({ authorization: `Bearer ${await posthouse.token('USER006')}` })
    vanishing.send('1', SUBSCRIPTION)
    await vanishing.answerTo('1')
    vanishing.made.terminate()
    await eventually(() => connected() === 0)

    const sse = await subscribeSse(posthouse.url, await posthouse.token('USER006'))
    await sse.until('InboxCaughtUp')
    expect(connected()).toBe(1)
    await sse.leave()
    await eventually(() => connected() === 0)
  })

  it('lets go of the bells of those who leave at any moment of subscribing', async () => {
    const token = await posthouse.token('USER007')
    for (let after = 0; after < 24; after += 2) {
      const { made, send } = await socket({ authorization: `Bearer ${token}` })
      send('1', SUBSCRIPTION)
      const abort = new AbortController()
      const gone = fetch(`${posthouse.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
        body: JSON.stringify({ query: SUBSCRIPTION }),
        signal: abort.signal,
      }).catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, after))
      made.terminate()
      abort.abort()
      await gone
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    await eventually(() => connected() === 0)
  })

  // Last: it breaks the database.
  it('hides its own faults over HTTP, WebSocket and SSE', async () => {
    const token = await posthouse.token('USER008')
    const changes = subscribe(await client('USER008'))
    const sse = await subscribeSse(posthouse.url, token)
    await changes.until('InboxCaughtUp')
    await sse.until('InboxCaughtUp')
    await query(posthouse.context.db, sql`alter table items rename to things`)
    const hidden = [{ message: 'Internal server error', extensions: { code: 'INTERNAL' } }]
    expect((await posthouse.graphql(token, '{ inbox { edges { cursor } } }')).errors).toMatchObject(hidden)
    posthouse.context.hints.send({ kind: 'inbox', users: ['USER008'] })
    const results = [await changes.result().catch((error) => ({ errors: error })), await sse.result()]
    for (const { errors } of results) {
      expect(errors).toMatchObject(hidden)
      expect(JSON.stringify(errors)).not.toMatch(/things|items|relation|select|stack/i)
    }
    await query(posthouse.context.db, sql`alter table things rename to items`)
    await eventually(() => connected() === 0)
  })
})
