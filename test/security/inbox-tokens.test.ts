/** Who tries to read an inbox with a token that is not good for it, and how a token stops being good. */
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey, type JWK } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { inboxToken } from '../../src/apps/tokens.ts'
import { httpServer } from '../kit/http-server.ts'
import { boot, run, SECRETS } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const ISSUER = 'https://id.hospital.example'
const PREVIOUS = 'the-inbox-secret-before-this-one-0123456789'
const NOW = () => Math.floor(Date.now() / 1000)

type Key = { alg: string; kid: string; privateKey: CryptoKey; jwk: JWK; pem: string }
async function makeKey(alg: string, kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), alg, kid }, pem: await exportSPKI(publicKey) }
}
const [rsa, ec, ed, fresh, stranger] = await Promise.all([
  makeKey('RS256', 'r'),
  makeKey('ES256', 'e'),
  makeKey('EdDSA', 'd'),
  makeKey('RS256', 'fresh'),
  makeKey('RS256', 'r'),
])

describe.each(stores)('an inbox token, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let issuer: Awaited<ReturnType<typeof httpServer>>
  let published: JWK[]
  let isDown: boolean
  let settings: Record<string, string>
  beforeAll(async () => {
    issuer = await httpServer(() => (isDown ? { status: 503, body: {} } : { body: { keys: published } }))
    settings = {
      INBOX_JWT_SECRET_PREVIOUS: PREVIOUS,
      INBOX_JWKS_URL: `${issuer.url}/jwks.json`,
      INBOX_JWT_ISSUER: ISSUER,
      INBOX_JWT_AUDIENCE: 'hospital',
      INBOX_JWT_USER_CLAIM: 'employee',
    }
    posthouse = await run(store, settings)
  })
  beforeEach(() => {
    published = [rsa.jwk, ec.jwk, ed.jwk]
    isDown = false
  })
  afterAll(async () => {
    await posthouse.stop()
    await issuer.stop()
  })

  /** What a token of the hospital's own issuer says. */
  const claims = (more: Record<string, unknown> = {}) => ({
    iss: ISSUER,
    aud: 'hospital',
    sub: 'opaque',
    employee: 'USER001',
    exp: NOW() + 600,
    ...more,
  })
  const signed = ({ alg, kid, privateKey }: Key, payload: Record<string, unknown> = claims(), header = {}) =>
    new SignJWT(payload).setProtectedHeader({ alg, kid, ...header }).sign(privateKey)
  const hmac = (secret: string, payload: Record<string, unknown>) =>
    new SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret))
  const ours = (more: Record<string, unknown> = {}) => ({
    iss: 'posthouse',
    aud: 'posthouse-inbox',
    sub: 'USER001',
    iat: NOW(),
    exp: NOW() + 600,
    ...more,
  })
  /** `undefined` when it is let in, else the code of the refusal. */
  async function codeFor(token: string, node: { url: string } = posthouse): Promise<unknown> {
    const response = await fetch(`${node.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ inboxCounts { unread } }' }),
    })
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] }
    return errors?.[0]?.extensions.code
  }

  it('is taken from the hospital’s own issuer, by each algorithm that is allowed, and means the person of the set claim', async () => {
    for (const key of [rsa, ec, ed]) expect([key.alg, await codeFor(await signed(key))]).toEqual([key.alg, undefined])
    expect(await codeFor(await signed(rsa, claims({ employee: 'NOBODY' })))).toBe('UNAUTHENTICATED')
    expect(await codeFor(await signed(rsa, claims({ employee: 'USER044' })))).toBe('UNAUTHENTICATED')
    expect(await codeFor(await signed(rsa, claims({ employee: 7 })))).toBe('UNAUTHENTICATED')
    expect(await codeFor(await signed(rsa, claims({ employee: undefined })))).toBe('UNAUTHENTICATED')
  })

  it('is refused unsigned, signed by a stranger, or with an algorithm swapped for another', async () => {
    const unsigned = new UnsecuredJWT(claims()).encode()
    const [, payload] = unsigned.split('.')
    const header = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const forged = {
      none: unsigned,
      'none, as ours': new UnsecuredJWT(ours()).encode(),
      'None in another case': `${header({ alg: 'nOnE' })}.${payload}.`,
      'a stranger under a known kid': await signed(stranger),
      'HS256 with the published key as the secret': await hmac(rsa.pem, claims()),
      'HS256 with our secret, as the other issuer': await hmac(SECRETS.INBOX_JWT_SECRET, claims()),
      'RS256 by the other issuer, as ours': await signed(rsa, ours()),
      'HS256 with an empty secret': await hmac('\0', ours()),
      'a key that it brings along': await signed(stranger, claims(), { kid: 'own', jwk: stranger.jwk }),
      'a key set that it names': await signed(stranger, claims(), { kid: 'own', jku: `${issuer.url}/mine.json` }),
      'a critical header that nobody knows': await signed(rsa, claims(), { crit: ['b64x'], b64x: true }).catch(
        () => 'x.y.z',
      ),
      'no signature': (await signed(rsa)).replace(/[^.]*$/, ''),
      'a signature cut short': (await signed(rsa)).slice(0, -4),
      'very long': `${header({ alg: 'HS256' })}.${'A'.repeat(9_000)}.x`,
    }
    for (const [what, token] of Object.entries(forged))
      expect([what, await codeFor(token)]).toEqual([what, 'UNAUTHENTICATED'])
    expect(issuer.calls.some(({ url }) => url.pathname !== '/jwks.json')).toBe(false)
  })

  it('is refused for another issuer or audience, before its time, after it, and without an end', async () => {
    const wrong = {
      'another issuer': claims({ iss: 'https://evil.example' }),
      'no issuer': claims({ iss: undefined }),
      'another audience': claims({ aud: 'posthouse-inbox' }),
      'no audience': claims({ aud: undefined }),
      ended: claims({ exp: NOW() - 60 }),
      'not yet': claims({ nbf: NOW() + 60 }),
      'without an end': claims({ exp: undefined }),
    }
    for (const [what, payload] of Object.entries(wrong))
      expect([what, await codeFor(await signed(rsa, payload))]).toEqual([what, 'UNAUTHENTICATED'])
    for (const payload of [
      ours({ iss: ISSUER }),
      ours({ aud: 'hospital' }),
      ours({ exp: undefined }),
      ours({ nbf: NOW() + 60 }),
    ])
      expect(await codeFor(await hmac(SECRETS.INBOX_JWT_SECRET, payload))).toBe('UNAUTHENTICATED')
    expect(await codeFor(await hmac(SECRETS.INBOX_JWT_SECRET, ours()))).toBeUndefined()
  })

  it('is taken with the secret before, while secrets change, and with no other', async () => {
    expect(await codeFor(await hmac(PREVIOUS, ours()))).toBeUndefined()
    expect(await codeFor(await hmac('some-other-secret-of-32-characters-0123', ours()))).toBe('UNAUTHENTICATED')
    const { data } = await posthouse.graphql(posthouse.adminKey, 'mutation { inboxToken(user: "USER001") { token } }')
    const place = await store.place()
    const next = await boot({ ...place.env, INBOX_JWT_SECRET: PREVIOUS })
    // What is made now is made with the new one.
    expect(await codeFor(data!['inboxToken'].token, next)).toBe('UNAUTHENTICATED')
    await next.stop()
    await place.remove()
  })

  it('of a key that is new is taken once it is published, and the key set is not asked for each token', async () => {
    const place = await store.place()
    const node = await boot({ ...place.env, ...settings })
    const before = issuer.calls.length
    for (let round = 0; round < 20; round++) expect(await codeFor(await signed(rsa), node)).toBeUndefined()
    for (let round = 0; round < 20; round++) expect(await codeFor(await signed(fresh), node)).toBe('UNAUTHENTICATED')
    expect(issuer.calls.length - before).toBeLessThanOrEqual(3)
    published = [fresh.jwk]
    await expect
      .poll(async () => codeFor(await signed(fresh), node), { timeout: 15_000, interval: 500 })
      .toBeUndefined()
    await node.stop()
    await place.remove()
  }, 30_000)

  it('is told to come later, not refused, while no key was ever had; known keys do until the issuer is back', async () => {
    const place = await store.place()
    isDown = true
    const node = await boot({ ...place.env, ...settings })
    expect(await codeFor(await signed(rsa), node)).toBe('UNAVAILABLE')
    isDown = false
    await expect.poll(async () => codeFor(await signed(rsa), node), { timeout: 15_000, interval: 500 }).toBeUndefined()
    isDown = true
    expect(await codeFor(await signed(rsa), node)).toBeUndefined()
    expect(await codeFor(await signed(stranger), node)).toBe('UNAUTHENTICATED')
    await node.stop()
    await place.remove()
  }, 30_000)

  it('that is taken back by its id is refused, and the person’s others are not', async () => {
    const make = async () => {
      const { data } = await posthouse.graphql(
        posthouse.adminKey,
        'mutation { inboxToken(user: "USER005") { token jti } }',
      )
      return data!['inboxToken'] as { token: string; jti: string }
    }
    const [one, other] = [await make(), await make()]
    const revoke = 'mutation ($jti: String) { revokeInboxTokens(user: "USER005", jti: $jti) { user } }'
    await posthouse.graphql(posthouse.adminKey, revoke, { jti: one.jti })
    expect(await codeFor(one.token)).toBe('UNAUTHENTICATED')
    expect(await codeFor(other.token)).toBeUndefined()
    // Another person's token with the same id is another token.
    expect(await codeFor(await hmac(SECRETS.INBOX_JWT_SECRET, ours({ sub: 'USER006', jti: one.jti })))).toBeUndefined()
    const { data } = await posthouse.graphql(
      posthouse.adminKey,
      '{ auditEntries(filter: { act: "user.revokeTokens" }) { edges { node { subject after } } } }',
    )
    expect(data!['auditEntries'].edges[0].node).toEqual({ subject: 'USER005', after: { jti: one.jti } })
  })

  it('that is taken back with all of the person’s is refused on every node, whoever made it; one made a moment later is good', async () => {
    const before = [
      (await inboxToken(SECRETS.INBOX_JWT_SECRET, 'USER007', 600)).token,
      await hmac(SECRETS.INBOX_JWT_SECRET, ours({ sub: 'USER007', iat: undefined })),
      await signed(ec, claims({ employee: 'USER007', iat: NOW() })),
    ]
    for (let round = 0; round < 3; round++) {
      await posthouse.graphql(posthouse.adminKey, 'mutation { revokeInboxTokens(user: "USER007") { user } }')
      const { data } = await posthouse.graphql(posthouse.adminKey, 'mutation { inboxToken(user: "USER007") { token } }')
      expect(await codeFor(data!['inboxToken'].token)).toBeUndefined()
      for (const token of before) expect(await codeFor(token)).toBe('UNAUTHENTICATED')
      before.push(data!['inboxToken'].token)
    }
    expect(await codeFor(await signed(ec, claims({ employee: 'USER007', iat: NOW() + 2 })))).toBeUndefined()
    expect(await codeFor(await posthouse.token('USER008'))).toBeUndefined()
  })

  it('ends with its person logging out: this device, or all of them', async () => {
    const [here, there] = [await posthouse.token('USER009'), await posthouse.token('USER009')]
    const socket = posthouse.socket(there)
    const live = socket.iterate({ query: 'subscription { inboxChanges { __typename } }' })
    await live.next()
    await posthouse.graphql(here, 'mutation { logOut { user } }')
    expect([await codeFor(here), await codeFor(there)]).toEqual(['UNAUTHENTICATED', undefined])
    const another = await posthouse.token('USER009')
    await posthouse.graphql(another, 'mutation { logOut(everywhere: true) { user } }')
    expect([await codeFor(another), await codeFor(there)]).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED'])
    await expect(drain(live)).rejects.toMatchObject({ code: 4403, reason: 'Not good any more' })
    const nameless = await hmac(SECRETS.INBOX_JWT_SECRET, ours({ sub: 'USER010' }))
    expect((await posthouse.graphql(nameless, 'mutation { logOut { user } }')).errors?.[0]?.message).toContain(
      'everywhere',
    )
  })

  it('is renewed on its socket, subscriptions and all, by one of the same person only', async () => {
    const RENEW = 'mutation ($token: String!) { renewToken(token: $token) { expiresAt } }'
    const client = posthouse.socket(await posthouse.token('USER011', 3))
    const once = async (query: string, variables = {}) =>
      (await client.iterate<Record<string, any>>({ query, variables }).next()).value
    const live = client.iterate({
      query: 'subscription { inboxChanges { __typename ... on ItemChanged { item { title } } } }',
    })
    const plain = client.iterate({
      query:
        'subscription ($not: Boolean = false) { inboxChanges { __typename ... on ItemChanged @skip(if: $not) { item { title } } } }',
    })
    for (const stream of [live, plain]) for (let n = 0; n < 2; n++) await stream.next()
    const wrong = [
      await posthouse.token('USER012'),
      await posthouse.token('USER011', -60),
      posthouse.adminKey,
      'nonsense',
    ]
    for (const token of wrong) expect((await once(RENEW, { token })).errors[0].extensions.code).toBe('UNAUTHENTICATED')
    const { data } = await once(RENEW, { token: await posthouse.token('USER011', 600) })
    expect(Date.parse(data.renewToken.expiresAt)).toBeGreaterThan(Date.now() + 500_000)
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    await posthouse.push(['USER011'], '续期后')
    for (const stream of [live, plain])
      expect((await stream.next()).value).toMatchObject({ data: { inboxChanges: { item: { title: '续期后' } } } })
    await client.dispose()
    expect(
      (await posthouse.graphql(await posthouse.token('USER011'), RENEW, { token: 'x' })).errors?.[0]?.message,
    ).toContain('sockets')
  }, 30_000)
})

async function drain(stream: AsyncIterableIterator<unknown>): Promise<void> {
  for await (const _ of stream);
}
