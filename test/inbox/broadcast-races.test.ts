/**
 * Broadcasts against everything that moves an inbox at the same time: each comes to each person exactly once, and counts
 * are what a recount gives. On PostgreSQL two nodes take turns; on PGlite, with its one connection, acts interleave.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { lookAfter } from '../../src/inbox/broadcast.ts'
import { stateOf } from '../../src/inbox/inbox.ts'
import { APP, boot, eventually, run, type Running } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { POLL, recount, storedCounts, subscribe, type Event, type Subscriber } from './subscriber.ts'

const TIME = { timeout: 120_000 }
const COUNTS = '{ inboxCounts { unread unseen } }'
const LIST = '{ inbox(first: 100) { edges { node { msgId } } } }'

describe.each(stores)('a broadcast beside others, on $name', (store) => {
  const rounds = store.name === 'PostgreSQL' ? 12 : 4
  let nodes: [Running, Running]
  let stop: () => Promise<void>
  beforeAll(async () => {
    const first = await run(store)
    // PGlite is one process's alone.
    const second = store.name === 'PostgreSQL' ? await boot(first.place.env) : undefined
    nodes = [first, second ?? first]
    stop = async () => {
      await second?.stop()
      await first.stop()
    }
  })
  afterAll(() => stop())

  /** Mostly soon, so that they meet. */
  const shortly = (most = 25) => sleep(Math.random() * most)
  const later = async <Result>(act: () => Promise<Result>): Promise<Result> => {
    await shortly()
    return act()
  }
  const people = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => `USER${String(from + at).padStart(3, '0')}`)
  async function broadcast(node: Running, title: string, more: Record<string, unknown> = {}): Promise<string> {
    const { body } = await node.push([], title, { receiverType: 'all', receiverData: undefined, ...more })
    expect(body.code).toBe(200)
    return body.msgId!
  }
  async function ask(node: Running, user: string, operation: string, variables: Record<string, unknown> = {}) {
    const { data, errors } = await node.graphql(await node.token(user), operation, variables)
    expect(errors).toBeUndefined()
    return data!
  }
  /** What a look at the list shows, each message as often as it is there. */
  const shown = async (node: Running, user: string): Promise<string[]> =>
    (await ask(node, user, LIST))['inbox'].edges.map((edge: { node: { msgId: string } }) => edge.node.msgId)
  const revOf = async (user: string): Promise<string> => (await ask(nodes[0], user, POLL))['inboxChanges'].at(-1).rev
  const times = (list: string[], msgId: string) => list.filter((one) => one === msgId).length

  async function expectExact(user: string) {
    const { db } = nodes[0].context
    expect([user, await storedCounts(db, user)]).toEqual([user, await recount(db, user)])
    const [revs] = await query<{ items: number; revs: number; isBehind: boolean }>(
      db,
      sql`
        select count(*)::int as items, count(distinct created_rev)::int as revs,
          max(items.rev) > (select rev from inboxes where user_code = ${user}) as "isBehind"
        from items where user_code = ${user}`,
    )
    expect([user, revs]).toEqual([user, { items: revs?.items, revs: revs?.items, isBehind: false }])
  }

  it('and two looks at once: each rings whom it has connected, whichever of them copies', TIME, async () => {
    const user = 'USER030'
    for (let round = 0; round < rounds; round++) {
      await ask(nodes[0], user, COUNTS)
      const { rev } = (await stateOf(nodes[0].context.db, user))!
      // As a beat that falls in with another's: it saw that there is something to copy, and then there was not.
      await broadcast(nodes[0], '两处')
      const looks = await Promise.all(nodes.map(({ context }) => lookAfter(context.db, [{ user, after: rev }])))
      expect(looks.map(({ moved }) => moved)).toEqual([[user], [user]])
    }
    await expectExact(user)
  })

  it('and everything marked read: it is there once, and unread', TIME, async () => {
    const some = people(1, 5)
    for (let round = 0; round < rounds; round++) {
      const reached = await Promise.all(some.map(revOf))
      const marking = some.flatMap((user, at) =>
        nodes.map((node) =>
          later(() =>
            ask(node, user, 'mutation ($upTo: Rev!) { markAllRead(upTo: $upTo) { rev } }', { upTo: reached[at] }),
          ),
        ),
      )
      const [one, other] = await Promise.all([
        broadcast(nodes[0], `一 ${round}`),
        later(() => broadcast(nodes[1], `二 ${round}`)),
        ...marking,
      ])
      for (const user of some) {
        const list = await shown(nodes[1], user)
        expect([times(list, one), times(list, other)]).toEqual([1, 1])
        // All from before is read, none of these.
        expect(await ask(nodes[0], user, COUNTS)).toMatchObject({ inboxCounts: { unread: 2 } })
        await expectExact(user)
      }
    }
  })

  it('and several tabs of one person that look at once: it is one item in each', TIME, async () => {
    for (let round = 0; round < rounds; round++) {
      // Some who have never looked: there is not even an inbox.
      const some = people(10 + 2 * round, 2)
      const accepted = await Promise.all(nodes.map((node) => broadcast(node, `标签页 ${round}`)))
      await Promise.all(
        some.flatMap((user) =>
          [...nodes, ...nodes].flatMap((node) => [
            later(async () => {
              const list = await shown(node, user)
              expect(list).toHaveLength(new Set(list).size)
              for (const msgId of accepted) expect(times(list, msgId)).toBe(1)
            }),
            later(async () => {
              const [snapshot, ...more] = (await ask(node, user, POLL))['inboxChanges'] as Event[]
              const news = more.flatMap(({ change, item }) => (change === 'NEW' && item ? [item] : []))
              const told = [...(snapshot?.items ?? []), ...news].map(({ msgId }) => msgId)
              for (const msgId of accepted) expect(times(told, msgId)).toBe(1)
            }),
            later(() =>
              ask(node, user, 'mutation ($ids: [ID!]!) { markItemsRead(ids: $ids) { rev } }', { ids: accepted }),
            ),
          ]),
        ),
      )
      for (const user of some) await expectExact(user)
    }
  })

  it('and a subscriber who comes back just then: it is told once', TIME, async () => {
    const user = 'USER006'
    let after: string | undefined = await revOf(user)
    for (let round = 0; round < rounds; round++) {
      const sent = Array.from({ length: 3 }, (_, at) => later(() => broadcast(nodes[at % 2]!, `重连 ${round}.${at}`)))
      const told: Event[] = []
      // Reads a little, leaves, and comes back to the other node with the last rev it worked through.
      for (let visit = 0; visit < 4; visit++) {
        const node = nodes[visit % 2]!
        const client = node.socket(await node.token(user))
        const subscriber = subscribe(client, after)
        const isLast = visit === 3
        const known = isLast ? await Promise.all(sent) : []
        // Whoever is told twice is told before what comes last.
        const last = isLast ? await broadcast(nodes[1], `末 ${round}`) : undefined
        await take(subscriber, last, told)
        after = told.at(-1)?.rev ?? after
        await client.dispose()
        const list = told.flatMap(({ change, item }) => (change === 'NEW' && item ? [item.msgId] : []))
        for (const msgId of known) expect([round, times(list, msgId)]).toEqual([round, 1])
        expect(list).toHaveLength(new Set(list).size)
      }
      const revs = told.filter(({ change }) => change !== undefined).map(({ rev }) => Number(rev.split('-')[1]))
      expect(revs).toEqual(revs.toSorted((one, other) => one - other))
      expect(told.findLast(({ counts }) => counts)?.counts).toEqual(await recount(nodes[0].context.db, user))
      await expectExact(user)
    }
  })

  /** Reads until this message has been told, or without one until caught up. */
  async function take(subscriber: Subscriber, last: string | undefined, into: Event[]) {
    for (;;) {
      const event = await subscriber.next()
      into.push(event)
      if (last === undefined ? event.__typename === 'InboxCaughtUp' : event.item?.msgId === last) break
    }
  }

  it('and its recall: it is told and gone once, or never; another beside it stays', TIME, async () => {
    const some = people(7, 3)
    const clients = await Promise.all(some.map(async (user, at) => nodes[at % 2]!.socket(await nodes[0].token(user))))
    const subscribers = clients.map((client) => subscribe(client))
    for (const subscriber of subscribers) await subscriber.until('InboxCaughtUp')
    let met = 0
    for (let round = 0; round < rounds; round++) {
      const [gone, stays] = await Promise.all([
        broadcast(nodes[0], `撤 ${round}`, { businessId: `撤 ${round}` }),
        later(() => broadcast(nodes[1], `留 ${round}`)),
        // From before it is accepted until there is something to recall.
        eventually(async () => {
          const { body } = await nodes[1].post('/api/openApi/message/recall', { appId: APP, businessId: `撤 ${round}` })
          return body.code === 200
        }),
        ...some.map((user) => later(() => ask(nodes[0], user, COUNTS))),
      ])
      const last = await broadcast(nodes[0], `末 ${round}`)
      for (const [at, subscriber] of subscribers.entries()) {
        const user = some[at]!
        const events: Event[] = []
        while (events.at(-1)?.item?.msgId !== last) events.push(await subscriber.next())
        const news = events.filter(({ change }) => change === 'NEW').map(({ item }) => item!.msgId)
        const left = events.filter(({ __typename }) => __typename === 'ItemGone')
        expect(times(news, stays)).toBe(1)
        // One that was copied and recalled between two looks is not told as new; its going is told all the same.
        expect(times(news, gone)).toBeLessThanOrEqual(left.length)
        expect(left.length).toBeLessThanOrEqual(1)
        if (times(news, gone) > 0) met++
        const list = await shown(nodes[1], user)
        expect([times(list, gone), times(list, stays), times(list, last)]).toEqual([0, 1, 1])
        expect(events.at(-1)?.counts).toEqual(await recount(nodes[0].context.db, user))
        await expectExact(user)
      }
    }
    console.info(`${met} of ${rounds * some.length} inboxes had the broadcast when it was recalled`)
    for (const client of clients) await client.dispose()
  })
})
