import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mailServer } from '../kit/mail-server.ts'
import { APP, eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

describe.each(stores)('a mail, on $name', (store) => {
  let server: Awaited<ReturnType<typeof mailServer>>
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    server = await mailServer()
    posthouse = await run(store, {
      CHANNEL_1003: `smtp://localhost:${server.port}?from=posthouse@hospital.example&fromName=Posthouse`,
    })
  })
  afterAll(async () => {
    await posthouse.stop()
    await server.stop()
  })

  it('reaches everybody who has an address, and the sender sees who has none', async () => {
    const { status, body } = await posthouse.post('/api/openApi/message/push/channel', {
      appId: APP,
      receiverType: 'specified',
      receiverData: { user: ['USER001', 'USER002', 'USER043'] },
      channelData: { '1003': { title: '发工资了', content: '<p>你好，您的工资已发！</p>' } },
    })
    expect(status).toBe(200)
    await eventually(() => server.arrived.length === 2)
    expect(server.arrived.map(({ to }) => to.join()).toSorted()).toEqual(['chenjing@example.org', 'liwei@example.org'])
    for (const { mail } of server.arrived) {
      expect(mail.subject).toBe('发工资了')
      expect(mail.html).toBe('<p>你好，您的工资已发！</p>')
      expect(mail.text?.trim()).toBe('你好，您的工资已发！')
    }
    const message = await eventually(async () => {
      const { data } = await posthouse.graphql(
        posthouse.adminKey,
        `query ($id: ID!) {
          message(id: $id) {
            recipientCount
            channels { channelId totals { state count } }
            deliveries { nodes: edges { node { id recipient state reason attempts settledAt } } }
          }
        }`,
        { id: body.msgId },
      )
      // Totals and deliveries are read one after the other: both must have come to an end.
      const totals: { state: string }[] = data?.['message'].channels[0].totals
      const nodes: { node: { state: string } }[] = data?.['message'].deliveries.nodes
      const states = [...totals, ...nodes.map(({ node }) => node)].map(({ state }) => state.toLowerCase())
      return states.some((state) => state === 'queued' || state === 'sending') ? undefined : data?.['message']
    })
    expect(message.recipientCount).toBe(3)
    expect(message.channels).toEqual([
      {
        channelId: '1003',
        totals: [
          { state: 'sent', count: 2 },
          { state: 'skipped', count: 1 },
        ],
      },
    ])
    const deliveries = message.deliveries.nodes.map(({ node }: { node: Record<string, unknown> }) => node)
    const settledAt = expect.any(String)
    expect(deliveries.toSorted((a: any, b: any) => (a.recipient < b.recipient ? -1 : 1))).toEqual([
      { id: expect.any(String), recipient: 'USER001', state: 'SENT', reason: null, attempts: 1, settledAt },
      { id: expect.any(String), recipient: 'USER002', state: 'SENT', reason: null, attempts: 1, settledAt },
      { id: expect.any(String), recipient: 'USER043', state: 'SKIPPED', reason: 'NO_ADDRESS', attempts: 0, settledAt },
    ])
    const sentIds = deliveries
      .filter(({ state }: any) => state === 'SENT')
      .map(({ id }: any) => `<${id}@hospital.example>`)
    expect(server.arrived.map(({ mail }) => String(mail.messageId)).toSorted()).toEqual(sentIds.toSorted())
  })

  it('waits for its sendTime', async () => {
    const before = server.arrived.length
    const sendTime = new Date(Date.now() + 3_000)
    await posthouse.post('/api/openApi/message/push/channel', {
      appId: APP,
      receiverType: 'custom',
      receiverData: { '1003': ['later@example.org'] },
      channelData: { '1003': { content: 'later' } },
      sendTime: sendTime.toISOString(),
    })
    await eventually(() => server.arrived.length > before)
    expect(Date.now()).toBeGreaterThanOrEqual(sendTime.getTime())
    expect(server.arrived.at(-1)?.to).toEqual(['later@example.org'])
  })
})
