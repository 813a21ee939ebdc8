/** What people want decides at the moment of the attempt, and the delivery says why. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { aroundNow, preferencesOf } from './kit.ts'

const BOTH = { '1001': { content: 'text' }, '1002': { title: 'title', content: 'text' } }
const HIGH = { priority: 3 }

describe.each(stores)('at an attempt, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let to: ReturnType<typeof preferencesOf>
  beforeAll(async () => {
    // One a second: what is held back must not use it up.
    posthouse = await run(store, { TIME_ZONE: 'UTC', CHANNEL_1003: 'log:#rate=1' })
    to = preferencesOf(posthouse)
  })
  beforeEach(() => to.forget())
  afterAll(() => posthouse.stop())

  const states = async (msgId: string) => (await to.rows(msgId)).map(({ state, reason }) => `${state} ${reason}`)
  const becomes = (msgId: string, ...wanted: string[]) =>
    eventually(async () => (await states(msgId)).join() === wanted.join())
  const explain = async (msgId: string, user: string) =>
    (
      await to.must(
        posthouse.adminKey,
        `query ($msgId: ID!, $user: String!) { explainDelivery(msgId: $msgId, user: $user) { code en zh } }`,
        { msgId, user },
      )
    )['explainDelivery'] as { code: string; en: string; zh: string }[]

  it('what the person has switched off is skipped, without counting as one', async () => {
    await to.as('USER001', { msgType: 'notice', channelId: '1001', isOn: false })
    const msgId = await to.send(['USER001', 'USER002'], { channelData: BOTH })
    await becomes(msgId, 'skipped OPTED_OUT', 'sent null')
    expect((await to.rows(msgId))[0]).toMatchObject({
      attempts: 0,
      isSettled: true,
      history: [{ state: 'skipped', attempt: 0, reason: 'OPTED_OUT' }],
    })
    const [sms, site] = await explain(msgId, 'USER001')
    expect(sms).toMatchObject({
      code: 'OPTED_OUT',
      en: expect.stringContaining('switched'),
      zh: expect.stringContaining('已关闭'),
    })
    expect(site).toMatchObject({ code: 'IN_INBOX' })
  })

  it.each([
    ['all types on the channel', [{ channelId: '1001', isOn: false }], 'skipped'],
    ['the type on all channels', [{ msgType: 'notice', isOn: false }], 'skipped'],
    ['everything', [{ isOn: false }], 'skipped'],
    ['another type', [{ msgType: 'reminder', channelId: '1001', isOn: false }], 'sent'],
    ['another channel', [{ channelId: '1003', isOn: false }], 'sent'],
    [
      'everything, but the type on the channel is on',
      [{ isOn: false }, { msgType: 'notice', channelId: '1001', isOn: true }],
      'sent',
    ],
    [
      'the channel, and the type is on',
      [
        { channelId: '1001', isOn: false },
        { msgType: 'notice', isOn: true },
      ],
      'skipped',
    ],
    [
      'the type, and the channel is on',
      [
        { msgType: 'notice', isOn: false },
        { channelId: '1001', isOn: true },
      ],
      'skipped',
    ],
    ['everything, and the channel is on', [{ isOn: false }, { channelId: '1001', isOn: true }], 'sent'],
    [
      'what was switched off and then taken away',
      [
        { channelId: '1001', isOn: false },
        { channelId: '1001', isOn: null },
      ],
      'sent',
    ],
  ])('counts off: %s', async (_name, wanted, state) => {
    for (const one of wanted) await to.as('USER001', one)
    const msgId = await to.send(['USER001'])
    await eventually(async () => (await to.rows(msgId))[0]?.state === state)
  })

  it('a mandatory type reaches also who has switched it off', async () => {
    await to.as('USER001', { isOn: false })
    await to.mandatory('notice', true)
    await becomes(await to.send(['USER001']), 'sent null')
    await becomes(await to.send(['USER001'], { msgType: 'reminder' }), 'skipped OPTED_OUT')
  })

  it('decides late: what was switched off while it waited is not sent', async () => {
    await to.quiet('USER001', [aroundNow()])
    const msgId = await to.send(['USER001'])
    await becomes(msgId, 'queued QUIET_HOURS')
    await to.as('USER001', { channelId: '1001', isOn: false })
    await to.hurry()
    await becomes(msgId, 'skipped OPTED_OUT')
  })

  it('in quiet hours an SMS waits for their end, the inbox does not, nor does high priority', async () => {
    await to.quiet('USER001', [aroundNow(2)])
    const msgId = await to.send(['USER001', 'USER002'], { channelData: BOTH })
    await becomes(msgId, 'queued QUIET_HOURS', 'sent null')
    const [waiting] = await to.rows(msgId)
    expect(waiting).toMatchObject({
      attempts: 0,
      isSettled: false,
      history: [{ state: 'queued', reason: 'QUIET_HOURS' }],
    })
    // The end is on a minute, and what waits for it is spread over five.
    expect(waiting?.waitMinutes).toBeGreaterThan(118)
    expect(waiting?.waitMinutes).toBeLessThan(125.1)
    // A day to live begins at the end.
    expect(waiting?.livesHours).toBeGreaterThan(25.9)
    const [sms, site] = await explain(msgId, 'USER001')
    expect([sms?.code, site?.code]).toEqual(['QUIET_HOURS', 'IN_INBOX'])
    expect(sms?.en).toMatch(/goes out on 1001 at 20\d\d-/)
    await becomes(await to.send(['USER001'], HIGH), 'sent null')
  })

  it('once they are over it goes out, with all its attempts', async () => {
    await to.quiet('USER001', [aroundNow()])
    const msgId = await to.send(['USER001'])
    await becomes(msgId, 'queued QUIET_HOURS')
    await to.quiet('USER001', [])
    await to.hurry()
    await becomes(msgId, 'sent null')
    expect((await to.rows(msgId))[0]).toMatchObject({
      attempts: 1,
      history: [{ attempt: 0 }, { state: 'sent', attempt: 1 }],
    })
  })

  it('nothing goes out late: a message that is over before the quiet hours are expires', async () => {
    await to.quiet('USER001', [aroundNow(2)])
    const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()
    const sooner = await to.send(['USER001'], { expiresAt: inHours(1) })
    await becomes(sooner, 'expired QUIET_HOURS')
    expect((await explain(sooner, 'USER001'))[0]).toMatchObject({ code: 'OVER_IN_QUIET_HOURS' })
    const later = await to.send(['USER001'], { expiresAt: inHours(3) })
    await becomes(later, 'queued QUIET_HOURS')
    expect((await to.rows(later))[0]?.livesHours).toBeCloseTo(3, 1)
  })

  it('what is over soon after the quiet hours goes out at once when they end', async () => {
    await to.quiet('USER001', [aroundNow(2)])
    const { to: end } = aroundNow(2)
    const today = new Date().toISOString().slice(0, 11)
    const ended = new Date(`${today}${end}:00Z`).getTime()
    const ahead = ended < Date.now() ? ended + 86_400_000 : ended
    const msgId = await to.send(['USER001'], { expiresAt: new Date(ahead + 30_000).toISOString() })
    await becomes(msgId, 'queued QUIET_HOURS')
    expect((await to.rows(msgId))[0]?.waitMinutes).toBeCloseTo((ahead - Date.now()) / 60_000, 1)
  })

  it('counts in the zone of the person', async () => {
    const zoned = (zone: string | null) =>
      query(posthouse.context.db, sql`update users set time_zone = ${zone} where code = 'USER001'`)
    await zoned('Pacific/Kiritimati')
    // There it is fourteen hours later: far from the hours around now.
    expect(await to.quiet('USER001', [aroundNow()])).toEqual({ quietUntil: null, timeZone: 'Pacific/Kiritimati' })
    await becomes(await to.send(['USER001']), 'sent null')
    await zoned('Mars/Olympus_Mons')
    await becomes(await to.send(['USER001']), 'queued QUIET_HOURS')
    await zoned(null)
  })

  it('a bare address is nobody who could want anything', async () => {
    const { db } = posthouse.context
    const [user] = await query<{ phone: string }>(db, sql`select phone from users where code = 'USER001'`)
    await to.as('USER001', { isOn: false })
    await to.quiet('USER001', [aroundNow()])
    const msgId = await to.send([], { receiverType: 'custom', receiverData: { '1001': [user?.phone, 'USER001'] } })
    const known = await to.send([], { receiverType: 'custom', receiverData: { '1001': ['USER001'] } })
    await becomes(msgId, 'sent null')
    await becomes(known, 'skipped OPTED_OUT')
  })

  it('a recall finds what waits', async () => {
    await to.quiet('USER001', [aroundNow()])
    const msgId = await to.send(['USER001'])
    await becomes(msgId, 'queued QUIET_HOURS')
    await posthouse.post('/api/openApi/message/recall', { appId: '102343444', msgId })
    await becomes(msgId, 'cancelled RECALLED')
  })

  it('those who wait are looked at once, and take neither the slots nor the rate of the others', async () => {
    const users = Array.from({ length: 40 }, (_, at) => `QUIET${at}`)
    for (const user of users)
      await query(
        posthouse.context.db,
        sql`
          with person as (insert into users (code, name, email) values (${user}, ${user}, ${`${user}@example.org`}))
          insert into preferences (user_code, quiet_hours, changed_by)
          values (${user}, ${JSON.stringify([{ ...aroundNow(), days: [1, 2, 3, 4, 5, 6, 7] }])}::jsonb, 'user')`,
      )
    const mail = { channelData: { '1003': { title: 'title', content: 'text' } } }
    const msgId = await to.send(users, mail)
    await eventually(async () => (await to.rows(msgId)).every(({ reason }) => reason === 'QUIET_HOURS'), 15_000)
    await becomes(await to.send(['USER002'], mail), 'sent null')
    const rows = await to.rows(msgId)
    expect(rows.map(({ history }) => history.length)).toEqual(users.map(() => 1))
    expect(new Set(rows.map(({ waitMinutes }) => Math.round(waitMinutes * 60))).size).toBeGreaterThan(20)
  }, 30_000)
})
