import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveApp } from '../../src/apps/apps.ts'
import { boot, run } from '../kit/posthouse.ts'
import { onPostgres, stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp } from '../rest/door.ts'

/** So slow that none comes back while a test runs. */
const SLOW = { perSecond: 0.001, burst: 3 }

describe.each(stores)('an app with a rate limit, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = ({ id, headers }: Awaited<ReturnType<typeof makeApp>>, more: Record<string, unknown> = {}) =>
    posthouse.post(CHANNEL, channelBody({ appId: id, ...more }), headers)

  it('pushes its burst and is then told when to come again', async () => {
    const app = await makeApp(posthouse, { rateLimit: SLOW })
    const answers = await Promise.all(Array.from({ length: 10 }, () => push(app)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    const { status, headers, body } = await push(app)
    expect({ status, body }).toEqual({
      status: 429,
      body: { code: 400, msg: '请求过于频繁，请稍后重试：每秒最多 0.001 次，突发 3 次' },
    })
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(900)
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(1_000)
  })

  it('is counted at both doors together, and before anything else is looked at', async () => {
    const app = await makeApp(posthouse, { rateLimit: { ...SLOW, burst: 2 } })
    const typed = () =>
      posthouse.graphql(
        app.key,
        `mutation { pushChannelMessage(input: {
          receiver: { specified: { users: ["USER001"] } }, channels: [{ channelId: "1002", site: { content: "c" } }]
        }) { msgId } }`,
      )
    expect((await typed()).errors).toBeUndefined()
    expect((await push(app, { channelData: 'nonsense' })).status).toBe(400)
    expect((await typed()).errors?.[0]?.extensions).toMatchObject({
      code: 'RATE_LIMITED',
      retryAfter: expect.any(Number),
    })
    expect((await push(app, { channelData: 'nonsense' })).status).toBe(429)
  })

  it('leaves others alone', async () => {
    const [limited, free] = [await makeApp(posthouse, { rateLimit: { ...SLOW, burst: 1 } }), await makeApp(posthouse)]
    expect([(await push(limited)).status, (await push(limited)).status, (await push(free)).status]).toEqual([
      200, 429, 200,
    ])
  })

  it('goes on at its rate', async () => {
    const app = await makeApp(posthouse, { rateLimit: { perSecond: 20, burst: 1 } })
    const startedAt = performance.now()
    let admitted = 0
    while (admitted < 11) if ((await push(app)).status === 200) admitted++
    // The first at once, then one each 50 ms, by the database's clock.
    expect(performance.now() - startedAt).toBeGreaterThan(480)
  })
})

describe.skipIf(!onPostgres)('two nodes on PostgreSQL', () => {
  it('share what an app may push', async () => {
    const one = await run(onPostgres!)
    const other = await boot(one.place.env)
    const row = { id: 'shared', name: 'shared', grants: ['channel:*'], legacyFrom: ['127.0.0.1', '::1'] }
    await saveApp(one.context.db, { ...row, rateLimit: { perSecond: 0.001, burst: 7 } })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) => (at % 2 ? one : other).post(CHANNEL, channelBody({ appId: 'shared' }))),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7)
    await other.stop()
    await one.stop()
  })
})
