/** What a preview tells of those who would not get a push, or not at once. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { aroundNow, preferencesOf } from './kit.ts'

describe.each(stores)('a preview, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let to: ReturnType<typeof preferencesOf>
  beforeAll(async () => {
    posthouse = await run(store, { TIME_ZONE: 'UTC' })
    to = preferencesOf(posthouse)
    const { db } = posthouse.context
    await query(db, sql`update apps set grants = grants || '["broadcast:1001"]' where id = ${APP}`)
  })
  beforeEach(async () => {
    await to.forget()
    await to.as('USER001', { channelId: '1001', isOn: false })
    await to.as('USER002', { msgType: 'notice', isOn: false })
    await to.quiet('USER002', [aroundNow()])
    await to.quiet('USER003', [aroundNow()])
    // Without an address nothing is switched off and nothing waits.
    await to.quiet('USER042', [aroundNow()])
  })
  afterAll(() => posthouse.stop())

  const content = { content: '您好' }
  const look = async (more: Record<string, unknown> = {}) => {
    const { body } = await posthouse.post('/api/openApi/message/preview/channel', {
      appId: APP,
      receiverType: 'specified',
      receiverData: { user: ['USER001', 'USER002', 'USER003', 'USER004', 'USER042'] },
      channelData: { '1001': content, '1002': content },
      ...more,
    })
    const { channels = [], warnings = [], msg = body.msg } = (body.data ?? {}) as Record<string, any>
    const counts = channels.map(({ channelId, switchedOff, inQuietHours }: Record<string, unknown>) => [
      channelId,
      switchedOff,
      inQuietHours,
    ])
    return { counts, warnings, msg }
  }

  it('counts who has switched the type off, and for whom it is a quiet hour, and warns of both', async () => {
    expect(await look()).toMatchObject({
      counts: [
        ['1001', 2, 1],
        ['1002', 0, 0],
      ],
      warnings: ['switchedOff=2', 'inQuietHours=1'],
    })
  })

  it.each([
    ['of high priority', { priority: 3 }, [2, 0]],
    ['of another type', { msgType: 'reminder' }, [1, 2]],
    ['for when it is due', { sendTime: new Date(Date.now() + 5 * 3_600_000).toISOString() }, [2, 0]],
    ['to some', { receiverData: { user: ['USER003'] } }, [0, 1]],
    [
      'to accounts',
      { receiverType: 'custom', receiverData: { '1001': ['USER001', 'USER003', '13000000000'], '1002': ['USER001'] } },
      [1, 1],
    ],
  ])('counts them %s', async (_name, more, counts) => {
    expect((await look(more)).counts[0]).toEqual(['1001', ...counts])
  })

  it('counts them of all', async () => {
    const all = await look({ receiverType: 'all', receiverData: undefined })
    expect([all.counts[0], all.msg]).toEqual([['1001', 2, 1], '操作成功'])
  })

  it('has nobody who switched a mandatory type off', async () => {
    await to.mandatory('notice', true)
    expect((await look()).counts[0]).toEqual(['1001', 0, 2])
  })

  it('tells of a channel about which nobody said anything', async () => {
    await query(posthouse.context.db, sql`truncate preferences`)
    expect(await look()).toMatchObject({
      counts: [
        ['1001', 0, 0],
        ['1002', 0, 0],
      ],
      warnings: [],
    })
  })
})
