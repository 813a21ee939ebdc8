/** "Why did she not get it?", answered channel by channel. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp } from '../rest/door.ts'

const EXPLAIN = `query ($msgId: ID!, $user: String!) {
  explainDelivery(msgId: $msgId, user: $user) { channelId code reason zh en history { state attempt } }
}`

describe.each(stores)('explainDelivery, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = async (more: Record<string, unknown> = {}) =>
    (await posthouse.post(CHANNEL, channelBody(more))).body.msgId ?? ''
  const explain = async (msgId: string, user: string, bearer = posthouse.adminKey) => {
    const { data, errors } = await posthouse.graphql(bearer, EXPLAIN, { msgId, user })
    if (errors) throw new Error(errors[0]?.message)
    return data?.['explainDelivery'] as Record<string, any>[]
  }
  const codes = async (msgId: string, user: string) => (await explain(msgId, user)).map(({ code }) => code)
  const set = (msgId: string, state: string, reason: string | null = null) =>
    query(
      posthouse.context.db,
      sql`update deliveries set state = ${state}, reason = ${reason}, due_at = now() + interval '1 hour', last_error = '5.1.1 no such user' where message_id = ${msgId}`,
    )
  const both = { '1001': { content: 'c' }, '1002': { content: 'c' } }

  /** To a role, which LATER joins after the push. */
  const pushThenJoin = async () => {
    const { db } = posthouse.context
    await query(db, sql`insert into users (code, name) values ('LATER', 'later') on conflict do nothing`)
    await query(db, sql`delete from memberships where user_code = 'LATER'`)
    const [{ role, first } = { role: '', first: '' }] = await query<{ role: string; first: string }>(
      db,
      sql`
        select group_code as role, user_code as first from memberships join users on users.code = user_code and enabled
        where kind = 'role' limit 1`,
    )
    const msgId = await push({ receiverData: { role: [role] } })
    await query(db, sql`insert into memberships (kind, group_code, user_code) values ('role', ${role}, 'LATER')`)
    return { msgId, first }
  }

  it('says in both languages what became of it on each channel', async () => {
    const msgId = await push({ channelData: both })
    await eventually(async () => (await codes(msgId, 'USER001')).join() === 'SENT,IN_INBOX')
    const [sms, site] = await explain(msgId, 'USER001')
    expect(sms).toMatchObject({
      channelId: '1001',
      zh: expect.stringContaining('1001'),
      en: expect.stringContaining('the provider of 1001 took it'),
      history: [
        { state: 'QUEUED', attempt: 0 },
        { state: 'SENT', attempt: 1 },
      ],
    })
    expect(site).toMatchObject({ channelId: '1002', en: expect.stringContaining('unread'), history: [] })
    await posthouse.post('/api/openApi/message/read', { appId: '102343444', msgId })
    expect(await codes(msgId, 'USER001')).toEqual(['SENT', 'READ'])
  })

  it.each([
    ['delivered', null, 'DELIVERED'],
    ['undelivered', 'UNDELIVERED', 'UNDELIVERED'],
    ['failed', 'NO_SUCH_MAILBOX', 'REFUSED'],
    ['failed', 'INVALID_ACCOUNT', 'INVALID_ACCOUNT'],
    ['failed', 'NO_CHANNEL', 'NO_CHANNEL'],
    ['dead', 'ATTEMPTS_USED_UP', 'GAVE_UP'],
    ['expired', 'TOO_OLD', 'TOO_OLD'],
    ['cancelled', 'RECALLED', 'CANCELLED'],
    ['cancelled', 'MAY_HAVE_GONE_OUT', 'MAY_HAVE_GONE_OUT'],
    ['skipped', 'OPTED_OUT', 'OPTED_OUT'],
    ['skipped', 'ANYTHING_ELSE', 'SKIPPED'],
    ['queued', 'QUIET_HOURS', 'QUIET_HOURS'],
    ['expired', 'QUIET_HOURS', 'OVER_IN_QUIET_HOURS'],
  ])('tells a delivery that is %s (%s) as %s', async (state, reason, code) => {
    const msgId = await push({ channelData: { '1001': { content: 'c' } } })
    await eventually(async () => (await codes(msgId, 'USER001')).join() === 'SENT')
    await set(msgId, state, reason)
    expect(await explain(msgId, 'USER001')).toMatchObject([{ code, reason }])
  })

  it('tells who has no address, who is not meant, who is unknown and who is disabled', async () => {
    const msgId = await push({ receiverData: { user: ['USER001', 'USER042'] }, channelData: both })
    expect(await codes(msgId, 'USER042')).toEqual(['NO_ADDRESS', 'IN_INBOX'])
    expect(await codes(msgId, 'USER002')).toEqual(['NOT_IN_AUDIENCE', 'NOT_IN_AUDIENCE'])
    expect(await codes(msgId, 'NOBODY')).toEqual(['UNKNOWN_USER', 'UNKNOWN_USER'])
    await query(posthouse.context.db, sql`update users set enabled = false where code = 'USER039'`)
    expect(await codes(msgId, 'USER039')).toEqual(['DISABLED_USER', 'DISABLED_USER'])
    await query(posthouse.context.db, sql`update users set enabled = true where code = 'USER039'`)
  })

  it('tells who joined the audience later, and what is scheduled', async () => {
    const { msgId } = await pushThenJoin()
    expect(await codes(msgId, 'LATER')).toEqual(['ADDED_LATER'])
    const later = await push({ sendTime: new Date(Date.now() + 3_600_000).toISOString() })
    expect(await codes(later, 'USER001')).toEqual(['SCHEDULED'])
    expect((await explain(later, 'USER001'))[0]?.['en']).toContain('who gets it is decided then')
  })

  it('tells who joined later also after a recall, and whom fan-out had not got to', async () => {
    const { msgId, first } = await pushThenJoin()
    await posthouse.post('/api/openApi/message/recall', { appId: APP, msgId })
    expect(await codes(msgId, 'LATER')).toEqual(['ADDED_LATER'])
    expect(await codes(msgId, first)).toEqual(['RECALLED'])
    await query(posthouse.context.db, sql`update messages set cursor = 'L' where id = ${msgId}`)
    expect(await codes(msgId, 'LATER')).toEqual(['RECALLED_BEFORE'])
  })

  it('tells whom a fan-out that was given up had not got to', async () => {
    const { msgId, first } = await pushThenJoin()
    await query(posthouse.context.db, sql`update messages set state = 'failed', cursor = 'L' where id = ${msgId}`)
    expect(await codes(msgId, 'LATER')).toEqual(['FAN_OUT_FAILED'])
    expect(await codes(msgId, first)).toEqual(['IN_INBOX'])
    await query(posthouse.context.db, sql`update messages set cursor = 'LATER' where id = ${msgId}`)
    expect(await codes(msgId, 'LATER')).toEqual(['ADDED_LATER'])
  })

  it('tells of a broadcast before and after somebody looks, and of who joined after it', async () => {
    const msgId = await push({ receiverType: 'all', receiverData: undefined })
    expect(await codes(msgId, 'USER011')).toEqual(['WAITS_FOR_LOOK'])
    await posthouse.graphql(await posthouse.token('USER011'), '{ inboxCounts { unread } }')
    expect(await codes(msgId, 'USER011')).toEqual(['IN_INBOX'])
    await query(posthouse.context.db, sql`insert into users (code, name) values ('NEW1', 'new') on conflict do nothing`)
    expect(await codes(msgId, 'NEW1')).toEqual(['JOINED_LATER'])
    await query(posthouse.context.db, sql`update broadcasts set recalled_at = now() where message_id = ${msgId}`)
    expect(await codes(msgId, 'USER012')).toEqual(['BROADCAST_RECALLED'])
  })

  it('tells custom accounts as they were written', async () => {
    const msgId = await push({
      receiverType: 'custom',
      receiverData: { '1001': ['18660886275', 'USER001', 'nonsense'] },
      channelData: { '1001': { content: 'c' } },
    })
    await eventually(async () => (await codes(msgId, '18660886275')).join() === 'SENT')
    expect(await codes(msgId, 'USER001')).toEqual(['SENT'])
    expect(await codes(msgId, 'nonsense')).toEqual(['INVALID_ACCOUNT'])
    expect(await codes(msgId, 'USER002')).toEqual(['NOT_IN_AUDIENCE'])
  })

  it('finds a custom account by what it means: the owner of a phone, an address in another spelling', async () => {
    const [{ phone, code } = { phone: '', code: '' }] = await query<{ phone: string; code: string }>(
      posthouse.context.db,
      sql`
        select min(phone) as phone, min(code) as code from users where enabled and phone is not null
        group by users.phone having count(*) = 1 order by 2 limit 1`,
    )
    const spelt = `${phone.slice(0, 6)} ${phone.slice(6)}`
    const msgId = await push({
      receiverType: 'custom',
      receiverData: { '1001': [phone, spelt], '1002': [phone] },
      channelData: both,
    })
    for (const user of [phone, spelt, code]) {
      await eventually(async () => (await codes(msgId, user)).join() === 'SENT,IN_INBOX')
    }
    expect(await codes(msgId, '18660886999')).toEqual(['NOT_IN_AUDIENCE', 'NOT_IN_AUDIENCE'])
  })

  it('is for the app that pushed and the admin; to others there is no such message', async () => {
    const msgId = await push()
    const other = await makeApp(posthouse)
    expect(await explain(msgId, 'USER001', other.key)).toBeNull()
    expect(await explain('0'.repeat(32), 'USER001')).toBeNull()
    await expect(explain(msgId, 'USER001', await posthouse.token('USER001'))).rejects.toThrow('Not permitted')
  })
})
