import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { APP, eventually, run, type Answer } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp } from './door.ts'

const TIME = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/)

type Status = { messages: Record<string, any>[]; isMore: boolean }

describe.each(stores)('the status call, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  async function ask(query: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(
      `${posthouse.url}/api/openApi/message/status?${new URLSearchParams({ appId: APP, ...query })}`,
      { headers },
    )
    return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] }
  }
  const told = async (query: Record<string, string>) => (await ask(query)).body.data as Status
  const push = async (more: Record<string, unknown>, headers: Record<string, string> = {}) =>
    (await posthouse.post(CHANNEL, channelBody(more), headers)).body.msgId ?? ''

  it('tells totals by channel and each recipient with state, reason and time of reading', async () => {
    const msgId = await push({
      businessId: 'B1',
      receiverData: { user: ['USER001', 'USER042', 'NOBODY'] },
      channelData: { '1001': { content: 'c' }, '1002': { content: 'c' } },
    })
    await posthouse.post('/api/openApi/message/read', { appId: APP, msgId, user: ['USER042'] })
    const { messages } = await eventually(async () => {
      const found = await told({ msgId })
      return found.messages[0]?.['channels'][0].totals.sent === 1 ? found : undefined
    })
    expect(messages).toEqual([
      {
        msgId,
        businessId: 'B1',
        state: 'fanned_out',
        sendTime: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/),
        recipientCount: 2,
        unresolved: { user: ['NOBODY'] },
        recall: null,
        channels: [
          { channel: '1001', totals: { sent: 1, skipped: 1 } },
          { channel: '1002', totals: { read: 1, unread: 1 } },
        ],
        recipients: [
          {
            channel: '1001',
            recipient: 'USER001',
            state: 'sent',
            reason: null,
            readAt: null,
            history: [
              { at: TIME, state: 'queued', attempt: 0 },
              { at: TIME, state: 'sent', attempt: 1, provider: 'log' },
            ],
          },
          {
            channel: '1001',
            recipient: 'USER042',
            state: 'skipped',
            reason: 'NO_ADDRESS',
            readAt: null,
            history: [{ at: TIME, state: 'skipped', attempt: 0 }],
          },
          {
            channel: '1002',
            recipient: 'USER001',
            state: 'unread',
            reason: null,
            readAt: null,
            history: [{ at: TIME, state: 'unread', attempt: 0 }],
          },
          {
            channel: '1002',
            recipient: 'USER042',
            state: 'read',
            reason: null,
            readAt: TIME,
            history: [
              { at: TIME, state: 'unread', attempt: 0 },
              { at: TIME, state: 'seen', attempt: 0 },
              { at: TIME, state: 'read', attempt: 0 },
            ],
          },
        ],
        next: null,
      },
    ])
  })

  it('pages through recipients without a gap or a repetition', async () => {
    const msgId = await push({
      receiverData: { dept: ['DEPT001'] },
      channelData: { '1001': { content: 'c' }, '1002': { content: 'c' } },
    })
    const seen: string[] = []
    for (let after: string | undefined; ;) {
      const { recipients, next } =
        (await told({ msgId, limit: '4', ...(after === undefined ? {} : { after }) })).messages[0] ?? {}
      expect(recipients.length).toBeLessThanOrEqual(4)
      for (const { channel, recipient } of recipients) seen.push(`${channel} ${recipient}`)
      if (next === null) break
      after = next
    }
    expect(seen).toHaveLength(22)
    expect(new Set(seen).size).toBe(22)
  })

  it('finds by businessId all messages that have it, newest first, and says when there are more', async () => {
    const ids = [await push({ businessId: 'B2' }), await push({ businessId: 'B2' })]
    expect((await told({ businessId: 'B2' })).messages.map(({ msgId }) => msgId)).toEqual(ids.toReversed())
    for (let pushed = 0; pushed < 19; pushed++) await push({ businessId: 'B2' })
    const { messages, isMore } = await told({ businessId: 'B2' })
    expect({ messages: messages.length, isMore }).toEqual({ messages: 20, isMore: true })
    expect((await told({ businessId: 'B2', msgId: ids[0] ?? '' })).messages).toHaveLength(1)
  })

  it("tells an app nothing of another app's messages, in the same words as of none", async () => {
    const other = await makeApp(posthouse)
    const theirs = await push({ appId: other.id, businessId: 'B3' }, other.headers)
    const wanted: Record<string, string>[] = [
      { msgId: theirs },
      { msgId: '0'.repeat(32) },
      { msgId: 'x' },
      { msgId: await push({}), businessId: 'B3' },
    ]
    for (const query of wanted) {
      const { status, body } = await ask(query)
      expect({ status, body }).toEqual({ status: 404, body: { code: 404, msg: '请求资源不存在：msgId: 没有这条消息' } })
    }
    expect((await ask({ businessId: 'B3' })).body).toEqual({
      code: 404,
      msg: '请求资源不存在：businessId: 没有这条消息',
    })
    expect((await ask({ appId: other.id, msgId: theirs }, other.headers)).status).toBe(200)
  })

  it.each([
    ['neither id', {}, 'msgId: 与 businessId 至少填一项'],
    ['a limit of 0', { msgId: 'x', limit: '0' }, 'limit: 应为 1 到 500'],
    ['a limit of 501', { msgId: 'x', limit: '501' }, 'limit: 应为 1 到 500'],
    ['a limit in words', { msgId: 'x', limit: 'all' }, 'limit: 应为 1 到 500'],
    ['an after of its own making', { msgId: 'x', after: 'WyJhIl0' }, 'after: 不是有效的游标'],
    ['NUL', { businessId: '\0' }, 'businessId: 含有 NUL 字符'],
  ])('refuses %s', async (_what, query, text) => {
    const { status, body } = await ask(query)
    expect({ status, body }).toEqual({ status: 400, body: { code: 400, msg: expect.stringContaining(text) } })
  })
})
