import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { signedFields } from '../kit/dkim.ts'
import { FROM, ID, mistakesOf, openCarrier, parcel, saying, send } from '../kit/mail-carrier.ts'
import { mailServer, scriptedServer } from '../kit/mail-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

/** What arrives of this parcel over a channel with these settings. */
async function arrivalOf(settings: string, what = parcel(), times = 1) {
  const server = await mailServer()
  closers.push(server.stop)
  const carrier = openCarrier(`smtp://127.0.0.1:${server.port}?${FROM}${settings}`, closers)
  for (let time = 1; time <= times; time++)
    expect(await send(carrier, { ...what, attempt: time })).toMatchObject({ outcome: 'sent' })
  const [first = expect.fail('nothing arrived')] = server.arrived
  return { ...first, all: server.arrived }
}

const folder = mkdtempSync(join(tmpdir(), 'posthouse-dkim-'))
const keyFile = join(folder, 'private.pem')
let publicKey: KeyObject
beforeAll(() => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  publicKey = pair.publicKey
  writeFileSync(keyFile, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('two attempts of a delivery', () => {
  it.each([
    ['plain', ''],
    ['with a way to unsubscribe', '&unsubscribe=https://h.example/u?d={id}'],
    ['signed', `&dkim=a&dkimKeyFile=${keyFile}`],
  ])('are the same bytes, %s', async (_name, settings) => {
    const { all } = await arrivalOf(settings, parcel(), 2)
    expect(all[0]?.source.toString()).toBe(all[1]?.source.toString())
  })

  it('carry the date at which the delivery came to be, though they are made days later', async () => {
    const { mail } = await arrivalOf('')
    expect(mail.date).toEqual(new Date('2025-10-07T23:27:02.000Z'))
  })

  it('differ from those of another delivery in more than the address', async () => {
    const [one, other] = [await arrivalOf(''), await arrivalOf('', parcel({ id: ID.replace(/1$/, '2') }))]
    expect(other.mail.messageId).not.toBe(one.mail.messageId)
  })
})

describe('Chinese', () => {
  it('survives in a sender and in a subject of two hundred characters, on lines that every server takes', async () => {
    const title = '关于二〇二六年度全院职工健康体检结果及复查安排的通知——'.repeat(8).slice(0, 200)
    const html = `<p>${'您的检验报告已出，请及时查看。'.repeat(2_000)}</p>`
    const { mail, source } = await arrivalOf(
      `&fromName=${encodeURIComponent('东华医为·消息中心（驿站）')}`,
      saying({ title, content: html, text: html }),
    )
    expect(mail.subject).toBe(title)
    expect(mail.from?.value[0]?.name).toBe('东华医为·消息中心（驿站）')
    expect(mail.html).toBe(html)
    expect(mail.text?.trim()).toBe(html)
    const lines = source.toString('latin1').split('\r\n')
    // RFC 5322, section 2.1.1, and nothing but ASCII, for servers without 8BITMIME.
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(998)
    expect(lines.every((line) => /^[\t -~]*$/.test(line))).toBe(true)
  })

  it.each(['.', '.\r\n', 'a\r\n.\r\nb', '\n.\nRSET\n', '\r.\r', 'From x'])(
    'and the lone dots of %j reach their reader and end no mail',
    async (text) => {
      const { mail, all } = await arrivalOf('', saying({ text: `检验${text}` }))
      expect(mail.text?.trim()).toBe(`检验${text}`.replace(/\r\n?/g, '\n').trim())
      expect(all.length).toBe(1)
    },
  )
})

describe('an address', () => {
  it('with a Chinese domain goes out in its ASCII form', async () => {
    const server = await scriptedServer()
    closers.push(server.stop)
    const carrier = openCarrier(`smtp://127.0.0.1:${server.port}?${FROM}`, closers)
    expect(await send(carrier, parcel({ address: 'liwei@例子.中国' }))).toMatchObject({ outcome: 'sent' })
    expect(server.commands).toContain('RCPT TO:<liwei@xn--fsqu00a.xn--fiqs8s>')
    expect(server.mails[0]).toContain('\r\nTo: liwei@xn--fsqu00a.xn--fiqs8s\r\n')
  })

  it('with a Chinese name goes to a server that offers SMTPUTF8', async () => {
    const server = await scriptedServer({ EHLO: '250-mail.example\r\n250-8BITMIME\r\n250 SMTPUTF8' })
    closers.push(server.stop)
    const carrier = openCarrier(`smtp://127.0.0.1:${server.port}?${FROM}`, closers)
    expect(await send(carrier, parcel({ address: '李伟@example.org' }))).toMatchObject({ outcome: 'sent' })
    expect(server.commands).toContain('RCPT TO:<李伟@example.org>')
    expect(server.commands.find((command) => command.startsWith('MAIL'))).toContain(' SMTPUTF8')
  })

  it('with a Chinese name is refused here when the server does not offer it, and the connection stays good', async () => {
    const server = await scriptedServer()
    closers.push(server.stop)
    const carrier = openCarrier(`smtp://127.0.0.1:${server.port}?${FROM}`, closers)
    expect(await send(carrier, parcel({ address: '李伟@example.org' }))).toEqual({
      outcome: 'failed',
      reason: 'SMTPUTF8_NOT_OFFERED',
      why: 'the server does not offer SMTPUTF8, which an address with other letters than ASCII needs',
    })
    expect(server.commands.filter((command) => command.startsWith('MAIL'))).toEqual([])
    expect(await send(carrier)).toMatchObject({ outcome: 'sent' })
  })

  it.each([
    'liwei@',
    '@example.org',
    'liwei@localhost',
    'liwei@127.0.0.1',
    'liwei@0x7f.1',
    'liwei@ex%61mple.org',
    'liwei@example..org',
    '.liwei@example.org',
    'li..wei@example.org',
    'liwei.@example.org',
    '"li wei"@example.org',
    'liwei@[127.0.0.1]',
    'liwei@-example.org',
    `${'x'.repeat(65)}@example.org`,
    `李${'伟'.repeat(21)}@example.org`,
    `x@${'long.'.repeat(50)}example.org`,
  ])('is refused when it is %j', async (address) => {
    const carrier = openCarrier(`smtp://127.0.0.1:9?${FROM}`, closers)
    expect(await send(carrier, parcel({ address }))).toMatchObject({ outcome: 'failed', reason: 'INVALID_ADDRESS' })
  })
})

describe('a DKIM signature', () => {
  const unsubscribe = '&unsubscribe=https://h.example/u?d={id}&unsubscribeMailto=leave@h.example'

  it('holds for the whole mail, for the sender and for the way to unsubscribe', async () => {
    const { source } = await arrivalOf(`&dkim=posthouse.2026&dkimKeyFile=${keyFile}${unsubscribe}`)
    const { tags, fields } = signedFields(source, publicKey) ?? expect.fail('the signature does not hold')
    expect(tags).toMatchObject({ d: 'hospital.example', s: 'posthouse.2026', a: 'rsa-sha256', c: 'relaxed/relaxed' })
    expect(fields.toSorted()).toEqual([
      'content-type',
      'date',
      'from',
      'list-unsubscribe',
      'list-unsubscribe-post',
      'message-id',
      'mime-version',
      'subject',
      'to',
    ])
  })

  it('no longer holds when anything of it is changed', async () => {
    const { source } = await arrivalOf(`&dkim=a&dkimKeyFile=${keyFile}${unsubscribe}`)
    const changes: [string | RegExp, string][] = [
      ['One-Click', 'Two-Click'],
      [/u\?d=0/, 'u?d=1'],
      ['posthouse@', 'posthause@'],
      [/=E6=82=A8|5oKo/, '5oKn'],
    ]
    for (const [what, by] of changes) {
      const changed = source.toString('latin1').replace(what, by)
      expect(changed).not.toBe(source.toString('latin1'))
      expect(signedFields(Buffer.from(changed, 'latin1'), publicKey)).toBeUndefined()
    }
  })

  it('holds for texts with every kind of line end, with dots and with spaces at the ends of lines', async () => {
    const text = 'a \r\n.\r\n\tb\t \n\n  c\r d \n\n\n'
    const { source } = await arrivalOf(`&dkim=a&dkimKeyFile=${keyFile}`, saying({ content: text, text }))
    expect(signedFields(source, publicKey)).toBeDefined()
  })

  it('may be for another domain than the sender’s', async () => {
    const { source } = await arrivalOf(`&dkim=a&dkimDomain=mail.example&dkimKeyFile=${keyFile}`)
    expect(signedFields(source, publicKey)?.tags['d']).toBe('mail.example')
  })

  it('is not there without the settings', async () => {
    expect((await arrivalOf('')).source.toString()).not.toMatch(/dkim/i)
  })
})

describe('a way to unsubscribe', () => {
  const headers = async (settings: string) => {
    const { source } = await arrivalOf(settings, parcel({ messageId: 'f'.repeat(32) }))
    const [head = ''] = source.toString().split('\r\n\r\n')
    const unfolded = head.replace(/\r\n(?=[ \t])/g, '').split('\r\n')
    return unfolded.filter((line) => /^list-/i.test(line))
  }

  it('is one click with an https address of its own for the delivery', async () => {
    expect(await headers('&unsubscribe=https://h.example/u?d={id}%26m={messageId}')).toEqual([
      `List-Unsubscribe: <https://h.example/u?d=${ID}&m=${'f'.repeat(32)}>`,
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    ])
  })

  it('may be a mail as well, whose subject tells the delivery', async () => {
    expect(await headers('&unsubscribe=https://h.example/u/{id}&unsubscribeMailto=leave@h.example')).toEqual([
      `List-Unsubscribe: <https://h.example/u/${ID}>, <mailto:leave@h.example?subject=${ID}>`,
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
    ])
  })

  it('promises no click when there is only the mail', async () => {
    expect(await headers('&unsubscribeMailto=leave@h.example')).toEqual([
      `List-Unsubscribe: <mailto:leave@h.example?subject=${ID}>`,
    ])
  })

  it('stays whole however long it is', async () => {
    const path = 'x'.repeat(300)
    expect(await headers(`&unsubscribe=https://h.example/${path}/{id}`)).toContain(
      `List-Unsubscribe: <https://h.example/${path}/${ID}>`,
    )
  })

  it('is not there without the settings', async () => {
    expect(await headers('')).toEqual([])
  })
})

describe('the settings', () => {
  const url = (settings: string) => `smtp://mail?${FROM}&${settings}`
  const write = (name: string, text: string | Buffer) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  it.each([
    ['dkim=a', 'has dkim without a key; add dkimKeyFile=/path/to/private.pem'],
    [
      'dkimKeyFile=/x',
      'has DKIM settings without a selector; add dkim=<the selector under which the public key is published>',
    ],
    [
      'dkimDomain=example.org',
      'has DKIM settings without a selector; add dkim=<the selector under which the public key is published>',
    ],
    [
      'dkim=a&dkimKeyFile=/nowhere/key.pem',
      'cannot read dkimKeyFile=/nowhere/key.pem (ENOENT); name a file that the user Posthouse runs as can read',
    ],
    [
      'unsubscribeMailto=nobody',
      'has unsubscribeMailto=nobody, which is no mail address; write unsubscribeMailto=name@your.host',
    ],
  ])('%s is answered with what to write', (settings, mistake) => {
    expect(mistakesOf(url(settings))).toEqual([`CHANNEL_1003 ${mistake}`])
  })

  it.each(['a b', 'a._domainkey.', '-a', 'a;d=evil.example'])('dkim=%s is no selector', (selector) => {
    const [mistake] = mistakesOf(url(`dkim=${encodeURIComponent(selector)}&dkimKeyFile=${keyFile}`))
    expect(mistake).toMatch(/which is no selector; write /)
  })

  it.each(['nowhere', 'a b.example', ''])('dkimDomain=%s is no domain', (domain) => {
    const [mistake] = mistakesOf(url(`dkim=a&dkimDomain=${encodeURIComponent(domain)}&dkimKeyFile=${keyFile}`))
    expect(mistake).toMatch(/which is no domain; write /)
  })

  it.each([
    ['no key', () => 'hello', /finds no private key in PEM/],
    ['a public key', () => publicKey.export({ type: 'spki', format: 'pem' }), /finds no private key in PEM/],
    [
      'a key with a passphrase',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-256-cbc',
          passphrase: 'secret',
        }),
      /without a passphrase/,
    ],
    [
      'an Ed25519 key',
      () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
      /a key of type ed25519.*signs with RSA/,
    ],
    [
      'a short key',
      () => generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
      /an RSA key of 512 bits.*1024 bits or more/,
    ],
  ])('%s cannot sign, and one that can is told how to make', (_name, key, words) => {
    const file = write('other.pem', key())
    const mistakes = mistakesOf(url(`dkim=a&dkimKeyFile=${file}`))
    expect(mistakes).toEqual([expect.stringMatching(words)])
    expect(mistakes[0]).toContain(`make one with: openssl genrsa -out ${file} 2048`)
  })

  it.each([
    'http://h.example/u?d={id}',
    'https://h.example/u',
    'https://h.example/u?d={messageId}',
    'https://h.example/{id}/{recipient}',
    'https://h.example/{id}>,<https://evil.example',
    'https://h.example/{id}\r\nBcc: a@b.example',
    'https:///{id}',
    'https://h.example/取消/{id}',
    'mailto:a@b.example?subject={id}',
  ])('unsubscribe=%j is no address for one click', (template) => {
    const mistakes = mistakesOf(url(`unsubscribe=${encodeURIComponent(template)}`))
    expect(mistakes).toEqual([expect.stringContaining('write unsubscribe=https://your.host/unsubscribe?d={id}')])
  })
})
