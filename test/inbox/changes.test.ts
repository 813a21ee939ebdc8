import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Client } from 'graphql-ws'
import { sql } from 'drizzle-orm'
import { query } from '../../src/db/client.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { changes } from '../../src/inbox/live.ts'
import { mark } from '../../src/inbox/mark.ts'
import { POLL, recount, subscribe, subscribeSse, type Event, type Subscriber } from './subscriber.ts'

describe.each(stores)('the changes of an inbox, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  const clients: Client[] = []
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.dispose()
  })
  afterAll(() => posthouse.stop())

  async function subscriber(user: string, after?: string): Promise<Subscriber> {
    const client = posthouse.socket(await posthouse.token(user))
    clients.push(client)
    return subscribe(client, after)
  }
  async function poll(user: string, after?: string): Promise<Event[]> {
    const { data, errors } = await posthouse.graphql(await posthouse.token(user), POLL, { after })
    if (errors) throw new Error(JSON.stringify(errors))
    return data!['inboxChanges']
  }
  async function act(user: string, name: string, ids: string[]) {
    const { errors } = await posthouse.graphql(
      await posthouse.token(user),
      `mutation ($ids: [ID!]!) { ${name}(ids: $ids) { rev } }`,
      { ids },
    )
    expect(errors).toBeUndefined()
  }
  const pushed = async (user: string, title: string) => (await posthouse.push([user], title)).body.msgId!

  it('begin with a snapshot, newest first, then say that it is all', async () => {
    for (let n = 1; n <= 21; n++) await pushed('USER001', `第 ${n} 条`)
    const watched = await subscriber('USER001')
    const snapshot = await watched.next()
    expect(snapshot).toMatchObject({ __typename: 'InboxSnapshot', counts: { unread: 21, unseen: 21 }, hasMore: true })
    expect(snapshot.items?.map(({ title }) => title)).toEqual(Array.from({ length: 20 }, (_, n) => `第 ${21 - n} 条`))
    expect(await watched.next()).toEqual({ __typename: 'InboxCaughtUp', rev: snapshot.rev })
  })

  it.each(['WebSocket', 'SSE'])(
    'give exactly what was missed to one who comes back, in order, over %s',
    async (transport) => {
      const user = transport === 'SSE' ? 'USER003' : 'USER002'
      const open = async (after?: string) =>
        transport === 'SSE' ? subscribeSse(posthouse.url, await posthouse.token(user), after) : subscriber(user, after)
      const first = await open()
      const [snapshot] = await first.until('InboxCaughtUp')
      await first.leave()
      const ids = []
      for (const title of ['甲', '乙', '丙']) ids.push(await pushed(user, title))
      const second = await open(snapshot!.rev)
      const missed = await second.until('InboxCaughtUp')
      expect(missed.slice(0, -1).map(({ change, item }) => [change, item?.msgId])).toEqual(ids.map((id) => ['NEW', id]))
      await pushed(user, '丁')
      expect(await second.next()).toMatchObject({
        change: 'NEW',
        item: { title: '丁' },
        counts: { unread: 4, unseen: 4 },
      })
      await second.leave()
    },
  )

  it('say the same to a poller', async () => {
    const user = 'USER004'
    const [{ rev } = { rev: '' }] = await poll(user)
    const ids = [await pushed(user, '一'), await pushed(user, '二'), await pushed(user, '三')]
    await act(user, 'markItemsRead', [ids[0]!])
    await act(user, 'deleteItems', [ids[1]!])
    const watched = await subscriber(user, rev)
    const seen = await watched.until('InboxCaughtUp')
    expect(await poll(user, rev)).toEqual(seen)
    expect(seen.map(({ __typename, change }) => change ?? __typename)).toEqual([
      'NEW',
      'NEW',
      'READ',
      'ItemGone',
      'InboxCaughtUp',
    ])
    expect(await poll(user, seen.at(-1)!.rev)).toEqual([seen.at(-1)])
  })

  it('name every change, with the counts as the rows are', async () => {
    const user = 'USER005'
    const watched = await subscriber(user)
    await watched.until('InboxCaughtUp')
    const id = await pushed(user, '通知')
    expect(await watched.next()).toMatchObject({ change: 'NEW', counts: { unread: 1, unseen: 1 } })
    for (const [name, change, unread, unseen] of [
      ['markItemsSeen', 'SEEN', 1, 0],
      ['markItemsRead', 'READ', 0, 0],
      ['markItemsUnread', 'UNREAD', 1, 0],
      ['archiveItems', 'ARCHIVED', 0, 0],
      ['unarchiveItems', 'UNARCHIVED', 1, 0],
    ] as const) {
      await act(user, name, [id])
      expect(await watched.next()).toMatchObject({
        __typename: 'ItemChanged',
        change,
        counts: { unread, unseen },
        item: { msgId: id },
      })
      expect(await recount(posthouse.context.db, user)).toMatchObject({ unread, unseen })
    }
  })

  it('tell of a deleted item by its global id', async () => {
    const user = 'USER006'
    const watched = await subscriber(user)
    await watched.until('InboxCaughtUp')
    await pushed(user, '将删')
    const { item } = await watched.next()
    await act(user, 'deleteItems', [item!.id])
    expect(await watched.next()).toMatchObject({
      __typename: 'ItemGone',
      itemId: item!.id,
      goneReason: 'DELETED',
      counts: { unread: 0, unseen: 0 },
    })
    expect(await poll(user)).toMatchObject([{ items: [] }, { __typename: 'InboxCaughtUp' }])
  })

  it('tell what one act did to several items as one event, also when they are gone', async () => {
    const user = 'USER012'
    const watched = await subscriber(user)
    await watched.until('InboxCaughtUp')
    const items = []
    for (const title of ['一', '二', '三', '四']) {
      await pushed(user, title)
      items.unshift((await watched.next()).item!)
    }
    const [fourth, third, second, first] = items.map(({ id }) => id)
    await act(user, 'markItemsSeen', [first!])
    expect(await watched.next()).toMatchObject({ __typename: 'ItemChanged', change: 'SEEN' })
    await act(user, 'markItemsRead', [second!, first!, third!])
    const read = await watched.next()
    expect(read).toEqual({
      __typename: 'ItemsChanged',
      change: 'READ',
      rev: expect.any(String),
      itemIds: [third, second, first],
      marks: [third, second, first].map((id) => ({
        id,
        seenAt: expect.any(String),
        readAt: expect.any(String),
        archivedAt: null,
        snoozedUntil: null,
      })),
      counts: await recount(posthouse.context.db, user),
    })
    const { data } = await posthouse.graphql(
      await posthouse.token(user),
      '{ inbox { edges { node { readAt seenAt } } } }',
    )
    expect(data!['inbox'].edges[1].node).toMatchObject({
      readAt: read.marks![0]!.readAt,
      seenAt: read.marks![0]!.seenAt,
    })
    // Only what changed is named, and one that changed is an event as always.
    await act(user, 'markItemsUnread', [third!, fourth!])
    expect(await watched.next()).toMatchObject({ __typename: 'ItemChanged', change: 'UNREAD', item: { id: third } })
    await act(user, 'deleteItems', [first!, second!])
    const gone = await watched.next()
    expect(gone).toMatchObject({
      __typename: 'ItemsChanged',
      change: 'DELETED',
      itemIds: [second, first],
      marks: [],
      counts: { unread: 2, unseen: 1 },
    })
    expect(JSON.stringify(gone)).not.toMatch(/一|二/)
    await act(user, 'deleteItems', [third!])
    expect(await watched.next()).toMatchObject({ __typename: 'ItemGone', itemId: third })
  })

  it('leave nothing out and tell nothing twice wherever a reader stops, also amid acts on more items than one read holds', async () => {
    const user = 'USER013'
    const [{ rev } = { rev: '' }] = await poll(user)
    const ids = await Promise.all(Array.from({ length: 130 }, (_, n) => pushed(user, `第 ${n} 条`)))
    await act(user, 'markItemsRead', ids.slice(0, 120))
    await act(user, 'archiveItems', ids.slice(90, 125))
    await act(user, 'markItemsUnread', ids.slice(0, 60))
    await act(user, 'deleteItems', ids.slice(0, 5))
    const all = await poll(user, rev)
    expect(all.slice(125).map(({ __typename, change, itemIds }) => [change ?? __typename, itemIds?.length])).toEqual([
      ['READ', 30],
      ['ARCHIVED', 35],
      ['UNREAD', 55],
      ['DELETED', 5],
      ['InboxCaughtUp', undefined],
    ])
    expect(all.at(-2)?.counts).toEqual(await recount(posthouse.context.db, user))
    for (const [at, event] of all.entries()) {
      if (at < 120) continue
      expect(await poll(user, event.rev)).toEqual(all.slice(Math.min(at + 1, all.length - 1)))
    }
  })

  it('tell an act on more than 1,000 items in several events, whole and in order', async () => {
    const user = 'USER014'
    const [, { rev } = { rev: '' }] = await poll(user)
    const first = await pushed(user, '很多')
    await query(
      posthouse.context.db,
      sql`
        with copies as (
          insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
          select gen_random_uuid(), ${APP}, 'specified', '{}', '{}', 'notice', 2, now(), 'fanned_out', 'test' from generate_series(2, 2100)
          returning id
        ),
        said as (
          insert into contents (message_id, channel_id, kind, content)
          select copies.id, channel_id, kind, content from copies, contents where message_id = ${first}
        ),
        put as (
          insert into items (user_code, message_id, rev, created_rev, app_id, msg_type)
          select ${user}, id, number, number, ${APP}, 'notice'
          from (select id, 1 + row_number() over () as number from copies) as numbered
        )
        update inboxes set rev = 2100, unread = 2100, unseen = 2100,
          facets = jsonb_build_object('u/notice/' || ${APP}::text, 2100, 's/notice/' || ${APP}::text, 2100)
        where user_code = ${user}`,
    )
    const from = rev.replace(/\d+$/, '2100')
    const { errors } = await posthouse.graphql(
      await posthouse.token(user),
      `mutation ($upTo: Rev!) { markAllRead(upTo: $upTo) { rev } }`,
      { upTo: from },
    )
    expect(errors).toBeUndefined()
    const events = await poll(user, from)
    expect(events.map(({ __typename, rev, itemIds }) => [__typename, rev.split('-')[1], itemIds?.length])).toEqual([
      ['ItemsChanged', '2101', 1000],
      ['ItemsChanged', '2102', 1000],
      ['ItemsChanged', '2103', 100],
      ['InboxCaughtUp', '2103', undefined],
    ])
    expect(new Set(events.flatMap(({ itemIds }) => itemIds ?? [])).size).toBe(2100)
    expect(events.at(-2)?.counts).toMatchObject({ unread: 0, unseen: 0, byApp: [] })
    expect(await recount(posthouse.context.db, user)).toMatchObject({ unread: 0, unseen: 0 })
  })

  it('tell with what one act did to several how each stands, to one who missed what happened to some of them before', async () => {
    const user = 'USER015'
    const [first, second] = [await pushed(user, '先'), await pushed(user, '后')]
    const { rev } = (await poll(user)).at(-1)!
    const until = new Date(Date.now() + 3_600_000).toISOString()
    const { errors } = await posthouse.graphql(
      await posthouse.token(user),
      'mutation ($ids: [ID!]!, $until: DateTime!) { snoozeItems(ids: $ids, until: $until) { rev } }',
      { ids: [first], until },
    )
    expect(errors).toBeUndefined()
    await act(user, 'markItemsRead', [first, second])
    const [read, ...rest] = await poll(user, rev)
    expect(read).toMatchObject({
      change: 'READ',
      marks: [
        { readAt: expect.any(String), snoozedUntil: null },
        { readAt: expect.any(String), snoozedUntil: until },
      ],
    })
    expect(rest).toMatchObject([{ __typename: 'InboxCaughtUp' }])
  })

  it('tell of an item as new first, also to one who left between what happened to it', async () => {
    const user = 'USER007'
    const [{ rev } = { rev: '' }] = await poll(user)
    const first = await pushed(user, '先到')
    const second = await pushed(user, '后到')
    await act(user, 'markItemsRead', [first])
    // Whoever stops at any event and comes back with its rev gets the rest, and nothing again.
    const all = await poll(user, rev)
    expect(all.slice(0, -1).map(({ change, item }) => [change, item?.msgId])).toEqual([
      ['NEW', first],
      ['NEW', second],
      ['READ', first],
    ])
    for (const [at, event] of all.entries())
      expect(await poll(user, event.rev)).toEqual(all.slice(Math.min(at + 1, all.length - 1)))
  })

  /** Makes so many items and changes each of them so often, one by one: each time raises the rev. */
  async function stir(user: string, items: number, times: number): Promise<void> {
    const ids = await Promise.all(Array.from({ length: items }, (_, n) => pushed(user, `反复 ${n}`)))
    const { db } = posthouse.context
    for (let n = 0; n < times; n++)
      for (const id of ids) await mark(db, user, n % 2 === 0 ? 'read' : 'unread', { messageIds: [id] })
    posthouse.context.hints.send({ kind: 'inbox', users: [user] })
  }

  it('start anew with one who is more than 500 behind, and with one who is ahead', async () => {
    const user = 'USER008'
    const [{ rev } = { rev: '' }] = await poll(user)
    await stir(user, 25, 19)
    // 25 new ones, and the 25 as they stand now.
    expect((await poll(user, rev)).map(({ __typename }) => __typename)).toEqual([
      ...Array(50).fill('ItemChanged'),
      'InboxCaughtUp',
    ])
    await stir(user, 1, 0)
    const [lagged, snapshot, caughtUp, ...rest] = await poll(user, rev)
    expect(lagged).toEqual({ __typename: 'InboxLagged', rev, lagReason: 'TOO_FAR_BEHIND' })
    expect(snapshot).toMatchObject({
      __typename: 'InboxSnapshot',
      items: { length: 20 },
      hasMore: true,
      counts: { unread: 1, unseen: 1 },
    })
    expect([caughtUp?.__typename, rest]).toEqual(['InboxCaughtUp', []])

    const ahead = snapshot!.rev.replace(/\d+$/, '999999')
    expect((await poll(user, ahead)).map(({ __typename }) => __typename)).toEqual([
      'InboxLagged',
      'InboxSnapshot',
      'InboxCaughtUp',
    ])
    const watched = await subscriber(user, ahead)
    expect(await watched.next()).toEqual({ __typename: 'InboxLagged', rev: ahead, lagReason: 'AHEAD' })
    expect(await watched.next()).toMatchObject({ __typename: 'InboxSnapshot', rev: snapshot!.rev })
  })

  it('start anew with a connected subscriber for whom too much happens at once', async () => {
    const user = 'USER009'
    const bell = posthouse.context.live.watch(user)
    const events = changes(posthouse.context, user, undefined, bell)
    const kinds = async (count: number) => {
      const found = []
      while (found.length < count) found.push((await events.next()).value?.type)
      return found
    }
    expect(await kinds(2)).toEqual(['InboxSnapshot', 'InboxCaughtUp'])
    await stir(user, 26, 19)
    expect(await kinds(3)).toEqual(['InboxLagged', 'InboxSnapshot', 'InboxCaughtUp'])
    await stir(user, 1, 0)
    expect(await kinds(1)).toEqual(['ItemChanged'])
    bell.close()
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it.each(['WebSocket', 'SSE', 'a query'])(
    'refuse a rev of another inbox and garbage with BAD_CURSOR, over %s',
    async (way) => {
      const [{ rev: foreign } = { rev: '' }] = await poll('USER010')
      await poll('USER011')
      for (const after of [foreign, 'garbage', '', '-1', `${foreign.slice(0, 12)}-`, '000000000000-5']) {
        const token = await posthouse.token('USER011')
        const { errors } =
          way === 'a query'
            ? await posthouse.graphql(token, POLL, { after })
            : way === 'SSE'
              ? await (await subscribeSse(posthouse.url, token, after)).result()
              : await (await subscriber('USER011', after)).result()
        expect(errors?.[0]).toMatchObject({ extensions: { code: 'BAD_CURSOR', field: 'after' } })
      }
    },
  )
})
