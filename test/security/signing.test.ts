/** Who tries to get in with a signature that is not good for what he sends; and the examples of docs/signing.md, as printed. */
import { execFile, execFileSync } from 'node:child_process'
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { setAppEnabled } from '../../src/apps/keep.ts'
import { APP, boot, run, type Running } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const PUSH = '/api/openApi/message/push/channel'
const GUIDE = readFileSync(new URL('../../docs/signing.md', import.meta.url), 'utf8')
const BY = { actor: 'admin', requestId: 'request-1' }
const MAKE = `mutation ($id: String!, $kind: KeyKind) { createAppKey(id: $id, kind: $kind) { keyId kind secret bearer } }`
const CREATE = `mutation ($input: CreateAppInput!) { createApp(input: $input) { keyId kind secret bearer } }`
const REVOKE = `mutation ($keyId: String!) { revokeAppKey(keyId: $keyId) { id } }`
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

type Key = { keyId: string; kind: string; secret: string; bearer: string }

const bodyOf = (appId: string) =>
  JSON.stringify({
    appId,
    receiverType: 'specified',
    receiverData: { user: ['USER001'] },
    channelData: { '1002': { title: '签', content: '签' } },
  })

type Signing = Partial<{ at: number; nonce: string; method: string; target: string; body: string; secret: string }>

/** The header of a request to push as that app's, or of what `signing` says instead. */
function sign(key: Key, signing: Signing = {}): string {
  const { at = 0, nonce = randomUUID(), method = 'POST', target = PUSH, body = '', secret = key.secret } = signing
  const seconds = Math.floor(Date.now() / 1000) + at
  const text = ['PH1', method, target, seconds, nonce, sha256(body)].join('\n')
  const signature = createHmac('sha256', sha256(secret)).update(text).digest('hex')
  return `PH1-HMAC-SHA256 ${key.keyId}:${seconds}:${nonce}:${signature}`
}

