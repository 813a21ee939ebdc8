import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import type { Receipt } from '../../src/delivery/channel.ts'
import { eventually } from '../kit/posthouse.ts'
import { at, closing, ID, idOf, LONG, open, parcel, send } from './smpp-channel.ts'

const isHere = spawnSync('perl', ['-MNet::SMPP', '-MJSON::PP', '-e1']).status === 0
const title = 'an SMSC of other make, Net::SMPP (skipped without it: apt-get install libnet-smpp-perl)'

/** The SMSC in Perl, and what has reached it. */
async function netSmpp() {
  const child = spawn('perl', [new URL('../kit/net-smpp.pl', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const arrived: Record<string, unknown>[] = []
  const port = Promise.withResolvers<number>()
  createInterface(child.stdout).on('line', (line) => {
    if (line.startsWith('{')) arrived.push(JSON.parse(line))
    else port.resolve(Number(line))
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.once('close', () => port.reject(new Error('it ended before it listened')))
  const stop = () => {
    child.stdin.end()
    return ended
  }
  const of = (name: string) => arrived.filter((pdu) => pdu['name'] === name)
  return closing({
    port: await port.promise,
    /** The PDUs of that name once there are so many: what it prints may come after what it answers. */
    async of(name: string, count = 1) {
      await eventually(() => of(name).length >= count)
      return of(name)
    },
    stop,
  })
}

describe.skipIf(!isHere)(title, () => {
  it('lets us in, takes a message, and reads of it what was meant', async () => {
    const server = await netSmpp()
    expect(await send(open(at(server)))).toEqual({ outcome: 'sent', receipt: 'net_smpp@1' })
    expect(await server.of('bind_transceiver')).toEqual([
      expect.objectContaining({ system_id: 'hospital', password: 's3cret', system_type: '', interface_version: 0x34 }),
    ])
    expect(await server.of('submit_sm')).toEqual([
      expect.objectContaining({
        source_addr: '10690000',
        source_addr_ton: 0,
        source_addr_npi: 1,
        destination_addr: '8618660886275',
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        data_coding: 0,
        esm_class: 0,
        registered_delivery: 0,
        short_message: Buffer.from('Your results are ready').toString('hex'),
        user_message_reference: '1234',
      }),
    ])
  })

  it('gets the characters of GSM 03.38 by its codes', async () => {
    const server = await netSmpp()
    await send(open(at(server)), parcel('@$_ {é}€'))
    expect((await server.of('submit_sm'))[0]).toMatchObject({ short_message: '000211201b28051b291b65', data_coding: 0 })
  })

  it('gets a long text in parts that make it whole, or in one piece', async () => {
    const server = await netSmpp()
    expect(await send(open(at(server)), parcel(LONG))).toMatchObject({ outcome: 'sent', receipt: 'net_smpp@3' })
    const pdus = await server.of('submit_sm', 3)
    const parts = pdus.map((pdu) => Buffer.from(String(pdu['short_message']), 'hex'))
    expect(parts.map((part) => part.subarray(0, 6).toString('hex'))).toEqual([1, 2, 3].map((n) => `05000334030${n}`))
    const text = (bytes: Buffer) => bytes.swap16().toString('utf16le')
    expect(text(Buffer.concat(parts.map((part) => part.subarray(6))))).toBe(LONG)
    expect(pdus.every((pdu) => pdu['esm_class'] === 0x40 && pdu['data_coding'] === 8)).toBe(true)

    await send(open(at(server, 'long=payload')), parcel(LONG))
    expect(text(Buffer.from(String((await server.of('submit_sm', 4))[3]?.['message_payload']), 'hex'))).toBe(LONG)
  })

  it('sends receipts that are understood, by text or by TLVs, and are answered', async () => {
    const server = await netSmpp()
    const heard: Receipt[] = []
    const carrier = open(at(server), async (receipts) => void heard.push(...receipts))
    await send(carrier)
    await send(carrier, parcel('hello', { id: idOf(1), address: '+8618660886277' }))
    expect((await server.of('deliver_sm_resp', 2)).every((pdu) => pdu['status'] === 0)).toBe(true)
    expect(heard).toEqual([
      { deliveryId: ID, state: 'undelivered', why: 'UNDELIV err:027' },
      { deliveryId: idOf(1), state: 'delivered' },
    ])
  })

  it.each([
    ['+8618660886058', { outcome: 'retry', cause: 'throttled', why: 'ESME_RTHROTTLED (0x58)' }],
    ['+8618660886045', { outcome: 'retry', cause: 'temporary', why: 'ESME_RSUBMITFAIL (0x45)' }],
  ])('refuses a message to %s, which comes to what it means', async (address, outcome) => {
    const server = await netSmpp()
    expect(await send(open(at(server)), parcel('hello', { address }))).toEqual(outcome)
  })

  it('does not let in a wrong password', async () => {
    const server = await netSmpp()
    expect(await send(open(at(server).replace('s3cret', 'guess')))).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining('ESME_RINVPASWD'),
    })
  })

  it('is asked whether it is there, and told goodbye', async () => {
    const server = await netSmpp()
    const carrier = open(at(server, 'keepalive=1'))
    await send(carrier)
    await server.of('enquire_link', 2)
    await carrier.close()
    expect(await server.of('unbind')).toHaveLength(1)
    expect(await server.of('bind_transceiver')).toHaveLength(1)
  })
})
