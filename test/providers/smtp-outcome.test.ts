import { afterEach, describe, expect, it } from 'vitest'
import { FROM, openCarrier, parcel, send } from '../kit/mail-carrier.ts'
import { rawServer, scriptedServer, type Turn } from '../kit/mail-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})
const open = (url: string) => openCarrier(url, closers)

/** What one mail comes to at a server with this script. */
async function outcomeAt(script: Parameters<typeof scriptedServer>[0], milliseconds = 5_000) {
  const server = await scriptedServer(script)
  closers.push(server.stop)
  return { server, outcome: await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`), parcel(), milliseconds) }
}
const hangUp: Turn = (socket) => socket.destroy()
const silence: Turn = () => {}
const AUTH_PLAIN = '250-mail.example\r\n250 AUTH PLAIN'

describe('a mail that nobody can have taken, because the server lets nobody in, is "unavailable"', () => {
  it('when nothing listens there', async () => {
    const server = await rawServer(() => {})
    await server.stop()
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`))).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it('when the name of the server is not known', async () => {
    expect(await send(open(`smtp://nowhere.invalid?${FROM}`))).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })

  it.each<[string, Turn, RegExp]>([
    ['421', '421 4.3.2 mail.example closing for maintenance', /^421 4\.3\.2 mail\.example closing for maintenance$/],
    ['554', '554 5.7.1 go away for now', /^554 5\.7\.1 go away for now$/],
    ['nothing, and hangs up', hangUp, /closed/],
    ['something else than SMTP', 'HTTP/1.1 400 Bad Request', /./],
  ])('when it greets with %s', async (_name, greeting, why) => {
    const { outcome } = await outcomeAt({ greeting })
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable', why: expect.stringMatching(why) })
  })

  it.each<[string, Turn]>([
    ['refuses the password', '535 5.7.8 Error: authentication failed'],
    ['cannot look the password up', '454 4.7.0 Temporary authentication failure'],
    ['counts logins', '421 4.7.0 Too many login attempts'],
    ['hangs up at the login', hangUp],
  ])('when it %s', async (_name, reply) => {
    const server = await scriptedServer({ EHLO: AUTH_PLAIN, AUTH: reply })
    closers.push(server.stop)
    const outcome = await send(open(`smtp://user:secret@127.0.0.1:${server.port}?${FROM}`))
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })

  it('when it never greets, after five seconds', async () => {
    const startedAt = performance.now()
    const { outcome } = await outcomeAt({ greeting: silence }, 20_000)
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
    expect(performance.now() - startedAt).toBeLessThan(8_000)
  })

  it('when it falls silent after the greeting, after ten seconds', async () => {
    const startedAt = performance.now()
    const { outcome } = await outcomeAt({ EHLO: silence }, 20_000)
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable', why: 'no answer in time' })
    expect(performance.now() - startedAt).toBeLessThan(13_000)
  }, 15_000)

  it.each<[string, Parameters<typeof scriptedServer>[0]]>([
    ['our sender', { MAIL: '553 5.7.1 <posthouse@hospital.example>: Sender address rejected: not owned by user' }],
    ['our sender, at the recipient', { RCPT: '550 5.1.8 <posthouse@hospital.example>: Sender address rejected' }],
    ['anybody without a login', { MAIL: '530 5.7.0 Authentication required' }],
    ['anybody at the moment', { RCPT: '450 4.3.2 system not accepting network messages' }],
  ])('when it refuses %s', async (_name, script) => {
    expect((await outcomeAt(script)).outcome).toMatchObject({ outcome: 'retry', cause: 'unavailable' })
  })
})

