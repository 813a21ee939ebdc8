/** Reading what happened in many inboxes at once: the same as one by one, in few statements, and nobody stops the others. */
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import { openHints } from '../../src/hints/hints.ts'
import { item, page } from '../../src/inbox/inbox.ts'
import { bringUpToDate } from '../../src/inbox/broadcast.ts'
import type { Bell } from '../../src/inbox/bell.ts'
import { openLive } from '../../src/inbox/hub.ts'
import { changes } from '../../src/inbox/live.ts'
import { mark } from '../../src/inbox/mark.ts'
import { stopBroadcast, takeItemsBack } from '../../src/inbox/recall.ts'
import { openReads } from '../../src/inbox/reads.ts'
import { sinceMany, type Change } from '../../src/inbox/since.ts'
import { eventually } from '../kit/posthouse.ts'
import { randomFrom } from '../kit/random.ts'
import { stores } from '../kit/stores.ts'

const PEOPLE = 1_000
const MESSAGES = 30
const user = (n: number) => `P${n}`

describe.each(stores)('What happened in many inboxes, on $name', ({ open }) => {
  let store: Store
  /** Every statement since the last look. */
  const statements: string[] = []
  const close: (() => void | Promise<void>)[] = []

  beforeAll(async () => {
    const opened = await open()
    const run: Store['run'] = (text, params, mode) => {
      statements.push(text)
      return opened.run(text, params, mode)
    }
    const db = drizzle((text, params, mode) => run(text, params, mode as 'all' | 'execute'))
    store = { ...opened, run, db }
    await query(
      store.db,
      sql`
        with app as (
          insert into apps (id, name, grants) values ('lab', 'lab', '[]')
        ), message as (
          insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
          select gen_random_uuid(), 'lab', 'specified', jsonb_build_object('n', n), '{}', 'notice', 2, now(), 'fanned_out', 'test'
          from generate_series(1, ${MESSAGES}::int) as n
          returning id, (receiver->>'n')::int as n
        ), said as (
          insert into contents (message_id, channel_id, kind, content)
          select id, '1002', 'site', jsonb_build_object('title', 'title ' || n, 'content', '<p>' || n || '</p>', 'text', n::text) from message
        ), people as (
          insert into users (code, name) select 'P' || n, 'P' || n from generate_series(1, ${PEOPLE}::int) as n
        ), inbox as (
          insert into inboxes (user_code, rev, unread, unseen, facets)
          select 'P' || n, ${MESSAGES}::int, ${MESSAGES}::int, ${MESSAGES}::int, '{"u/notice/lab": 30, "s/notice/lab": 30}'
          from generate_series(1, ${PEOPLE}::int) as n
        )
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type)
        select 'P' || who, id, n, n, 'lab', 'notice' from message, generate_series(1, ${PEOPLE}::int) as who`,
    )
  })
  afterEach(async () => {
    for (const one of close.splice(0)) await one()
  })
  afterAll(() => store.close())

  /** Whatever the person may do, at random. */
  async function stir(who: string, random: () => number): Promise<void> {
    const { items } = (await page(store.db, who, { limit: MESSAGES }))!
    for (let n = 0; n < 6; n++) {
      const messageIds = items.filter(() => random() < 0.2).map(({ messageId }) => messageId)
      const acts = ['seen', 'read', 'unread', 'archived', 'unarchived', 'deleted'] as const
      await mark(store.db, who, acts[Math.floor(random() * acts.length)]!, { messageIds })
    }
  }

  /** What is to be told after a rev, from the rows. */
  async function told(who: string, after: number) {
    const rows = await query<{ messageId: string; rev: number; createdRev: number; isGone: boolean }>(
      store.db,
      sql`
        select items.message_id as "messageId", rev, created_rev as "createdRev", deleted_at is not null as "isGone"
        from items
        where user_code = ${who}
        order by created_rev desc`,
    )
    const came = rows
      .filter(({ createdRev, isGone }) => createdRev > after && !isGone)
      .map(({ messageId, createdRev }) => ({ at: createdRev, isNew: true, messageIds: [messageId] }))
    const changed = Map.groupBy(
      rows.filter(({ rev, createdRev }) => rev > after && rev > createdRev),
      ({ rev }) => rev,
    )
    const changes = [...changed].map(([at, some]) => ({
      at,
      isNew: false,
      messageIds: some.map(({ messageId }) => messageId),
    }))
    return [...came, ...changes].toSorted((one, other) => one.at - other.at)
  }
  const inShort = (items: Change[] = []) => items.map(({ at, isNew, messageIds }) => ({ at, isNew, messageIds }))

  it('is what the rows say, for each who asks, also for two tabs of a person at different revs', async () => {
    const random = randomFrom(20_261_127)
    const asked = []
    for (let n = 1; n <= 25; n++) {
      await stir(user(n), random)
      for (let tab = 0; tab < 2; tab++) asked.push({ user: user(n), after: Math.floor(random() * 40) })
    }
    asked.push({ user: 'nobody', after: 0 })
    const answers = [...(await sinceMany(store, asked, 100))]
    for (const [index, { user, after }] of asked.entries()) {
      const answer = answers[index]
      const alone = await page(store.db, user, { limit: 1 })
      expect(answer?.state).toEqual(alone?.state)
      expect(answer?.upTo).toBe(alone?.state.rev)
      expect(inShort(answer?.items)).toEqual(await told(user, after))
    }
    expect(answers.at(-1)).toBeUndefined()
  })

  it('shows an item as a page does, to the millisecond', async () => {
    const { items } = (await page(store.db, user(30), { limit: MESSAGES }))!
    await mark(store.db, user(30), 'read', { messageIds: [items[0]!.messageId] })
    const shown = await item(store.db, user(30), items[0]!.messageId)
    const [answer] = await sinceMany(store, [{ user: user(30), after: MESSAGES }], 100)
    expect(answer?.items).toEqual([
      { ...shown, at: MESSAGES + 1, isNew: false, messageIds: [shown!.messageId], marks: [] },
    ])
  })

  it('is told in pages of any size without a gap, and a rev is never cut', async () => {
    const all = await told(user(1), 0)
    for (const limit of [1, 2, 3, 7, 20]) {
      const found = []
      let after = 0
      for (let end = Infinity; after < end;) {
        const [answer] = await sinceMany(store, [{ user: user(1), after }], limit)
        found.push(...inShort(answer?.items))
        after = answer?.upTo ?? Infinity
        end = answer?.state.rev ?? 0
      }
      expect(found).toEqual(all)
    }
  })

  it('has what a message says once, however many it came to', async () => {
    const answers = [
      ...(await sinceMany(
        store,
        [31, 32, 33].map((n) => ({ user: user(n), after: MESSAGES - 1 })),
        100,
      )),
    ]
    const contents = answers.flatMap((answer) => answer?.items.map(({ content }) => content) ?? [])
    expect(contents).toHaveLength(3)
    expect(new Set(contents).size).toBe(1)
  })

  /** A hub of its own on the store, with a subscriber for each of these, who have caught up. */
  async function subscribers(users: string[]) {
    const hints = await openHints(store)
    const live = openLive({ mayStay: async () => true, store, hints, log: pino({ level: 'silent' }) })
    close.push(live.close, hints.close)
    const bells: Bell[] = []
    const got = users.map(() => [] as string[])
    for (const [index, who] of users.entries()) {
      const bell = live.watch(who)
      bells.push(bell)
      close.push(() => bell.close())
      void (async () => {
        for await (const { type } of changes({ db: store.db, hints, live }, who, undefined, bell))
          got[index]?.push(type)
      })()
    }
    await eventually(() => got.every((types) => types.at(-1) === 'InboxCaughtUp'), 30_000)
    statements.length = 0
    const count = (what: string) => () => statements.filter((text) => text.includes(what)).length
    return { hints, got, reads: count('with told as'), looks: count('has_moved') }
  }

  it('costs one statement for five tabs of a person', async () => {
    const { hints, got, reads } = await subscribers(Array.from({ length: 5 }, () => user(40)))
    const { items } = (await page(store.db, user(40), { limit: 1 }))!
    await mark(store.db, user(40), 'read', { messageIds: [items[0]!.messageId] })
    hints.send({ kind: 'inbox', users: [user(40)] })
    await eventually(() => got.every((types) => types.at(-1) === 'ItemChanged'))
    expect(reads()).toBe(1)
  })

  it('costs few statements when it happened to a thousand people at once', { timeout: 60_000 }, async () => {
    const everybody = Array.from({ length: PEOPLE }, (_, n) => user(n + 1))
    const { hints, got, reads } = await subscribers(everybody)
    await query(
      store.db,
      sql`
      with raised as (
        update inboxes set rev = rev + 1 where user_code like 'P%' returning user_code, rev
      )
      update items set rev = raised.rev, change = 'seen', changed_at = now()
      from raised
      where items.user_code = raised.user_code and created_rev = ${MESSAGES}`,
    )
    hints.send({ kind: 'inbox', users: everybody })
    await eventually(() => got.every((types) => types.at(-1)?.startsWith('Item')), 30_000)
    expect(reads()).toBeLessThanOrEqual(3)
  })

  /** A broadcast as accept stores it; gives its message. */
  async function broadcast(): Promise<string> {
    const [message] = await query<{ id: string }>(
      store.db,
      sql`
        with message as (
          insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
          values (gen_random_uuid(), 'lab', 'all', '{}', '{}', 'notice', 2, now(), 'fanned_out', 'test')
          returning id
        ), said as (
          insert into contents (message_id, channel_id, kind, content)
          select id, '1002', 'site', '{"title": "all", "content": "all", "text": "all"}' from message
        )
        insert into broadcasts (message_id, app_id, msg_type)
        select id, 'lab', 'notice' from message
        returning message_id as id`,
    )
    return message!.id
  }

  it('is a broadcast for everybody connected, in few statements', { timeout: 60_000 }, async () => {
    const { hints, got } = await subscribers(Array.from({ length: PEOPLE }, (_, n) => user(n + 1)))
    await broadcast()
    statements.length = 0
    hints.send({ kind: 'broadcast' })
    await eventually(() => got.every((types) => types.at(-1) === 'ItemChanged'), 30_000)
    expect(got.every((types) => types.filter((type) => type === 'ItemChanged').length === 1)).toBe(true)
    expect(statements.length).toBeLessThan(15)
  })

  it('is never news again of a message that was recalled while it went out', { timeout: 60_000 }, async () => {
    const { hints, got } = await subscribers(Array.from({ length: 300 }, (_, n) => user(n + 1)))
    const id = await broadcast()
    hints.send({ kind: 'broadcast' })
    await eventually(() => got.some((types) => types.at(-1) === 'ItemChanged'))
    await stopBroadcast(store.db, id)
    for await (const users of takeItemsBack(store.db, id)) hints.send({ kind: 'inbox', users })
    // Some were told of it, and it is gone for them; the others may have heard of nothing, or of its end alone.
    await eventually(() => got.every((types) => types.at(-1) !== 'ItemChanged'))
    expect(got.every((types) => ['InboxCaughtUp', 'ItemGone'].includes(types.at(-1) ?? ''))).toBe(true)
    await bringUpToDate(store.db, [user(1)])
    expect(await item(store.db, user(1), id)).toBeUndefined()
  })

  it('is found by the beat when the hints are lost, in one statement for everybody connected', async () => {
    const everybody = Array.from({ length: 300 }, (_, n) => user(n + 1))
    const { got, looks } = await subscribers([...everybody, user(7)])
    // What was under way when all had caught up is over at the first.
    await eventually(() => looks() > 0)
    statements.length = 0
    await eventually(() => looks() > 0)
    expect(statements).toHaveLength(1)
    const { items } = (await page(store.db, user(7), { limit: 1 }))!
    await mark(store.db, user(7), 'unread', { messageIds: [items[0]!.messageId] })
    await mark(store.db, user(7), 'read', { messageIds: [items[0]!.messageId] })
    await eventually(() => [got[6], got.at(-1)].every((types) => types?.at(-1) === 'ItemChanged'))
    expect(got.filter((types) => types.at(-1) === 'ItemChanged')).toHaveLength(2)
  })

  it('is told to the others when it cannot be read for one', async () => {
    const { read } = openReads(store)
    // A text that PostgreSQL cannot hold fails every statement in which it stands.
    const asked = [user(50), 'P\0', user(51), user(52), user(53), 'P\0\0', user(54)]
    const answers = await Promise.allSettled(asked.map((who) => read(who, MESSAGES - 1)))
    expect(answers.map(({ status }) => status)).toEqual(
      asked.map((who) => (who.includes('\0') ? 'rejected' : 'fulfilled')),
    )
    expect(await read(user(50), MESSAGES)).toMatchObject({ upTo: expect.any(Number) })
  })
})
