import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { FROM, openCarrier, parcel, saying, send } from '../kit/mail-carrier.ts'
import { scriptedServer, type Turn } from '../kit/mail-server.ts'
import { eventually } from '../kit/posthouse.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

/** A server with this script, and a carrier to it. */
async function channelTo(...[script, timing]: Parameters<typeof scriptedServer>) {
  const server = await scriptedServer(script, timing)
  closers.push(server.stop)
  return { server, carrier: openCarrier(`smtp://127.0.0.1:${server.port}?${FROM}`, closers) }
}
const SENT = { outcome: 'sent' }
const silence: Turn = () => {}
const people = (count: number) =>
  Array.from({ length: count }, (_, at) => parcel({ address: `person${at}@example.org` }))

describe('a connection', () => {
  it('is there once for every mail under way, five unless the channel says otherwise, and used again afterwards', async () => {
    expect(loadConfig({ CHANNEL_1003: `smtp://mail?${FROM}` }).config?.channels.get('1003')?.limits.concurrency).toBe(5)
    const { server, carrier } = await channelTo({}, { delay: 20 })
    for (let round = 1; round <= 3; round++) {
      const outcomes = await Promise.all(people(5).map((person) => send(carrier, person)))
      expect(outcomes).toEqual(Array.from({ length: 5 }, () => expect.objectContaining(SENT)))
    }
    expect(server.opened.length).toBe(5)
    expect(server.mails.length).toBe(15)
  })

  it('follows a channel with a higher limit: no mail waits for a free one', async () => {
    const { server, carrier } = await channelTo({}, { delay: 100 })
    const outcomes = await Promise.all(people(20).map((person) => send(carrier, person, 2_000)))
    expect(outcomes.filter(({ outcome }) => outcome === 'sent').length).toBe(20)
    expect(server.opened.length).toBe(20)
  })

  it('is used again after a mail that was refused for good', async () => {
    const { server, carrier } = await channelTo({ RCPT: '550 5.1.1 no such user' })
    for (let time = 1; time <= 3; time++) {
      expect(await send(carrier)).toMatchObject({ outcome: 'failed', reason: 'NO_SUCH_MAILBOX' })
      await sleep(50)
    }
    expect(server.opened.length).toBe(1)
    expect(server.commands.filter((command) => command === 'RSET').length).toBe(3)
  })

  it('is not used again after "not now", which may mean the connection itself', async () => {
    const { server, carrier } = await channelTo({ MAIL: '450 MI:DMC too many mails on this connection' })
    await send(carrier)
    await send(carrier)
    expect(server.opened.length).toBe(2)
    expect(server.commands.filter((command) => command === 'QUIT').length).toBeGreaterThan(0)
  })

  it('carries a hundred mails, and another one the next', async () => {
    const { server, carrier } = await channelTo()
    for (const person of people(101)) expect(await send(carrier, person)).toMatchObject(SENT)
    expect(server.opened.length).toBe(2)
  })

  it('says goodbye when the channel is closed, and waits for nobody who does not answer', async () => {
    const { server, carrier } = await channelTo({ QUIT: silence })
    expect(await send(carrier)).toMatchObject(SENT)
    const startedAt = performance.now()
    await carrier.close()
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    expect(server.commands).toContain('QUIT')
  })

  it('lets a mail end that is under way when the channel is closed', async () => {
    const { server, carrier } = await channelTo({}, { delay: 100 })
    const sending = send(carrier)
    await sleep(150)
    await carrier.close()
    expect(await sending).toMatchObject(SENT)
    await sleep(300)
    expect(server.opened.every((socket) => socket.closed)).toBe(true)
  })
})

describe('an idle connection that the server has closed costs nothing', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['at once', (socket) => socket.destroy()],
    ['in order', (socket) => socket.end()],
    ['with a reset', (socket) => socket.resetAndDestroy()],
    ['with a word', (socket) => socket.end('421 4.4.2 mail.example Error: timeout exceeded\r\n')],
  ])('%s', async (_name, close) => {
    const { server, carrier } = await channelTo()
    await Promise.all(people(5).map((person) => send(carrier, person)))
    for (const socket of server.opened) close(socket)
    await sleep(100)
    expect(await send(carrier)).toMatchObject(SENT)
    expect(server.mails.length).toBe(6)
  })

  it('even when that is heard only from the answer to the next mail, on all of them', async () => {
    const closing = new Set<unknown>()
    const MAIL: Turn = (socket) => {
      if (closing.has(socket)) socket.end('421 4.4.2 mail.example Error: timeout exceeded\r\n')
      else socket.write('250 2.1.0 Ok\r\n')
    }
    const { server, carrier } = await channelTo({ MAIL, EHLO: '250 mail.example' })
    await Promise.all(people(5).map((person) => send(carrier, person)))
    for (const socket of server.opened) closing.add(socket)
    expect(await send(carrier)).toMatchObject(SENT)
    expect(server.mails.length).toBe(6)
    expect(server.opened.length).toBe(6)
  })

  it('but is no reason to try for ever: a new connection has the last word', async () => {
    let isOpen = true
    const MAIL: Turn = (socket) => void socket.write(isOpen ? '250 2.1.0 Ok\r\n' : '421 4.7.0 go away\r\n')
    const { server, carrier } = await channelTo({ MAIL, EHLO: '250 mail.example' })
    await send(carrier)
    isOpen = false
    expect(await send(carrier)).toMatchObject({ outcome: 'retry', cause: 'throttled' })
    expect(server.opened.length).toBe(2)
  })
})

describe('a mail whose attempt is given up', () => {
  it('does not go out afterwards, at whatever point it is', async () => {
    for (const milliseconds of [50, 150, 250, 350, 450]) {
      const { server, carrier } = await channelTo({ EHLO: '250 mail.example' }, { delay: 100 })
      expect(await send(carrier, parcel(), milliseconds)).toMatchObject({ outcome: 'retry' })
      await sleep(700)
      expect(server.mails).toEqual([])
      expect(await send(carrier)).toMatchObject(SENT)
      expect(server.mails.length).toBe(1)
    }
  }, 20_000)

  it('is cut off though half of it still lies here to be sent', async () => {
    let reader: Socket | undefined
    const content: Turn = (socket) => {
      socket.pause()
      reader = socket
    }
    const { server, carrier } = await channelTo({ content, EHLO: '250 mail.example' })
    const big = saying({ content: `<p>${'x'.repeat(30_000_000)}</p>`, text: 'big' })
    expect(await send(carrier, big, 4_000)).toMatchObject({ outcome: 'retry', cause: 'temporary' })
    reader?.resume()
    await eventually(() => reader?.closed === true)
    expect(server.mails).toEqual([])
  }, 20_000)

  it('is not even begun when it was given up before', async () => {
    const { server, carrier } = await channelTo()
    expect(await carrier.send(parcel(), AbortSignal.abort())).toMatchObject({ outcome: 'retry' })
    await sleep(100)
    expect(server.mails).toEqual([])
    expect(server.commands).toEqual([])
  })

  it('takes no other with it', async () => {
    let isFirst = true
    const RCPT: Turn = (socket) => {
      if (!isFirst) socket.write('250 2.1.5 Ok\r\n')
      isFirst = false
    }
    const { carrier } = await channelTo({ RCPT, EHLO: '250 mail.example' })
    const first = send(carrier, parcel(), 500)
    await sleep(100)
    const others = people(4).map((person) => send(carrier, person))
    expect(await first).toMatchObject({ outcome: 'retry' })
    for (const other of others) expect(await other).toMatchObject(SENT)
  })
})
