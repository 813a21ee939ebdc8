/**
 * Inbox tokens: short JWTs that let a front end into one person's inbox. Ours are signed with INBOX_JWT_SECRET, or the one
 * before it; another issuer's with a key of INBOX_JWKS_URL. Which key may sign by which algorithm is fixed: HS256 with our secrets
 * only, the asymmetric ones with published keys only, so that no key is ever taken for one of another kind.
 */
import { randomUUID } from 'node:crypto'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  jwtVerify,
  SignJWT,
  type JWTPayload,
  type JWTVerifyOptions,
} from 'jose'
import { sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Context, Person, Secrets, TokenMarks } from '../context.ts'
import { query, type Db } from '../db/client.ts'
import { badInput, Refusal } from '../errors.ts'
import type { App } from './apps.ts'
import { enforceGrant } from './grants.ts'

const AUDIENCE = 'posthouse-inbox'
const ISSUER = 'posthouse'
export const TOKEN_SECONDS = { default: 3_600, most: 86_400 }
/** Allowed difference between clocks when a token's times are checked. */
const CLOCK_TOLERANCE_SECONDS = 5
/** Characters: more is no token of anybody's, and not worth a look. */
const LONGEST = 8_192
const JTI_LENGTH = 255
/** By which other issuers may sign. `Ed25519` is the newer name of `EdDSA`. */
const PUBLISHED = ['RS256', 'ES256', 'EdDSA', 'Ed25519']
/** How long a key set is believed, how often it is asked for keys that it may not have, and how long that may take. */
const KEY_SET = { cacheMaxAge: 600_000, cooldownDuration: 5_000, timeoutDuration: 3_000 }

/** Signs a token for a person's inbox. `generation`: what has been taken back of his tokens until now. */
export async function inboxToken(
  secret: string,
  user: string,
  seconds: number,
  generation = 0,
): Promise<{ token: string; jti: string; expiresAt: Date }> {
  const jti = randomUUID()
  const expiresAt = new Date((Math.floor(Date.now() / 1000) + seconds) * 1000)
  const token = await new SignJWT({ generation })
    .setProtectedHeader({ alg: 'HS256' })
    .setJti(jti)
    .setSubject(user)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(expiresAt)
    .sign(bytes(secret))
  return { token, jti, expiresAt }
}

/**
 * A short-lived token with which a front end reads one person's inbox; `app` undefined: the admin asks.
 * Refuses an app without the grant `token`, and people who are not there or disabled.
 */
export async function grantInboxToken(
  context: Context,
  app: App | undefined,
  user: string,
  ttlSeconds: number | null | undefined,
): Promise<{ token: string; jti: string; expiresAt: Date }> {
  if (app !== undefined) enforceGrant(app, 'token')
  const standing = await standingOf(context.db, user)
  if (!standing?.enabled) throw badInput('user', '没有这个用户', 'is no active user')
  const seconds = ttlSeconds ?? TOKEN_SECONDS.default
  return inboxToken(context.secrets.inboxJwtSecret, user, seconds, standing.generation)
}

/** The person behind a token; undefined for one that is wrong, has ended or was taken back, never why. */
export async function personByToken(context: Context, token: string): Promise<Person | undefined> {
  const payload = token.length > LONGEST ? undefined : await verify(context, token)
  if (payload === undefined) return undefined
  const { code, exp, iat: issuedAt } = payload
  const jti = payload.jti !== undefined && payload.jti.length <= JTI_LENGTH ? payload.jti : undefined
  const generation = typeof payload['generation'] === 'number' ? payload['generation'] : undefined
  const person: Person = {
    kind: 'user',
    code,
    expiresAt: new Date(exp * 1000),
    token: { jti, issuedAt, generation: payload.isOurs ? generation : undefined },
  }
  return (await mayStay(context.db, person)) ? person : undefined
}

/** Whether somebody who was let in is still enabled, and his token not taken back. */
export async function mayStay(db: Db, { code, token }: Person): Promise<boolean> {
  const standing = await standingOf(db, code, token.jti)
  return standing !== undefined && standing.enabled && !standing.isRevoked && !isFromBefore(token, standing)
}

