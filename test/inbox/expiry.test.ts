import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { putKey } from '../../src/apps/apps.ts'
import { bearerKey, sha256 } from '../../src/apps/authenticate.ts'
import { query } from '../../src/db/client.ts'
import { putUsers } from '../../src/directory/directory.ts'
import { bringUpToDate } from '../../src/inbox/broadcast.ts'
import { moveOn } from '../../src/inbox/clock.ts'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { COUNTS, recount, storedCounts, subscribe } from './subscriber.ts'

const MINUTE = 60_000

describe.each(stores)('a message that expires, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const soon = (milliseconds = MINUTE) => new Date(Date.now() + milliseconds).toISOString()
  const push = async (users: string[], title: string, more: Record<string, unknown> = {}) => {
    const { body } = await posthouse.push(users, title, { expiresAt: soon(), ...more })
    expect(body.msg).toBe('操作成功')
    return body.msgId!
  }
  const broadcast = (title: string, more: Record<string, unknown> = {}) =>
    push([], title, { receiverType: 'all', receiverData: undefined, ...more })
  /** As if its time had come: waiting for it would make the test slow or shaky. */
  const letExpire = async (msgId: string) => {
    for (const table of ['messages', 'items', 'broadcasts', 'deliveries'])
      await query(
        posthouse.context.db,
        sql`update ${sql.raw(table)} set expires_at = now() where ${sql.raw(table === 'messages' ? 'id' : 'message_id')} = ${msgId}`,
      )
  }
  const inbox = async (user: string) =>
    (
      await posthouse.graphql(
        await posthouse.token(user),
        `{ inbox(first: 50) { edges { node { title expiresAt } } } inboxCounts { unread unseen } }`,
      )
    ).data!
  const titles = async (user: string) => (await inbox(user))['inbox'].edges.map(({ node }: any) => node.title)
  const explain = async (msgId: string, user: string) => {
    const { data, errors } = await posthouse.graphql(
      posthouse.adminKey,
      `query ($id: ID!, $user: String!) { explainDelivery(msgId: $id, user: $user) { code } }`,
      { id: msgId, user },
    )
    expect(errors).toBeUndefined()
    return data!['explainDelivery'].map(({ code }: any) => code)
  }
  async function expectExact(user: string) {
    expect(await storedCounts(posthouse.context.db, user)).toEqual(await recount(posthouse.context.db, user))
  }

  it('leaves the inbox of everybody within about a second of its time, live, and the counts with it', async () => {
    const clients = await Promise.all(
      ['USER001', 'USER001', 'USER002'].map(async (user) => posthouse.socket(await posthouse.token(user))),
    )
    const devices = clients.map((client) => subscribe(client))
    for (const device of devices) await device.until('InboxCaughtUp')
    const expiresAt = soon(1_500)
    await push(['USER001', 'USER002'], '限时', { expiresAt })
    for (const device of devices) expect(await device.next()).toMatchObject({ change: 'NEW', counts: { unread: 1 } })
    expect((await inbox('USER001'))['inbox'].edges[0].node).toEqual({ title: '限时', expiresAt })
    const gone = await Promise.all(devices.map((device) => device.next()))
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt))
    console.info(`gone ${Date.now() - Date.parse(expiresAt)} ms after its time`)
    for (const event of gone)
      expect(event).toMatchObject({ __typename: 'ItemGone', goneReason: 'EXPIRED', counts: { unread: 0, unseen: 0 } })
    expect(await titles('USER001')).toEqual([])
    await expectExact('USER001')
    for (const client of clients) await client.dispose()
  })

  it('goes whatever was done to it, and the counts stay as the rows are', async () => {
    const user = 'USER003'
    const token = await posthouse.token(user)
    const ids: string[] = []
    for (const mutation of [
      'markItemsSeen(ids: $ids)',
      'markItemsRead(ids: $ids)',
      'archiveItems(ids: $ids)',
      `snoozeItems(ids: $ids, until: "${soon()}")`,
      'deleteItems(ids: $ids)',
    ]) {
      const id = await push([user], mutation)
      ids.push(id)
      const { errors } = await posthouse.graphql(token, `mutation ($ids: [ID!]!) { ${mutation} { rev } }`, {
        ids: [id],
      })
      expect(errors).toBeUndefined()
    }
    await posthouse.push([user], '留下')
    for (const id of ids) await letExpire(id)
    const left = () =>
      query(
        posthouse.context.db,
        sql`select change from items where user_code = ${user} and deleted_at is null and expires_at is not null`,
      )
    await eventually(async () => (await left()).length === 0)
    expect(await inbox(user)).toMatchObject({
      inbox: { edges: [{ node: { title: '留下' } }] },
      inboxCounts: { unread: 1, unseen: 1 },
    })
    await expectExact(user)
    const changes = await query<{ change: string; count: number }>(
      posthouse.context.db,
      sql`select change, count(*)::int as count from items where user_code = ${user} group by change order by change`,
    )
    expect(changes).toEqual([
      { change: 'deleted', count: 1 },
      { change: 'expired', count: 4 },
      { change: 'new', count: 1 },
    ])
  })

  it('goes once, however many nodes look, and each item at a rev of its own', async () => {
    const { db } = posthouse.context
    const users = ['USER004', 'USER005']
    for (let n = 0; n < 10; n++) await push(users, `第${n}`)
    await query(
      db,
      sql`update items set expires_at = now() - interval '1 day' where user_code = any('{USER004,USER005}')`,
    )
    await Promise.all(Array.from({ length: 6 }, () => moveOn(db)))
    for (const user of users) {
      await eventually(async () => (await storedCounts(db, user))?.unread === 0)
      const [revs] = await query<{ revs: number; rev: number }>(
        db,
        sql`
          select count(distinct items.rev)::int as revs, inboxes.rev
          from items join inboxes using (user_code) where user_code = ${user} group by inboxes.rev`,
      )
      expect(revs).toEqual({ revs: 10, rev: 20 })
      await expectExact(user)
    }
  })

  it('tells a device that was away: gone is what it had, and of what came and went it need not know', async () => {
    const user = 'USER006'
    const token = await posthouse.token(user)
    const poll = (after?: string) =>
      posthouse.graphql(
        token,
        `query ($after: Rev) { inboxChanges(after: $after) { __typename ... on ItemGone { reason ${COUNTS} } ... on InboxCaughtUp { rev } } }`,
        { after },
      )
    const had = await push([user], '见过')
    const { rev } = (await poll()).data!['inboxChanges'].at(-1)
    const never = await push([user], '没见过')
    for (const id of [had, never]) await letExpire(id)
    await eventually(async () => (await storedCounts(posthouse.context.db, user))?.unread === 0)
    const events = (await poll(rev)).data!['inboxChanges']
    expect(events[0]).toMatchObject({ __typename: 'ItemGone', reason: 'EXPIRED', counts: { unread: 0 } })
    expect(new Set(events.map((event: any) => event.__typename))).toEqual(new Set(['ItemGone', 'InboxCaughtUp']))
  })

  it('as a broadcast reaches who looks in time, leaves them again, and reaches nobody after', async () => {
    const { db } = posthouse.context
    const id = await broadcast('限时广播')
    expect(await titles('USER007')).toEqual(['限时广播'])
    await letExpire(id)
    await eventually(async () => (await titles('USER007')).length === 0)
    expect(await titles('USER008')).toEqual([])
    expect(await explain(id, 'USER007')).toEqual(['EXPIRED'])
    expect(await explain(id, 'USER008')).toEqual(['EXPIRED_BEFORE'])
    for (const user of ['USER007', 'USER008']) await expectExact(user)
    // Past it, so that nobody is looked at again and again for it.
    expect(await bringUpToDate(db, ['USER007', 'USER008'])).toEqual([])
    await broadcast('下一条', { expiresAt: undefined })
    expect(await titles('USER008')).toEqual(['下一条'])
  })

  it('is told to its sender: in the totals, in the story of each recipient, and in a recall that comes after', async () => {
    const id = await push(['USER009', 'USER010'], '过期')
    const token = await posthouse.token('USER009')
    await posthouse.graphql(token, `mutation ($ids: [ID!]!) { markItemsRead(ids: $ids) { rev } }`, { ids: [id] })
    await letExpire(id)
    await eventually(async () => (await storedCounts(posthouse.context.db, 'USER010'))?.unread === 0)
    const { data } = await posthouse.graphql(
      posthouse.adminKey,
      `mutation ($id: ID!) { recallMessage(id: $id) { messages {
        expiresAt channels { totals { state count } } recall { channels { result counts { recalled ended pending } } }
      } } }`,
      { id },
    )
    expect(data!['recallMessage'].messages).toMatchObject([
      {
        expiresAt: expect.any(String),
        channels: [{ totals: [{ state: 'expired', count: 2 }] }],
        recall: { channels: [{ result: 'CANCELLED', counts: { recalled: 0, ended: 2, pending: 0 } }] },
      },
    ])
    const status = await fetch(`${posthouse.url}/api/openApi/message/status?appId=102343444&msgId=${id}`)
    const [message] = ((await status.json()) as any).data.messages
    expect(message.recipients.map(({ state, history }: any) => [state, history.at(-1).state])).toEqual([
      ['expired', 'expired'],
      ['expired', 'expired'],
    ])
  })

  it('does not go out by SMS any more, nor by a replay', async () => {
    await putUsers(posthouse.context.db, [{ code: 'LATE', name: '迟', phone: '13900000009' }])
    const id = await push(['LATE'], '不再发', {
      channelData: { '1001': { content: '验证码 1234' } },
      sendTime: soon(30_000),
      expiresAt: soon(60_000),
    })
    await query(
      posthouse.context.db,
      sql`update messages set due_at = now(), expires_at = now() - interval '1 second' where id = ${id}`,
    )
    const delivery = () =>
      query<{ id: string; state: string; reason: string }>(
        posthouse.context.db,
        sql`select id, state, reason from deliveries where message_id = ${id}`,
      )
    await eventually(async () => ['sent', 'expired'].includes((await delivery())[0]?.state ?? ''))
    expect((await delivery())[0]).toMatchObject({ state: 'expired', reason: 'TOO_OLD' })
    expect(await explain(id, 'LATE')).toEqual(['TOO_OLD'])
    const { data } = await posthouse.graphql(
      posthouse.adminKey,
      `mutation { replayDeliveries(input: { filter: { state: EXPIRED } }) { replayed } }`,
    )
    expect(data!['replayDeliveries']).toEqual({ replayed: 0 })
  })

  it('is taken from GraphQL as well, and refused with what to mend', async () => {
    const expiresAt = soon()
    await putKey(posthouse.context.db, {
      keyId: 'expiry',
      appId: APP,
      secretSha256: sha256('secret-of-the-expiry-tests'),
    })
    const { data, errors } = await posthouse.graphql(
      bearerKey('expiry', 'secret-of-the-expiry-tests'),
      `mutation ($at: String!) { pushChannelMessage(input: {
        receiver: { specified: { users: ["USER011"] } }, channels: [{ channelId: "1002", site: { content: "一" } }], expiresAt: $at
      }) { message { expiresAt } } }`,
      { at: expiresAt },
    )
    expect(errors).toBeUndefined()
    expect(data!['pushChannelMessage']).toEqual({ message: { expiresAt } })
    for (const [more, words] of [
      [{ expiresAt: soon(-1) }, 'expiresAt: 应晚于现在和 sendTime'],
      [{ sendTime: soon(2 * MINUTE) }, 'expiresAt: 应晚于现在和 sendTime'],
      [{ expiresAt: soon(3 * 366 * 24 * 60 * MINUTE) }, 'expiresAt: 不能晚于两年后'],
      [{ expiresAt: 'tomorrow' }, 'expiresAt: 应为 yyyy-MM-dd HH:mm:ss'],
    ] as const) {
      const { status, body } = await posthouse.push(['USER011'], '不行', { expiresAt: soon(), ...more })
      expect([status, body.code]).toEqual([400, 400])
      expect(body.msg).toContain(words)
    }
  })
})
