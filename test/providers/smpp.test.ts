import { setTimeout as sleep } from 'node:timers/promises'
import smpp, { type Pdu } from 'smpp'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { smsc, type Smsc } from '../kit/smsc.ts'
import { at, closing, idOf, LONG, open, parcel, send, sentAtLast } from './smpp-channel.ts'

const messageOf = (pdu: Pdu | undefined) => pdu?.['short_message'] as { udh?: Buffer[]; message: string }
const submitted = (server: Smsc) => server.of('submit_sm')

describe('a message', () => {
  it('goes out to the number in international form, from the sender of the URL, asking for a receipt if somebody hears it', async () => {
    const server = closing(await smsc())
    expect(await send(open(at(server), async () => {}))).toEqual({ outcome: 'sent', receipt: 'm1' })
    expect(submitted(server)).toHaveLength(1)
    expect(submitted(server)[0]).toMatchObject({
      source_addr: '10690000',
      source_addr_ton: 0,
      source_addr_npi: 1,
      destination_addr: '8618660886275',
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      registered_delivery: 1,
      data_coding: 0,
      esm_class: 0,
      user_message_reference: 0x1234,
    })
    expect(messageOf(submitted(server)[0]).message).toBe('Your results are ready')
    expect(await send(open(at(server)))).toMatchObject({ outcome: 'sent' })
    expect(submitted(server)[1]).toMatchObject({ registered_delivery: 0 })
  })

  it.each([
    ['from=Dongxing', { source_addr: 'Dongxing', source_addr_ton: 5, source_addr_npi: 0 }],
    ['from=%2B8610690000', { source_addr: '8610690000', source_addr_ton: 1, source_addr_npi: 1 }],
    ['from=10690000&fromTon=3&fromNpi=8', { source_addr: '10690000', source_addr_ton: 3, source_addr_npi: 8 }],
    ['', { source_addr: '', source_addr_ton: 0, source_addr_npi: 0 }],
    ['to=national', { destination_addr: '18660886275', dest_addr_ton: 2 }],
    ['bind=transmitter', { registered_delivery: 0 }],
  ])('with %j goes out accordingly', async (options, fields) => {
    const server = closing(await smsc())
    expect(await send(open(at(server, options), async () => {}))).toMatchObject({ outcome: 'sent' })
    expect(submitted(server)[0]).toMatchObject(fields)
  })

  it('has its signature in front, the one of the content before the one of the URL, and never twice', async () => {
    const server = closing(await smsc())
    const carrier = open(at(server, `sign=${encodeURIComponent('东华医为')}`))
    for (const content of [{ content: '您好' }, { content: '您好', sign: '驿站' }, { content: '【东华医为】您好' }])
      await send(carrier, parcel(content, { id: idOf(submitted(server).length) }))
    expect(submitted(server).map((pdu) => messageOf(pdu).message)).toEqual([
      '【东华医为】您好',
      '【驿站】您好',
      '【东华医为】您好',
    ])
    expect(submitted(server)[0]).toMatchObject({ data_coding: 8 })
  })

  it('that is long goes out in parts, one after the other, with equal bytes at every attempt', async () => {
    const refused: number[] = [3, 6, 9]
    const server = closing(await smsc({ answer: (n) => (refused.includes(n) ? { status: 8 } : { id: `m${n}` }) }))
    // Another carrier is another node, which knows nothing of the first attempt.
    for (const carrier of [open(at(server)), open(at(server))])
      expect(await send(carrier, parcel(LONG))).toMatchObject({ outcome: 'retry', cause: 'temporary' })
    const [first, second] = [submitted(server).slice(0, 3), submitted(server).slice(3)]
    expect(first.map((pdu) => messageOf(pdu).udh?.[0])).toEqual([1, 2, 3].map((n) => Buffer.of(0, 3, 0x34, 3, n)))
    expect(first.map((pdu) => messageOf(pdu).message).join('')).toBe(LONG)
    expect(first.map((pdu) => pdu['user_message_reference'])).toEqual([0x1234, 0x1235, 0x1236])
    expect(first.every((pdu) => pdu['esm_class'] === 0x40)).toBe(true)
    const bytes = (pdus: Pdu[]) => pdus.map((pdu) => JSON.stringify({ ...pdu, sequence_number: 0 }))
    expect(bytes(second)).toEqual(bytes(first))
  })

  it('of which some parts were taken goes on with the others at the next attempt', async () => {
    const server = closing(await smsc({ answer: (n) => (n === 2 ? { status: 0x58 } : { id: `m${n}` }) }))
    const carrier = open(at(server))
    expect(await send(carrier, parcel(LONG))).toMatchObject({ outcome: 'retry', cause: 'throttled' })
    expect(await send(carrier, parcel(LONG))).toEqual({ outcome: 'sent', receipt: 'm4' })
    expect(submitted(server).map((pdu) => messageOf(pdu).udh?.[0]?.at(-1))).toEqual([1, 2, 2, 3])
  })

  it('with long=payload goes out in one piece', async () => {
    const server = closing(await smsc())
    expect(await send(open(at(server, 'long=payload')), parcel(LONG))).toEqual({ outcome: 'sent', receipt: 'm1' })
    const [pdu] = submitted(server)
    const payload = pdu?.['message_payload'] as Buffer
    expect(Buffer.from(payload).swap16().toString('utf16le')).toBe(LONG)
    expect(pdu).toMatchObject({ esm_class: 0, data_coding: 8 })
  })

  it.each([
    ['an address that is none', parcel('x', { address: '0571-8888' }), 'INVALID_ADDRESS'],
    ['only a template', parcel({ templateData: { templateId: 'T1', paramData: {} } }), 'INVALID_CONTENT'],
  ])('with %s is refused before anything is opened', async (_what, what, reason) => {
    expect(await send(open('smpp://u:p@127.0.0.1:1'), what)).toMatchObject({ outcome: 'failed', reason })
  })

  it('gets no TLV that the SMSC has not said it understands', async () => {
    const server = closing(await smsc({ tlvs: {} }))
    expect(await send(open(at(server)))).toMatchObject({ outcome: 'sent' })
    expect(submitted(server)[0]).not.toHaveProperty('user_message_reference')
  })
})

