import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { putDepartments, putMemberships, putUsers } from '../../src/directory/directory.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, messageOf, timesInInbox } from '../rest/door.ts'

const LARGE = 2_500

describe.each(stores)('what the worker fans out, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = (more: Record<string, unknown>) => posthouse.post(CHANNEL, channelBody(more))
  const member = (groupCode: string) => (userCode: string) => ({ kind: 'dept' as const, groupCode, userCode })
  const fannedOut = (answer: Awaited<ReturnType<typeof push>>) =>
    eventually(async () => {
      const message = await messageOf(posthouse, answer)
      return message['state'] === 'FANNED_OUT' ? message : undefined
    }, 30_000)
  const totalsOf = (message: Record<string, any>, channelId: string): Record<string, number> => {
    const channel = message['channels'].find((one: { channelId: string }) => one.channelId === channelId)
    return Object.fromEntries(
      channel.totals.map(({ state, count }: { state: string; count: number }) => [state, count]),
    )
  }

  it('holds a scheduled push back until its time, then reaches those who are meant at that time', async () => {
    const { db } = posthouse.context
    await putDepartments(db, [{ code: 'SHIFT', name: '夜班' }])
    await putUsers(
      db,
      ['STAYS', 'LEAVES', 'JOINS'].map((code) => ({ code, name: code })),
    )
    await putMemberships(db, ['STAYS', 'LEAVES'].map(member('SHIFT')))
    // The first push and the first look of a process take longest.
    await timesInInbox(posthouse, 'STAYS', (await push({})).body.msgId)

    const due = Date.now() + 2_000
    const answer = await push({ receiverData: { dept: ['SHIFT'] }, sendTime: new Date(due).toISOString() })
    expect(await messageOf(posthouse, answer)).toMatchObject({ state: 'SCHEDULED', recipientCount: 0 })
    await putUsers(db, [{ code: 'LEAVES', name: 'LEAVES', enabled: false }])
    await putMemberships(db, [member('SHIFT')('JOINS')])

    await eventually(async () => (await timesInInbox(posthouse, 'STAYS', answer.body.msgId)) === 1)
    const [item] = await query<{ at: Date }>(
      db,
      sql`select created_at as at from items where user_code = 'STAYS' and message_id = ${answer.body.msgId}`,
    )
    // By the database's clock, which is the one that decides: not before its time, and at most a second after it.
    expect((item?.at.getTime() ?? 0) - due).toBeGreaterThanOrEqual(0)
    expect((item?.at.getTime() ?? 0) - due).toBeLessThan(1_000)
    expect(await timesInInbox(posthouse, 'JOINS', answer.body.msgId)).toBe(1)
    expect(await fannedOut(answer)).toMatchObject({ recipientCount: 2 })
    expect(totalsOf(await fannedOut(answer), '1002')).toEqual({ unread: 2 })
  })

  it('reaches everybody of a large audience once on each channel, and counts them right', async () => {
    const { db } = posthouse.context
    const people = Array.from({ length: LARGE }, (_, at) => `BIG${String(at).padStart(5, '0')}`)
    const withPhone = new Set(people.filter((_, at) => at % 100 === 0))
    await putDepartments(db, [{ code: 'BIG', name: '全院' }])
    await putUsers(
      db,
      people.map((code, at) => ({
        code,
        name: code,
        phone: withPhone.has(code) ? `139${String(at).padStart(8, '0')}` : null,
      })),
    )
    await putMemberships(db, people.map(member('BIG')))
    const answer = await push({
      receiverData: { dept: ['BIG'], user: people.slice(0, 1_500) },
      channelData: { '1001': { content: 'c' }, '1002': { content: 'c' } },
    })
    expect(answer.body.code).toBe(200)
    expect(await fannedOut(answer)).toMatchObject({ recipientCount: LARGE })
    const message = await eventually(async () => {
      const found = await messageOf(posthouse, answer)
      return totalsOf(found, '1001')['sent'] === withPhone.size ? found : undefined
    }, 30_000)
    expect(totalsOf(message, '1002')).toEqual({ unread: LARGE })
    expect(totalsOf(message, '1001')).toEqual({ sent: withPhone.size, skipped: LARGE - withPhone.size })
    const [inboxes] = await query<{ right: number; all: number }>(
      db,
      sql`select count(*) filter (where unread = 1 and unseen = 1 and rev = 1)::int as right, count(*)::int as all from inboxes where user_code like 'BIG%'`,
    )
    expect(inboxes).toEqual({ right: LARGE, all: LARGE })
  })

  it('reaches every one of many custom accounts once, and counts each recipient once', async () => {
    const codes = Array.from({ length: 1_200 }, (_, at) => `BIG${String(at).padStart(5, '0')}`)
    const phones = Array.from({ length: 1_100 }, (_, at) => `138${String(at).padStart(8, '0')}`)
    const answer = await push({
      receiverType: 'custom',
      receiverData: { '1001': [...phones, 'BIG00000', 'BIG00001', 'NOBODY1'], '1002': [...codes, 'NOBODY2'] },
      channelData: { '1001': { content: 'c' }, '1002': { content: 'c' } },
    })
    expect(answer.body.code).toBe(200)
    expect(answer.headers.get('x-posthouse-warning')).toBe('unresolved=3')
    await fannedOut(answer)
    const message = await eventually(async () => {
      const found = await messageOf(posthouse, answer)
      return totalsOf(found, '1001')['sent'] === 1_101 ? found : undefined
    }, 30_000)
    expect(message['unresolved']).toEqual({ '1001': ['BIG00001', 'NOBODY1'], '1002': ['NOBODY2'] })
    expect(totalsOf(message, '1001')).toEqual({ sent: 1_101, failed: 2 })
    expect(totalsOf(message, '1002')).toEqual({ unread: 1_200, failed: 1 })
    // BIG00000 and BIG00001 are named on both channels.
    expect(message['recipientCount']).toBe(1_100 + 1_200 + 2)
  })
})
