/** Requests that an app signs: what is signed, and how a signature is told from one that is wrong, old or used up. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { Sent } from '../graphql/yoga.ts'
import { appByKeyLately, noteUse, type App } from './apps.ts'

const SCHEME = /^PH1-HMAC-SHA256 ([A-Za-z0-9]{1,32}):(\d{1,12}):([A-Za-z0-9_-]{16,64}):([0-9a-f]{64})$/
/** How far the caller's clock may be off, either way. */
const SKEW_S = 300
/** Beyond the end of a signature's time, since the clocks of nodes and of the database differ. */
const MARGIN_S = 600

/** The text that is signed. */
function signedText({ method, target, body }: Sent, seconds: string, nonce: string): string {
  const digest = createHash('sha256').update(body).digest('hex')
  return ['PH1', method, target, seconds, nonce, digest].join('\n')
}

/** Whether a header claims to be a signature, right or wrong: such a one is never tried as anything else. */
export function isSigned(authorization: string): boolean {
  return /^PH1-/i.test(authorization)
}

/** The app that signed the request; undefined when anything at all is wrong. */
export async function appBySignature(db: Db, authorization: string, sent: Sent): Promise<App | undefined> {
  const [, keyId, seconds, nonce, given] = SCHEME.exec(authorization) ?? []
  if (keyId === undefined || seconds === undefined || nonce === undefined || given === undefined) return undefined
  if (Math.abs(Date.now() / 1000 - Number(seconds)) > SKEW_S) return undefined
  const found = await appByKeyLately(db, keyId)
  const key = found?.kind === 'signing' ? found.secretSha256 : ''
  const right = createHmac('sha256', key)
    .update(signedText(sent, seconds, nonce))
    .digest()
  const isRight = timingSafeEqual(Buffer.from(given, 'hex'), right)
  if (!isRight || found?.kind !== 'signing' || !found.app.enabled) return undefined
  // Last, so that strangers cannot fill the table or use up somebody's nonces.
  if (!(await useNonce(db, keyId, nonce, Number(seconds)))) return undefined
  noteUse(db, found)
  return found.app
}

/** False when the key has used this nonce before, on whichever node. */
async function useNonce(db: Db, keyId: string, nonce: string, seconds: number): Promise<boolean> {
  const used = await query(
    db,
    sql`
    insert into signing_nonces (key_id, nonce, expires_at)
    values (${keyId}, ${nonce}, to_timestamp(${seconds + SKEW_S + MARGIN_S}::bigint))
    on conflict do nothing
    returning key_id`,
  )
  return used.length === 1
}

/** Forgets the nonces of signatures that are too old to be taken anyway. */
export async function forgetOldNonces(db: Db): Promise<void> {
  await query(db, sql`delete from signing_nonces where expires_at < now()`)
}
