/**
 * The link of a mail by which its reader switches the like of it off (RFC 8058): a signed token that names whom, which type
 * and which channel, and is good for nothing else. It has no end, since a mail may be read years later, and is the same
 * at every attempt.
 */
import { jwtVerify, SignJWT } from 'jose'
import type { Context } from '../context.ts'

export const UNSUBSCRIBE_PATH = '/unsubscribe/'
const ISSUER = 'posthouse'
const AUDIENCE = 'posthouse-unsubscribe'

export type Unsubscribing = { user: string; msgType: string; channelId: string }

/** The address, where PUBLIC_URL says under which name people reach this house. */
export async function unsubscribeLink(
  { secrets }: Pick<Context, 'secrets'>,
  publicUrl: string,
  { user, msgType, channelId }: Unsubscribing,
): Promise<string> {
  const token = await new SignJWT({ msgType, channelId })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .sign(keyOf(secrets))
  return `${publicUrl}${UNSUBSCRIBE_PATH}${token}`
}

/** What a token names. Undefined: it is none of ours. */
export async function readUnsubscribing(
  { secrets }: Pick<Context, 'secrets'>,
  token: string,
): Promise<Unsubscribing | undefined> {
  const verified = await jwtVerify(token, keyOf(secrets), {
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ['sub', 'msgType', 'channelId'],
  }).catch(() => undefined)
  if (verified === undefined) return undefined
  const { sub = '', msgType, channelId } = verified.payload
  return { user: sub, msgType: String(msgType), channelId: String(channelId) }
}

function keyOf({ inboxJwtSecret }: Context['secrets']): Uint8Array {
  return new TextEncoder().encode(inboxJwtSecret)
}
