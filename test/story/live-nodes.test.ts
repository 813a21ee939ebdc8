import type { Client } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findApp } from '../../src/apps/apps.ts'
import { mark } from '../../src/inbox/mark.ts'
import { pushChannelMessage } from '../../src/messages/push.ts'
import { APP, boot, eventually, run, type Running } from '../kit/posthouse.ts'
import { onPostgres } from '../kit/stores.ts'
import { subscribe } from '../inbox/subscriber.ts'

/** Two beats of the hub (inbox/live.ts), and time for a busy machine. */
const HEALED_MS = 8_000

describe.skipIf(!onPostgres)('two nodes on one PostgreSQL', () => {
  const store = onPostgres!
  let here: Awaited<ReturnType<typeof run>>
  let there: Running
  beforeAll(async () => {
    here = await run(store)
    there = await boot(here.place.env)
  })
  afterAll(async () => {
    await there.stop()
    await here.stop()
  })

  /** Somebody connected to a node. */
  async function watcher(node: Running, user: string) {
    const client: Client = node.socket(await node.token(user))
    const changes = subscribe(client)
    const [snapshot] = await changes.until('InboxCaughtUp')
    return { ...changes, unread: snapshot?.counts?.unread ?? 0, close: async () => client.dispose() }
  }
  const took = async (what: string, act: () => Promise<unknown>) => {
    const startedAt = performance.now()
    await act()
    const milliseconds = performance.now() - startedAt
    console.info(`${what}: ${Math.round(milliseconds)} ms`)
    return milliseconds
  }

  it('show a push at one to those connected to the other, and what is done at one on a device at the other', async () => {
    const [phone, desk] = [await watcher(there, 'USER001'), await watcher(here, 'USER001')]
    await took('a push at one node, seen at the other', async () => {
      await here.push(['USER001'], '跨节点')
      expect(await phone.next()).toMatchObject({ change: 'NEW', item: { title: '跨节点' }, counts: { unread: 1 } })
    })
    const { item } = await desk.next()
    await there.graphql(await there.token('USER001'), 'mutation ($id: ID!) { markItemsRead(ids: [$id]) { rev } }', {
      id: item!.id,
    })
    for (const device of [phone, desk])
      expect(await device.next()).toMatchObject({ change: 'READ', counts: { unread: 0 } })
    await Promise.all([phone.close(), desk.close()])
  })

  it('show a broadcast at one to those connected to the other, once to each device', async () => {
    const watchers = [await watcher(there, 'USER002'), await watcher(there, 'USER003'), await watcher(here, 'USER002')]
    await took('a broadcast at one node, seen at the other', async () => {
      const { body } = await here.push([], '全员', { receiverType: 'all', receiverData: null })
      for (const one of watchers) expect(await one.next()).toMatchObject({ change: 'NEW', item: { msgId: body.msgId } })
    })
    // The next thing each of them hears of is the next message: nothing came twice.
    await here.push(['USER002', 'USER003'], '下一条')
    for (const one of watchers) expect(await one.next()).toMatchObject({ change: 'NEW', item: { title: '下一条' } })
    await Promise.all(watchers.map((one) => one.close()))
  })

  it('carry on where the other left off, by the rev alone', async () => {
    const first = await watcher(here, 'USER004')
    await here.push(['USER004'], '一')
    const { rev } = await first.next()
    await first.close()
    await here.push(['USER004'], '二')
    const client = there.socket(await there.token('USER004'))
    expect(await subscribe(client, rev).next()).toMatchObject({ change: 'NEW', item: { title: '二' } })
    await client.dispose()
  })

  it('heal a hint that was lost, by the beat', async () => {
    const one = await watcher(there, 'USER005')
    // The other node writes as ever, but its hints reach nobody.
    const mute = { ...here.context, hints: { ...here.context.hints, send() {} } }
    const app = (await findApp(here.context.db, APP))!
    const body = {
      receiverType: 'specified',
      receiverData: { user: ['USER005'] },
      channelData: { '1002': { content: '没有提示' } },
    }
    const around = { requestId: 'test', idempotency: undefined }
    const lost = await took('a push whose hint was lost', async () => {
      const { messageId } = await pushChannelMessage(mute, app, body, around)
      const event = await one.next()
      expect(event).toMatchObject({ change: 'NEW', item: { msgId: messageId }, counts: { unread: one.unread + 1 } })
      await mark(here.context.db, 'USER005', 'read', { messageIds: [messageId] })
      expect(await one.next()).toMatchObject({ change: 'READ', counts: { unread: one.unread } })
      await pushChannelMessage(mute, app, { ...body, receiverType: 'all', receiverData: undefined }, around)
      expect(await one.next()).toMatchObject({ change: 'NEW', counts: { unread: one.unread + 1 } })
    })
    expect(lost).toBeLessThan(3 * HEALED_MS)
    await one.close()
    await eventually(() => here.context.live.connected() + there.context.live.connected() === 0)
  })
})
