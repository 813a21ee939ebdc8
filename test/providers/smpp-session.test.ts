import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { keepLink } from '../../src/delivery/providers/smpp-link.ts'
import { openSession, type Session } from '../../src/delivery/providers/smpp-session.ts'
import { rawServer } from '../kit/mail-server.ts'
import { eventually } from '../kit/posthouse.ts'
import { smsc } from '../kit/smsc.ts'
import { at, closing, idOf, open, parcel, send, sentAtLast } from './smpp-channel.ts'

const UNAVAILABLE = { outcome: 'retry', cause: 'unavailable' }
const parcelOf = (number: number) => parcel('hello', { id: idOf(number) })

describe('the session', () => {
  it('is one, opened by the first message and kept, with the login of the URL', async () => {
    const server = closing(await smsc())
    const carrier = open(at(server, 'systemType=SMS'))
    await sleep(100)
    expect(server.arrived).toEqual([])
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, number) => send(carrier, parcelOf(number))))
    expect(outcomes.every(({ outcome }) => outcome === 'sent')).toBe(true)
    expect(server.arrived.filter(({ command }) => command.startsWith('bind_'))).toEqual([
      expect.objectContaining({
        command: 'bind_transceiver',
        system_id: 'hospital',
        password: 's3cret',
        system_type: 'SMS',
        interface_version: 0x34,
      }),
    ])
  })

  it('of bind=separate is two: one sends, the other receives', async () => {
    const server = closing(await smsc())
    await send(open(at(server, 'bind=separate'), async () => {}))
    await eventually(() => server.sessions.length === 2)
    await eventually(() => server.of('bind_receiver').length === 1 && server.of('bind_transmitter').length === 1)
    expect(server.of('bind_transceiver')).toEqual([])
  })

  it('says goodbye when it is closed, and does not come back', async () => {
    const server = closing(await smsc())
    const carrier = open(at(server))
    await send(carrier)
    await carrier.close()
    expect(server.arrived.at(-1)?.command).toBe('unbind')
    await eventually(() => server.sessions.length === 0)
    expect(await send(carrier, parcelOf(1))).toMatchObject(UNAVAILABLE)
    expect(server.of('bind_transceiver')).toHaveLength(1)
  })

  it('is closed at once while it is still being opened', async () => {
    const server = closing(await rawServer(() => {}))
    const carrier = open(at(server))
    const sending = send(carrier)
    await sleep(100)
    const startedAt = performance.now()
    await carrier.close()
    expect(await sending).toMatchObject(UNAVAILABLE)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('is not opened once it is to be closed', async () => {
    let connections = 0
    const server = closing(await rawServer(() => connections++))
    const settings = {
      host: '127.0.0.1',
      port: server.port,
      tls: undefined,
      login: { system_id: '', password: '', system_type: '' },
      keepaliveSeconds: 30,
    }
    const opening = openSession(
      settings,
      'bind_transceiver',
      async () => 0,
      () => {},
      AbortSignal.abort(),
    )
    await expect(opening).rejects.toThrow('aborted')
    await sleep(100)
    expect(connections).toBe(0)
  })

  it('that is open only when it has been closed is closed then, without a word', async () => {
    const said: string[] = []
    const opened = Promise.withResolvers<Session>()
    const link = keepLink(() => opened.promise, { info: (_fields, text) => said.push(text) }, 'bind_transceiver')
    link.wake()
    await link.close()
    let isClosed = false
    opened.resolve({ takesTlvs: true, submit: () => undefined, close: async () => void (isClosed = true) })
    await eventually(() => isClosed)
    expect(said).toEqual([])
  })

  it.each([
    ['', 'bind_transceiver'],
    ['bind=separate', 'bind_receiver'],
  ])('is opened (%s) before the first message where receipts may wait', async (options, bind) => {
    const server = closing(await smsc())
    open(at(server, options), async () => {}).wake?.()
    await eventually(() => server.of(bind).length === 1)
    for (const [other, hear] of [
      ['bind=transmitter', async () => {}],
      ['', undefined],
    ] as const)
      expect(open(at(server, other), hear)).not.toHaveProperty('wake')
  })

  it('is kept alive from both sides', async () => {
    const server = closing(await smsc())
    await send(open(at(server, 'keepalive=1')))
    expect(await server.say('enquire_link')).toBe(0)
    await eventually(() => server.of('enquire_link').length >= 2)
    expect(server.of('bind_transceiver')).toHaveLength(1)
  })

  it('in which the SMSC falls silent is given up and opened again, without a message', async () => {
    const server = closing(await smsc({ takesEnquiries: false }))
    await send(open(at(server, 'keepalive=1')))
    await eventually(() => server.of('bind_transceiver').length === 2)
  })

  it.each([
    ['unbinds', (server: Awaited<ReturnType<typeof smsc>>) => server.say('unbind')],
    ['drops it', (server: Awaited<ReturnType<typeof smsc>>) => server.sessions.at(-1)?.destroy()],
  ])('comes back when the SMSC %s', async (_what, act) => {
    const server = closing(await smsc())
    const carrier = open(at(server))
    await send(carrier)
    await act(server)
    expect(await sentAtLast(carrier, parcelOf(1))).toMatchObject({ outcome: 'sent' })
    expect(server.of('bind_transceiver')).toHaveLength(2)
  })

  it('comes back when the SMSC says that nothing is bound', async () => {
    const server = closing(await smsc({ answer: (n) => (n === 1 ? { status: 4 } : { id: `m${n}` }) }))
    const carrier = open(at(server))
    expect(await send(carrier)).toMatchObject({ ...UNAVAILABLE, why: expect.stringContaining('bind=') })
    expect(await sentAtLast(carrier)).toMatchObject({ receipt: 'm2' })
    expect(server.of('bind_transceiver')).toHaveLength(2)
  })

  it('outlives requests that it does not know', async () => {
    const server = closing(await smsc())
    const carrier = open(at(server))
    await send(carrier)
    expect(await server.say('query_sm', { message_id: 'x' })).toBe(3)
    server.sessions[0]?.socket.write(Buffer.from('00000010000009990000000000000063', 'hex'))
    await eventually(() => server.of('generic_nack').length === 2)
    server.sessions[0]?.socket.write(
      Buffer.from('0000001000000102000000000000006400000010800009990000000000000065', 'hex'),
    )
    expect(await send(carrier, parcelOf(1))).toMatchObject({ outcome: 'sent' })
    expect(server.of('bind_transceiver')).toHaveLength(1)
  })
})

