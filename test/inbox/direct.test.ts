/** The short way of an event to a WebSocket: the same bytes as by the long one, and the long one where it cannot be gone. */
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import type { Handover } from '../../src/graphql/direct.ts'
import type { Bell } from '../../src/inbox/bell.ts'
import { changes } from '../../src/inbox/live.ts'
import { page } from '../../src/inbox/inbox.ts'
import { mark } from '../../src/inbox/mark.ts'
import type { InboxEvent } from '../../src/inbox/events.ts'
import type { Running } from '../kit/posthouse.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { SUBSCRIPTION } from './subscriber.ts'

describe.each(stores)('What happens to one who has caught up, on $name', (store) => {
  let posthouse: Running & { stop(): Promise<void> }
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  /** Everything there is to hear. */
  async function live(user: string, words: string) {
    const token = await posthouse.token(user)
    const act = async (name: string, ids: string[]) =>
      expect(
        await posthouse.graphql(token, `mutation ($ids: [ID!]!) { ${name}(ids: $ids) { rev } }`, { ids }),
      ).not.toHaveProperty('errors')
    const pushed = async (title: string) => (await posthouse.push([user], `${title}${words}`)).body.msgId!
    const ids = [await pushed('一'), await pushed('二'), await pushed('三')]
    await act('markItemsRead', [ids[0]!])
    await act('archiveItems', [ids[1]!, ids[2]!])
    await act('unarchiveItems', [ids[1]!])
    await act('deleteItems', [ids[1]!])
    await act('deleteItems', [ids[0]!, ids[2]!])
  }

  /** The texts that come over a WebSocket, as they come. */
  async function frames(user: string, id: string) {
    const socket = new WebSocket(`${posthouse.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    const texts: string[] = []
    socket.on('message', (data) => texts.push(String(data)))
    await once(socket, 'open')
    const authorization = `Bearer ${await posthouse.token(user)}`
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }))
    await eventually(() => texts.length > 0)
    texts.length = 0
    const subscribe = () => socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query: SUBSCRIPTION } }))
    subscribe()
    await eventually(() => texts.some((text) => text.includes('InboxCaughtUp')))
    return { socket, texts, subscribe }
  }

  /** The results that come over SSE, as they come: none of them goes the short way. */
  async function results(user: string) {
    const abort = new AbortController()
    const { body } = await fetch(`${posthouse.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${await posthouse.token(user)}`,
      },
      body: JSON.stringify({ query: SUBSCRIPTION }),
      signal: abort.signal,
    })
    let text = ''
    void (async () => {
      const decoder = new TextDecoder()
      for await (const bytes of body ?? []) text += decoder.decode(bytes, { stream: true })
    })().catch(() => {})
    const all = () => [...text.matchAll(/^event: next\ndata: (.*)$/gm)].map(([, data]) => data)
    await eventually(() => all().some((data) => data?.includes('InboxCaughtUp')))
    return { all, leave: () => abort.abort() }
  }

  it.each(['1', 'a "quoted" id, 中文'])(
    'comes over a WebSocket in the bytes in which it comes over SSE, id %s',
    async (id) => {
      const user = id === '1' ? 'USER001' : 'USER002'
      const socket = await frames(user, id)
      const sse = await results(user)
      await live(user, ' "引号" \\ \u2028 <b>')
      await eventually(() => sse.all().at(-1)?.includes('DELETED') && sse.all().length === socket.texts.length)
      expect(socket.texts).toEqual(
        sse.all().map((data) => `{"id":${JSON.stringify(id)},"type":"next","payload":${data}}`),
      )
      expect(socket.texts.length).toBeGreaterThan(5)
      sse.leave()
      socket.socket.close()
    },
  )

  it('is heard no more once it has said complete, and anew when it subscribes again under the same id', async () => {
    const user = 'USER003'
    const { socket, texts, subscribe } = await frames(user, '1')
    await posthouse.push([user], '一')
    await eventually(() => texts.at(-1)?.includes('"NEW"'))
    socket.send(JSON.stringify({ id: '1', type: 'complete' }))
    await eventually(() => posthouse.context.live.connected() === 0)
    texts.length = 0
    await posthouse.push([user], '二')
    subscribe()
    await eventually(() => texts.some((text) => text.includes('InboxCaughtUp')))
    await posthouse.push([user], '三')
    await eventually(() => texts.at(-1)?.includes('"NEW"'))
    expect(texts.map((text) => JSON.parse(text).payload.data.inboxChanges.__typename)).toEqual([
      'InboxSnapshot',
      'InboxCaughtUp',
      'ItemChanged',
    ])
    socket.close()
  })

  /** A subscriber who has caught up: what goes each way, and a connection that does as the test says. */
  async function subscriber(user: string) {
    const said: InboxEvent[] = []
    const streamed: string[] = []
    const other = { canSay: true, isHopeless: false, isFull: false, letIn: () => {} }
    const direct = {
      say(event: object) {
        if (other.canSay) said.push(event as InboxEvent)
        return other.canSay
      },
      isFull: () => other.isFull,
      room: () => new Promise<void>((resolve) => (other.letIn = resolve)),
    }
    let bell: Bell
    async function stream(from?: number) {
      bell = posthouse.context.live.watch(user)
      const handover: Handover = { from, isWanted: !other.isHopeless }
      for await (const { type } of changes(posthouse.context, user, undefined, bell, handover)) streamed.push(type)
      handover.follow?.(direct, (at) => void stream(at))
    }
    void stream()
    await eventually(() => streamed.at(-1) === 'InboxCaughtUp')
    streamed.length = 0
    return {
      said,
      streamed,
      other,
      types: () => said.map(({ type }) => type),
      reached: () => bell.reached,
      async leave() {
        bell.close()
        await eventually(() => posthouse.context.live.connected() === 0)
      },
    }
  }

  it('goes the long way where the short one cannot be gone, each thing once and in order', async () => {
    const user = 'USER004'
    const { said, streamed, other, types, leave } = await subscriber(user)
    await posthouse.push([user], '一')
    await eventually(() => said.length === 1)
    other.canSay = false
    await posthouse.push([user], '二')
    await eventually(() => streamed.length === 1)
    other.canSay = true
    await posthouse.push([user], '三')
    await eventually(() => said.length === 2)
    expect([types(), streamed]).toEqual([['ItemChanged', 'ItemChanged'], ['ItemChanged']])
    await leave()
  })

  it('stays on the long way once it is known that the short one leads nowhere', async () => {
    const user = 'USER007'
    const { said, streamed, other, leave } = await subscriber(user)
    other.canSay = false
    other.isHopeless = true
    for (let n = 1; n <= 3; n++) {
      await posthouse.push([user], '一')
      await eventually(() => streamed.length === n)
    }
    expect([said, streamed]).toEqual([[], ['ItemChanged', 'ItemChanged', 'ItemChanged']])
    await leave()
  })

  it('is not said while the connection takes nothing, and is told then as it stands', async () => {
    const user = 'USER005'
    const slow = await subscriber(user)
    const neighbour = await subscriber(user)
    slow.other.isFull = true
    const { body } = await posthouse.push([user], '一')
    await mark(posthouse.context.db, user, 'read', { messageIds: [body.msgId!] })
    posthouse.context.hints.send({ kind: 'inbox', users: [user] })
    await eventually(() => neighbour.said.length === 2)
    expect(slow.said).toEqual([])
    slow.other.isFull = false
    slow.other.letIn()
    await eventually(() => slow.said.length === 2)
    expect(slow.said[0]).toMatchObject({ type: 'ItemChanged', state: { counts: { unread: 0 } } })
    await Promise.all([slow.leave(), neighbour.leave()])
  })

  it('is a fresh snapshot, by the long way, for one who has fallen too far behind meanwhile', async () => {
    const user = 'USER006'
    const slow = await subscriber(user)
    slow.other.isFull = true
    const { body } = await posthouse.push([user], '一')
    for (let n = 0; n < 501; n++)
      await mark(posthouse.context.db, user, n % 2 === 0 ? 'read' : 'unread', { messageIds: [body.msgId!] })
    slow.other.isFull = false
    slow.other.letIn()
    await eventually(() => slow.streamed.length === 3)
    expect(slow.streamed).toEqual(['InboxLagged', 'InboxSnapshot', 'InboxCaughtUp'])
    expect(slow.said).toEqual([])
    expect((await page(posthouse.context.db, user, { limit: 1 }))?.state.rev).toBe(slow.reached())
    await slow.leave()
  })
})
