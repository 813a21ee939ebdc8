import { afterEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { FROM, ID, mistakesOf, openCarrier, parcel, saying, send } from '../kit/mail-carrier.ts'
import { mailServer, reply, scriptedServer } from '../kit/mail-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

const closing = <T extends { stop(): Promise<void> }>(server: T): T => {
  closers.push(server.stop)
  return server
}

const open = (url: string) => openCarrier(url, closers)

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
    ).toMatchObject({ outcome: 'failed', reason: 'INVALID_CONTENT' })
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
      cause: 'unavailable',
      why: expect.stringContaining('wrong password'),
    })
  })

  it('that the server does not offer keeps the mail here: without it the server would refuse each one for good', async () => {
    const server = closing(await mailServer({ disabledCommands: ['AUTH'] }))
    expect(await send(open(`smtp://user:secret@127.0.0.1:${server.port}?${FROM}`))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: "the server offers no login; leave user:password@ out of the channel's URL",
    })
    expect(server.arrived).toEqual([])
  })

  it('is never repeated in what is told of a refusal', async () => {
    const server = closing(
      await scriptedServer({
        EHLO: '250-mail.example\r\n250 AUTH PLAIN',
        AUTH: `500 5.5.2 unrecognised: ${Buffer.from('\0user\0secret1').toString('base64')} (secret1)`,
      }),
    )
    expect(await send(open(`smtp://user:secret1@127.0.0.1:${server.port}?${FROM}`))).toEqual({
      outcome: 'retry',
      cause: 'unavailable',
      why: '500 5.5.2 unrecognised: [hidden] ([hidden])',
    })
  })

  it('never crosses a network in clear, unless the URL says tls=off', async () => {
    const server = closing(await mailServer({ allowInsecureAuth: true, disabledCommands: ['STARTTLS'] }))
    // The same server under a name that does not count as this machine.
    const url = `smtp://user:secret@0.0.0.0:${server.port}?${FROM}`
    expect(await send(open(url))).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringMatching(/STARTTLS.*tls=off/s),
    })
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
      cause: 'unavailable',
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
    expect(settings).toMatchObject({ server: { host: '::1', port: 2525, requireTLS: false } })
  })
})
