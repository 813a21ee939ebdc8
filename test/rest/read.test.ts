import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp, messageOf } from './door.ts'

describe.each(stores)('the read call, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = (more: Record<string, unknown> = {}) => posthouse.post(CHANNEL, channelBody(more))
  const read = (more: Record<string, unknown>, headers: Record<string, string> = {}) =>
    posthouse.post('/api/openApi/message/read', { appId: APP, ...more }, headers)
  const unread = async (user: string): Promise<number> =>
    (await posthouse.graphql(await posthouse.token(user), '{ inboxCounts { unread } }')).data?.['inboxCounts'].unread

  it('marks the item of those named, once, and leaves the others', async () => {
    const { body } = await push({ receiverData: { user: ['USER001', 'USER002'] } })
    const before = { one: await unread('USER001'), two: await unread('USER002') }
    const answer = await read({ msgId: body.msgId, user: ['USER001', 'USER001', 'USER003', 'NOBODY'] })
    expect(answer.body).toEqual({ code: 200, msg: '操作成功', data: { marked: 1 } })
    expect((await read({ msgId: body.msgId, user: ['USER001'] })).body.data).toEqual({ marked: 0 })
    expect({ one: await unread('USER001'), two: await unread('USER002') }).toEqual({
      one: before.one - 1,
      two: before.two,
    })
  })

  it('marks every recipient of every message with the businessId', async () => {
    const answers = [
      await push({ businessId: 'R1', receiverData: { dept: ['DEPT001'] } }),
      await push({ businessId: 'R1' }),
    ]
    expect((await read({ businessId: 'R1' })).body.data).toEqual({ marked: 12 })
    for (const answer of answers) {
      const { channels } = await messageOf(posthouse, answer)
      expect(channels[0].totals.map(({ state }: { state: string }) => state)).toEqual(['read'])
    }
  })

  it('reaches the devices that watch', async () => {
    const client = posthouse.socket(await posthouse.token('USER005'))
    const changes = client.iterate<{ inboxChanges: Record<string, any> }>({
      query:
        'subscription { inboxChanges { __typename ... on ItemChanged { change counts { unread } item { msgId } } } }',
    })
    const next = async () =>
      ((await changes.next()).value as { data: { inboxChanges: Record<string, any> } }).data.inboxChanges
    while ((await next())['__typename'] !== 'InboxCaughtUp');
    const { body } = await push({ receiverData: { user: ['USER005'] } })
    expect(await next()).toMatchObject({ change: 'NEW', counts: { unread: 1 } })
    await read({ msgId: body.msgId })
    expect(await next()).toMatchObject({ change: 'READ', counts: { unread: 0 }, item: { msgId: body.msgId } })
    await client.dispose()
  })

  it('marks a broadcast for people named, also before they have looked, and asks for names', async () => {
    const { body } = await push({ receiverType: 'all', receiverData: null })
    expect((await read({ msgId: body.msgId })).body).toEqual({ code: 400, msg: '参数有误：user: 广播消息须指明用户' })
    expect((await read({ msgId: body.msgId, user: ['USER030', 'NOBODY'] })).body.data).toEqual({ marked: 1 })
    expect(await unread('USER030')).toBe(0)
    expect(await unread('USER029')).toBe(1)
  })

  it("leaves another app's messages alone, in the same words as none", async () => {
    const other = await makeApp(posthouse)
    const { body } = await push({ businessId: 'R2' })
    const before = await unread('USER001')
    for (const which of [{ msgId: body.msgId }, { businessId: 'R2' }, { msgId: 'x' }]) {
      const answer = await read({ appId: other.id, ...which }, other.headers)
      expect(answer.body).toEqual({
        code: 404,
        msg: expect.stringMatching(/^请求资源不存在：(msgId|businessId): 没有这条消息$/),
      })
    }
    expect(await unread('USER001')).toBe(before)
  })

  it.each([
    ['neither id', {}, 'msgId: 与 businessId 至少填一项'],
    ['a msgId as a number', { msgId: 1 }, 'msgId: 应为字符串'],
    ['no users at all', { msgId: 'x', user: [] }, 'user: 不能为空列表'],
    ['users in one text', { msgId: 'x', user: 'USER001' }, 'user: 应为数组'],
  ])('refuses %s', async (_what, more, text) => {
    expect((await read(more)).body).toEqual({ code: 400, msg: expect.stringContaining(text) })
  })
})