type Standing = { enabled: boolean; isRevoked: boolean; generation: number; revokedAt: number | null }

/** What there is to know of a person's tokens; undefined for nobody. */
async function standingOf(db: Db, user: string, jti = ''): Promise<Standing | undefined> {
  const [standing] = await query<Standing>(
    db,
    sql`
    select enabled, one.jti is not null as "isRevoked", coalesce(every.generation, 0)::float8 as generation,
      extract(epoch from every.revoked_at)::float8 as "revokedAt"
    from users
    left join token_revocations as one on one.user_code = users.code and one.jti = ${jti} and one.jti <> '*'
    left join token_revocations as every on every.user_code = users.code and every.jti = '*'
    where users.code = ${user}`,
  )
  return standing
}

/** Another issuer's token says when it was issued, in seconds: one of the very second in which all were taken back counts as older. */
function isFromBefore({ generation, issuedAt }: TokenMarks, standing: Standing): boolean {
  if (standing.revokedAt === null) return false
  if (generation !== undefined) return generation < standing.generation
  return issuedAt === undefined || issuedAt <= standing.revokedAt
}

type Verified = JWTPayload & { code: string; exp: number; isOurs: boolean }

async function verify(context: Context, token: string): Promise<Verified | undefined> {
  const isOurs = algorithmOf(token) === 'HS256'
  const payload = isOurs ? await verifyOurs(context.secrets, token) : await verifyOthers(context, token)
  const code = payload?.[isOurs ? 'sub' : context.config.INBOX_JWT_USER_CLAIM]
  if (payload?.exp === undefined || typeof code !== 'string') return undefined
  return { ...payload, code, exp: payload.exp, isOurs }
}

function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg
  } catch {
    return undefined
  }
}

async function verifyOurs(
  { inboxJwtSecret, previousInboxJwtSecret }: Secrets,
  token: string,
): Promise<JWTPayload | undefined> {
  const rules = { algorithms: ['HS256'], audience: AUDIENCE, issuer: ISSUER, ...EVERY_TOKEN }
  for (const secret of [inboxJwtSecret, previousInboxJwtSecret]) {
    const verified = secret && (await jwtVerify(token, bytes(secret), rules).catch(() => undefined))
    if (verified) return verified.payload
  }
  return undefined
}

const EVERY_TOKEN: JWTVerifyOptions = { requiredClaims: ['exp'], clockTolerance: CLOCK_TOLERANCE_SECONDS }

type KeySet = ReturnType<typeof createRemoteJWKSet>
const keySets = new WeakMap<Config, KeySet>()

/** With the published keys; with those known from before when they cannot be had just now. UNAVAILABLE when none are known. */
async function verifyOthers({ config, log }: Context, token: string): Promise<JWTPayload | undefined> {
  if (config.INBOX_JWKS_URL === undefined || config.INBOX_JWT_ISSUER === undefined) return undefined
  const keys = keySets.get(config) ?? createRemoteJWKSet(new URL(config.INBOX_JWKS_URL), KEY_SET)
  keySets.set(config, keys)
  const rules = {
    algorithms: PUBLISHED,
    audience: config.INBOX_JWT_AUDIENCE,
    issuer: config.INBOX_JWT_ISSUER,
    ...EVERY_TOKEN,
  }
  try {
    return (await jwtVerify(token, keys, rules)).payload
  } catch (error) {
    if (!isAway(error)) return undefined
    log.warn({ err: error }, 'tokens: the key set in INBOX_JWKS_URL cannot be had')
    const known = keys.jwks()
    if (known === undefined) throw new Refusal('UNAVAILABLE', { cause: error })
    const verified = await jwtVerify(token, createLocalJWKSet(known), rules).catch(() => undefined)
    return verified?.payload
  }
}

/** Not the token's fault: the key set did not come, not in time, or made no sense. */
function isAway(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true
  const isGeneric = error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC'
  return isGeneric || !(error instanceof errors.JOSEError)
}

function bytes(secret: string): Uint8Array {
  return new TextEncoder().encode(secret)
}
