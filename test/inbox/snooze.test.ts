import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { takeItemsBack } from '../../src/inbox/recall.ts'
import { moveOn, sleepUntil } from '../../src/inbox/clock.ts'
import { acts, mark } from '../../src/inbox/mark.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { COUNTS, POLL, recount, storedCounts, subscribe, told } from './subscriber.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

describe.each(stores)('snoozing items, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const pushed = async (user: string, title = '通知') => (await posthouse.push([user], title)).body.msgId!
  async function snooze(user: string, ids: string[], until: Date) {
    return posthouse.graphql(
      await posthouse.token(user),
      `mutation ($ids: [ID!]!, $until: DateTime!) {
        snoozeItems(ids: $ids, until: $until) { rev ${COUNTS} items { msgId snoozedUntil archivedAt } }
      }`,
      { ids, until: until.toISOString() },
    )
  }
  async function act(user: string, name: string, ids: string[]) {
    const { data, errors } = await posthouse.graphql(
      await posthouse.token(user),
      `mutation ($ids: [ID!]!) { done: ${name}(ids: $ids) { rev ${COUNTS} items { msgId snoozedUntil readAt seenAt } } }`,
      { ids },
    )
    expect(errors).toBeUndefined()
    return data!['done']
  }
  async function titles(user: string, filter: object = {}): Promise<string> {
    const { data } = await posthouse.graphql(
      await posthouse.token(user),
      'query ($filter: InboxFilter) { inbox(filter: $filter) { edges { node { title } } } }',
      { filter },
    )
    return data!['inbox'].edges.map(({ node }: any) => node.title).join('')
  }
  async function expectExact(user: string) {
    const truth = await recount(posthouse.context.db, user)
    expect(await storedCounts(posthouse.context.db, user)).toEqual(truth)
    return truth
  }
  const inAMinute = () => new Date(Date.now() + MINUTE)

  it('takes them out of the inbox and its counts until they are taken back', async () => {
    const user = 'USER001'
    const ids = [await pushed(user, '一'), await pushed(user, '二'), await pushed(user, '三')]
    const until = inAMinute()
    const { data } = await snooze(user, [ids[1]!], until)
    expect(data!['snoozeItems']).toMatchObject({
      counts: { unread: 2, unseen: 2, byApp: [{ unread: 2, unseen: 2 }] },
      items: [{ msgId: ids[1], snoozedUntil: until.toISOString() }],
    })
    expect([await titles(user), await titles(user, { snoozed: true }), await titles(user, { archived: true })]).toEqual(
      ['三一', '二', ''],
    )
    await expectExact(user)
    // To the same time again it is nothing, to another one it is a change.
    expect((await snooze(user, [ids[1]!], until)).data!['snoozeItems'].items).toEqual([])
    expect((await snooze(user, [ids[1]!], inAMinute())).data!['snoozeItems'].items).toHaveLength(1)
    expect(await act(user, 'unsnoozeItems', ids)).toMatchObject({
      counts: { unread: 3, unseen: 3 },
      items: [{ msgId: ids[1], snoozedUntil: null }],
    })
    expect(await titles(user)).toBe('三二一')
    await expectExact(user)
  })

  it('wakes them within about a second of their time: unread and unseen, at their old place, on every device', async () => {
    const user = 'USER002'
    const client = posthouse.socket(await posthouse.token(user))
    const device = subscribe(client)
    await device.until('InboxCaughtUp')
    const ids = [await pushed(user, '早'), await pushed(user, '晚')]
    await device.next()
    await device.next()
    await act(user, 'markItemsRead', [ids[0]!])
    expect(await device.next()).toMatchObject({ change: 'READ' })
    const until = new Date(Date.now() + 300)
    await snooze(user, ids, until)
    expect(await device.next()).toMatchObject({
      __typename: 'ItemsChanged',
      change: 'SNOOZED',
      marks: [{ snoozedUntil: until.toISOString() }, { snoozedUntil: until.toISOString() }],
      itemIds: { length: 2 },
      counts: { unread: 0, unseen: 0 },
    })
    const woken = [await device.next(), await device.next()]
    const late = Date.now() - until.getTime()
    expect(woken).toMatchObject(
      ids.map((msgId) => ({ __typename: 'ItemChanged', change: 'WOKEN', item: { msgId, readAt: null } })),
    )
    expect(woken[1]).toMatchObject({ counts: { unread: 2, unseen: 2 } })
    expect(new Set(woken.map(({ rev }) => rev)).size).toBe(2)
    expect(await titles(user)).toBe('晚早')
    await expectExact(user)
    console.info(`woken ${late} ms after their time`)
    expect(late).toBeLessThan(3_000)
    await client.dispose()
  })

  it('leaves the counts as the rows are whatever is done to a sleeping one, and whatever was done before', async () => {
    const user = 'USER003'
    const { db } = posthouse.context
    for (const name of Object.keys(acts) as (keyof typeof acts)[]) {
      const [before, after] = [await pushed(user), await pushed(user)]
      await mark(db, user, sleepUntil(inAMinute()), { messageIds: [after] })
      await mark(db, user, acts[name], { messageIds: [before, after] })
      await expectExact(user)
      const marked = await mark(db, user, sleepUntil(inAMinute()), { messageIds: [before, after] })
      expect(told(marked!.state.counts)).toEqual(await expectExact(user))
    }
    await query(db, sql`update items set snoozed_until = now() where snoozed_until is not null and user_code = ${user}`)
    await eventually(async () => (await storedCounts(db, user))?.unread === 2 * (Object.keys(acts).length - 1))
    await expectExact(user)
  })

  it('keeps what was archived, deleted or recalled meanwhile from waking', async () => {
    const user = 'USER004'
    const { db } = posthouse.context
    const [archived, deleted, recalled, woken] = [
      await pushed(user, '存'),
      await pushed(user, '删'),
      await pushed(user, '撤'),
      await pushed(user, '醒'),
    ]
    await snooze(user, [archived, deleted, recalled, woken], new Date(Date.now() + 700))
    await act(user, 'archiveItems', [archived])
    await act(user, 'deleteItems', [deleted])
    for await (const users of takeItemsBack(db, recalled)) expect(users).toEqual([user])
    await expectExact(user)
    await eventually(async () => (await titles(user)) === '醒')
    await expectExact(user)
    expect([await titles(user, { archived: true }), await titles(user, { snoozed: true })]).toEqual(['存', ''])
    // From the archive into sleep, and from there back into the inbox.
    await snooze(user, [archived], new Date(Date.now() + 100))
    await eventually(async () => (await titles(user)) === '醒存')
    expect(await expectExact(user)).toMatchObject({ unread: 2, unseen: 2 })
  })

  it('wakes each once, however many nodes look, and what slept through a time without any', async () => {
    const { db } = posthouse.context
    const users = ['USER005', 'USER006']
    for (const user of users) {
      for (let n = 0; n < 20; n++) await pushed(user, '同时')
      await mark(db, user, sleepUntil(inAMinute()), { upTo: 20 })
    }
    await query(
      db,
      sql`update items set snoozed_until = now() - interval '1 day' where user_code in ('USER005', 'USER006')`,
    )
    const woken = await Promise.all(Array.from({ length: 6 }, () => moveOn(db)))
    expect(woken.flat().length).toBeLessThanOrEqual(users.length)
    for (const user of users) {
      await eventually(async () => (await storedCounts(db, user))?.unread === 20)
      const [revs] = await query<{ revs: number; rev: number }>(
        db,
        sql`
          select count(distinct items.rev)::int as revs, inboxes.rev
          from items join inboxes using (user_code) where user_code = ${user} group by inboxes.rev`,
      )
      expect(revs).toEqual({ revs: 20, rev: 41 })
      await expectExact(user)
      const { data } = await posthouse.graphql(await posthouse.token(user), POLL)
      expect(data!['inboxChanges'][0].counts).toEqual(await recount(db, user))
    }
    expect(await moveOn(db)).toEqual([])
  })

  it('refuses a time that is past or more than a year ahead, and says which', async () => {
    const id = await pushed('USER007')
    for (const [until, words] of [
      [new Date(Date.now() - 1_000), 'is not in the future'],
      [new Date(Date.now() + 367 * DAY), 'is more than a year ahead'],
    ] as const) {
      expect((await snooze('USER007', [id], until)).errors).toMatchObject([
        { message: expect.stringContaining(words), extensions: { code: 'BAD_INPUT', field: 'until' } },
      ])
    }
    expect((await snooze('USER007', [id], new Date(Date.now() + 365 * DAY))).errors).toBeUndefined()
  })

  it("does nothing to others' items", async () => {
    const id = await pushed('USER008')
    expect((await snooze('USER009', [id], inAMinute())).data!['snoozeItems'].items).toEqual([])
    expect(await titles('USER008')).toBe('通知')
  })
})
