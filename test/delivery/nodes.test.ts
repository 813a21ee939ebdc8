import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mailServer, reply } from '../kit/mail-server.ts'
import { APP, boot, eventually, run } from '../kit/posthouse.ts'
import { onPostgres } from '../kit/stores.ts'

const MAILS = 500

/** Only PostgreSQL can have several nodes. */
describe.skipIf(!onPostgres)('two nodes, on PostgreSQL', () => {
  const store = onPostgres!
  let server: Awaited<ReturnType<typeof mailServer>>
  let first: Awaited<ReturnType<typeof run>>
  let second: Awaited<ReturnType<typeof boot>>
  const refused = new Set<string>()
  beforeAll(async () => {
    server = await mailServer({
      maxClients: 50,
      // Every tenth address is busy at its first attempt.
      onRcptTo({ address }, _session, done) {
        if (!/0@/.test(address) || refused.has(address)) return done()
        refused.add(address)
        done(reply(450, 'busy'))
      },
    })
    const env = { CHANNEL_1003: `smtp://127.0.0.1:${server.port}?from=posthouse@hospital.example` }
    first = await run(store, env)
    second = await boot({ ...first.place.env, ...env })
  })
  afterAll(async () => {
    await second.stop()
    await first.stop()
    await server.stop()
  })

  it('share the work and send each mail once', async () => {
    const addresses = Array.from({ length: MAILS }, (_, at) => `person${at}@example.org`)
    const { body } = await first.post('/api/openApi/message/push/channel', {
      appId: APP,
      receiverType: 'custom',
      receiverData: { '1003': addresses },
      channelData: { '1003': { title: 'title', content: 'text' } },
    })
    expect(body.code).toBe(200)
    await eventually(() => server.arrived.length >= MAILS, 45_000)
    const query = `query ($id: ID!) { message(id: $id) { channels { totals { state count } } } }`
    await eventually(async () => {
      const { data } = await second.graphql(second.adminKey, query, { id: body.msgId })
      return JSON.stringify(data?.['message'].channels[0].totals) === JSON.stringify([{ state: 'sent', count: MAILS }])
    })
    expect(refused.size).toBe(MAILS / 10)
    expect(server.arrived.flatMap(({ to }) => to).toSorted()).toEqual(addresses.toSorted())
    expect(new Set(server.arrived.map(({ mail }) => mail.messageId)).size).toBe(MAILS)
  })
})
