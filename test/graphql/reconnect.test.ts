/** Many sockets: how many a person may have, how a crowd that comes at once is served, and when clients are to come back. */
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { reasonWith, reconnectAfterMs } from '../../src/graphql/reconnect.ts'
import { openAdmission } from '../../src/inbox/admission.ts'
import { silentProxy } from '../faults/proxy.ts'
import { SUBSCRIPTION } from '../inbox/subscriber.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const PER_USER = 50

describe('The advice when to come back', () => {
  it('is a time of its own for each, over more time the more there are, and never over 20 s', () => {
    expect([0, 0.5, 1].map((chance) => reconnectAfterMs(0, chance))).toEqual([500, 750, 1000])
    expect([0, 0.5, 1].map((chance) => reconnectAfterMs(4_000, chance))).toEqual([500, 5_750, 11_000])
    expect([0, 1].map((chance) => reconnectAfterMs(1_000_000, chance))).toEqual([500, 20_000])
  })

  it('stands at the end of a reason that fits into a close frame whatever is said before', () => {
    expect(reasonWith('Restarting', 1250)).toBe('Restarting; reconnectAfterMs=1250')
    for (const why of ['x'.repeat(500), '稍后'.repeat(100)]) {
      const reason = reasonWith(why, 20_000)
      expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123)
      expect(reason).toMatch(/^[x稍后]+; reconnectAfterMs=20000$/)
    }
  })
})

describe('Admission', () => {
  it('lets in a few at a time, in the order they came, passes over who has left, and outlives what fails', async () => {
    const { admit, waiting } = openAdmission(2)
    const begun: number[] = []
    const ends: (() => void)[] = []
    const act = (name: number) => () => {
      begun.push(name)
      return new Promise<number>((resolve) => ends.push(() => resolve(name)))
    }
    const all = [
      admit(act(1)),
      admit(async () => Promise.reject(new Error('no'))).catch(({ message }) => message),
      admit(act(3)),
      admit(act(4), () => true),
      admit(act(5)),
      admit(act(6)),
    ]
    await eventually(() => begun.length === 2)
    expect([begun, waiting()]).toEqual([[1, 3], 3])
    ends[1]?.()
    await eventually(() => begun.length === 3)
    expect([begun, waiting()]).toEqual([[1, 3, 5], 1])
    for (let n = 0; n < 4; n++) await eventually(() => ends[n]).then((end) => end())
    expect(await Promise.all(all)).toEqual([1, 'no', 3, undefined, 5, 6])
  })
})

describe.each(stores)('Sockets of a node, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  const sockets: WebSocket[] = []
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate()
    await eventually(() => posthouse.context.live.connected() === 0)
  })
  afterAll(() => posthouse.stop())

  /** A bare socket, `connection_init` sent. */
  async function open(token: string, url = posthouse.url) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    sockets.push(socket)
    const messages: Record<string, any>[] = []
    const closed = new Promise<{ code: number; reason: string }>((resolve) =>
      socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })),
    )
    socket.on('error', () => {})
    socket.on('message', (data) => messages.push(JSON.parse(String(data))))
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
    const ack = () => eventually(() => messages.find(({ type }) => type === 'connection_ack'))
    const events = () => messages.flatMap(({ payload }) => payload?.data?.inboxChanges ?? [])
    const watch = () => socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: SUBSCRIPTION } }))
    return { socket, messages, closed, ack, events, watch }
  }

  it('are at most 50 of one person: one more is closed with 4029 and told what to do; one that closes makes room', async () => {
    const token = await posthouse.token('USER001')
    const mine = await Promise.all(Array.from({ length: PER_USER }, () => open(token)))
    for (const { ack } of mine) await ack()
    const { closed } = await open(token)
    const { code, reason } = await closed
    expect([code, reason]).toEqual([
      4029,
      expect.stringMatching(/^50 sockets are open: close one, or share one; reconnectAfterMs=\d+$/),
    ])
    // Nobody else is concerned, and none of the fifty.
    await (await open(await posthouse.token('USER002'))).ack()
    expect(mine.every(({ socket }) => socket.readyState === WebSocket.OPEN)).toBe(true)

    mine[0]?.socket.close()
    await mine[0]?.closed
    await (await open(token)).ack()
  })

  it('are told in connection_ack how long to wait after a loss, and again when the node stops', async () => {
    const other = await run(store)
    const { ack, closed } = await open(await other.token('USER001'), other.url)
    expect((await ack())['payload']).toEqual({ reconnectAfterMs: expect.any(Number) })
    await other.stop()
    expect(await closed).toEqual({ code: 1012, reason: expect.stringMatching(/^Restarting; reconnectAfterMs=\d+$/) })
  })
  it('are served all when 500 come at once, while a push is answered and reaches them', async () => {
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, n) => posthouse.token(`USER0${String(n + 1).padStart(2, '0')}`)),
    )
    const crowd = await Promise.all(Array.from({ length: 500 }, (_, n) => open(tokens[n % 20] ?? '')))
    for (const { ack } of crowd) await ack()
    for (const { watch } of crowd) watch()
    await eventually(() => crowd.some(({ events }) => events().length > 0))
    const from = performance.now()
    const { body } = await posthouse.push(['USER001'], '先')
    expect(body).toMatchObject({ code: 200 })
    expect(performance.now() - from).toBeLessThan(5_000)

    await eventually(
      () => crowd.every(({ events }) => events().some(({ __typename }) => __typename === 'InboxCaughtUp')),
      40_000,
    )
    const first = crowd.filter((_, n) => n % 20 === 0)
    await eventually(() => first.every(({ events }) => JSON.stringify(events()).includes(String(body.msgId))))
    expect(crowd.flatMap(({ messages }) => messages.filter(({ type }) => type === 'error'))).toEqual([])
    expect(posthouse.context.live.starts.waiting()).toBe(0)
  })

  it('leave nothing behind when they leave as they begin', async () => {
    const tokens = await Promise.all(Array.from({ length: 4 }, (_, n) => posthouse.token(`USER01${n}`)))
    const crowd = await Promise.all(Array.from({ length: 100 }, (_, n) => open(tokens[n % 4] ?? '')))
    for (const { ack } of crowd) await ack()
    for (const { watch } of crowd) watch()
    await eventually(() => crowd.some(({ events }) => events().length > 0))
    for (const { socket } of crowd) socket.terminate()
    await eventually(() => posthouse.context.live.connected() + posthouse.context.live.starts.waiting() === 0)
  })
})

const [firstStore] = stores as [(typeof stores)[number]]

describe('A socket whose other side is gone without a word', () => {
  it('is found by the ping, and nothing is left of it', async () => {
    const posthouse = await run(firstStore)
    const proxy = await silentProxy(Number(new URL(posthouse.url).port))
    try {
      const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/graphql`, 'graphql-transport-ws')
      socket.on('error', () => {})
      await once(socket, 'open')
      const authorization = `Bearer ${await posthouse.token('USER001')}`
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }))
      await once(socket, 'message')
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: SUBSCRIPTION } }))
      await eventually(() => posthouse.context.live.connected() === 1)
      proxy.fallSilent()
      // A ping every 12 s, and as long again for its answer.
      await eventually(() => posthouse.context.live.connected() === 0, 30_000)
      expect(proxy.open()).toBe(1)
      socket.terminate()
    } finally {
      proxy.close()
      await posthouse.stop()
    }
  })
})
