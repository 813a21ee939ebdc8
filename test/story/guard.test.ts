import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sql } from 'drizzle-orm'
import { query } from '../../src/db/client.ts'
import { boot, run, type Running } from '../kit/posthouse.ts'
import { onPostgres, stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp } from '../rest/door.ts'

const PREVIEW = '/api/openApi/message/preview/channel'
const TO_THREE = { user: ['USER001', 'USER002', 'USER003'] }
/** One segment to one number. */
const SMS = {
  receiverType: 'custom',
  receiverData: { '1001': ['13000000000'] },
  channelData: { '1001': { content: '您好' } },
}
type App = Awaited<ReturnType<typeof makeApp>>

const pushAs = (posthouse: Running, app: App, more: object, headers: Record<string, string> = {}) =>
  posthouse.post(CHANNEL, channelBody({ ...more, appId: app.id }), { ...app.headers, ...headers })
const confirm = async (posthouse: Running, app: App, more: object) => {
  const { body } = await posthouse.post(PREVIEW, channelBody({ ...more, appId: app.id }), app.headers)
  const data = body.data as { confirmation: string; needsConfirmation: string[] }
  return { ...data, headers: { 'x-posthouse-confirmation': data.confirmation } }
}
const used = async ({ context }: Running, app: App) =>
  (await query<{ segments: number }>(context.db, sql`select segments from app_budgets where app_id = ${app.id}`)).map(
    ({ segments }) => segments,
  )

