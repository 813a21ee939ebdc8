/** Takes inbox tokens back before they end: one by its id, or all that a person has. Sockets and streams end within seconds. */
import { sql } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { query, type Db } from '../db/client.ts'
import { badInput } from '../errors.ts'

/** What the row of all of a person's tokens is called; no token has this id. */
const ALL = '*'

/**
 * Takes back one token of a person, or with no `jti` all that were made until now; again is no change. A row for one token goes when the
 * token has ended, at the latest, if that is not known, with `expiresAt` undefined: never. Refuses a person who is not there.
 */
export async function revokeTokens(
  db: Db,
  by: By | undefined,
  { user, jti = ALL, expiresAt }: { user: string; jti?: string | undefined; expiresAt?: Date | undefined },
): Promise<void> {
  const [done] = await query<{ isThere: boolean }>(
    db,
    sql`
    with revoked as (
      insert into token_revocations (user_code, jti, generation, expires_at)
      select code, ${jti}, ${jti === ALL ? 1 : 0}::bigint, ${expiresAt?.toISOString() ?? null}::timestamptz
      from users where code = ${user}
      on conflict (user_code, jti) do update
      set revoked_at = now(), generation = token_revocations.generation + 1
      where token_revocations.jti = ${ALL}
      returning user_code
    )
    ${
      by === undefined
        ? sql``
        : sql`, audited as (${auditing(
            by,
            'user.revokeTokens',
            sql`
      select user_code as subject, null::jsonb as before, jsonb_build_object('jti', ${jti}::text) as after from revoked`,
          )})`
    }
    select exists (select from users where code = ${user}) as "isThere"`,
  )
  if (done?.isThere !== true) throw badInput('user', `没有用户 ${user}`, `there is no user ${user}`)
}

/** Forgets what would have ended by itself by now. */
export async function forgetEndedRevocations(db: Db): Promise<void> {
  await query(db, sql`delete from token_revocations where expires_at < now() - interval '1 minute'`)
}