describe('a mail that was not taken now is "temporary", with the words of the server', () => {
  it.each<[string, Parameters<typeof scriptedServer>[0]]>([
    ['MAIL', { MAIL: '451 4.3.0 mail server temporarily rejected message' }],
    ['RCPT', { RCPT: '450 4.2.0 mailbox busy' }],
    ['RCPT, by greylisting', { RCPT: '450 4.7.1 Greylisted: too many unknown senders, try again in 300 seconds' }],
    ['RCPT, for one mailbox', { RCPT: '450 4.2.1 The user is receiving mail at a rate that prevents more' }],
    ['RCPT, for a full mailbox', { RCPT: '452 4.2.2 The account is over quota' }],
    ['DATA', { DATA: '451 4.3.0 queue file write error' }],
    ['the end of the mail', { end: '451 4.3.0 scanner is away' }],
    ['the end, out of step', { end: '503 5.5.1 Bad sequence of commands' }],
  ])('after a refusal of %s', async (_name, script) => {
    const words = Object.values(script ?? {})[0]
    expect((await outcomeAt(script)).outcome).toEqual({ outcome: 'retry', cause: 'temporary', why: words })
  })

  it.each<[string, Parameters<typeof scriptedServer>[0]]>([
    ['at MAIL', { MAIL: hangUp }],
    ['at RCPT', { RCPT: hangUp }],
    ['at DATA', { DATA: hangUp }],
  ])('when the connection is lost %s', async (_name, script) => {
    const { outcome, server } = await outcomeAt(script)
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'temporary' })
    expect(server.mails).toEqual([])
  })

  it('when the connection is lost before the mail was wholly handed over', async () => {
    // The server stops reading, so that what is left of the mail stays here, and then hangs up.
    const content: Turn = (socket) => {
      socket.pause()
      setTimeout(() => socket.resetAndDestroy(), 300)
    }
    const server = await scriptedServer({ content, EHLO: '250 mail.example' })
    closers.push(server.stop)
    const big = parcel({ content: { title: 'big', content: `<p>${'检验'.repeat(4_000_000)}</p>`, text: 'big' } })
    expect(await send(open(`smtp://127.0.0.1:${server.port}?${FROM}`), big)).toMatchObject({
      outcome: 'retry',
      cause: 'temporary',
    })
    expect(server.mails).toEqual([])
  }, 20_000)

  it('when it is given up before the mail was allowed', async () => {
    const { outcome } = await outcomeAt({ RCPT: silence, DATA: silence }, 300)
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'temporary', why: 'no answer in time' })
  })
})

describe('a mail that may have been taken is "ambiguous"', () => {
  it.each<[string, Turn]>([
    ['hangs up', hangUp],
    ['ends the connection', (socket) => socket.end()],
    ['is silent', silence],
    ['says something that is no reply', 'thank you'],
    ['replies to something else', '354 go on'],
  ])('when the server has it whole and %s', async (_name, end) => {
    const { outcome, server } = await outcomeAt({ end }, 500)
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'ambiguous' })
    // Whether to send it again is for the queue to say, never for a connection behind its back.
    expect(server.mails.length).toBe(1)
  })
})

describe('a server that asks to slow down is "throttled"', () => {
  it.each<[string, Parameters<typeof scriptedServer>[0]]>([
    ['in the greeting', { greeting: '421 4.7.0 mail.example Error: too many connections from 192.0.2.7' }],
    ['with 421', { RCPT: '421 4.7.0 Try again later, closing connection' }],
    ['with 4.7.28', { end: '450 4.7.28 Our system has detected unusual mail' }],
    ['with 4.5.3', { RCPT: '452 4.5.3 Too many recipients' }],
    ['in words', { MAIL: '451 Rate limit exceeded' }],
    ['as NetEase does', { MAIL: '451 MI:SFQ smtp12,EMCowAB 1732435200' }],
    ['as QQ Mail does, with a code that is wrongly final', { RCPT: '550 Domain frequency limited' }],
    ['as Google does, with a code that is wrongly final', { end: '550 5.4.5 Daily user sending limit exceeded' }],
  ])('%s', async (_name, script) => {
    expect((await outcomeAt(script)).outcome).toMatchObject({ outcome: 'retry', cause: 'throttled' })
  })
})

