/**
 * The confirmation that a preview gives out and a guarded push brings back: a signed token that stands for one body, one
 * app and the audience as it was then. Nothing is stored until it is used, which it can be once (accept.ts).
 */
import { createHash, randomUUID } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import type { Context } from '../context.ts'
import { Refusal } from '../errors.ts'

const ISSUER = 'posthouse'
const AUDIENCE = 'posthouse-confirmation'
const MINUTES = 15
/** An audience that has grown by more than this since the preview is not the one that was looked at. */
const GROWTH = 1.1

export type Confirmation = { token: string; expiresAt: Date }

/** Signs that this body, from this app, was seen to reach so many. */
export async function makeConfirmation(
  context: Context,
  appId: string,
  body: Record<string, unknown>,
  recipients: number,
): Promise<Confirmation> {
  const expiresAt = new Date((Math.floor(Date.now() / 1000) + MINUTES * 60) * 1000)
  const token = await new SignJWT({ body: hashOf(body), recipients })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(appId)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setJti(randomUUID())
    .setExpirationTime(expiresAt)
    .sign(keyOf(context))
  return { token, expiresAt }
}

/** The id of a confirmation that is for this push; a refusal says why it is not. Whether it was used, accept.ts finds. */
export async function readConfirmation(
  context: Context,
  appId: string,
  body: Record<string, unknown>,
  recipients: number,
  token: string,
): Promise<string> {
  const verified = await jwtVerify(token, keyOf(context), {
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: AUDIENCE,
    subject: appId,
    requiredClaims: ['jti', 'exp', 'body', 'recipients'],
  }).catch(() => undefined)
  if (verified === undefined) throw isNotValid('无效或已过期', 'is not valid, or older than 15 minutes')
  const { jti = '', body: seen, recipients: before } = verified.payload
  if (seen !== hashOf(body)) throw isNotValid('不是这次推送的', 'is for another body')
  if (recipients > Number(before) * GROWTH)
    throw isNotValid(
      `预览后人数由 ${String(before)} 增至 ${recipients}`,
      `was for ${String(before)} recipients, and they are ${recipients} by now`,
    )
  return jti
}

/** The refusal of a confirmation, with what to do. */
export function isNotValid(zh: string, en: string): Refusal {
  return new Refusal('CONFIRMATION_REQUIRED', {
    path: 'confirmation',
    zh: `确认码${zh}，请重新预览`,
    en: `${en}: preview the push again`,
  })
}

function keyOf({ secrets }: Context): Uint8Array {
  return new TextEncoder().encode(secrets.inboxJwtSecret)
}

/** What travels beside a push and says nothing of it. */
const BESIDE = new Set(['appId', 'idempotencyKey', 'confirmation'])

/** Of a body whatever the order of its members, and the same over REST and GraphQL. */
function hashOf(body: Record<string, unknown>): string {
  const said = Object.entries(body).filter(([name]) => !BESIDE.has(name))
  return createHash('sha256')
    .update(JSON.stringify(inOrder(Object.fromEntries(said))))
    .digest('base64url')
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).filter(([, member]) => member !== undefined && member !== null)
  const sorted = members.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(sorted.map(([name, member]) => [name, inOrder(member)]))
}
