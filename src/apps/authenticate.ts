/** Who is asking: a bearer key is an app's or the admin's, a JWT a person's, and `appId` alone an app in legacy mode. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { jwtVerify, SignJWT } from 'jose'
import type { Context, Viewer } from '../context.ts'
import { person } from '../directory/directory.ts'
import { badInput, Refusal } from '../errors.ts'
import { appByKeyLately, appLately, noteUse, type App } from './apps.ts'
import { enforceGrant } from './grants.ts'

const AUDIENCE = 'posthouse-inbox'
const ISSUER = 'posthouse'
export const TOKEN_SECONDS = { default: 3_600, most: 86_400 }
/** Allowed difference between clocks when a token's times are checked. */
const CLOCK_TOLERANCE_SECONDS = 5

/** The viewer behind an `Authorization` header; nobody without one. Wrong credentials: UNAUTHENTICATED, never why. */
export async function authenticate(context: Context, authorization: string | undefined): Promise<Viewer> {
  if (authorization === undefined || authorization === '') return { kind: 'nobody' }
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? []
  if (token === undefined) throw new Refusal('UNAUTHENTICATED')
  if (isSame(token, context.secrets.adminKey)) return { kind: 'admin' }
  const app = await appByKey(context, token)
  if (app !== undefined) return { kind: 'app', app }
  const user = await userByToken(context, token)
  if (user !== undefined) return user
  throw new Refusal('UNAUTHENTICATED')
}

/** The app that makes a documented call as `appId`: by its key, or in legacy mode by its address. */
export async function authenticateApp(
  context: Context,
  appId: string,
  { authorization, address }: { authorization: string | undefined; address: string | undefined },
): Promise<App> {
  if (authorization !== undefined) {
    const viewer = await authenticate(context, authorization)
    if (viewer.kind === 'app' && viewer.app.id === appId) return viewer.app
    throw new Refusal('UNAUTHENTICATED')
  }
  const app = await appLately(context.db, appId)
  if (app?.enabled && address !== undefined && app.legacyFrom !== null && includes(app.legacyFrom, address)) return app
  throw new Refusal('UNAUTHENTICATED')
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
): Promise<{ token: string; expiresAt: Date }> {
  if (app !== undefined) enforceGrant(app, 'token')
  const found = await person(context.db, user)
  if (!found?.enabled) throw badInput('user', '没有这个用户', 'is no active user')
  return inboxToken(context.secrets.inboxJwtSecret, user, ttlSeconds ?? TOKEN_SECONDS.default)
}

/** Signs a token for a user's inbox. */
export async function inboxToken(
  secret: string,
  user: string,
  seconds: number,
): Promise<{ token: string; expiresAt: Date }> {
  const expiresAt = new Date((Math.floor(Date.now() / 1000) + seconds) * 1000)
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(expiresAt)
    .sign(new TextEncoder().encode(secret))
  return { token, expiresAt }
}

/** A bearer key as an app keeps it: `ph_<keyId>_<secret>`; we keep the secret's SHA-256. */
export function bearerKey(keyId: string, secret: string): string {
  return `ph_${keyId}_${secret}`
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

async function appByKey({ db }: Context, token: string): Promise<App | undefined> {
  const [, keyId, secret] = /^ph_([A-Za-z0-9]{1,32})_([A-Za-z0-9_-]{16,128})$/.exec(token) ?? []
  if (keyId === undefined || secret === undefined) return undefined
  const found = await appByKeyLately(db, keyId)
  const isRight = isSame(sha256(secret), found?.secretSha256 ?? '')
  if (!isRight || !found?.app.enabled) return undefined
  noteUse(db, found)
  return found.app
}

async function userByToken(context: Context, token: string): Promise<Viewer | undefined> {
  const secret = new TextEncoder().encode(context.secrets.inboxJwtSecret)
  const verified = await jwtVerify(token, secret, {
    algorithms: ['HS256'],
    audience: AUDIENCE,
    issuer: ISSUER,
    requiredClaims: ['sub', 'exp'],
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
  }).catch(() => undefined)
  const { sub, exp } = verified?.payload ?? {}
  if (sub === undefined || exp === undefined) return undefined
  const user = await person(context.db, sub)
  return user?.enabled ? { kind: 'user', code: user.code, expiresAt: new Date(exp * 1000) } : undefined
}

/** Compares in constant time, whatever the lengths. */
function isSame(given: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return right !== '' && timingSafeEqual(digest(given), digest(right))
}

/** Whether `address` is one of `ranges` (addresses or CIDR; an IPv4 address mapped into IPv6 counts as itself). */
function includes(ranges: string[], address: string): boolean {
  const list = lists.get(ranges) ?? listOf(ranges)
  lists.set(ranges, list)
  const plain = address.replace(/^::ffff:/i, '')
  return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

/** Made once for what was read of an app, not once a push. */
const lists = new WeakMap<string[], BlockList>()

function listOf(ranges: string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [base = '', bits] = range.split('/')
    const family = isIPv6(base) ? 'ipv6' : 'ipv4'
    if (!isIPv4(base) && !isIPv6(base)) continue
    list.addSubnet(base, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family)
  }
  return list
}
