import { request } from 'node:http'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, type Store } from '../src/db/client.ts'
import { queueDepth } from '../src/delivery/depth.ts'
import { putDeliveries } from './delivery/rows.ts'
import { eventually, run, SECRETS } from './kit/posthouse.ts'
import { stores } from './kit/stores.ts'

/** A look at the queue is good for a second. */
const GOOD_MS = 1_100
const ADMIN = { authorization: `Bearer ${SECRETS.ADMIN_KEY}` }

/** Looks a series up in what was scraped. */
const valuesOf = (text: string) => (series: string) => {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

describe.each(stores)('/metrics, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())
  const scrape = async (headers: Record<string, string> = ADMIN) => {
    const response = await fetch(`${posthouse.url}/metrics`, { headers })
    const text = await response.text()
    return { status: response.status, type: response.headers.get('content-type'), text, value: valuesOf(text) }
  }

  it('are for the admin only', async () => {
    expect((await scrape()).status).toBe(200)
    expect((await scrape({})).status).toBe(401)
    expect((await scrape({ authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await scrape({ authorization: `Bearer ${await posthouse.token('USER001')}` })).status).toBe(401)
  })

  it('are text as Prometheus reads it, each with its help, and tell of the process too', async () => {
    const { type, text } = await scrape()
    expect(type).toBe('text/plain; version=0.0.4; charset=utf-8')
    const names = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name)
    expect(names).toEqual(expect.arrayContaining(['nodejs_eventloop_lag_seconds', 'process_cpu_seconds_total']))
    expect(names.filter((name) => !text.includes(`# HELP ${name} `))).toEqual([])
  })

  describe('of a queue', () => {
    let queue: Store
    beforeAll(async () => {
      queue = await store.open()
    })
    afterAll(() => queue.close())
    /** As if that store were the Posthouse's own; here no worker takes anything. */
    const look = async () => {
      await new Promise((resolve) => setTimeout(resolve, GOOD_MS))
      const { context } = posthouse
      return valuesOf((await context.metrics!.read({ ...context, db: queue.db })).text)
    }

    it('tell depth, age and what is in flight, by channel and lane', async () => {
      const of = { state: 'queued', channelId: '1999' } as const
      await putDeliveries(queue.db, [
        { ...of, priority: 3, dueInSeconds: -120, ageSeconds: 500 },
        { ...of, priority: 3, dueInSeconds: -60 },
        { ...of, priority: 3, dueInSeconds: 600 },
        { ...of, priority: 3, leaseSeconds: 600, dueInSeconds: -300, ageSeconds: 800 },
        { ...of, priority: 3, leaseSeconds: -10, dueInSeconds: -30 },
        { ...of, priority: 1, dueInSeconds: 600 },
        { ...of, state: 'sent' },
      ])
      const value = await look()
      const lane = (name: string, lane: string, channel = '1999') =>
        value(`posthouse_${name}{channel="${channel}",lane="${lane}"}`)
      expect(lane('queue_depth', 'high')).toBe(4)
      expect(lane('queue_due', 'high')).toBe(3)
      expect(lane('queue_in_flight', 'high')).toBe(1)
      expect(lane('queue_oldest_seconds', 'high')).toBeGreaterThanOrEqual(120)
      expect(lane('queue_oldest_seconds', 'high'), 'of those that wait, not of those in flight').toBeLessThan(200)
      expect(lane('queue_depth', 'low')).toBe(1)
      expect(lane('queue_oldest_seconds', 'low')).toBe(0)
      expect(lane('queue_depth', 'normal')).toBeUndefined()
      expect(lane('queue_depth', 'normal', '1001'), 'zero where a channel is configured').toBe(0)
      expect(lane('queue_depth', 'normal', '1002'), 'the inbox has no queue').toBeUndefined()
      expect(value('posthouse_oldest_unfinished_seconds')).toBeGreaterThanOrEqual(800)

      // More than anybody counts, of an app whose name comes first, and none of them due as long as the others.
      await query(
        queue.db,
        sql`
          insert into deliveries (id, message_id, app_id, channel_id, recipient, address, state, priority, due_at, expires_at)
          select gen_random_uuid(), gen_random_uuid(), 'aaa', '1999', 'someone', 'x', 'queued', 3,
            now() - interval '1 second', now() + interval '1 day'
          from generate_series(1, 20001)`,
      )
      await look()
      const [high] = await queueDepth(queue.db)
      expect(high).toMatchObject({ lane: 'high', waiting: 20_000, dueNow: 20_000, inFlight: 0, isAtLeast: true })
      expect(high?.oldestDueSeconds, 'exact all the same').toBeGreaterThanOrEqual(120)

      await query(queue.db, sql`truncate deliveries`)
      const after = await look()
      expect(after('posthouse_queue_depth{channel="1999",lane="high"}')).toBeUndefined()
      expect(after('posthouse_oldest_unfinished_seconds')).toBe(0)
    })
  })

  it('tell which channels this node leaves alone', async () => {
    const { metrics } = posthouse.context
    metrics!.circuit('1001', true)
    const { value } = await scrape()
    expect(value('posthouse_circuit_open{channel="1001"}')).toBe(1)
    expect(value('posthouse_circuit_open{channel="1003"}')).toBe(0)
    metrics!.circuit('1001', false)
  })

  it('count requests by door and status', async () => {
    const count = async (door: string, status: number) =>
      (await scrape()).value(`posthouse_http_requests_total{door="${door}",status="${status}"}`) ?? 0
    const before = await count('rest', 400)
    await posthouse.post('/api/openApi/message/push/channel', {})
    await fetch(`${posthouse.url}/callbacks/1001`)
    await posthouse.graphql(undefined, '{ __typename }')
    await eventually(async () => (await count('rest', 400)) === before + 1)
    expect(await count('callbacks', 404)).toBe(1)
    expect(await count('graphql', 200)).toBeGreaterThan(0)
    expect(await count('metrics', 200)).toBeGreaterThan(0)
  })

  it('tell how many people are connected', async () => {
    const bell = posthouse.context.live.watch('USER001')
    expect((await scrape()).value('posthouse_connected_users')).toBe(1)
    bell.close()
    expect((await scrape()).value('posthouse_connected_users')).toBe(0)
  })

  it('tell whether this node hears the others', async () => {
    await eventually(async () => (await scrape()).value('posthouse_hint_bus_up') === 1)
    const deaf = { ...posthouse.context, hints: { ...posthouse.context.hints, isUp: () => false } }
    const { text } = await posthouse.context.metrics!.read(deaf)
    expect(valuesOf(text)('posthouse_hint_bus_up')).toBe(0)
  })

  it('are the same in GraphQL, for the admin only', async () => {
    await putDeliveries(posthouse.context.db, [
      { state: 'queued', channelId: '1999', priority: 3, dueInSeconds: 600, ageSeconds: 60 },
      { state: 'queued', channelId: '1999', priority: 2, leaseSeconds: 600 },
    ])
    await new Promise((resolve) => setTimeout(resolve, GOOD_MS))
    const ask = '{ queue { channelId lane waiting dueNow inFlight isAtLeast oldestDueSeconds oldestSeconds } }'
    const { data } = await posthouse.graphql(SECRETS.ADMIN_KEY, ask)
    expect(data?.['queue']).toEqual([
      {
        channelId: '1999',
        lane: 'HIGH',
        waiting: 1,
        dueNow: 0,
        inFlight: 0,
        isAtLeast: false,
        oldestDueSeconds: 0,
        oldestSeconds: expect.closeTo(60, -1),
      },
      expect.objectContaining({ lane: 'NORMAL', waiting: 0, inFlight: 1, oldestDueSeconds: 0 }),
    ])
    const { errors } = await posthouse.graphql(await posthouse.token('USER001'), ask)
    expect(errors?.[0]?.extensions?.['code']).toBe('FORBIDDEN')
  })

  it('ask the database once, however many look at once', async () => {
    const { db } = posthouse.context
    const looks = [queueDepth(db), queueDepth(db)]
    expect(looks[0]).toBe(looks[1])
    await looks[0]
    expect(queueDepth(db)).toBe(looks[0])
    await new Promise((resolve) => setTimeout(resolve, GOOD_MS))
    expect(queueDepth(db)).not.toBe(looks[0])
  })

  it('come without the queue while the database is away', async () => {
    const { db, metrics } = posthouse.context
    const away = {
      ...posthouse.context,
      db: Object.assign(Object.create(db), { execute: () => Promise.reject(new Error()) }),
    }
    const { text } = await metrics!.read(away)
    expect(text).toContain('posthouse_http_requests_total')
    expect(text).not.toMatch(/^posthouse_(queue|oldest)/m)
    expect((await metrics!.read(posthouse.context)).text).toMatch(/^posthouse_queue_depth/m)
  })
})

describe('/metrics in development', () => {
  const get = (url: string, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      request(url, { headers }, (response) => resolve((response.resume(), response.statusCode ?? 0)))
        .on('error', reject)
        .end()
    })

  it('are for whoever calls from this machine, but not for whom a proxy or another name brings', async () => {
    const posthouse = await run(stores[0]!, { ADMIN_KEY: '', INBOX_JWT_SECRET: '' })
    const url = `${posthouse.url}/metrics`
    try {
      expect(await get(url, {})).toBe(200)
      expect(await get(url, { 'x-forwarded-for': '203.0.113.1' })).toBe(401)
      expect(await get(url, { forwarded: 'for=203.0.113.1' })).toBe(401)
      expect(await get(url, { host: 'evil.example' })).toBe(403)
    } finally {
      await posthouse.stop()
    }
  })
})
