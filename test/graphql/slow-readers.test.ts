/** Readers that stop: on a bare server, where each step can be seen, and on a Posthouse, where nobody else is to notice. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { watchReaders } from '../../src/graphql/slow-readers.ts'
import { changes } from '../../src/inbox/live.ts'
import { subscribe } from '../inbox/subscriber.ts'
import { eventually, run, SECRETS } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

/** More than the system takes on both ends of a connection before it makes the writer wait. */
const MUCH = 30 * 1024 * 1024

describe('A connection', () => {
  const answers: ServerResponse[] = []
  const server = createServer((_request, response) => void answers.push(response))
  let cuts = 0
  const readers = watchReaders(server, () => cuts++)
  beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'))
  afterAll(() => {
    readers.close()
    server.closeAllConnections()
    server.close()
  })
  /** A reader that has not begun to read, and the answer to it. */
  async function reader() {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause()
    client.on('error', () => {})
    client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n')
    await once(client, 'connect')
    const { localPort } = client
    const response = await eventually(() => answers.find(({ socket }) => socket?.remotePort === localPort))
    const connection = response.socket
    if (connection === null) throw new Error('It has no connection')
    return { client, response, connection }
  }

  it('is told and then cut within 5 s when its reader takes nothing any more', { concurrent: true }, async () => {
    const { response, connection } = await reader()
    const before = cuts
    let toldAt = 0
    readers.onStop(connection, () => (toldAt = performance.now()))
    response.write(Buffer.alloc(MUCH))
    const from = performance.now()
    await once(connection, 'close')
    const at = performance.now()
    expect(cuts).toBe(before + 1)
    expect(toldAt).toBeGreaterThan(from + 1_900)
    expect(at).toBeGreaterThan(toldAt)
    // What the system took at the beginning was progress.
    expect(at - from).toBeLessThan(7_000)
  })

  it('stays while its reader is slow but reads, also within one large write', { concurrent: true }, async () => {
    const { client, response, connection } = await reader()
    response.write(Buffer.alloc(MUCH))
    const until = performance.now() + 9_000
    while (performance.now() < until) {
      client.resume()
      await sleep(20)
      client.pause()
      await sleep(500)
      if (connection.writableLength === 0) response.write(Buffer.alloc(MUCH))
    }
    expect(connection.destroyed).toBe(false)
    client.destroy()
  })

  it('stays while nothing is to be said to it', { concurrent: true }, async () => {
    const { client, connection } = await reader()
    await sleep(7_000)
    expect(connection.destroyed).toBe(false)
    client.destroy()
  })

  it('is full with a mebibyte waiting, and has room once that is taken, one at a time', async () => {
    const { client, response, connection } = await reader()
    await readers.room(connection)
    response.write(Buffer.alloc(MUCH))
    expect(readers.isFull(connection)).toBe(true)
    const waiting = Array.from({ length: 30 }, async () => {
      await readers.room(connection)
      expect(connection.writableLength).toBeLessThanOrEqual(1024 * 1024)
      response.write(Buffer.alloc(MUCH / 10))
    })
    client.resume()
    await Promise.all(waiting)
    client.destroy()
    await eventually(() => connection.destroyed)
    await readers.room(connection)
  })
})

