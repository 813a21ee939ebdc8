import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

describe.each(stores)('a first push, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it('reaches the person, who watches live, with exact counts', async () => {
    const client = posthouse.socket(await posthouse.token('USER001'))
    const changes = client.iterate<{ inboxChanges: Record<string, any> }>({
      query: `subscription {
        inboxChanges {
          __typename
          ... on InboxSnapshot { counts { unread unseen } items { title } }
          ... on ItemChanged { change counts { unread unseen } item { title text msgType senderName } }
        }
      }`,
    })
    const next = async () =>
      ((await changes.next()).value as { data: { inboxChanges: Record<string, any> } }).data.inboxChanges
    expect(await next()).toEqual({ __typename: 'InboxSnapshot', counts: { unread: 0, unseen: 0 }, items: [] })
    expect(await next()).toEqual({ __typename: 'InboxCaughtUp' })

    const { status, body } = await posthouse.push(['USER001'], '发工资了', { senderName: '张三' })
    expect(status).toBe(200)
    expect(body).toEqual({ code: 200, msg: '操作成功', msgId: expect.stringMatching(/^[0-9a-f]{32}$/) })
    expect(await next()).toEqual({
      __typename: 'ItemChanged',
      change: 'NEW',
      counts: { unread: 1, unseen: 1 },
      item: { title: '发工资了', text: '发工资了', msgType: 'notice', senderName: '张三' },
    })
    await client.dispose()
  })
})
