import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'
import { mailServer, rawServer, reply } from '../kit/mail-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

const closing = <T extends { stop(): Promise<void> }>(server: T): T => {
  closers.push(server.stop)
  return server
}

/** The carrier that this channel URL opens. */
function open(url: string): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1003: url })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1003')
  const carrier = channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
  closers.push(() => carrier.close())
  return carrier
}

const FROM = 'from=posthouse@hospital.example'
const ID = '0199c0ffee0070008000000000000001'
const parcel = (more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  messageId: ID,
  address: 'liwei@example.org',
  content: { title: '检验报告已出', content: '<p>您好，<b>李伟</b> 🙂</p>', text: '您好，李伟 🙂' },
  ...more,
})
const saying = (content: Record<string, unknown>) => parcel({ content: { ...parcel().content, ...content } })
const send = (carrier: Carrier, what = parcel(), milliseconds = 10_000): Promise<Outcome> =>
  carrier.send(what, AbortSignal.timeout(milliseconds))
const mistakesOf = (url: string) => loadConfig({ CHANNEL_1003: url }).mistakes

describe('a mail', () => {
  it('goes out as HTML and text, in UTF-8, from the named sender, with the delivery id as its Message-ID', async () => {
    const server = closing(await mailServer())
    const fromName = encodeURIComponent('驿站, "Posthouse"')
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}&fromName=${fromName}`))).toEqual({
      outcome: 'sent',
      receipt: expect.stringMatching(/^250 /),
    })
    const [{ from, to, mail } = expect.fail('nothing arrived')] = server.arrived
    expect({ from, to }).toEqual({ from: 'posthouse@hospital.example', to: ['liwei@example.org'] })
    expect(mail.messageId).toBe(`<${ID}@hospital.example>`)
    expect(mail.subject).toBe('检验报告已出')
    expect(mail.from?.value).toEqual([{ name: '驿站, "Posthouse"', address: 'posthouse@hospital.example' }])
    expect(mail.html).toBe('<p>您好，<b>李伟</b> 🙂</p>')
    expect(mail.text?.trim()).toBe('您好，李伟 🙂')
    expect(mail.attachments).toEqual([])
  })

  it('has an envelope of its own for every recipient', async () => {
    const server = closing(await mailServer())
    const carrier = open(`smtp://127.0.0.1:${server.port}?${FROM}`)
    const people = Array.from({ length: 12 }, (_, at) => `person${at}@example.org`)
    await Promise.all(people.map((address) => send(carrier, parcel({ address }))))
    expect(server.arrived.every(({ to }) => to.length === 1)).toBe(true)
    expect(server.arrived.flatMap(({ to }) => to).toSorted()).toEqual(people.toSorted())
    for (const { to, mail } of server.arrived) expect([mail.to].flat()[0]?.text).toBe(to[0])
  })

  it.each([
    'liwei@example.org, evil@example.org',
    'liwei@example.org>\r\nRCPT TO:<evil@example.org',
    'liwei@example.org\r\nBcc: evil@example.org',
    'Li Wei <liwei@example.org>',
    '',
  ])('goes to nobody for the address %j, and that is final', async (address) => {
    const server = closing(await mailServer())
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`), parcel({ address }))).toMatchObject({
      outcome: 'failed',
      reason: 'INVALID_ADDRESS',
    })
    expect(server.arrived).toEqual([])
  })

  it('lets neither title nor sender name add a header or a recipient', async () => {
    const server = closing(await mailServer())
    const evil = 'x\r\nBcc: evil@example.org\r\n\r\nbody'
    const carrier = open(`smtp://127.0.0.1:${server.port}?${FROM}&fromName=${encodeURIComponent(evil)}`)
    expect(await send(carrier, saying({ title: evil }))).toMatchObject({ outcome: 'sent' })
    const [{ to, mail } = expect.fail('nothing arrived')] = server.arrived
    expect(to).toEqual(['liwei@example.org'])
    expect(mail.bcc).toBeUndefined()
    expect([...mail.headers.keys()].toSorted()).toEqual([
      'content-type',
      'date',
      'from',
      'message-id',
      'mime-version',
      'subject',
      'to',
    ])
    expect(mail.html).toBe(parcel().content['content'])
  })

  it.each(['{"path":"/etc/passwd"}', '{"href":"http://127.0.0.1:9/"}', '/etc/passwd', 'file:///etc/passwd'])(
    'carries the text %s as it stands',
    async (text) => {
      const server = closing(await mailServer())
      expect(
        await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`), saying({ content: text, text })),
      ).toMatchObject({ outcome: 'sent' })
      expect(server.arrived[0]?.mail.html).toBe(text)
      expect(server.arrived[0]?.mail.text?.trim()).toBe(text)
    },
  )

  it('never reads a file that an object in place of the text names', async () => {
    const server = closing(await mailServer())
    expect(
      await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`), saying({ content: { path: '/etc/passwd' } })),
    ).not.toMatchObject({ outcome: 'sent' })
    expect(server.arrived).toEqual([])
  })
})