describe('a mail that is refused for good says why, in a word that stays the same and in those of the server', () => {
  it.each([
    ['NO_SUCH_MAILBOX', '550 5.1.1 The email account that you tried to reach does not exist'],
    ['NO_SUCH_MAILBOX', '550-5.1.1 no such account\r\n550 5.1.1 see https://mail.example/help'],
    ['NO_SUCH_MAILBOX', '550 No such user here'],
    ['NO_SUCH_MAILBOX', '550 5.5.0 Requested action not taken: mailbox unavailable'],
    ['NO_SUCH_MAILBOX', '551 User not local; please try another path'],
    ['NO_SUCH_MAILBOX', '550 用户不存在'],
    ['NO_SUCH_DOMAIN', '550 5.1.2 Bad destination system address'],
    ['NO_SUCH_DOMAIN', '556 5.1.10 Recipient address has null MX'],
    ['NO_SUCH_DOMAIN', '556 domain takes no mail'],
    ['INVALID_ADDRESS', '501 5.1.3 Bad recipient address syntax'],
    ['INVALID_ADDRESS', '553 mailbox name not allowed'],
    ['MAILBOX_DISABLED', '550 5.2.1 The account is disabled'],
    ['MAILBOX_DISABLED', '550 user is locked.'],
    ['MAILBOX_FULL', '552 5.2.2 Mailbox full'],
    ['MAILBOX_FULL', '552 Requested mail action aborted'],
    ['MAILBOX_FULL', '550 Quota exceeded'],
    ['REJECTED_BY_POLICY', '554 5.7.1 Client host blocked using zen.spamhaus.org'],
    ['REJECTED_BY_POLICY', '550 Mail content denied'],
    ['SMTPUTF8_NOT_OFFERED', '553 5.6.7 Must use SMTPUTF8'],
    ['REFUSED_BY_PROVIDER', '550 Mailbox unavailable or access denied'],
    ['REFUSED_BY_PROVIDER', '550 5.0.0 no'],
  ])('%s at RCPT: %s', async (reason, words) => {
    expect((await outcomeAt({ RCPT: words })).outcome).toEqual({
      outcome: 'failed',
      reason,
      why: words.replace('\r\n', ' / '),
    })
  })

  it.each<[string, Parameters<typeof scriptedServer>[0]]>([
    ['TOO_LARGE', { end: '552 5.3.4 Message size exceeds fixed limit' }],
    ['TOO_LARGE', { end: '552 message is too long.' }],
    ['TOO_LARGE', { MAIL: '552 5.3.4 Message size exceeds fixed limit' }],
    ['TOO_LARGE', { EHLO: '250-mail.example\r\n250 SIZE 100' }],
    ['MAILBOX_FULL', { end: '554 5.2.2 mailbox over quota' }],
    ['REJECTED_BY_POLICY', { end: '554 5.7.1 Spam message rejected' }],
    ['REFUSED_BY_PROVIDER', { end: '554 5.4.6 Too many hops' }],
    ['REFUSED_BY_PROVIDER', { DATA: '554 no valid recipients' }],
  ])('%s: %j', async (reason, script) => {
    expect((await outcomeAt(script)).outcome).toMatchObject({ outcome: 'failed', reason })
  })

  it('without the address of the recipient, and no longer than a line', async () => {
    const words = `550 5.1.1 <LiWei@Example.org>: Recipient address rejected ${'x'.repeat(1_000)}`
    const { outcome } = await outcomeAt({ RCPT: words })
    expect(outcome).toMatchObject({
      why: expect.stringMatching(/^550 5\.1\.1 <\[hidden\]>: Recipient address rejected x+$/),
    })
    expect((outcome as { why: string }).why.length).toBeLessThanOrEqual(300)
  })
})
