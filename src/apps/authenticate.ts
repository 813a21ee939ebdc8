/** Who is asking: a bearer key is an app's or the admin's, a JWT a person's, and `appId` alone an app in legacy mode. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context, Viewer } from '../context.ts'
import { Refusal } from '../errors.ts'
import type { Sent } from '../graphql/yoga.ts'
import { includes } from '../ranges.ts'
import { appByKeyLately, appLately, noteUse, type App } from './apps.ts'
import { appBySignature, isSigned } from './signing.ts'
import { personByToken } from './tokens.ts'

/** The viewer behind an `Authorization` header; nobody without one. Wrong credentials: UNAUTHENTICATED, never why. */
export async function authenticate(context: Context, authorization: string | undefined, sent?: Sent): Promise<Viewer> {
  if (authorization === undefined || authorization === '') return { kind: 'nobody' }
  if (isSigned(authorization)) {
    // Without a request, as on a socket, there is nothing that could have been signed.
    const signer = sent && (await appBySignature(context.db, authorization, sent))
    if (signer === undefined) throw new Refusal('UNAUTHENTICATED')
    return { kind: 'app', app: signer }
  }
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? []
  if (token === undefined) throw new Refusal('UNAUTHENTICATED')
  if (isSame(token, context.secrets.adminKey)) return { kind: 'admin' }
  const app = await appByKey(context, token)
  if (app !== undefined) return { kind: 'app', app }
  const person = await personByToken(context, token)
  if (person !== undefined) return person
  throw new Refusal('UNAUTHENTICATED')
}

/** The app that makes a documented call as `appId`: by its key, or in legacy mode by its address. */
export async function authenticateApp(
  context: Context,
  appId: string,
  { authorization, address, sent }: { authorization: string | undefined; address: string | undefined; sent?: Sent },
): Promise<App> {
  if (authorization !== undefined) {
    const viewer = await authenticate(context, authorization, sent)
    if (viewer.kind === 'app' && viewer.app.id === appId) return viewer.app
    throw new Refusal('UNAUTHENTICATED')
  }
  const app = await appLately(context.db, appId)
  if (app?.enabled && address !== undefined && app.legacyFrom !== null && includes(app.legacyFrom, address)) return app
  throw new Refusal('UNAUTHENTICATED')
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
  if (!isRight || found?.kind !== 'bearer' || !found.app.enabled) return undefined
  noteUse(db, found)
  return found.app
}

/** Compares in constant time, whatever the lengths. */
function isSame(given: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return right !== '' && timingSafeEqual(digest(given), digest(right))
}