describe('a login', () => {
  it('comes from the URL, percent-decoded', async () => {
    const server = closing(await mailServer({ authOptional: false, allowInsecureAuth: true }))
    const user = `${encodeURIComponent('post@house')}:${encodeURIComponent('p:a/s@s 密码')}`
    expect(await send(open(`smtp://${user}@127.0.0.1:${server.port}?${FROM}`))).toMatchObject({ outcome: 'sent' })
    expect(server.arrived[0]?.user).toBe('post@house p:a/s@s 密码')
  })

  it('that the server refuses is tried again: it is ours to mend, not the end of the mail', async () => {
    const onAuth = (_auth: unknown, _session: unknown, done: (error: Error) => void) =>
      done(reply(535, 'wrong password'))
    const server = closing(await mailServer({ authOptional: false, allowInsecureAuth: true, onAuth }))
    expect(await send(open(`smtp://u:p@127.0.0.1:${server.port}?${FROM}`))).toMatchObject({
      outcome: 'retry',
      why: expect.stringContaining('wrong password'),
    })
  })

  it('never crosses a network in clear, unless the URL says tls=off', async () => {
    const server = closing(await mailServer({ allowInsecureAuth: true, disabledCommands: ['STARTTLS'] }))
    // The same server under a name that does not count as this machine.
    const url = `smtp://user:secret@0.0.0.0:${server.port}?${FROM}`
    expect(await send(open(url))).toMatchObject({ outcome: 'retry', why: expect.stringMatching(/STARTTLS.*tls=off/s) })
    expect(server.arrived).toEqual([])
    expect(await send(open(`${url}&tls=off`))).toMatchObject({ outcome: 'sent' })
    expect(server.arrived[0]).toMatchObject({ user: 'user secret', isSecure: false })
  })
})

describe('TLS', () => {
  it.each([
    ['smtps', { secure: true }],
    ['smtp', { hideSTARTTLS: false }],
  ])('over %s refuses a certificate that nobody vouches for, and says how to accept it', async (scheme, options) => {
    const server = closing(await mailServer(options))
    const url = `${scheme}://127.0.0.1:${server.port}?${FROM}`
    expect(await send(open(url))).toMatchObject({
      outcome: 'retry',
      why: expect.stringMatching(/certificate.*tls=insecure/s),
    })
    expect(server.arrived).toEqual([])
    expect(await send(open(`${url}&tls=insecure`))).toMatchObject({ outcome: 'sent' })
    expect(server.arrived[0]?.isSecure).toBe(true)
  })

  it('is left out with tls=off though the server offers it', async () => {
    const server = closing(await mailServer({ hideSTARTTLS: false }))
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}&tls=off`))).toMatchObject({ outcome: 'sent' })
    expect(server.arrived[0]?.isSecure).toBe(false)
  })
})

describe('what the server answers', () => {
  it.each([
    [
      'RCPT TO',
      { onRcptTo: (_a: unknown, _s: unknown, done: (error: Error) => void) => done(reply(450, 'mailbox busy')) },
    ],
    [
      'MAIL FROM',
      { onMailFrom: (_a: unknown, _s: unknown, done: (error: Error) => void) => done(reply(451, 'mailbox busy')) },
    ],
    [
      'DATA',
      {
        onData: (stream: NodeJS.ReadableStream, _s: unknown, done: (error: Error) => void) =>
          void stream.resume().on('end', () => done(reply(452, 'mailbox busy'))),
      },
    ],
  ])('with 4xx to %s is tried again, with its words', async (_command, options) => {
    const server = closing(await mailServer(options))
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`))).toMatchObject({
      outcome: 'retry',
      why: expect.stringMatching(/^45\d mailbox busy/),
    })
  })

  it.each([
    [
      'RCPT TO',
      { onRcptTo: (_a: unknown, _s: unknown, done: (error: Error) => void) => done(reply(550, 'no such user')) },
    ],
    [
      'DATA',
      {
        onData: (stream: NodeJS.ReadableStream, _s: unknown, done: (error: Error) => void) =>
          void stream.resume().on('end', () => done(reply(554, 'no such user'))),
      },
    ],
  ])('with 5xx to %s is final, with its words', async (_command, options) => {
    const server = closing(await mailServer(options))
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`))).toEqual({
      outcome: 'failed',
      reason: 'REFUSED_BY_PROVIDER',
      why: expect.stringMatching(/^55\d no such user/),
    })
  })

  it('with 5xx before it has seen the mail is tried again', async () => {
    const server = closing(await rawServer((socket) => socket.end('554 go away for now\r\n')))
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`))).toMatchObject({
      outcome: 'retry',
      why: expect.stringContaining('go away'),
    })
  })
})