describe('without a session', () => {
  it('nothing is taken when nobody listens; messages wait for the pause between attempts to end', async () => {
    const server = await rawServer(() => {})
    await server.stop()
    const said: string[] = []
    const carrier = open(at(server), undefined, said)
    expect(await send(carrier)).toMatchObject({ ...UNAVAILABLE, why: expect.stringContaining('ECONNREFUSED') })
    expect(await send(carrier)).toEqual({
      ...UNAVAILABLE,
      why: expect.stringContaining('ECONNREFUSED'),
      afterSeconds: 1,
    })
    // Once more in vain, which is not worth another line in the log; then it is back where it was looked for.
    await sleep(1_300)
    const late = closing(await smsc({ port: server.port }))
    expect(await sentAtLast(carrier)).toMatchObject({ outcome: 'sent' })
    expect(late.of('bind_transceiver')).toHaveLength(1)
    expect(said.filter((line) => line.includes('no session'))).toHaveLength(1)
  })

  it.each([
    [0x05, 'ESME_RALYBND', 1],
    [0x0d, 'ESME_RBINDFAIL', 1],
    // A carrier locks logins that are tried too often.
    [0x0e, 'ESME_RINVPASWD (0x0E): check user and password', 60],
    [0x0f, 'ESME_RINVSYSID (0x0F): check user and password', 60],
  ])(
    'nothing is taken when the bind is refused with %i; the next attempt has its time',
    async (status, why, seconds) => {
      const server = closing(await smsc({ bind: () => status }))
      const said: string[] = []
      const carrier = open(at(server), undefined, said)
      expect(await send(carrier)).toEqual({ ...UNAVAILABLE, why: expect.stringContaining(why), afterSeconds: seconds })
      expect(await send(carrier)).toMatchObject({ ...UNAVAILABLE, afterSeconds: expect.any(Number) })
      expect(server.arrived).toHaveLength(1)
      expect(said.join()).not.toContain('s3cret')
    },
  )

  it('nothing goes out when the bind is answered after the attempt', async () => {
    const server = closing(await smsc({ bind: () => undefined }))
    const carrier = open(at(server))
    expect(await send(carrier, parcel(), 300)).toMatchObject(UNAVAILABLE)
    const [bind] = server.of('bind_transceiver')
    server.sessions[0]?.send(bind!.response())
    await sleep(200)
    expect(server.of('submit_sm')).toEqual([])
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
  })

  it('nothing is taken where something else than an SMSC answers', async () => {
    for (const words of ['HTTP/1.1 400 Bad Request\r\n\r\n', '\r\n', '220 mail.example.org ESMTP\r\n']) {
      const server = closing(await rawServer((socket) => socket.end(words)))
      expect(await send(open(at(server)))).toMatchObject(UNAVAILABLE)
    }
  })
})

describe('TLS', () => {
  it('refuses a certificate that nobody vouches for, and says how to accept it', async () => {
    const server = closing(await smsc({ isSecure: true }))
    expect(await send(open(at(server, '', 'smpps')))).toMatchObject({
      ...UNAVAILABLE,
      why: expect.stringMatching(/certificate.*tls=insecure/s),
    })
    expect(server.arrived).toEqual([])
    expect(await send(open(at(server, 'tls=insecure', 'smpps')))).toMatchObject({ outcome: 'sent' })
  })

  it('is not to be had from an SMSC without it', async () => {
    const server = closing(await smsc())
    expect(await send(open(at(server, '', 'smpps')), parcel(), 8_000)).toMatchObject(UNAVAILABLE)
    expect(server.of('bind_transceiver')).toEqual([])
  })
})