describe.each(stores)('a signature, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  /** Another node where a store can carry one. */
  let other: Running
  let app: string
  let key: Key
  let made = 0
  beforeAll(async () => {
    posthouse = await run(store, {})
    other = store.name === 'PGlite' ? posthouse : await boot(posthouse.place.env)
    ;({ id: app, key } = await create('SIGNING'))
  })
  afterAll(async () => {
    if (other !== posthouse) await other.stop()
    await posthouse.stop()
  })

  async function create(keyKind: string): Promise<{ id: string; key: Key }> {
    const id = `signer${made++}`
    const input = { id, name: id, grants: ['channel:*'], keyKind, legacyFrom: ['127.0.0.1', '::1'] }
    const answer = await posthouse.graphql(posthouse.adminKey, CREATE, { input })
    return { id, key: answer.data?.['createApp'] as Key }
  }

  const push = async (authorization: string, { body = bodyOf(app), target = PUSH, node = posthouse as Running } = {}) =>
    (await node.post(target, body, { authorization })).status
  const good = (signing: Signing = {}) => sign(key, { body: bodyOf(app), ...signing })

  it('lets its app push, and ask by GET, where the query is signed too', async () => {
    const body = bodyOf(app)
    const pushed = await posthouse.post(PUSH, body, { authorization: good() })
    expect(pushed).toMatchObject({ status: 200, body: { code: 200, msg: '操作成功' } })
    const target = `/api/openApi/message/status?appId=${app}&msgId=${pushed.body.msgId}`
    const status = (authorization: string) => fetch(posthouse.url + target, { headers: { authorization } })
    expect((await status(sign(key, { method: 'GET', target }))).status).toBe(200)
    expect((await status(sign(key, { method: 'GET', target: target.replace(/.$/, '') }))).status).toBe(401)
  })

  it('lets its app ask in GraphQL over HTTP, for the body that is signed', async () => {
    const body = '{"query":"{ __typename }"}'
    const ask = async (authorization: string, sent = body) =>
      (await (
        await fetch(`${posthouse.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization },
          body: sent,
        })
      ).json()) as { errors?: { extensions: { code: string } }[] }
    const code = async (...sent: Parameters<typeof ask>) => (await ask(...sent)).errors?.[0]?.extensions.code
    const header = sign(key, { target: '/graphql', body })
    expect(await ask(header)).toEqual({ data: { __typename: 'Query' } })
    expect(await code(header)).toBe('UNAUTHENTICATED')
    expect(await code(sign(key, { target: '/graphql', body }), `${body} `)).toBe('UNAUTHENTICATED')
    expect(await code(sign(key, { target: '/graphql?x=1', body }))).toBe('UNAUTHENTICATED')
  })

  it('is good once: a replay is refused, on the other node as well', async () => {
    const [first, second] = [good(), good()]
    expect(await push(first)).toBe(200)
    expect(await push(first)).toBe(401)
    expect(await push(first, { node: other })).toBe(401)
    const raced = await Promise.all(
      Array.from({ length: 8 }, (_, at) => push(second, { node: at % 2 ? other : posthouse })),
    )
    expect(raced.toSorted((a, b) => a - b)).toEqual([200, ...Array(7).fill(401)])
  })

  it('that was refused does not use up its nonce for the one that is right', async () => {
    const nonce = randomUUID()
    expect(await push(good({ nonce, secret: 'guessed' }))).toBe(401)
    expect(await push(good({ nonce }))).toBe(200)
  })

  it.each<[string, Signing]>([
    ['older than five minutes', { at: -310 }],
    ['of a time to come', { at: 310 }],
    ['of another body', { body: '{}' }],
    ['of another path', { target: '/api/openApi/message/push/template' }],
    ['with a query that was not sent', { target: `${PUSH}?x=1` }],
    ['of another method', { method: 'GET' }],
    ['by another secret', { secret: 'guessed' }],
  ])('is refused when it is %s', async (_what, signing) => {
    expect(await push(good(signing))).toBe(401)
  })

  it('is refused when something is added to the query behind it', async () => {
    expect(await push(good(), { target: `${PUSH}?x=1` })).toBe(401)
  })

  it('is taken when it is nearly five minutes off', async () => {
    expect([await push(good({ at: -290 })), await push(good({ at: 290 }))]).toEqual([200, 200])
  })

  it.each([
    (header: string) => header.replace('PH1-HMAC-SHA256', 'PH1-HMAC-SHA1'),
    (header: string) => header.replace('PH1-HMAC-SHA256', 'ph1-hmac-sha256'),
    (header: string) => header.replace(/:[^:]*$/, ''),
    (header: string) => header.replace(/:[^:]*$/, ':'),
    (header: string) => header.slice(0, -1),
    (header: string) => `${header}0`,
    (header: string) => header.replace(/[^:]*$/, (hex) => hex.toUpperCase()),
    (header: string) => header.replace(/:(\d+):/, ':0$1:'),
    (header: string) => header.replace(/:(\d+):/, ':-$1:'),
    (header: string) => header.replace(/:(\d+):/, ':1e9:'),
    (header: string) => header.replace(/:(\d+):/, ':999999999999:'),
    (header: string) => header.replace(/ [^:]*:/, ' :'),
    (header: string) => header.replace(/ [^:]*:/, ' nokey:'),
    (header: string) => header.replace(' ', '  '),
    (header: string) => `Bearer ${header}`,
    () => 'PH1-HMAC-SHA256',
    () => `PH1-HMAC-SHA256 ${':'.repeat(1000)}`,
  ])('that is written wrong is refused: %s', async (wrong) => {
    expect(await push(wrong(good()))).toBe(401)
  })

  it('with a nonce that is too short to be one of many is refused', async () => {
    expect([await push(good({ nonce: 'a'.repeat(15) })), await push(good({ nonce: 'a'.repeat(65) }))]).toEqual([
      401, 401,
    ])
    expect([await push(good({ nonce: 'a'.repeat(16) })), await push(good({ nonce: 'a'.repeat(64) }))]).toEqual([
      200, 200,
    ])
  })

  it('that is wrong is refused though the app may push from here with its appId alone', async () => {
    expect((await posthouse.post(PUSH, bodyOf(app))).status).toBe(200)
    expect(await push(good({ secret: 'guessed' }))).toBe(401)
  })

  it("with one app's key says nothing for another app", async () => {
    const { id } = await create('SIGNING')
    expect(await push(sign(key, { body: bodyOf(id) }), { body: bodyOf(id) })).toBe(401)
  })

  it('needs a signing key: neither kind of key does for the other', async () => {
    const bearer = await create('BEARER')
    const body = bodyOf(bearer.id)
    expect(bearer.key.kind).toBe('BEARER')
    expect(await push(`Bearer ${bearer.key.bearer}`, { body })).toBe(200)
    expect(await push(sign(bearer.key, { body }), { body })).toBe(401)
    expect(key.kind).toBe('SIGNING')
    expect(await push(`Bearer ${key.bearer}`)).toBe(401)
    expect(await push(`Bearer ph_${key.keyId}_${sha256(key.secret)}`)).toBe(401)
  })

  it('is refused once its key is revoked, or its app disabled', async () => {
    const { id, key: first } = await create('SIGNING')
    const body = bodyOf(id)
    const second = (await posthouse.graphql(posthouse.adminKey, MAKE, { id, kind: 'SIGNING' })).data?.[
      'createAppKey'
    ] as Key
    const both = async () => [await push(sign(first, { body }), { body }), await push(sign(second, { body }), { body })]
    expect(await both()).toEqual([200, 200])
    await posthouse.graphql(posthouse.adminKey, REVOKE, { keyId: first.keyId })
    expect(await both()).toEqual([401, 200])
    await setAppEnabled(posthouse.context.db, BY, id, false)
    expect(await both()).toEqual([401, 401])
  })

  it('opens no socket: there is no request to sign', async () => {
    const header = good({ target: '/graphql', method: 'GET', body: '' })
    const signed = createClient({
      url: `${posthouse.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: header },
      retryAttempts: 0,
    })
    await expect(signed.iterate({ query: '{ __typename }' }).next()).rejects.toMatchObject({ code: 4403 })
  })

  it('over a body that is too large is refused for the size, and the nonce stays good', async () => {
    const nonce = randomUUID()
    const body = bodyOf(app).replace('签', '签'.repeat(400_000))
    expect((await posthouse.post(PUSH, body, { authorization: good({ nonce, body }) })).status).toBe(413)
    expect(await push(good({ nonce }))).toBe(200)
  })
})

