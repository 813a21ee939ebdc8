import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { sql } from 'drizzle-orm'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp, TEMPLATE, templateBody } from '../rest/door.ts'

const PREVIEW = { channel: '/api/openApi/message/preview/channel', template: '/api/openApi/message/preview/template' }
const TYPED = `query ($input: PreviewPushInput!, $appId: String) {
  previewPush(input: $input, appId: $appId) {
    recipients names unresolved smsSegments warnings needsConfirmation confirmation confirmationExpiresAt
    channels { channelId kind reachable withoutAddress content segments }
  }
}`

describe.each(stores)('a push that is only looked at, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const look = async (form: keyof typeof PREVIEW, body: object) => {
    const { status, body: answer } = await posthouse.post(PREVIEW[form], body)
    expect([status, answer.msg]).toEqual([200, '操作成功'])
    return answer.data as Record<string, any>
  }
  const rows = async () =>
    query(
      posthouse.context.db,
      sql`select (select count(*) from messages) as messages, (select count(*) from items) as items,
        (select count(*) from deliveries) as deliveries, (select count(*) from used_confirmations) as used`,
    )

  it('tells whom it reaches on each channel, what it says there, and what it leaves out', async () => {
    const found = await look(
      'channel',
      channelBody({
        receiverData: { user: ['USER001', 'USER002', 'USER003', 'NOBODY'] },
        channelData: {
          '1001': { sign: '东华医为', content: '长'.repeat(65) },
          '1002': { content: '<p onclick="x()">会议</p>' },
        },
      }),
    )
    const withPhone = await query<{ count: number }>(
      posthouse.context.db,
      sql`select count(phone) as count from users where code in ('USER001', 'USER002', 'USER003')`,
    )
    const reachable = withPhone[0]!.count
    expect(found).toMatchObject({
      recipients: 3,
      unresolved: { user: ['NOBODY'] },
      warnings: ['unresolved=1'],
      needsConfirmation: [],
      // With the sign it is 71 characters: one too many for a single SMS.
      smsSegments: 2 * reachable,
      channels: [
        { channelId: '1001', kind: 'sms', reachable, withoutAddress: 3 - reachable, segments: 2 },
        { channelId: '1002', kind: 'site', reachable: 3, withoutAddress: 0, segments: null },
      ],
    })
    expect(found['channels'][1].content).toMatchObject({ title: '会议', content: '<p>会议</p>' })
    expect(found['names']).toHaveLength(3)
  })

  it('renders a template as the push would', async () => {
    const found = await look('template', templateBody())
    expect(found['channels'].map(({ channelId }: { channelId: string }) => channelId)).toEqual(['1001', '1002', '1003'])
    expect(found['channels'][1].content).toMatchObject({ title: '检验报告已出：患者001', website: '/reports' })
  })

  it('counts everybody for a broadcast, each once for groups that overlap, and each account once', async () => {
    const all = await look('channel', channelBody({ receiverType: 'all', receiverData: undefined }))
    const [people] = await query<{ count: number }>(
      posthouse.context.db,
      sql`select count(*) as count from users where enabled`,
    )
    expect(all).toMatchObject({ recipients: people!.count, channels: [{ reachable: people!.count }] })
    expect(all['names']).toHaveLength(10)
    // Both are in the department, or in one below it.
    const twice = await look(
      'channel',
      channelBody({ receiverData: { user: ['USER001', 'USER009'], dept: ['DEPT001', 'DEPT011'] } }),
    )
    const once = await look('channel', channelBody({ receiverData: { dept: ['DEPT001'] } }))
    expect(twice['recipients']).toBe(once['recipients'])
    const custom = await look(
      'channel',
      channelBody({
        receiverType: 'custom',
        receiverData: { '1001': ['18660886275', '13000000000', 'NOBODY'], '1002': ['USER001', 'USER001'] },
        channelData: { '1001': { content: '您好' }, '1002': { content: '您好' } },
      }),
    )
    expect(custom).toMatchObject({
      recipients: 3,
      smsSegments: 2,
      unresolved: { '1001': ['NOBODY'] },
      channels: [
        { channelId: '1001', reachable: 2, withoutAddress: 1 },
        { channelId: '1002', reachable: 1, withoutAddress: 0 },
      ],
    })
  })

  it('sends and stores nothing', async () => {
    const before = await rows()
    await look('channel', channelBody())
    await look('template', templateBody())
    expect(await rows()).toEqual(before)
  })

  it.each([
    ['channel', CHANNEL, channelBody({ channelData: { '9999': { content: 'c' } } })],
    ['channel', CHANNEL, channelBody({ receiverData: { user: ['NOBODY'] } })],
    ['channel', CHANNEL, channelBody({ sendTime: '2023-02-30 00:00:00' })],
    ['template', TEMPLATE, templateBody({ templateCode: 'NONE' })],
    ['template', TEMPLATE, templateBody({ channelParamData: {} })],
  ] as const)('refuses a %s push for the reason the push is refused for', async (form, path, body) => {
    const [preview, push] = [await posthouse.post(PREVIEW[form], body), await posthouse.post(path, body)]
    expect(push.status).toBeGreaterThanOrEqual(400)
    expect([preview.status, preview.body]).toEqual([push.status, push.body])
  })

  it('says the same in GraphQL, to the app and to the admin who names it', async () => {
    const app = await makeApp(posthouse)
    const input = {
      channel: {
        receiver: { specified: { users: ['USER001'] } },
        channels: [{ channelId: '1002', site: { content: 'c' } }],
      },
    }
    const own = await posthouse.graphql(app.key, TYPED, { input })
    expect(own.errors).toBeUndefined()
    expect(own.data?.['previewPush']).toMatchObject({ recipients: 1, channels: [{ kind: 'SITE', segments: null }] })
    const admin = await posthouse.graphql(posthouse.adminKey, TYPED, { input, appId: app.id })
    expect(admin.data?.['previewPush']).toMatchObject({ recipients: 1 })
    const nameless = await posthouse.graphql(posthouse.adminKey, TYPED, { input })
    expect(nameless.errors?.[0]?.message).toContain('appId: is required of the admin')
    const other = await posthouse.graphql(app.key, TYPED, { input, appId: 'another' })
    expect(other.errors?.[0]?.message).toContain('appId: must be your own')
  })

  it('needs the grant `preview`', async () => {
    const { id, headers } = await makeApp(posthouse, { grants: ['channel:*'] })
    const { status, body } = await posthouse.post(PREVIEW.channel, channelBody({ appId: id }), headers)
    expect([status, body.msg]).toEqual([401, '身份验证失败：应用缺少授权 preview'])
  })
})
