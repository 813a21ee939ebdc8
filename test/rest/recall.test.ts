import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { json, query } from '../../src/db/client.ts'
import { subscribe } from '../inbox/subscriber.ts'
import { APP, eventually, run, type Answer } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp, messageOf, timesInInbox } from './door.ts'

const RECALL = `
  mutation ($id: ID, $businessId: String, $reason: String) {
    recallMessage(id: $id, businessId: $businessId, reason: $reason) {
      isMore
      messages {
        msgId state
        recall { at by reason channels { channelId result counts { cancelled recalled read tooLate pending ended } } }
      }
    }
  }`
const NONE = { cancelled: 0, recalled: 0, read: 0, tooLate: 0, pending: 0, ended: 0 }
const AT = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/)

describe.each(stores)('the recall call, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = (more: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    posthouse.post(CHANNEL, channelBody(more), headers)
  const recall = (more: Record<string, unknown>, headers: Record<string, string> = {}) =>
    posthouse.post('/api/openApi/message/recall', { appId: APP, ...more }, headers)
  const first = ({ body }: Answer) => (body.data!['messages'] as Record<string, any>[])[0]!
  const status = async (msgId: string) => {
    const answer = await fetch(
      `${posthouse.url}/api/openApi/message/status?${new URLSearchParams({ appId: APP, msgId })}`,
    )
    return ((await answer.json()) as Answer['body']).data?.['messages'] as Record<string, any>[]
  }

  it('answers per channel, with counts, and so does the status later', async () => {
    const { body } = await push({
      businessId: 'R1',
      receiverData: { user: ['USER001', 'USER042'] },
      channelData: { '1001': { content: 'c' }, '1002': { content: 'c' } },
    })
    const msgId = body.msgId ?? ''
    expect((await status(msgId))[0]).toMatchObject({ recall: null })
    await posthouse.post('/api/openApi/message/read', { appId: APP, msgId, user: ['USER042'] })
    // Into the log it goes at once.
    await eventually(async () => (await status(msgId))[0]?.['channels'][0].totals.sent)
    const answer = await recall({ msgId, reason: '发错了' })
    const told = {
      at: AT,
      by: 'app',
      reason: '发错了',
      channels: [
        { channel: '1001', result: 'TOO_LATE', counts: { ...NONE, tooLate: 1, ended: 1 } },
        { channel: '1002', result: 'RECALLED', counts: { ...NONE, recalled: 2, read: 1 } },
      ],
    }
    expect(answer.body).toEqual({
      code: 200,
      msg: '操作成功',
      data: { messages: [{ msgId, businessId: 'R1', state: 'recalled', recall: told }], isMore: false, next: null },
    })
    expect((await recall({ msgId, reason: 'again' })).body).toEqual(answer.body)
    const [message] = await status(msgId)
    expect(message).toMatchObject({
      state: 'recalled',
      recall: told,
      channels: [{}, { channel: '1002', totals: { recalled: 2 } }],
    })
    const [, , unread, read] = (message?.['recipients'] ?? []) as Record<string, any>[]
    expect([unread, read].map((one) => one?.['history'].map(({ state }: { state: string }) => state))).toEqual([
      ['unread', 'recalled'],
      ['unread', 'seen', 'read', 'recalled'],
    ])
    expect([unread, read]).toMatchObject([
      { channel: '1002', recipient: 'USER001', state: 'recalled', reason: null, readAt: null },
      { channel: '1002', recipient: 'USER042', state: 'recalled', reason: null, readAt: AT },
    ])
    // The audit: its app still sees what it said.
    expect((await messageOf(posthouse, { ...answer, body })).channels[1].content.content).toBe('c')
  })

  it('cancels a scheduled message whole, and its time passes without it', async () => {
    const { body } = await push({ sendTime: new Date(Date.now() + 1_500).toISOString() })
    expect(first(await recall({ msgId: body.msgId }))).toMatchObject({
      state: 'recalled',
      recall: { reason: null, channels: [{ channel: '1002', result: 'CANCELLED', counts: NONE }] },
    })
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    expect(await timesInInbox(posthouse, 'USER001', body.msgId)).toBe(0)
  })

  it('says pending while a worker has it, and the truth once that has ended', async () => {
    const { body } = await push({ channelData: { '1001': { content: 'c' } } })
    const msgId = body.msgId ?? ''
    await eventually(async () => (await status(msgId))[0]?.['channels'][0].totals.sent)
    const held = sql`state = 'queued', due_at = now() + interval '1 hour', lease = gen_random_uuid(), lease_until = now() + interval '1 minute'`
    const set = (columns: typeof held) =>
      query(posthouse.context.db, sql`update deliveries set ${columns} where message_id = ${msgId}`)
    await set(held)
    const channels = (result: string, counts: object) => ({
      recall: { channels: [{ channel: '1001', result, counts: { ...NONE, ...counts } }] },
    })
    expect(first(await recall({ msgId }))).toMatchObject({ state: 'recalling', ...channels('PENDING', { pending: 1 }) })
    await set(sql`state = 'sent', lease = null, lease_until = null`)
    expect((await status(msgId))[0]).toMatchObject(channels('TOO_LATE', { tooLate: 1 }))
    await eventually(async () => (await status(msgId))[0]?.['state'] === 'recalled')
  })

  it('takes the item off both devices of a person live, with the right counts, and tells them nothing of it again', async () => {
    const token = await posthouse.token('USER011')
    const keep = await posthouse.push(['USER011'], 'stays')
    const clients = [posthouse.socket(token), posthouse.socket(token)]
    const devices = clients.map((client) => subscribe(client))
    for (const device of devices) await device.until('InboxCaughtUp')
    const { body } = await posthouse.push(['USER011'], 'goes')
    const came = await Promise.all(devices.map((device) => device.next()))
    expect(came).toMatchObject([{ counts: { unread: 2, unseen: 2 } }, { item: { msgId: body.msgId } }])
    const id = came[0]!.item!.id
    await recall({ msgId: body.msgId })
    const gone = await Promise.all(devices.map((device) => device.next()))
    for (const event of gone) {
      expect(event).toMatchObject({
        __typename: 'ItemGone',
        goneReason: 'RECALLED',
        itemId: id,
        counts: { unread: 1, unseen: 1 },
      })
    }
    // A device that was away hears that it is gone, and never what it said.
    const back = subscribe(clients[0]!, keep.body.msgId && came[0]!.rev)
    expect(await back.until('InboxCaughtUp')).toMatchObject([
      { __typename: 'ItemGone', goneReason: 'RECALLED' },
      { __typename: 'InboxCaughtUp' },
    ])
    expect((await posthouse.graphql(token, 'query ($id: ID!) { node(id: $id) { id } }', { id })).data).toEqual({
      node: null,
    })
    for (const act of ['markItemsRead', 'markItemsUnread', 'deleteItems']) {
      const acted = await posthouse.graphql(token, `mutation ($id: ID!) { ${act}(ids: [$id]) { items { text } } }`, {
        id: body.msgId,
      })
      expect(acted.data).toEqual({ [act]: { items: [] } })
    }
    for (const client of clients) await client.dispose()
  })

  it('takes a broadcast from those who have it, live, and from those who never looked', async () => {
    const client = posthouse.socket(await posthouse.token('USER012'))
    const device = subscribe(client)
    await device.until('InboxCaughtUp')
    const { body } = await push({ receiverType: 'all', receiverData: null })
    expect(await device.next()).toMatchObject({ change: 'NEW', item: { msgId: body.msgId } })
    expect(first(await recall({ msgId: body.msgId })).recall.channels).toEqual([
      { channel: '1002', result: 'RECALLED', counts: { ...NONE, recalled: 1 } },
    ])
    expect(await device.next()).toMatchObject({ __typename: 'ItemGone', counts: { unread: 0, unseen: 0 } })
    expect(await timesInInbox(posthouse, 'USER013', body.msgId)).toBe(0)
    await client.dispose()
  })

  it('leaves the first answer under an Idempotency-Key as it was', async () => {
    const key = { 'idempotency-key': 'recalled-1' }
    const { body } = await push({}, key)
    await recall({ msgId: body.msgId })
    const again = await push({}, key)
    expect([again.body, again.headers.get('idempotency-replayed')]).toEqual([body, 'true'])
    expect(await timesInInbox(posthouse, 'USER001', body.msgId)).toBe(0)
  })

  it('does the same over GraphQL, for the app and for the admin, and says who', async () => {
    const app = await makeApp(posthouse)
    const pushed = async () => (await push({ appId: app.id, businessId: 'G1' }, app.headers)).body.msgId
    const [one, two] = [await pushed(), await pushed()]
    const by = async (bearer: string, variables: object) => {
      const { data, errors } = await posthouse.graphql(bearer, RECALL, { ...variables })
      return data?.['recallMessage'] ?? errors
    }
    const channels = [{ channelId: '1002', result: 'RECALLED', counts: { ...NONE, recalled: 1 } }]
    expect(await by(posthouse.adminKey, { id: one, reason: 'r' })).toEqual({
      isMore: false,
      messages: [{ msgId: one, state: 'RECALLED', recall: { at: AT, by: 'admin', reason: 'r', channels } }],
    })
    const { messages } = await by(app.key, { businessId: 'G1', reason: 'later' })
    expect(messages).toEqual([
      { msgId: two, state: 'RECALLED', recall: { at: AT, by: 'app', reason: 'later', channels } },
      { msgId: one, state: 'RECALLED', recall: { at: AT, by: 'admin', reason: 'r', channels } },
    ])
    expect(await by(posthouse.adminKey, { businessId: 'G1' })).toMatchObject([{ extensions: { code: 'BAD_INPUT' } }])
    expect(await by(app.key, {})).toMatchObject([{ extensions: { code: 'BAD_INPUT', field: 'id' } }])
    expect(await by(app.key, { id: one, reason: 'x'.repeat(201) })).toMatchObject([
      { extensions: { code: 'BAD_INPUT', field: 'reason' } },
    ])
  })

  it("leaves another app's messages alone, in the same words as none", async () => {
    const other = await makeApp(posthouse)
    const { body } = await push({ businessId: 'R2' })
    const errors = async (variables: object) =>
      json((await posthouse.graphql(other.key, RECALL, { ...variables })).errors)
    for (const which of [{ msgId: body.msgId }, { businessId: 'R2' }, { msgId: 'x' }]) {
      const answer = await recall({ appId: other.id, ...which }, other.headers)
      expect(answer.body).toEqual({
        code: 404,
        msg: expect.stringMatching(/^请求资源不存在：(msgId|businessId): 没有这条消息$/),
      })
    }
    expect(await errors({ id: body.msgId })).toBe(await errors({ id: '0'.repeat(32) }))
    expect(await errors({ id: body.msgId })).toContain('NOT_FOUND')
    expect(await timesInInbox(posthouse, 'USER001', body.msgId)).toBe(1)
  })

  it.each([
    ['neither id', {}, 'msgId: 与 businessId 至少填一项'],
    ['a reason as a number', { msgId: 'x', reason: 1 }, 'reason: 应为字符串'],
    ['a long reason', { msgId: 'x', reason: '长'.repeat(201) }, 'reason: 超过 200 字'],
  ])('refuses %s', async (_what, more, text) => {
    expect((await recall(more)).body).toEqual({ code: 400, msg: expect.stringContaining(text) })
  })

  it("never touches another's message, nor one that msgId and businessId do not both mean, whatever page is asked for", async () => {
    const other = await makeApp(posthouse)
    const { body } = await push({ businessId: 'R-mine' })
    const msgId = body.msgId!
    const after = 'f'.repeat(32)
    for (const [named, headers] of [
      [{ appId: other.id, msgId }, other.headers],
      [{ appId: other.id, businessId: 'R-mine', msgId }, other.headers],
      [{ msgId, businessId: 'R-another' }, {}],
      [{ msgId: 'no-such-id' }, {}],
    ] as const)
      for (const page of [{}, { after }]) {
        const answer = await recall({ ...named, ...page }, headers)
        expect([answer.status, answer.body.code]).toEqual([404, 404])
      }
    expect(await status(msgId)).toMatchObject([{ state: 'fanned_out', recall: null }])
  })
})