describe('what the SMSC answers', () => {
  it.each([
    [0x58, { outcome: 'retry', cause: 'throttled', why: 'ESME_RTHROTTLED (0x58)' }],
    [0x14, { outcome: 'retry', cause: 'throttled', why: 'ESME_RMSGQFUL (0x14)' }],
    [0x08, { outcome: 'retry', cause: 'temporary', why: 'ESME_RSYSERR (0x08)' }],
    [0x45, { outcome: 'retry', cause: 'temporary', why: 'ESME_RSUBMITFAIL (0x45)' }],
    [0x400, { outcome: 'retry', cause: 'temporary', why: 'status 0x400' }],
    [
      0x0a,
      { outcome: 'retry', cause: 'unavailable', why: expect.stringContaining("check from= in the channel's URL") },
    ],
    [0x0b, { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'ESME_RINVDSTADR (0x0B)' }],
    [0x50, { outcome: 'failed', reason: 'INVALID_ADDRESS', why: expect.stringContaining('to=') }],
    [0x01, { outcome: 'failed', reason: 'INVALID_CONTENT', why: 'ESME_RINVMSGLEN (0x01)' }],
    [0x66, { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why: 'ESME_RX_R_APPN (0x66)' }],
  ])('with status %i comes to what it means', async (status, outcome) => {
    const server = closing(await smsc({ answer: () => ({ status }) }))
    expect(await send(open(at(server)))).toEqual(outcome)
  })

  it('with a generic_nack counts as its status, and without one as no answer', async () => {
    const nack =
      (command_status: number) =>
      (_at: number, { sequence_number }: Pdu) =>
        new smpp.PDU('generic_nack', { command_status, sequence_number }).toBuffer()
    for (const [status, outcome] of [
      [2, { outcome: 'failed', reason: 'INVALID_CONTENT' }],
      [0, { outcome: 'retry', cause: 'ambiguous' }],
    ] as const)
      expect(await send(open(at(closing(await smsc({ answer: nack(status) })))))).toMatchObject(outcome)
  })

  it('with nothing is ambiguous; once it has answered late, the message is not sent again', async () => {
    const gate = Promise.withResolvers<void>()
    const server = closing(await smsc({ answer: (n) => gate.promise.then(() => ({ id: `late${n}` })) }))
    const carrier = open(at(server))
    expect(await send(carrier, parcel(), 300)).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    gate.resolve()
    await sleep(100)
    expect(await send(carrier)).toEqual({ outcome: 'sent', receipt: 'late1' })
    expect(submitted(server)).toHaveLength(1)
  })

  it('with nothing stays owed: no more are unanswered than the channel may have, and the others wait', async () => {
    const gate = Promise.withResolvers<void>()
    const server = closing(await smsc({ answer: (n) => gate.promise.then(() => ({ id: `late${n}` })) }))
    const carrier = open(`${at(server)}#concurrency=2`)
    const given = (number: number, milliseconds: number) =>
      send(carrier, parcel('hello', { id: idOf(number) }), milliseconds)
    const givenUp = await Promise.all([given(1, 300), given(2, 300)])
    expect(givenUp).toMatchObject([{ cause: 'ambiguous' }, { cause: 'ambiguous' }])
    expect(await given(3, 300)).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: 'the SMSC owes the answers to 2 earlier messages',
    })
    expect(submitted(server)).toHaveLength(2)
    const waiting = [4, 5, 6].map((number) => given(number, 5_000))
    await sleep(100)
    expect(submitted(server)).toHaveLength(2)
    gate.resolve()
    expect((await Promise.all(waiting)).every(({ outcome }) => outcome === 'sent')).toBe(true)
  })

  it.each<[string, 'close' | Buffer]>([
    ['closes the connection', 'close'],
    ['sends what is no PDU', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['sends a PDU that is too short for its command', Buffer.from('0000000a8000000400000000', 'hex')],
    ['sends a PDU that is shorter than its length', Buffer.from('0000000280000004', 'hex')],
    ['sends a PDU of no length', Buffer.alloc(8)],
    ['sends a PDU that ends within its fields', Buffer.from('00000014000000050000000000000009616263ff', 'hex')],
  ])('is ambiguous when it %s, and the next message finds a new session', async (_what, answer) => {
    const server = closing(await smsc({ answer: (n) => (n === 1 ? answer : { id: `m${n}` }) }))
    const carrier = open(at(server))
    expect(await send(carrier, parcel(), 3_000)).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    expect(await sentAtLast(carrier)).toMatchObject({ receipt: 'm2' })
  })
})

