import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Receipt } from '../../src/delivery/channel.ts'
import { rememberParts } from '../../src/delivery/providers/smpp-parts.ts'
import { eventually } from '../kit/posthouse.ts'
import { receiptText, smsc, type Smsc } from '../kit/smsc.ts'
import { at, closing, ID, idOf, LONG, open, parcel, send } from './smpp-channel.ts'

const RECEIPT = { esm_class: 0x04, source_addr: '8618660886275', destination_addr: '10690000' }
const tell = (server: Smsc, id: string, state: string, more?: string) =>
  server.say('deliver_sm', { ...RECEIPT, short_message: receiptText(id, state, more) })

/** An SMSC, a carrier, and what is heard of its deliveries. */
async function hearing(options = '', smscOptions: Parameters<typeof smsc>[0] = {}) {
  const server = closing(await smsc(smscOptions))
  const heard: Receipt[] = []
  const said: string[] = []
  const carrier = open(at(server, options), async (receipts) => void heard.push(...receipts), said)
  return { server, heard, said, carrier }
}

describe('a receipt', () => {
  it.each([
    ['DELIVRD', 'err:000', { state: 'delivered' }],
    ['UNDELIV', 'err:027', { state: 'undelivered', why: 'UNDELIV err:027' }],
    ['EXPIRED', 'err:1a', { state: 'undelivered', why: 'EXPIRED err:1a' }],
    ['REJECTD', '', { state: 'undelivered', why: 'REJECTD' }],
    ['DELETED', '', { state: 'undelivered', why: 'DELETED' }],
    ['UNKNOWN', '', { state: 'undelivered', why: 'UNKNOWN' }],
  ])('that says %s tells of its delivery, and is answered once it is heard', async (state, more, told) => {
    const { server, heard, carrier } = await hearing()
    await send(carrier)
    expect(await tell(server, 'm1', state, `${more} text:err:999 stat:DELIVRD id:other`)).toBe(0)
    expect(heard).toEqual([{ deliveryId: ID, ...told }])
  })

  it.each(['ENROUTE', 'ACCEPTD', 'WHATEVER'])('that says %s is answered and tells nothing', async (state) => {
    const { server, heard, carrier } = await hearing()
    await send(carrier)
    expect(await tell(server, 'm1', state)).toBe(0)
    expect(heard).toEqual([])
  })

  it('may say all in TLVs, also in data_sm, and without the end of its text marked', async () => {
    const { server, heard, carrier } = await hearing()
    for (const number of [1, 2, 3]) await send(carrier, parcel('hello', { id: idOf(number) }))
    await server.say('deliver_sm', { ...RECEIPT, receipted_message_id: 'm1', message_state: 2 })
    await server.say('data_sm', { ...RECEIPT, receipted_message_id: 'm2', message_state: 5 })
    const [ownId, ownState] = ['001e00026d33', '0427000108']
    const unmarked = Buffer.from(`${'00'.repeat(7)}04${'00'.repeat(9)}${ownId}${ownState}`, 'hex')
    const head = Buffer.from('0000000000000005000000000000000a', 'hex')
    head.writeUInt32BE(head.length + unmarked.length)
    server.sessions[0]?.socket.write(Buffer.concat([head, unmarked]))
    await eventually(() => heard.length === 3)
    expect(heard).toEqual([
      { deliveryId: idOf(1), state: 'delivered' },
      { deliveryId: idOf(2), state: 'undelivered', why: 'UNDELIV' },
      { deliveryId: idOf(3), state: 'undelivered', why: 'REJECTD' },
    ])
  })

  it.each([
    ['same', 'A_b-1@x', 'A_b-1@x'],
    ['decimal', '1A2b', '0000006699'],
    ['hex', '0012345', '3039'],
  ])('with receiptIds=%s finds %s by %s', async (notation, answered, receipted) => {
    const { server, heard, carrier } = await hearing(`receiptIds=${notation}`, { answer: () => ({ id: answered }) })
    await send(carrier)
    await tell(server, receipted, 'DELIVRD')
    expect(heard).toEqual([{ deliveryId: ID, state: 'delivered' }])
  })

  it('has its time by the zone of the URL, and none without', async () => {
    const { server, heard, carrier } = await hearing('zone=%2B08:00')
    await send(carrier)
    await tell(server, 'm1', 'DELIVRD')
    expect(heard).toEqual([{ deliveryId: ID, state: 'delivered', at: new Date('2025-11-24T07:31:00Z') }])
  })

  it('of a message that is not remembered is told by its id, which is the receipt that the message got', async () => {
    const { server, heard, carrier } = await hearing('receiptIds=decimal', { answer: () => ({ id: 'FF' }) })
    expect(await send(carrier)).toEqual({ outcome: 'sent', receipt: 'ff' })
    const other = await hearing('receiptIds=decimal')
    await send(other.carrier)
    await tell(other.server, '0255', 'DELIVRD')
    expect(other.heard).toEqual([{ receipt: 'ff', state: 'delivered' }])
    expect(server.of('submit_sm')).toHaveLength(1)
    expect(heard).toEqual([])
  })

  it('that overtakes the answer waits for it', async () => {
    const gate = Promise.withResolvers<void>()
    const { server, heard, carrier } = await hearing('', { answer: (n) => gate.promise.then(() => ({ id: `m${n}` })) })
    const sending = send(carrier)
    await eventually(() => server.of('submit_sm').length === 1)
    const telling = tell(server, 'm1', 'DELIVRD')
    await sleep(100)
    gate.resolve()
    await sending
    expect(await telling).toBe(0)
    expect(heard).toEqual([{ deliveryId: ID, state: 'delivered' }])
  })

  it('that nobody could take is answered so that it comes again', async () => {
    const server = closing(await smsc())
    let calls = 0
    const carrier = open(at(server), async () => {
      if (++calls === 1) throw new Error('no database')
    })
    await send(carrier)
    expect(await tell(server, 'm1', 'DELIVRD')).toBe(0x64)
    expect(await tell(server, 'm1', 'DELIVRD')).toBe(0)
    expect(calls).toBe(2)
  })

  it('is heard together with all that came while others were heard', async () => {
    const server = closing(await smsc())
    const gate = Promise.withResolvers<void>()
    const calls: number[] = []
    const carrier = open(at(server), async ({ length }) => {
      calls.push(length)
      await gate.promise
    })
    for (let number = 1; number <= 10; number++) await send(carrier, parcel('hello', { id: idOf(number) }))
    const telling = Array.from({ length: 10 }, (_, number) => tell(server, `m${number + 1}`, 'DELIVRD'))
    await sleep(200)
    gate.resolve()
    expect(await Promise.all(telling)).toEqual(Array(10).fill(0))
    expect(calls.length).toBeLessThanOrEqual(3)
    expect(calls.reduce((sum, count) => sum + count, 0)).toBe(10)
  })
})