describe('docs/signing.md', () => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let env: Record<string, string>
  let folder: string
  beforeAll(async () => {
    posthouse = await run(stores[0]!, {})
    const made = await posthouse.graphql(posthouse.adminKey, MAKE, { id: APP, kind: 'SIGNING' })
    const { keyId, secret } = (made.data?.['createAppKey'] ?? {}) as Key
    env = {
      POSTHOUSE: posthouse.url,
      KEY_ID: keyId,
      SECRET: secret,
      LC_ALL: 'C.UTF-8',
      PATH: process.env['PATH'] ?? '',
    }
    folder = mkdtempSync(join(tmpdir(), 'posthouse-signing-'))
  })
  afterAll(async () => {
    await posthouse.stop()
    rmSync(folder, { recursive: true })
  })

  const example = (language: string) => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(GUIDE)?.[1] ?? ''
  async function says(command: string, file: string, text: string): Promise<unknown> {
    writeFileSync(join(folder, file), text)
    const { stdout } = await promisify(execFile)(command, [join(folder, file)], { env })
    return JSON.parse(stdout)
  }
  const done = { code: 200, msg: '操作成功', msgId: expect.stringMatching(/^[0-9a-f]{32}$/) }

  it('works out the signature that it prints', () => {
    const [, secret = '', seconds = '', nonce = ''] =
      /With `secret` `(\S+)`, seconds `(\d+)`, nonce `(\w+)`/.exec(GUIDE) ?? []
    const text = ['PH1', 'POST', PUSH, seconds, nonce, sha256(example('json').trimEnd())].join('\n')
    expect(GUIDE).toContain(`has the signature \`${createHmac('sha256', sha256(secret)).update(text).digest('hex')}\``)
  })

  it('shows Node code that pushes', async () => {
    expect(await says(process.execPath, 'push.mjs', example('js'))).toEqual(done)
  })

  it.skipIf(!has('openssl') || !has('curl'))(
    'shows shell lines that push (skipped without openssl and curl)',
    async () => {
      expect(await says('sh', 'push.sh', example('sh'))).toEqual(done)
    },
  )

  it.skipIf(!has('javac'))(
    'shows a Java program that pushes (skipped without a JDK)',
    async () => {
      expect(await says('java', 'Push.java', example('java'))).toEqual(done)
    },
    60_000,
  )
})

function has(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(':')
  if (!folders.some((folder) => existsSync(join(folder, program)))) return false
  if (program !== 'javac') return true
  return Number(/(\d+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 0) >= 17
}