describe('the URL', () => {
  it.each([
    [
      'smpp:',
      [
        'CHANNEL_1001 names no SMSC; write smpp://SYSTEM_ID:PASSWORD@host:2775',
        'CHANNEL_1001 has no login; write smpp://SYSTEM_ID:PASSWORD@host',
      ],
    ],
    ['smpps://u@smsc', ['CHANNEL_1001 has no login; write smpps://SYSTEM_ID:PASSWORD@host']],
    ['smpp://u:p@smsc/path', ['CHANNEL_1001 has a path after its host; write smpp://…@smsc?…']],
    ['smpp://u:%E5%AF%86@smsc', ['CHANNEL_1001 has a password that SMPP cannot carry; write it in ASCII']],
    [
      'smpp://u:p@smsc?from=+8610690000',
      [
        'CHANNEL_1001 has an unusable from= 8610690000; write up to 20 digits (%2B before them: international) or 11 letters',
      ],
    ],
    [
      'smpp://u:p@smsc?bind=both',
      ['CHANNEL_1001 has an unknown bind=both; write transceiver or transmitter or separate'],
    ],
    ['smpp://u:p@smsc?encoding=gsm', ['CHANNEL_1001 has an unknown encoding=gsm; write auto or ucs2']],
    ['smpp://u:p@smsc?long=yes', ['CHANNEL_1001 has an unknown long=yes; write udh or payload']],
    ['smpp://u:p@smsc?receiptIds=dec', ['CHANNEL_1001 has an unknown receiptIds=dec; write same or hex or decimal']],
    ['smpp://u:p@smsc?fromTon=9', ['CHANNEL_1001 has fromTon=9; write a whole number from 0 to 6']],
    ['smpp://u:p@smsc?keepalive=0', ['CHANNEL_1001 has keepalive=0; write a whole number from 1 to 3600']],
    ['smpp://u:p@smsc?zone=CST', ['CHANNEL_1001 has an unusable zone=CST; write an offset such as %2B08:00']],
    [
      'smpp://u:p@smsc?tls=insecure',
      [
        'CHANNEL_1001 has an unknown tls=insecure; write smpps: for TLS, and tls=insecure with it to accept any certificate',
      ],
    ],
    [
      'smpp://u:p@smsc?window=5',
      [
        'CHANNEL_1001 has an unknown window=; write one of from, fromTon, fromNpi, to, systemType, bind, sign, encoding, long, receiptIds, zone, keepalive, tls',
      ],
    ],
  ])('%j is answered with what to write', (url, mistakes) => {
    expect(loadConfig({ CHANNEL_1001: url }).mistakes).toEqual(mistakes)
  })

  it('may name an IPv6 address, and has the usual ports', () => {
    const session = (url: string) => {
      const settings = loadConfig({ CHANNEL_1001: url }).config?.channels.get('1001')?.settings
      return (settings as { session: unknown } | undefined)?.session
    }
    expect(session('smpp://u:p@[::1]')).toMatchObject({ host: '::1', port: 2775, tls: undefined })
    expect(session('smpps://u:p@smsc')).toMatchObject({ port: 3550, tls: { rejectUnauthorized: true } })
  })
})
