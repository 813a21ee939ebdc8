/** Failover between real servers, and under a real worker. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Store } from '../../src/db/client.ts'
import type { Carrier, Parcel } from '../../src/delivery/channel.ts'
import { empty, putMails, row, work } from '../delivery/kit.ts'
import { httpServer, type Reply } from '../kit/http-server.ts'
import { scriptedServer } from '../kit/mail-server.ts'
import { eventually } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

function open(url: string): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_2001: url })
  const channel = config?.channels.get('2001')
  if (channel === undefined) throw new Error(mistakes.join('\n'))
  const carrier = channel.provider.open(channel.settings, { info: () => {} })
  closers.push(carrier.close)
  return carrier
}

async function gateway(reply: Reply) {
  const server = await httpServer(() => reply)
  closers.push(server.stop)
  return { ...server, member: `${server.url}/send?posthouse.ok=code=0&posthouse.receipt=id` }
}

/** The code decides what the script does at that point of every mail. */
async function mailHost(script: Parameters<typeof scriptedServer>[0] = {}) {
  const server = await scriptedServer(script)
  closers.push(server.stop)
  return { ...server, member: `smtp://127.0.0.1:${server.port}?from=posthouse@hospital.example` }
}

describe('between two gateways', () => {
  const parcel: Parcel = {
    id: '0199c0ffee0070008000000000000001',
    messageId: '0199c0ffee0070008000000000000002',
    address: '+8618660886275',
    content: { content: 'Hello' },
    attempt: 1,
  }

  it.each<[string, Reply]>([
    ['breaks down at it', { status: 500, body: 'Internal Server Error' }],
    ['has nobody behind it who answers', { status: 504, body: '' }],
    ['says nothing', { body: '' }],
    ['says something else', { body: { success: true } }],
  ])('the second does not get what the first may have taken, since it %s', async (_why, reply) => {
    const first = await gateway(reply)
    const second = await gateway({ body: { code: 0, id: 'R2' } })
    const carrier = open(`failover(${first.member}, ${second.member})`)
    for (const attempt of [1, 2]) {
      const outcome = await carrier.send({ ...parcel, attempt }, AbortSignal.timeout(9_000))
      expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous', via: 'http' })
    }
    expect([first.calls.length, second.calls.length]).toEqual([2, 0])
  })

  it.each<[string, Reply]>([
    ['is overloaded', { status: 503, body: 'Service Unavailable' }],
    ['limits us', { status: 429, headers: { 'retry-after': '60' }, body: '' }],
    ['refuses the number', { status: 400, body: { code: 4001, message: 'blacklisted' } }],
  ])('the second gets what the first does not take, since it %s', async (_why, reply) => {
    const first = await gateway(reply)
    const second = await gateway({ body: { code: 0, id: 'R2' } })
    const outcome = await open(`failover(${first.member}, ${second.member})`).send(parcel, AbortSignal.timeout(9_000))
    expect(outcome).toEqual({ outcome: 'sent', receipt: 'R2', via: 'http 2' })
    expect(first.calls).toHaveLength(1)
    expect(second.calls.map(({ body }) => JSON.parse(body))).toEqual([
      expect.objectContaining({ id: parcel.id, phone: '18660886275', content: 'Hello' }),
    ])
  })

  it('the second one is not asked for what the first has taken', async () => {
    const first = await gateway({ body: { code: 0, id: 'R1' } })
    const second = await gateway({ body: { code: 0, id: 'R2' } })
    const outcome = await open(`failover(${first.member}, ${second.member})`).send(parcel, AbortSignal.timeout(9_000))
    expect(outcome).toEqual({ outcome: 'sent', receipt: 'R1', via: 'http' })
    expect(second.calls).toEqual([])
  })
})

describe.each(stores)('between two mail servers, on $name', ({ open: openStore }) => {
  let store: Store
  beforeEach(async () => {
    store = await openStore()
    closers.push(() => store.close())
    await empty(store.db)
  })

  async function carried(url: string) {
    const carrier = open(url)
    const worker = await work(store, carrier.send)
    closers.push(worker.stop)
    await putMails(store.db, { addresses: ['somebody@example.org'] })
    worker.hints.send({ kind: 'work' })
    return worker
  }

  it('the history tells who carried it', async () => {
    const first = await mailHost({ RCPT: '451 4.3.0 Temporary lookup failure' })
    const second = await mailHost()
    await carried(`failover(${first.member}, ${second.member})`)
    await eventually(async () => (await row(store.db)).state === 'sent')
    const { attempts, history } = await row(store.db)
    expect(attempts).toBe(1)
    expect(history.at(-1)).toMatchObject({ state: 'sent', provider: 'smtp 2' })
    expect([first.mails.length, second.mails.length]).toEqual([0, 1])
  })

  it('a mail of which the first may have taken the whole waits for the first', async () => {
    const first = await mailHost({ end: (socket) => socket.destroy() })
    const second = await mailHost()
    await carried(`failover(${first.member}, ${second.member})`)
    await eventually(async () => (await row(store.db)).history.length > 0)
    const { state, reason, maybeSent, history } = await row(store.db)
    expect({ state, reason, maybeSent }).toEqual({ state: 'queued', reason: 'AMBIGUOUS', maybeSent: true })
    expect(history.at(-1)).toMatchObject({ provider: 'smtp', why: expect.stringMatching(/^smtp: /) })
    expect(second.mails).toEqual([])
  })

  it('with ambiguous=next it goes out by the second, and the history says what may be', async () => {
    const first = await mailHost({ end: (socket) => socket.destroy() })
    const second = await mailHost()
    await carried(`failover(${first.member}, ${second.member})#ambiguous=next`)
    await eventually(async () => (await row(store.db)).state === 'sent')
    expect((await row(store.db)).history.at(-1)).toMatchObject({
      provider: 'smtp 2',
      why: 'may have been sent through smtp as well',
    })
    expect([first.mails.length, second.mails.length]).toEqual([1, 1])
  })
})