describe.each(stores)('the blast-radius guard of an app, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const guarded = (guard: { recipients?: number; smsSegmentsPerDay?: number }) =>
    makeApp(posthouse, { guard: { recipients: null, smsSegmentsPerDay: null, ...guard } })
  const messagesOf = async (app: App) =>
    (await query(posthouse.context.db, sql`select id from messages where app_id = ${app.id}`)).length

  it('lets a small push through and stops a large one, saying what to do', async () => {
    const app = await guarded({ recipients: 2 })
    expect((await pushAs(posthouse, app, {})).status).toBe(200)
    const { status, body } = await pushAs(posthouse, app, { receiverData: TO_THREE })
    expect([status, body]).toEqual([
      409,
      { code: 400, msg: '需要确认：confirmation: 将发给 3 人，超过 2 人，请先预览并带上确认码' },
    ])
    expect(await messagesOf(app)).toBe(1)
  })

  it('lets the large one through with the confirmation of its preview, once', async () => {
    const app = await guarded({ recipients: 2 })
    const { headers, needsConfirmation } = await confirm(posthouse, app, { receiverData: TO_THREE })
    expect(needsConfirmation).toEqual(['将发给 3 人，超过 2 人'])
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => pushAs(posthouse, app, { receiverData: TO_THREE }, headers)),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(3)
    const again = await pushAs(posthouse, app, { receiverData: TO_THREE }, headers)
    expect(again.body.msg).toBe('需要确认：confirmation: 确认码已使用过，请重新预览')
    expect(await messagesOf(app)).toBe(1)
  })

  it('takes no confirmation of another body, another app, another time, or of another audience', async () => {
    const [app, other] = [await guarded({ recipients: 2 }), await guarded({ recipients: 2 })]
    const large = { receiverData: TO_THREE }
    const { headers } = await confirm(posthouse, app, large)
    const changed = await pushAs(posthouse, app, { ...large, channelData: { '1002': { content: '别的' } } }, headers)
    expect(changed.body.msg).toContain('确认码不是这次推送的')
    expect((await pushAs(posthouse, other, large, headers)).body.msg).toContain('无效或已过期')
    const forged = { 'x-posthouse-confirmation': `${headers['x-posthouse-confirmation'].slice(0, -4)}AAAA` }
    expect((await pushAs(posthouse, app, large, forged)).body.msg).toContain('无效或已过期')

    const dept = `D${randomUUID().slice(0, 8)}`
    const { db } = posthouse.context
    await query(db, sql`insert into departments (code, name) values (${dept}, '成长科')`)
    const join = (user: string) =>
      query(db, sql`insert into memberships (kind, group_code, user_code) values ('dept', ${dept}, ${user})`)
    for (const user of TO_THREE.user) await join(user)
    const grown = await confirm(posthouse, app, { receiverData: { dept: [dept] } })
    await join('USER005')
    const { body } = await pushAs(posthouse, app, { receiverData: { dept: [dept] } }, grown.headers)
    expect(body.msg).toContain('预览后人数由 3 增至 4')
    expect(await messagesOf(app)).toBe(0)
  })

  it('counts a broadcast as everybody', async () => {
    const app = await guarded({ recipients: 5 })
    const toAll = { receiverType: 'all', receiverData: undefined }
    expect((await pushAs(posthouse, app, toAll)).status).toBe(409)
    const { headers } = await confirm(posthouse, app, toAll)
    expect((await pushAs(posthouse, app, toAll, headers)).status).toBe(200)
  })

  it('admits exactly what the day’s segments allow, of pushes that come at once', async () => {
    const app = await guarded({ smsSegmentsPerDay: 7 })
    const answers = await Promise.all(Array.from({ length: 30 }, () => pushAs(posthouse, app, SMS)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7)
    expect(await messagesOf(app)).toBe(7)
    expect(await used(posthouse, app)).toEqual([7])
    const { body } = await pushAs(posthouse, app, SMS)
    expect(body.msg).toBe('需要确认：confirmation: 需 1 条短信，当日已用 7/7，请先预览并带上确认码')

    const { headers, needsConfirmation } = await confirm(posthouse, app, SMS)
    expect(needsConfirmation).toEqual(['需 1 条短信，当日已用 7/7'])
    expect((await pushAs(posthouse, app, SMS, headers)).status).toBe(200)
    expect(await used(posthouse, app)).toEqual([8])
    expect((await pushAs(posthouse, app, {})).status).toBe(200)
  })

  it('charges a push that is repeated under its key once, and one that is stopped never', async () => {
    const app = await guarded({ smsSegmentsPerDay: 2 })
    const key = { 'idempotency-key': 'once' }
    const answers = await Promise.all(Array.from({ length: 6 }, () => pushAs(posthouse, app, SMS, key)))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.msgId}`)).size).toBe(1)
    expect(await used(posthouse, app)).toEqual([1])
    const long = { ...SMS, channelData: { '1001': { content: '长'.repeat(71) } } }
    const stopped = { 'idempotency-key': 'stopped' }
    expect((await pushAs(posthouse, app, long, stopped)).status).toBe(409)
    expect(await used(posthouse, app)).toEqual([1])
    // Its key is still free.
    expect((await pushAs(posthouse, app, SMS, stopped)).status).toBe(200)
    expect(await used(posthouse, app)).toEqual([2])
  })

  it('charges a scheduled push on the day it is due', async () => {
    const app = await guarded({ smsSegmentsPerDay: 1 })
    const inDays = (days: number) => ({ sendTime: new Date(Date.now() + days * 86_400_000).toISOString() })
    const statuses = []
    for (const days of [0, 2, 3, 2]) statuses.push((await pushAs(posthouse, app, { ...SMS, ...inDays(days) })).status)
    expect(statuses).toEqual([200, 200, 200, 409])
    expect(await used(posthouse, app)).toEqual([1, 1, 1])
  })

  it('holds in GraphQL too', async () => {
    const app = await guarded({ recipients: 0 })
    const input = {
      receiver: { specified: { users: ['USER001'] } },
      channels: [{ channelId: '1002', site: { content: 'c' } }],
    }
    const push = (more: object) =>
      posthouse.graphql(
        app.key,
        `mutation ($input: PushChannelMessageInput!) { pushChannelMessage(input: $input) { msgId } }`,
        {
          input: { ...input, ...more },
        },
      )
    expect((await push({})).errors?.[0]).toMatchObject({
      message: expect.stringContaining('reaches 1 recipients, and above 0 it needs a confirmation'),
      extensions: { code: 'CONFIRMATION_REQUIRED', field: 'confirmation' },
    })
    const looked = await posthouse.graphql(
      app.key,
      `query ($input: PreviewPushInput!) { previewPush(input: $input) { confirmation } }`,
      { input: { channel: input } },
    )
    expect((await push({ confirmation: looked.data?.['previewPush'].confirmation })).errors).toBeUndefined()
  })
})

describe.skipIf(!onPostgres)('two nodes on PostgreSQL', () => {
  it('admit together exactly what a budget allows', async () => {
    const one = await run(onPostgres!)
    const other = await boot(one.place.env)
    const app = await makeApp(one, { guard: { recipients: null, smsSegmentsPerDay: 20 } })
    const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => pushAs(at % 2 ? one : other, app, SMS)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(20)
    expect(await used(one, app)).toEqual([20])
    await other.stop()
    await one.stop()
  })
})