describe('a message in parts', () => {
  it('is delivered when all its parts are', async () => {
    const { server, heard, carrier } = await hearing()
    await send(carrier, parcel(LONG))
    for (const id of ['m3', 'm1', 'm1']) await tell(server, id, 'DELIVRD')
    expect(heard).toEqual([])
    await tell(server, 'm2', 'DELIVRD')
    expect(heard).toEqual([{ deliveryId: ID, state: 'delivered' }])
  })

  it('is undelivered when one part is, whatever the others say', async () => {
    const { server, heard, carrier } = await hearing()
    await send(carrier, parcel(LONG))
    for (const receipt of ['m1 DELIVRD', 'm2 EXPIRED', 'm3 UNDELIV', 'm2 DELIVRD'])
      await tell(server, ...(receipt.split(' ') as [string, string]))
    expect(heard).toEqual([{ deliveryId: ID, state: 'undelivered', why: 'EXPIRED err:000' }])
  })
})

describe('what is remembered', () => {
  it('is bounded: of the oldest only the last part speaks, for the whole', () => {
    const parts = rememberParts(2)
    for (const number of [1, 2, 3]) {
      const sending = parts.sending(idOf(number), 2)
      for (const at of [0, 1]) parts.taken(sending, at, `m${number}.${at}`)
    }
    const told = (id: string) => parts.tell({ id, state: 'delivered' }).receipt
    expect(told('m1.1')).toEqual({ receipt: 'm1.1', state: 'delivered' })
    expect(told('m2.0')).toBeUndefined()
    expect(told('m2.1')).toEqual({ deliveryId: idOf(2), state: 'delivered' })
  })

  it('of a delivery that did not arrive is nothing when it is sent again', () => {
    const parts = rememberParts()
    parts.taken(parts.sending(ID, 1), 0, 'm1')
    expect(parts.sending(ID, 1).ids).toEqual(['m1'])
    parts.tell({ id: 'm1', state: 'undelivered' })
    expect(parts.sending(ID, 1).ids).toEqual([])
  })
})

describe('a message that comes in', () => {
  it('is acknowledged, and neither heard nor logged with its words', async () => {
    const { server, heard, said, carrier } = await hearing()
    await send(carrier)
    const words = { source_addr: '8613900000000', short_message: Buffer.from('id:m1 stat:DELIVRD secret') }
    expect(await server.say('deliver_sm', words)).toBe(0)
    expect(await server.say('deliver_sm', { ...RECEIPT, short_message: Buffer.from('no receipt') })).toBe(0)
    expect(heard).toEqual([])
    expect(said.filter((line) => line.includes('came in'))).toHaveLength(2)
    expect(said.join()).not.toMatch(/13900000000|secret/)
  })
})