describe('a server', () => {
  it('that is not there is tried again', async () => {
    const server = await rawServer(() => {})
    await server.stop()
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`))).toMatchObject({
      outcome: 'retry',
      why: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it('that never greets is left after five seconds', async () => {
    const server = closing(await rawServer(() => {}))
    const startedAt = performance.now()
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`))).toMatchObject({ outcome: 'retry' })
    expect(performance.now() - startedAt).toBeLessThan(8_000)
  })

  it('that falls silent after greeting is left at the deadline of the attempt', async () => {
    const server = closing(await rawServer((socket) => socket.write('220 hello\r\n')))
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`), parcel(), 300)).toMatchObject({
      outcome: 'retry',
    })
  })

  it('that answers after the deadline gets no mail any more from the attempt that was given up', async () => {
    const mails: string[] = []
    const server = closing(
      await rawServer((socket) => speak(socket, { after: 600, onMail: (text) => mails.push(text) })),
    )
    const carrier = open(`smtp://127.0.0.1:${server.port}?${FROM}`)
    // More than the pool has connections: some are given up while they still wait for one.
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => send(carrier, parcel(), 300)))
    for (const outcome of outcomes) expect(outcome.outcome).toBe('retry')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(mails).toEqual([])
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
    expect(mails.length).toBe(1)
  })

  it('that is silent after DATA, or drops the connection there, is tried again', async () => {
    const silent = closing(await rawServer((socket) => speak(socket, { atEnd: () => {} })))
    expect(await send(open(`smtp://127.0.0.1:${silent.port}?${FROM}`), parcel(), 300)).toMatchObject({
      outcome: 'retry',
    })
    let dropped = 0
    const dropping = closing(
      await rawServer((socket) => speak(socket, { atEnd: () => void (dropped++, socket.destroy()) })),
    )
    expect(await send(open(`smtp://127.0.0.1:${dropping.port}?${FROM}`))).toMatchObject({ outcome: 'retry' })
    // It may have taken the mail: whether to send again is for the queue to say, not for a pool behind its back.
    expect(dropped).toBe(1)
  })

  it('that closes idle connections costs no attempt', async () => {
    const server = closing(await mailServer({ socketTimeout: 500 }))
    const carrier = open(`smtp://127.0.0.1:${server.port}?${FROM}`)
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
    await new Promise((resolve) => setTimeout(resolve, 900))
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
  })
})

describe('the URL', () => {
  it.each([
    [
      'smtp:',
      [
        'CHANNEL_1003 names no mail server; write smtp://host:port?from=name@host',
        'CHANNEL_1003 needs a sender; add ?from=name@your.host',
      ],
    ],
    ['smtp://mail', ['CHANNEL_1003 needs a sender; add ?from=name@your.host']],
    [
      `smtp://mail?from=${encodeURIComponent('a@b.example\r\nBcc: c@d.example')}`,
      ['CHANNEL_1003 needs a sender; add ?from=name@your.host'],
    ],
    [`smtps://user@mail?${FROM}`, ['CHANNEL_1003 has a user without a password; write smtps://user:password@host']],
    [
      `smtps://mail?${FROM}&tls=off`,
      ['CHANNEL_1003 has an unknown tls=off; write tls=insecure to accept any certificate'],
    ],
    [
      `smtp://mail?${FROM}&tls=no`,
      [
        'CHANNEL_1003 has an unknown tls=no; write tls=insecure to accept any certificate, or tls=off for a plain connection',
      ],
    ],
  ])('%j is answered with what to write', (url, mistakes) => {
    expect(mistakesOf(url)).toEqual(mistakes)
  })

  it('may name an IPv6 address', () => {
    const settings = loadConfig({ CHANNEL_1003: `smtp://u:p@[::1]:2525?${FROM}` }).config?.channels.get(
      '1003',
    )?.settings
    expect(settings).toMatchObject({ host: '::1', port: 2525, requireTLS: false })
  })
})

/** Just enough of SMTP to reach DATA; answers each command after `after` ms, and the end of a mail as `atEnd` says. */
function speak(
  socket: Socket,
  { after = 0, atEnd, onMail }: { after?: number; atEnd?: () => void; onMail?: (text: string) => void },
) {
  const say = (line: string) => setTimeout(() => socket.writable && socket.write(`${line}\r\n`), after)
  let mail: string | undefined
  socket.setEncoding('utf8')
  say('220 hello')
  socket.on('data', (chunk: string) => {
    if (mail !== undefined) {
      mail += chunk
      if (!mail.endsWith('\r\n.\r\n')) return
      onMail?.(mail)
      mail = undefined
      return atEnd === undefined ? say('250 taken') : atEnd()
    }
    if (chunk.startsWith('DATA')) {
      mail = ''
      return say('354 go on')
    }
    return say('250 ok')
  })
}
