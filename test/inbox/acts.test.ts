import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { putUsers } from '../../src/directory/directory.ts'
import { acts, mark } from '../../src/inbox/mark.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { COUNTS, POLL, recount, storedCounts, subscribe, told, type Counts } from './subscriber.ts'

const ACTS = [
  'markItemsSeen',
  'markItemsRead',
  'markItemsUnread',
  'archiveItems',
  'unarchiveItems',
  'deleteItems',
] as const

describe.each(stores)('acting on items, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const pushed = async (user: string, title = '通知') => (await posthouse.push([user], title)).body.msgId!
  async function act(user: string, name: string, ids: string[]) {
    const { data, errors } = await posthouse.graphql(
      await posthouse.token(user),
      `mutation ($ids: [ID!]!) { done: ${name}(ids: $ids) { rev ${COUNTS} items { msgId } } }`,
      { ids },
    )
    expect(errors).toBeUndefined()
    return data!['done'] as { rev: string; counts: Counts; items: { msgId: string }[] }
  }
  async function expectExact(user: string, counts?: Partial<Counts>) {
    const truth = await recount(posthouse.context.db, user)
    expect(await storedCounts(posthouse.context.db, user)).toEqual(truth)
    if (counts !== undefined) expect(truth).toMatchObject(counts)
  }

  it('leaves the counts as the rows are after every pair of acts', async () => {
    const { db } = posthouse.context
    const names = Object.keys(acts) as (keyof typeof acts)[]
    const pairs = names.flatMap((first) => names.map((second) => [first, second] as const))
    const ids = await Promise.all(pairs.map(() => pushed('USER001')))
    for (const [at, [first, second]] of pairs.entries()) {
      await mark(db, 'USER001', first, { messageIds: [ids[at]!] })
      const marked = await mark(db, 'USER001', second, { messageIds: [ids[at]!] })
      await expectExact('USER001', told(marked!.state.counts))
    }
    // All at once, from all those states: every item is one of the rows that an act may or may not change.
    for (const name of [
      'unarchiveItems',
      'markItemsUnread',
      'archiveItems',
      'markItemsRead',
      'unarchiveItems',
      'deleteItems',
    ]) {
      await expectExact('USER001', (await act('USER001', name, ids)).counts)
    }
    expect(await storedCounts(posthouse.context.db, 'USER001')).toEqual({
      unread: 0,
      unseen: 0,
      byMsgType: [],
      byApp: [],
    })
  })

  it('does nothing a second time: neither to the counts nor to the rev', async () => {
    const id = await pushed('USER002')
    for (const name of ACTS) {
      const first = await act('USER002', name, [id, id])
      const second = await act('USER002', name, [id])
      // In this order every act finds the item as it needs it: unread after read, back after away.
      expect([name, first.items.length]).toEqual([name, 1])
      expect(second).toEqual({ ...first, items: [] })
    }
    await expectExact('USER002')
  })

  it('counts down once however many devices act at once', async () => {
    const [id] = [await pushed('USER003'), await pushed('USER003')]
    const results = await Promise.all(Array.from({ length: 20 }, () => act('USER003', 'markItemsRead', [id!])))
    expect(results.filter(({ items }) => items.length === 1)).toHaveLength(1)
    for (const { counts } of results) expect(counts).toMatchObject({ unread: 1, unseen: 1 })
    await expectExact('USER003', { unread: 1, unseen: 1 })
  })

  it('keeps the counts exact while pushes and acts of all kinds run against each other', async () => {
    const ids = await Promise.all(Array.from({ length: 4 }, () => pushed('USER004')))
    const work = Array.from({ length: 40 }, (_, n) =>
      n % 4 === 3 ? pushed('USER004') : act('USER004', ACTS[(n * 7) % 5]!, [ids[n % 4]!, ids[(n + 1) % 4]!]),
    )
    work.push(act('USER004', 'deleteItems', [ids[0]!]))
    await Promise.all(work)
    await expectExact('USER004')
    // Every rev at which an item came is that item's alone.
    const [revs] = await query<{ items: number; revs: number }>(
      posthouse.context.db,
      sql`select count(*)::int as items, count(distinct created_rev)::int as revs from items where user_code = 'USER004'`,
    )
    expect(revs?.revs).toBe(revs?.items)
  })

  it("reaches the person's other devices", async () => {
    const [phone, desk] = [
      posthouse.socket(await posthouse.token('USER005')),
      posthouse.socket(await posthouse.token('USER005')),
    ]
    const devices = [subscribe(phone), subscribe(desk)]
    for (const device of devices) await device.until('InboxCaughtUp')
    const id = await pushed('USER005')
    for (const device of devices) expect(await device.next()).toMatchObject({ change: 'NEW' })
    const { rev } = await act('USER005', 'archiveItems', [id])
    for (const device of devices)
      expect(await device.next()).toMatchObject({ change: 'ARCHIVED', rev, counts: { unread: 0, unseen: 0 } })
    await Promise.all([phone.dispose(), desk.dispose()])
  })

  it("does nothing for ids of nothing and of others' items", async () => {
    const theirs = await pushed('USER006')
    const mine = await pushed('USER007')
    const before = await storedCounts(posthouse.context.db, 'USER006')
    const globalId = (text: string) => Buffer.from(text).toString('base64')
    const ids = [
      theirs,
      globalId(`InboxItem:${theirs}:USER006`),
      globalId(`InboxItem:${mine}:USER006`),
      globalId(`Message:${mine}`),
      globalId('InboxItem:x'),
      '',
      'nonsense',
      '0'.repeat(32),
      mine.toUpperCase(),
      `${mine}'`,
      '\u0000',
    ]
    for (const name of ACTS) {
      const { data, errors } = await posthouse.graphql(
        await posthouse.token('USER007'),
        `mutation { ${name}(ids: ${JSON.stringify(ids)}) { counts { unread unseen } items { id } } }`,
      )
      expect([name, errors]).toEqual([name, undefined])
      expect(data![name]).toEqual({ counts: { unread: 1, unseen: 1 }, items: [] })
    }
    expect(await storedCounts(posthouse.context.db, 'USER006')).toEqual(before)
    expect((await act('USER007', 'markItemsRead', [globalId(`InboxItem:${mine}:USER007`)])).items).toEqual([
      { msgId: mine },
    ])
  })

  it('takes at most 500 ids', async () => {
    const ask = async (count: number) =>
      posthouse.graphql(
        await posthouse.token('USER008'),
        'mutation ($ids: [ID!]!) { markItemsRead(ids: $ids) { rev } }',
        { ids: Array(count).fill('0'.repeat(32)) },
      )
    expect((await ask(500)).errors).toBeUndefined()
    expect((await ask(501)).errors).toMatchObject([
      { message: expect.stringContaining('500'), extensions: { code: 'BAD_INPUT', field: 'ids' } },
    ])
  })

  it('says of deleted items which they were', async () => {
    const id = await pushed('USER008')
    expect((await act('USER008', 'deleteItems', [id])).items).toEqual([{ msgId: id }])
  })

  it('marks all read up to a rev, and leaves what came later', async () => {
    const user = 'USER009'
    const token = await posthouse.token(user)
    const markAllRead = (upTo: string) =>
      posthouse.graphql(
        token,
        'mutation ($upTo: Rev!) { markAllRead(upTo: $upTo) { counts { unread unseen } items { title } } }',
        { upTo },
      )
    await pushed(user, '一')
    await pushed(user, '二')
    const { data } = await posthouse.graphql(token, POLL)
    const { rev } = data!['inboxChanges'][0]
    const later = await pushed(user, '三')
    expect((await markAllRead(rev)).data).toEqual({
      markAllRead: { counts: { unread: 1, unseen: 1 }, items: [{ title: '二' }, { title: '一' }] },
    })
    // An old item that changes later is still one that was there.
    await act(user, 'markItemsUnread', [
      (await posthouse.graphql(token, '{ inbox(last: 1) { edges { node { id } } } }')).data!['inbox'].edges[0].node.id,
    ])
    expect((await markAllRead(rev)).data).toMatchObject({
      markAllRead: { counts: { unread: 1 }, items: [{ title: '一' }] },
    })
    expect((await markAllRead(rev)).data).toMatchObject({ markAllRead: { items: [] } })
    // A rev ahead of the inbox means no more than all there is.
    expect((await markAllRead(rev.replace(/\d+$/, '999999'))).data).toMatchObject({
      markAllRead: { counts: { unread: 0 }, items: [{ title: '三' }] },
    })
    expect((await act(user, 'markItemsUnread', [later])).counts).toMatchObject({ unread: 1, unseen: 0 })
    await expectExact(user)
    for (const wrong of ['', 'nonsense', '000000000000-1']) {
      expect((await markAllRead(wrong)).errors).toMatchObject([{ extensions: { code: 'BAD_CURSOR', field: 'upTo' } }])
    }
  })

  it('puts away what is read and deletes what is put away, up to a rev', async () => {
    const user = 'USER011'
    const token = await posthouse.token(user)
    const sweep = async (name: string, upTo: string) => {
      const { data, errors } = await posthouse.graphql(
        token,
        `mutation ($upTo: Rev!) { done: ${name}(upTo: $upTo) { rev ${COUNTS} items { title } } }`,
        { upTo },
      )
      expect(errors).toBeUndefined()
      return { ...data!['done'], items: data!['done'].items.map(({ title }: any) => title).join('') }
    }
    const [one, two] = [await pushed(user, '一'), await pushed(user, '二'), await pushed(user, '三')]
    const { rev } = await act(user, 'markItemsRead', [one!, two!])
    const later = await pushed(user, '四')
    await act(user, 'markItemsRead', [later])
    expect(await sweep('archiveAllRead', rev)).toMatchObject({ items: '二一', counts: { unread: 1, unseen: 1 } })
    expect(await sweep('archiveAllRead', rev)).toMatchObject({ items: '' })
    await act(user, 'archiveItems', [later])
    expect(await sweep('deleteAllArchived', rev)).toMatchObject({ items: '二一' })
    expect(await sweep('deleteAllArchived', rev)).toMatchObject({ items: '' })
    await expectExact(user, { unread: 1, unseen: 1 })
  })

  it('does so to all of a kind: by type, app, sender and time, live, and to nothing else', async () => {
    const user = 'USER012'
    const token = await posthouse.token(user)
    const sweep = async (name: string, filter: object | null) => {
      const [{ rev }] = (await posthouse.graphql(token, POLL)).data!['inboxChanges']
      const { data, errors } = await posthouse.graphql(
        token,
        `mutation ($upTo: Rev!, $filter: InboxKindFilter) { done: ${name}(upTo: $upTo, filter: $filter) { ${COUNTS} items { title } } }`,
        { upTo: rev, filter },
      )
      expect(errors).toBeUndefined()
      await expectExact(user, data!['done'].counts)
      return data!['done'].items.map(({ title }: any) => title).join('')
    }
    for (const [title, more] of [
      ['一', { msgType: 'reminder' }],
      ['二', { senderCode: 'USER003' }],
      ['三', { msgType: 'reminder', senderCode: 'USER003' }],
      ['四', {}],
    ] as const)
      expect((await posthouse.push([user], title, more)).body.code).toBe(200)
    await query(
      posthouse.context.db,
      sql`
        update items set created_at = now() - interval '2 days'
        from contents
        where contents.message_id = items.message_id and user_code = ${user} and content->>'title' = '四'`,
    )
    const yesterday = new Date(Date.now() - 86_400_000).toISOString()
    const client = posthouse.socket(token)
    const device = subscribe(client)
    await device.until('InboxCaughtUp')
    expect(await sweep('markAllRead', { msgType: 'reminder' })).toBe('三一')
    expect(await device.next()).toMatchObject({ __typename: 'ItemsChanged', change: 'READ', itemIds: { length: 2 } })
    expect(await sweep('markAllRead', { senderCode: 'USER003', appId: APP })).toBe('二')
    expect(await device.next()).toMatchObject({ __typename: 'ItemChanged', change: 'READ', item: { title: '二' } })
    expect(await sweep('markAllSeen', { appId: 'another' })).toBe('')
    expect(await sweep('markAllSeen', { since: yesterday })).toBe('')
    expect(await sweep('markAllSeen', { until: yesterday })).toBe('四')
    expect(await sweep('archiveAllRead', { senderCode: 'USER003', msgType: 'reminder' })).toBe('三')
    expect(await sweep('archiveAll', { since: yesterday, until: null })).toBe('二一')
    expect(await sweep('deleteAllArchived', { msgType: 'reminder' })).toBe('三一')
    expect(await sweep('archiveAll', null)).toBe('四')
    expect(await sweep('deleteAllArchived', {})).toBe('四二')
    await client.dispose()
  })

  it('works for people whose code is no ASCII', async () => {
    const user = '张:三'
    await putUsers(posthouse.context.db, [{ code: user, name: '张三' }])
    const id = await pushed(user)
    const { data } = await posthouse.graphql(
      await posthouse.token(user),
      '{ inbox { edges { node { id msgId appId } } } }',
    )
    expect(data!['inbox'].edges[0].node).toMatchObject({ msgId: id, appId: APP })
    expect((await act(user, 'markItemsRead', [data!['inbox'].edges[0].node.id])).items).toEqual([{ msgId: id }])
  })
})
