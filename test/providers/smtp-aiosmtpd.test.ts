import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { AIOSMTPD_PACKAGES, aiosmtpd, hasAiosmtpd } from '../kit/aiosmtpd.ts'
import { FROM, ID, openCarrier, parcel, saying, send } from '../kit/mail-carrier.ts'

const title = 'mail to a server that others wrote (aiosmtpd)'

describe.skipIf(!hasAiosmtpd)(hasAiosmtpd ? title : `${title}: no ${AIOSMTPD_PACKAGES} here`, () => {
  const closers: (() => Promise<void> | void)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  async function channelTo(
    options: Parameters<typeof aiosmtpd>[0] = {},
    { scheme = 'smtp', user = '', settings = '' } = {},
  ) {
    const server = await aiosmtpd(options)
    closers.push(server.stop)
    const url = `${scheme}://${user}127.0.0.1:${server.port}?${FROM}${settings}`
    return { server, carrier: openCarrier(url, closers as (() => Promise<void>)[]) }
  }

  it('arrives with its sender, its recipient and both its texts', async () => {
    const { server, carrier } = await channelTo({}, { settings: `&fromName=${encodeURIComponent('驿站')}` })
    expect(await send(carrier)).toEqual({ outcome: 'sent', receipt: '250 2.0.0 Ok' })
    const { sender, recipients, isSecure, mail } = await server.arrived()
    expect({ sender, recipients, isSecure }).toEqual({
      sender: 'posthouse@hospital.example',
      recipients: ['liwei@example.org'],
      isSecure: false,
    })
    expect(mail.messageId).toBe(`<${ID}@hospital.example>`)
    expect(mail.subject).toBe('检验报告已出')
    expect(mail.from?.value[0]?.name).toBe('驿站')
    expect(mail.html).toBe('<p>您好，<b>李伟</b> 🙂</p>')
    expect(mail.text?.trim()).toBe('您好，李伟 🙂')
  })

  it.each([
    ['starttls', 'smtp'],
    ['tls', 'smtps'],
  ] as const)('goes over TLS (%s) when its certificate is accepted, and not at all when not', async (tls, scheme) => {
    const { server, carrier } = await channelTo({ tls }, { scheme, settings: '&tls=insecure' })
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
    expect((await server.arrived()).isSecure).toBe(true)
    const strict = openCarrier(`${scheme}://127.0.0.1:${server.port}?${FROM}`, closers as (() => Promise<void>)[])
    expect(await send(strict)).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringMatching(/certificate.*tls=insecure/s),
    })
  })

  it.each(['no', 'starttls'] as const)('goes with a login (tls: %s)', async (tls) => {
    const login = { tls, login: 'post@house 密码 one' }
    const user = `${encodeURIComponent('post@house')}:${encodeURIComponent('密码 one')}@`
    const { server, carrier } = await channelTo(login, { user, settings: '&tls=insecure' })
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
    expect((await server.arrived()).user).toBe('post@house')
  })

  it('stays here with a wrong password, or without one', async () => {
    const { server, carrier } = await channelTo({ login: 'user right' }, { user: 'user:wrong@' })
    expect(await send(carrier)).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringMatching(/^535 /),
    })
    const nobody = openCarrier(`smtp://127.0.0.1:${server.port}?${FROM}`, closers as (() => Promise<void>)[])
    expect(await send(nobody)).toMatchObject({
      outcome: 'retry',
      cause: 'unavailable',
      why: expect.stringMatching(/^530 /),
    })
  })

  it('arrives whole when it is large, with dots where they would end it', async () => {
    const html = `<p>${'检验报告已出。\n.\n..\n'.repeat(50_000)}</p>`
    const { server, carrier } = await channelTo()
    expect(await send(carrier, saying({ content: html, text: html }))).toMatchObject({ outcome: 'sent' })
    const { mail, content } = await server.arrived()
    expect(content.length).toBeGreaterThan(2_000_000)
    expect(mail.html).toBe(html)
    expect(mail.text?.trim()).toBe(html)
  }, 30_000)

  it('is refused here when it is larger than the server has announced', async () => {
    const { carrier } = await channelTo({ size: 1_000 })
    expect(await send(carrier, saying({ text: 'x'.repeat(2_000) }))).toMatchObject({
      outcome: 'failed',
      reason: 'TOO_LARGE',
    })
  })

  it('is refused for one recipient and goes on for the next, over the same connection', async () => {
    const { server, carrier } = await channelTo()
    expect(await send(carrier, parcel({ address: 'nobody@example.org' }))).toEqual({
      outcome: 'failed',
      reason: 'NO_SUCH_MAILBOX',
      why: '550 5.1.1 <[hidden]>: Recipient address rejected: User unknown',
    })
    expect(await send(carrier, parcel({ address: 'busy@example.org' }))).toEqual({
      outcome: 'retry',
      cause: 'temporary',
      why: '450 4.2.0 Mailbox busy',
    })
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
    expect((await server.arrived()).recipients).toEqual(['liwei@example.org'])
  })

  it('goes to an address in Chinese where the server takes one', async () => {
    const { server, carrier } = await channelTo({ utf8: true })
    expect(await send(carrier, parcel({ address: '李伟@example.org' }))).toMatchObject({ outcome: 'sent' })
    expect(await server.arrived()).toMatchObject({ recipients: ['李伟@example.org'], isUtf8: true })
    const { carrier: other } = await channelTo({ utf8: false })
    expect(await send(other, parcel({ address: '李伟@example.org' }))).toMatchObject({ reason: 'SMTPUTF8_NOT_OFFERED' })
  })

  it('carries a signature that a checker by others (dkimpy) finds good, and another key’s it does not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'posthouse-dkim-'))
    closers.push(() => rmSync(folder, { recursive: true }))
    const keyFile = join(folder, 'private.pem')
    /** A new key in the file; gives what stands in the DNS for it. */
    const renew = () => {
      const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
      writeFileSync(keyFile, privateKey.export({ type: 'pkcs1', format: 'pem' }))
      return `v=DKIM1; k=rsa; p=${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`
    }
    const settings = `&dkim=posthouse&dkimKeyFile=${keyFile}&unsubscribe=https://h.example/u?d={id}`
    const what = saying({ text: '您好 \r\n.\n\tx  \r\n\r\n' })
    const dkimRecord = renew()
    for (const isSigned of [true, false]) {
      if (!isSigned) renew()
      const { server, carrier } = await channelTo({ dkimRecord }, { settings })
      expect(await send(carrier, what)).toMatchObject({ outcome: 'sent' })
      expect((await server.arrived()).isSigned).toBe(isSigned)
    }
  })
})