describe.each(stores)('A subscriber that stops reading, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const USER = 'USER001'
  const COUNT = 25
  // Twenty times the content, so that a few pushes are more than the system holds.
  const copies = Array.from({ length: 20 }, (_, index) => `copy${index}: content`).join(' ')
  const LARGE = `subscription ($after: Rev) { inboxChanges(after: $after) { __typename
    ... on InboxSnapshot { rev } ... on InboxCaughtUp { rev } ... on ItemChanged { rev item { msgId ${copies} } } } }`

  type Got = { __typename: string; rev: string; item?: { msgId: string } }
  /** A bare socket with one subscription. */
  async function watch(after?: string) {
    const socket = new WebSocket(`${posthouse.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    const got: Got[] = []
    socket.on('error', () => {})
    socket.on('message', (data) => {
      const { type, payload } = JSON.parse(String(data))
      if (type === 'connection_ack')
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: LARGE, variables: { after } } }))
      if (type === 'next') got.push(payload.data.inboxChanges)
    })
    await once(socket, 'open')
    const authorization = `Bearer ${await posthouse.token(USER)}`
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }))
    await eventually(() => got.some(({ __typename }) => __typename === 'InboxCaughtUp'))
    return { socket, got }
  }
  /** The same over SSE, with nothing read after the beginning. */
  async function watchSse() {
    const { port, hostname } = new URL(posthouse.url)
    const body = JSON.stringify({ query: LARGE })
    const client = connect(Number(port), hostname)
    client.on('error', () => {})
    client.write(
      `POST /graphql HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n` +
        `Authorization: Bearer ${await posthouse.token(USER)}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    let text = ''
    const heard = (bytes: Buffer) => (text += String(bytes))
    client.on('data', heard)
    await eventually(() => text.includes('InboxCaughtUp'))
    client.off('data', heard).pause()
    return client
  }
  const cuts = async () => {
    const response = await fetch(`${posthouse.url}/metrics`, {
      headers: { authorization: `Bearer ${SECRETS.ADMIN_KEY}` },
    })
    return Number(/^posthouse_slow_readers_cut_total (\d+)$/m.exec(await response.text())?.[1])
  }

  it('is cut, over WebSocket and SSE, while its neighbour gets everything; it comes back and has missed nothing', async () => {
    const neighbours = posthouse.socket(await posthouse.token(USER))
    const neighbour = subscribe(neighbours)
    await neighbour.until('InboxCaughtUp')
    const slow = await watch()
    const slowSse = await watchSse()
    slow.socket.pause()

    const content = '病'.repeat(21_000)
    const sent: string[] = []
    for (let n = 0; n < COUNT; n++) {
      const { body } = await posthouse.push([USER], `${n}`, { channelData: { '1002': { title: `${n}`, content } } })
      expect(body).toMatchObject({ code: 200 })
      sent.push(String(body.msgId))
      expect(await neighbour.next()).toMatchObject({ change: 'NEW', item: { msgId: sent[n] } })
    }
    await eventually(async () => (await cuts()) === 2)
    await neighbour.leave()
    await neighbours.dispose()
    // Nothing is left of them here.
    await eventually(() => posthouse.context.live.connected() === 0)

    slow.socket.resume()
    slowSse.resume()
    await Promise.all([once(slow.socket, 'close'), once(slowSse, 'close')])
    const before = slow.got.flatMap(({ item }) => item?.msgId ?? [])
    expect(before.length).toBeLessThan(COUNT)
    const again = await watch(slow.got.at(-1)?.rev)
    const after = again.got.flatMap(({ item }) => item?.msgId ?? [])
    expect([...before, ...after]).toEqual(sent)
    again.socket.close()
  })

  it('is asked of the database only when it takes the next event, which then shows how things stand', async () => {
    const user = 'USER002'
    const bell = posthouse.context.live.watch(user)
    const events = changes(posthouse.context, user, undefined, bell)
    expect([(await events.next()).value?.type, (await events.next()).value?.type]).toEqual([
      'InboxSnapshot',
      'InboxCaughtUp',
    ])
    const { body } = await posthouse.push([user], '到')
    const mark = 'mutation ($id: ID!) { markItemsRead(ids: [$id]) { counts { unread } } }'
    expect(await posthouse.graphql(await posthouse.token(user), mark, { id: body.msgId })).not.toHaveProperty('errors')
    expect((await events.next()).value).toMatchObject({ state: { counts: { unread: 0 } } })
    bell.close()
  })

  it('is heard no further when it asks and asks, and is cut', async () => {
    const { socket } = await watch()
    const before = await cuts()
    socket.pause()
    // Each is answered with the same bytes.
    const ping = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(50_000) } })
    for (let n = 0; n < 2_000; n++) socket.send(ping)
    let left = 0
    await eventually(async () => {
      left = socket.bufferedAmount || left
      return (await cuts()) === before + 1
    }, 20_000)
    // Of 100 MB most was never taken.
    expect(left).toBeGreaterThan(50_000_000)
    socket.terminate()
  })
})
