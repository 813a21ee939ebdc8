/** What ended without arriving: found, explained, and tried again. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { httpServer } from '../kit/http-server.ts'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, makeApp } from '../rest/door.ts'

const LIST = `query ($filter: EndedDeliveriesFilter, $first: Int, $after: String) {
  endedDeliveries(filter: $filter, first: $first, after: $after) {
    edges { node { id recipient state reason lastError attempts history { state attempt provider reason why } } }
    pageInfo { hasNextPage endCursor }
  }
}`
const REPLAY = `mutation ($input: ReplayDeliveriesInput!) { replayDeliveries(input: $input) { replayed isMore } }`

describe.each(stores)('deliveries that ended without arriving, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let gateway: Awaited<ReturnType<typeof httpServer>>
  let isRefusing = true
  let app: Awaited<ReturnType<typeof makeApp>>
  beforeAll(async () => {
    gateway = await httpServer(() => ({ body: isRefusing ? { code: 4001, msg: 'blacklisted' } : { code: 0 } }))
    const options = 'posthouse.ok=code=0&posthouse.permanent=code=4001'
    posthouse = await run(store, { CHANNEL_1001: `${gateway.url}/send?${options}` })
    app = await makeApp(posthouse)
  })
  afterAll(async () => {
    await posthouse.stop()
    await gateway.stop()
  })
  beforeEach(() => {
    isRefusing = true
  })

  const push = async (users: string[]) => {
    const { body } = await posthouse.post(CHANNEL, {
      appId: APP,
      receiverType: 'specified',
      receiverData: { user: users },
      channelData: { '1001': { content: 'your report' } },
    })
    const msgId = body.msgId ?? ''
    await eventually(async () => (await ended({ msgId, state: 'FAILED' })).length === users.length)
    return msgId
  }
  const ask = async (text: string, variables: Record<string, unknown>, bearer = posthouse.adminKey) => {
    const { data, errors } = await posthouse.graphql(bearer, text, variables)
    if (errors) throw new Error(errors[0]?.message)
    return data!
  }
  const ended = async (filter: Record<string, unknown>, bearer?: string): Promise<Record<string, any>[]> =>
    (await ask(LIST, { filter, first: 50 }, bearer))['endedDeliveries'].edges.map(({ node }: any) => node)
  const totals = async (msgId: string) => {
    const text = 'query ($id: ID!) { message(id: $id) { channels { totals { state count } } } }'
    return (await ask(text, { id: msgId }))['message'].channels[0].totals
  }

  it("are listed with the provider's words and what happened, latest first, page by page", async () => {
    const msgId = await push(['USER001', 'USER002', 'USER003'])
    const [one] = await ended({ msgId, state: 'FAILED' })
    expect(one).toMatchObject({
      state: 'FAILED',
      reason: 'REFUSED_BY_PROVIDER',
      attempts: 1,
      lastError: expect.stringContaining('blacklisted'),
      history: [
        { state: 'QUEUED', attempt: 0 },
        { state: 'FAILED', attempt: 1, provider: 'http', reason: 'REFUSED_BY_PROVIDER' },
      ],
    })
    const seen: string[] = []
    let after: string | undefined
    do {
      const { edges, pageInfo } = (await ask(LIST, { filter: { msgId, state: 'FAILED' }, first: 1, after }))[
        'endedDeliveries'
      ]
      seen.push(...edges.map(({ node }: any) => node.recipient))
      after = pageInfo.hasNextPage ? pageInfo.endCursor : undefined
    } while (after !== undefined)
    expect(seen.toSorted()).toEqual(['USER001', 'USER002', 'USER003'])
  })

  it('are found by how, where, why and when they ended', async () => {
    const msgId = await push(['USER001'])
    const future = new Date(Date.now() + 60_000).toISOString()
    expect((await ended({ msgId, state: 'FAILED', channelId: '1001', reason: 'REFUSED_BY_PROVIDER' })).length).toBe(1)
    expect((await ended({ msgId, state: 'FAILED', until: future })).length).toBe(1)
    expect(await ended({ msgId, state: 'FAILED', since: future })).toEqual([])
    expect(await ended({ msgId, state: 'FAILED', channelId: '1003' })).toEqual([])
    expect(await ended({ msgId, state: 'FAILED', reason: 'OTHER' })).toEqual([])
    expect(await ended({ msgId })).toEqual([])
    await expect(ended({ msgId: 'x' })).rejects.toThrow('filter.msgId')
    await expect(ended({ since: '2026-02-30T00:00:00Z' })).rejects.toThrow('DateTime')
  })

  it('go out when they are replayed, one by one or by filter, once each', async () => {
    const msgId = await push(['USER001', 'USER002', 'USER003'])
    isRefusing = false
    const before = gateway.calls.length
    const [{ id } = { id: '' }] = await ended({ msgId, state: 'FAILED' })
    expect((await ask(REPLAY, { input: { ids: [id] } }))['replayDeliveries']).toEqual({ replayed: 1, isMore: false })
    await eventually(async () => JSON.stringify(await totals(msgId)).includes('"sent","count":1'))
    // What has been sent is not ended any more.
    expect((await ask(REPLAY, { input: { ids: [id] } }))['replayDeliveries'].replayed).toBe(0)
    const filter = { msgId, state: 'FAILED' }
    expect((await ask(REPLAY, { input: { filter } }))['replayDeliveries'].replayed).toBe(2)
    await eventually(async () => JSON.stringify(await totals(msgId)) === '[{"state":"sent","count":3}]')
    expect(gateway.calls.length - before).toBe(3)
  })

  it('keep their id over a replay, get all their attempts and a new day, and remember it', async () => {
    const msgId = await push(['USER001'])
    await query(
      posthouse.context.db,
      sql`update deliveries set state = 'dead', attempts = 12, expires_at = now() where message_id = ${msgId}`,
    )
    const [dead] = await ended({ msgId })
    isRefusing = false
    await ask(REPLAY, { input: { filter: { msgId } } })
    const [row] = await eventually(async () => {
      const rows = await query<Record<string, any>>(
        posthouse.context.db,
        sql`select id, attempts, history, expires_at > now() + interval '23 hours' as "isFresh" from deliveries where message_id = ${msgId} and state = 'sent'`,
      )
      return rows.length > 0 ? rows : undefined
    })
    expect(row).toMatchObject({ id: dead?.['id'], attempts: 1, isFresh: true })
    expect(row?.['history'].map(({ reason }: any) => reason)).toContain('REPLAYED')
  })

  it('are not replayed without an address, nor after a recall', async () => {
    const msgId = await push(['USER001', 'USER002'])
    await query(
      posthouse.context.db,
      sql`update deliveries set address = null where message_id = ${msgId} and recipient = 'USER001'`,
    )
    const input = { filter: { msgId, state: 'FAILED' } }
    await query(posthouse.context.db, sql`update messages set recalled_at = now() where id = ${msgId}`)
    expect((await ask(REPLAY, { input }))['replayDeliveries'].replayed).toBe(0)
    await query(posthouse.context.db, sql`update messages set recalled_at = null where id = ${msgId}`)
    expect((await ask(REPLAY, { input }))['replayDeliveries'].replayed).toBe(1)
  })

  it('are seen and replayed by their own app and the admin only', async () => {
    const msgId = await push(['USER001'])
    const [{ id } = { id: '' }] = await ended({ msgId, state: 'FAILED' })
    expect(await ended({ msgId, state: 'FAILED' }, app.key)).toEqual([])
    expect((await ask(REPLAY, { input: { ids: [id] } }, app.key))['replayDeliveries'].replayed).toBe(0)
    expect((await ask(REPLAY, { input: { filter: { state: 'FAILED' } } }, app.key))['replayDeliveries'].replayed).toBe(
      0,
    )
    await expect(ended({ msgId }, await posthouse.token('USER001'))).rejects.toThrow('Not permitted')
    expect((await ended({ msgId, state: 'FAILED' })).length).toBe(1)
  })
})
