/** From a push to the hospital's gateway and back: what became of the SMS reaches the sender's status. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { closeAll, gateway, urlOf } from '../providers/http-gateway.ts'
import { CHANNEL, channelBody } from '../rest/door.ts'

const KEY = '6f1d2c3b4a5968778695a4b3c2d1e0f0'

describe.each(stores)('receipts, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  /** What the gateway does before it answers; the id is ours, as it was sent. */
  let before = async (_id: string) => {}
  beforeAll(async () => {
    const vendor = await gateway(async ({ body }, response) => {
      const { ref } = JSON.parse(body) as { ref: string }
      await before(ref)
      response.end(JSON.stringify({ code: 0, data: { id: `G-${ref}` } }))
    })
    posthouse = await run(store, {
      CHANNEL_1001: urlOf(`${vendor.host}/send`, {
        'posthouse.body': '{"ref":"{{ id }}","mobile":"{{ phone }}","text":"{{ text }}"}',
        'posthouse.ok': 'code=0',
        'posthouse.receipt': 'data.id',
        'posthouse.receipts.key': KEY,
        'posthouse.receipts.receipt': 'msgId',
        'posthouse.receipts.id': 'ref',
        'posthouse.receipts.delivered': 'status=DELIVRD',
      }),
    })
  })
  afterEach(() => {
    before = async () => {}
  })
  afterAll(async () => {
    await posthouse.stop()
    await closeAll()
  })

  const push = async () => {
    const { body } = await posthouse.post(CHANNEL, channelBody({ channelData: { '1001': { content: 'ready' } } }))
    return body.msgId ?? ''
  }
  const tell = (report: unknown, key = KEY) =>
    fetch(`${posthouse.url}/callbacks/1001?key=${key}`, { method: 'POST', body: JSON.stringify(report) })
  const recipient = async (msgId: string): Promise<Record<string, any>> => {
    const response = await fetch(`${posthouse.url}/api/openApi/message/status?appId=${APP}&msgId=${msgId}`)
    return ((await response.json()) as any).data.messages[0].recipients[0]
  }
  const becomes = (msgId: string, state: string) =>
    eventually(async () => ((await recipient(msgId))['state'] === state ? recipient(msgId) : undefined))
  const sentUnder = async (msgId: string) => {
    const query = 'query ($id: ID!) { message(id: $id) { deliveries { edges { node { receipt } } } } }'
    const { data } = await posthouse.graphql(posthouse.adminKey, query, { id: msgId })
    return data?.['message'].deliveries.edges[0].node.receipt as string
  }

  it('turn sent into delivered, once, and only for whoever knows the key', async () => {
    const msgId = await push()
    await becomes(msgId, 'sent')
    const report = { msgId: await sentUnder(msgId), status: 'DELIVRD' }
    expect((await tell(report, 'wrong')).status).toBe(401)
    expect((await recipient(msgId))['state']).toBe('sent')
    expect(await (await tell(report)).text()).toBe('OK')
    expect((await tell(report)).status).toBe(200)
    const { state, history } = await becomes(msgId, 'delivered')
    expect(state).toBe('delivered')
    expect(history.map((step: { state: string }) => step.state)).toEqual(['queued', 'sent', 'delivered'])
  })

  it('say why a message did not arrive', async () => {
    const msgId = await push()
    await becomes(msgId, 'sent')
    await tell([{ msgId: await sentUnder(msgId), status: 'EXPIRED' }])
    expect(await becomes(msgId, 'undelivered')).toMatchObject({ reason: 'UNDELIVERED' })
  })

  it('that overtake the answer to the very send are not lost', async () => {
    before = async (id) => {
      expect((await tell({ ref: id, status: 'DELIVRD' })).status).toBe(200)
    }
    const msgId = await push()
    const { history } = await becomes(msgId, 'delivered')
    expect(history.at(-1)).toMatchObject({ state: 'delivered', reason: 'RECEIPT' })
  })

  it('go to channels that take them, and to no other', async () => {
    expect((await fetch(`${posthouse.url}/callbacks/1003?key=${KEY}`, { method: 'POST' })).status).toBe(404)
    expect((await fetch(`${posthouse.url}/callbacks/9999?key=${KEY}`, { method: 'POST' })).status).toBe(404)
  })
})
