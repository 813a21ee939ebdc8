/** One click in a mail program (RFC 8058), and the page for whoever follows the link by hand. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { signedFields } from '../kit/dkim.ts'
import { mailServer } from '../kit/mail-server.ts'
import { APP, eventually, run, SECRETS } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { preferencesOf } from './kit.ts'

const PUBLIC = 'https://posthouse.hospital.example/hub'
const CLICK = 'List-Unsubscribe=One-Click'
const FORM = 'application/x-www-form-urlencoded'
const severalParts = (name: string, value: string) => {
  const form = new FormData()
  form.set(name, value)
  return form
}
const MAIL = { '1003': { title: 'title', content: '<p>text</p>' } }

describe.each(stores)('the link in a mail, on $name', (store) => {
  let server: Awaited<ReturnType<typeof mailServer>>
  let posthouse: Awaited<ReturnType<typeof run>>
  let to: ReturnType<typeof preferencesOf>
  const folder = mkdtempSync(join(tmpdir(), 'posthouse-'))
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  beforeAll(async () => {
    writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    server = await mailServer()
    posthouse = await run(store, {
      PUBLIC_URL: `${PUBLIC}/`,
      CHANNEL_1003: `smtp://localhost:${server.port}?from=posthouse@hospital.example&dkim=s1&dkimKeyFile=${join(folder, 'key.pem')}`,
    })
    to = preferencesOf(posthouse)
  })
  beforeEach(async () => {
    server.arrived.length = 0
    await to.forget()
  })
  afterAll(async () => {
    await posthouse.stop()
    await server.stop()
    rmSync(folder, { recursive: true })
  })

  /** Sends a mail to this user, and gives what came. */
  async function mailTo(user: string, more: Record<string, unknown> = {}) {
    const before = server.arrived.length
    await to.send([user], { channelData: MAIL, ...more })
    await eventually(() => server.arrived.length > before)
    const source = server.arrived[before]?.source ?? Buffer.alloc(0)
    const header = (name: string) => new RegExp(`^${name}: (.*)\r$`, 'im').exec(source.toString('latin1'))?.[1]
    const link = /^<(.*)>$/.exec(header('List-Unsubscribe') ?? '')?.[1] ?? ''
    return { source, link, post: header('List-Unsubscribe-Post') }
  }
  /** As the proxy at PUBLIC_URL hands it on. */
  const here = (link: string) => link.replace(PUBLIC, posthouse.url)
  const follow = async (link: string, init: RequestInit = {}) => {
    const response = await fetch(here(link), init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  const click = (link: string, body: BodyInit = CLICK, type: string | null = FORM) =>
    follow(link, { method: 'POST', body, headers: type === null ? {} : { 'content-type': type } })
  const switches = async (user: string) =>
    (
      await to.must(
        posthouse.adminKey,
        `query ($user: String) { preferences(user: $user) { changedBy switches { msgType channelId isOn } } }`,
        { user },
      )
    )['preferences']
  const OFF = { changedBy: 'LINK', switches: [{ msgType: 'notice', channelId: '1003', isOn: false }] }

  it('is an https address of this house, signed with the mail', async () => {
    const { source, link, post } = await mailTo('USER001')
    expect(link).toMatch(/^https:\/\/posthouse\.hospital\.example\/hub\/unsubscribe\/[\w-]+\.[\w-]+\.[\w-]{43}$/)
    expect(post).toBe(CLICK)
    expect(signedFields(source, publicKey)?.fields).toEqual(
      expect.arrayContaining(['list-unsubscribe', 'list-unsubscribe-post']),
    )
    expect((await mailTo('USER001')).link).toBe(link)
    expect((await mailTo('USER002')).link).not.toBe(link)
  })

  it('ends in no more mail of the type, for this person and channel alone, however often it is clicked', async () => {
    const { link } = await mailTo('USER001')
    expect((await click(link)).status).toBe(200)
    expect(await switches('USER001')).toEqual(OFF)
    expect((await click(link)).status).toBe(200)
    expect(await switches('USER001')).toEqual(OFF)
    const { body } = await posthouse.push(['USER001', 'USER002'], 't', {
      channelData: { ...MAIL, '1001': { content: 't' } },
    })
    await eventually(async () => {
      const rows = await to.rows(body.msgId ?? '')
      return (
        rows.map(({ channelId, state }) => `${channelId} ${state}`).join() ===
        '1001 sent,1003 skipped,1001 sent,1003 sent'
      )
    })
    await mailTo('USER001', { msgType: 'reminder' })
  })

  it.each([
    ['urlencoded', () => CLICK, FORM],
    ['with a charset', () => CLICK, `${FORM}; charset=UTF-8`],
    ['of several parts', () => severalParts('List-Unsubscribe', 'One-Click'), null],
  ])('takes a form %s', async (_name, body, type) => {
    const { link } = await mailTo('USER001')
    expect((await click(link, body(), type)).status).toBe(200)
    expect(await switches('USER001')).toEqual(OFF)
  })

  it('changes nothing when it is only looked at, as programs that check links do', async () => {
    const { link } = await mailTo('USER001')
    for (const method of ['GET', 'HEAD', 'GET']) expect((await follow(link, { method })).status).toBe(200)
    expect((await switches('USER001')).switches).toEqual([])
    const { headers, text } = await follow(link)
    expect(text).toContain('退订此类消息？')
    expect(text).toContain('name="List-Unsubscribe" value="One-Click"')
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringMatching(
        /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'/,
      ),
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-robots-tag': 'noindex',
    })
    expect(text).not.toMatch(/<script|https?:|src=|USER001/i)
  })

  it.each([
    ['empty', '', FORM],
    ['another word', 'List-Unsubscribe=no', FORM],
    ['JSON', '{"List-Unsubscribe":"One-Click"}', 'application/json'],
    ['a broken form', '--x', 'multipart/form-data; boundary=y'],
  ])('changes nothing for a body that is %s', async (_name, body, type) => {
    const { link } = await mailTo('USER001')
    expect((await click(link, body, type)).status).toBe(400)
    expect((await switches('USER001')).switches).toEqual([])
  })

  it('refuses a body without end, and other methods', async () => {
    const { link } = await mailTo('USER001')
    expect((await click(link, CLICK + '&x='.padEnd(2 * 1024 * 1024, 'x'))).status).toBe(413)
    const { status, headers } = await follow(link, { method: 'DELETE' })
    expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD, POST'])
    expect((await switches('USER001')).switches).toEqual([])
  })

  it('leads to a page that says what was switched off, and switches it on again', async () => {
    await to.must(
      posthouse.adminKey,
      'mutation { setMsgType(code: "notice", name: "<院内通知>", isMandatory: false) { code } }',
      {},
    )
    const { link } = await mailTo('USER001')
    const off = await click(link)
    expect(off.text).toContain('已退订')
    expect(off.text).toContain('&#60;院内通知&#62;')
    expect(off.text).toContain('name="act" value="on"')
    expect((await follow(link)).text).toBe(off.text)
    expect((await click(link, 'act=on')).text).toContain('已恢复接收')
    expect((await switches('USER001')).switches).toEqual([])
    await mailTo('USER001')
  })

  it('switches on again also what a wider switch had off, and nothing else', async () => {
    const { link } = await mailTo('USER001')
    await to.as('USER001', { channelId: '1003', isOn: false })
    expect((await follow(link)).text).toContain('已退订')
    await click(link, 'act=on')
    expect((await switches('USER001')).switches).toEqual([
      { msgType: null, channelId: '1003', isOn: false },
      { msgType: 'notice', channelId: '1003', isOn: true },
    ])
  })

  it('is not in a mandatory mail; one of before says that it cannot be switched off', async () => {
    const { link } = await mailTo('USER001')
    await to.mandatory('notice', true)
    const mandatory = await mailTo('USER001')
    expect([mandatory.link, mandatory.post]).toEqual(['', undefined])
    for (const { status, text } of [await follow(link), await click(link)]) {
      expect(status).toBe(200)
      expect(text).toContain('此类消息不能退订')
      expect(text).not.toContain('<form')
    }
    expect((await switches('USER001')).switches).toEqual([])
  })

  it('is not in a mail to a bare address', async () => {
    const { body } = await posthouse.push([], 't', {
      receiverType: 'custom',
      receiverData: { '1003': ['somebody@example.org', 'USER002'] },
      channelData: MAIL,
    })
    expect(body.code).toBe(200)
    await eventually(() => server.arrived.length === 2)
    const linked = server.arrived.filter(({ source }) => source.includes('List-Unsubscribe:'))
    expect(linked.map(({ to }) => to)).toEqual([['chenjing@example.org']])
  })

  it('is a key that nobody can make: not without the secret, not out of another token', async () => {
    const { link } = await mailTo('USER001')
    const token = link.split('/').at(-1) ?? ''
    const [head = '', body = '', signature = ''] = token.split('.')
    const other = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(body, 'base64url').toString()), sub: 'USER002' }),
    )
    const signed = (audience: string, secret: string) =>
      new SignJWT({ msgType: 'notice', channelId: '1003' })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('USER002')
        .setIssuer('posthouse')
        .setAudience(audience)
        .sign(new TextEncoder().encode(secret))
    const forged = [
      '',
      'x',
      `${head}.${other.toString('base64url')}.${signature}`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`,
      await posthouse.token('USER002'),
      await signed('posthouse-inbox', SECRETS.INBOX_JWT_SECRET),
      await signed('posthouse-unsubscribe', 'another-secret-of-the-tests-0123456789abcdef'),
    ]
    for (const one of forged) {
      const { status, text } = await click(`${PUBLIC}/unsubscribe/${one}`)
      expect([one, status]).toEqual([one, 404])
      expect(text).toContain('链接无效')
    }
    expect((await switches('USER002')).switches).toEqual([])
    // Nor does it open anything else.
    const { errors } = await posthouse.graphql(token, '{ inboxCounts { unread } }')
    expect(errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
  })

  it('says so when the person is gone', async () => {
    await query(
      posthouse.context.db,
      sql`insert into users (code, name, email) values ('GONE', 'gone', 'gone@example.org')`,
    )
    const { link } = await mailTo('GONE')
    await query(posthouse.context.db, sql`delete from users where code = 'GONE'`)
    expect((await click(link)).status).toBe(404)
    const [row] = await query<{ count: number }>(
      posthouse.context.db,
      sql`select count(*)::int as count from preferences`,
    )
    expect(row?.count).toBe(0)
  })
})

describe('PUBLIC_URL', () => {
  const [store] = stores as [(typeof stores)[number]]

  it('is what links need: without it there are none, and a channel of its own address keeps that', async () => {
    const server = await mailServer()
    const url = `smtp://localhost:${server.port}?from=posthouse@hospital.example`
    const headers: string[] = []
    for (const env of [
      { CHANNEL_1003: url },
      { CHANNEL_1003: `${url}&unsubscribe=https://own.example/{id}`, PUBLIC_URL: PUBLIC },
      { CHANNEL_1003: `${url}&unsubscribeMailto=leave@own.example`, PUBLIC_URL: PUBLIC },
    ] as Record<string, string>[]) {
      const posthouse = await run(store, env)
      await posthouse.push(['USER001'], 't', { appId: APP, channelData: MAIL })
      const before = headers.length
      await eventually(() => server.arrived.length > before)
      const text = server.arrived.at(-1)?.source.toString('latin1').replaceAll('\r\n ', ' ') ?? ''
      headers.push(/^List-Unsubscribe: (.*)\r$/m.exec(text)?.[1] ?? '')
      await posthouse.stop()
    }
    expect(headers).toEqual([
      '',
      expect.stringMatching(/^<https:\/\/own\.example\/[0-9a-f]{32}>$/),
      expect.stringMatching(
        /^<https:\/\/posthouse\.hospital\.example\/hub\/unsubscribe\/[^>]+>, <mailto:leave@own\.example\?subject=[0-9a-f]{32}>$/,
      ),
    ])
    await server.stop()
  })
})
