import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { putUsers } from '../../src/directory/directory.ts'
import { bringUpToDate } from '../../src/inbox/broadcast.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { POLL, recount, storedCounts, subscribe } from './subscriber.ts'

describe.each(stores)('a broadcast, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const broadcast = async (title: string) => {
    const { body } = await posthouse.push([], title, { receiverType: 'all', receiverData: undefined })
    expect(body.code).toBe(200)
    return body.msgId!
  }
  const titles = async (user: string): Promise<string[]> => {
    const { data } = await posthouse.graphql(
      await posthouse.token(user),
      '{ inbox(first: 100) { edges { node { title } } } }',
    )
    return data!['inbox'].edges.map(({ node }: any) => node.title)
  }
  const counts = async (user: string) =>
    (await posthouse.graphql(await posthouse.token(user), '{ inboxCounts { unread unseen } }')).data!['inboxCounts']
  const rows = async (table: 'items' | 'inboxes' | 'broadcasts') =>
    (
      await query<{ count: number }>(posthouse.context.db, sql`select count(*)::int as count from ${sql.raw(table)}`)
    )[0]!.count
  async function expectExact(user: string) {
    expect(await storedCounts(posthouse.context.db, user)).toEqual(await recount(posthouse.context.db, user))
  }

  it('is one row when accepted, and an item of each person who looks', async () => {
    expect(await broadcast('全院通知')).toMatch(/^[0-9a-f]{32}$/)
    expect([await rows('broadcasts'), await rows('items'), await rows('inboxes')]).toEqual([1, 0, 0])
    expect(await counts('USER001')).toEqual({ unread: 1, unseen: 1 })
    expect(await titles('USER001')).toEqual(['全院通知'])
    expect([await rows('items'), await rows('inboxes')]).toEqual([1, 1])
    await expectExact('USER001')
  })

  it('keeps its place among the other messages', async () => {
    await posthouse.push(['USER002'], '先')
    await broadcast('中')
    expect(await titles('USER002')).toContain('中')
    await posthouse.push(['USER002'], '后')
    expect((await titles('USER002'))[0]).toBe('后')
    await expectExact('USER002')
  })

  it('is seen at once by the connected', async () => {
    const clients = await Promise.all(
      ['USER003', 'USER004'].map(async (user) => posthouse.socket(await posthouse.token(user))),
    )
    const subscribers = clients.map((client) => subscribe(client))
    for (const subscriber of subscribers) await subscriber.until('InboxCaughtUp')
    const startedAt = performance.now()
    const msgId = await broadcast('紧急')
    for (const subscriber of subscribers)
      expect(await subscriber.next()).toMatchObject({ change: 'NEW', item: { msgId } })
    console.info(`a broadcast reached the connected within ${Math.round(performance.now() - startedAt)} ms`)
    for (const client of clients) await client.dispose()
  })

  it('is an item that can be acted on at once by its msgId, before anybody looked', async () => {
    const msgId = await broadcast('先标后看')
    const { data } = await posthouse.graphql(
      await posthouse.token('USER005'),
      'mutation ($id: ID!) { markItemsRead(ids: [$id]) { items { title } } }',
      { id: msgId },
    )
    expect(data!['markItemsRead'].items).toEqual([{ title: '先标后看' }])
    await expectExact('USER005')
  })

  it('does not reach those who came later, but those who were there reach all', async () => {
    const before = await rows('broadcasts')
    await putUsers(posthouse.context.db, [{ code: 'NEW001', name: '新来的' }])
    expect(await counts('NEW001')).toEqual({ unread: 0, unseen: 0 })
    await putUsers(posthouse.context.db, [{ code: 'NEW002', name: '也是新来的' }])
    await broadcast('之后')
    // Written again, as a nightly synchronisation does, he is still the one who came then.
    await putUsers(posthouse.context.db, [{ code: 'NEW002', name: '改了名' }])
    expect([await titles('NEW001'), await titles('NEW002')]).toEqual([['之后'], ['之后']])
    expect(await titles('USER006')).toHaveLength(before + 1)
    await expectExact('USER006')
  })

  it('does not pass over one that began later but was first in order', async () => {
    // Two broadcasts around the creation of a person: the one with the lower seq began after it.
    const [first, second] = [await broadcast('后开始'), await broadcast('先开始')]
    await putUsers(posthouse.context.db, [{ code: 'BETWEEN', name: '中间来的' }])
    const at = sql`(select created_at from users where code = 'BETWEEN')`
    await query(
      posthouse.context.db,
      sql`update broadcasts set created_at = ${at} + interval '10 milliseconds' where message_id = ${first}`,
    )
    await query(
      posthouse.context.db,
      sql`update broadcasts set created_at = ${at} - interval '10 milliseconds' where message_id = ${second}`,
    )
    expect(await titles('BETWEEN')).toEqual(['后开始'])
    expect(await bringUpToDate(posthouse.context.db, ['BETWEEN'])).toEqual([])
  })

  it('becomes one item however many look at once', async () => {
    await titles('USER007')
    for (let round = 0; round < 3; round++) {
      const msgId = await broadcast(`同时 ${round}`)
      const token = await posthouse.token('USER007')
      const looks = await Promise.all(Array.from({ length: 8 }, () => posthouse.graphql(token, POLL)))
      for (const { data } of looks) {
        const items = data!['inboxChanges'][0].items.filter((item: any) => item.msgId === msgId)
        expect(items).toHaveLength(1)
      }
    }
    await expectExact('USER007')
  })

  it('stays unread when everything before it is marked read meanwhile', async () => {
    const token = await posthouse.token('USER008')
    const { data } = await posthouse.graphql(token, POLL)
    const { rev } = data!['inboxChanges'][0]
    const marking = () =>
      posthouse.graphql(token, 'mutation ($upTo: Rev!) { markAllRead(upTo: $upTo) { counts { unread } } }', {
        upTo: rev,
      })
    const [, marked] = await Promise.all([broadcast('与此同时'), marking(), marking(), counts('USER008')])
    expect(marked.errors).toBeUndefined()
    expect(await counts('USER008')).toMatchObject({ unread: 1 })
    await expectExact('USER008')
  })

  it('reaches a person with many missed ones completely, in order', async () => {
    // As many as several statements copy, in one go: pushed one by one they would take minutes.
    const msgId = await broadcast('很多')
    // A day like any other: the database settles on a plan for a few, which has to do for many too.
    for (let i = 0; i < 60; i++) {
      await broadcast(`第${i}条`)
      await bringUpToDate(posthouse.context.db, ['USER009', 'USER010'])
    }
    await query(
      posthouse.context.db,
      sql`
        with copies as (
          insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
          select gen_random_uuid(), ${APP}, 'all', '{}', '{}', 'notice', 2, now(), 'fanned_out', 'test' from generate_series(1, 5200)
          returning id
        ),
        said as (
          insert into contents (message_id, channel_id, kind, content)
          select copies.id, channel_id, kind, content from copies, contents where message_id = ${msgId}
        )
        insert into broadcasts (message_id, app_id, msg_type) select id, ${APP}, 'notice' from copies`,
    )
    expect(await bringUpToDate(posthouse.context.db, ['USER009', 'USER010'])).toEqual(['USER009', 'USER010'])
    const all = await rows('broadcasts')
    for (const user of ['USER009', 'USER010']) {
      await expectExact(user)
      const [order] = await query<{ items: number; inOrder: boolean }>(
        posthouse.context.db,
        sql`
          select count(*)::int as items, bool_and(seq >= last) as "inOrder"
          from (
            select seq, lag(seq, 1, 0) over (order by created_rev) as last
            from items join broadcasts using (message_id) where user_code = ${user}
          ) as ordered`,
      )
      expect(order).toEqual({ items: all, inOrder: true })
    }
  })
})
