/** Forgets idempotency keys once no caller can still be repeating the request. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'

/** docs/rest.md promises so many at least. */
const KEPT_HOURS = 72
/** Small enough that a statement stays far below its time limit, whatever has gathered. */
const FORGET_AT_ONCE = 5_000

/** Removes every key that is older than it is promised to be kept; gives how many. Safe on several nodes at once. */
export async function forgetOldKeys(db: Db): Promise<number> {
  for (let forgotten = 0; ;) {
    const rows = await query(
      db,
      sql`
        with old as (
          select app_id, key from idempotency_keys
          where created_at < now() - make_interval(hours => ${KEPT_HOURS})
          order by created_at
          limit ${FORGET_AT_ONCE}
          for update skip locked
        )
        delete from idempotency_keys using old
        where idempotency_keys.app_id = old.app_id and idempotency_keys.key = old.key
        returning 1 as forgotten`,
    )
    forgotten += rows.length
    if (rows.length < FORGET_AT_ONCE) return forgotten
  }
}
