/** What a SCIM client deletes: it is disabled, hidden from SCIM, and free to be made again; what named it once still means it. */
import { sql } from 'drizzle-orm'
import { auditing, type By } from '../../audit/audit.ts'
import { query, type Db } from '../../db/client.ts'
import type { DirectoryKind } from '../../db/tables.ts'
import { TABLES } from '../known.ts'

/**
 * Says whether it was there. A user leaves all groups; a group keeps its members, whom nothing reaches through it any more, and who
 * are replaced when it is made again.
 */
export async function vanishOne(db: Db, by: By, kind: DirectoryKind, code: string): Promise<boolean> {
  const table = sql.identifier(TABLES[kind])
  const departed =
    kind === 'user'
      ? sql`delete from memberships using stored where memberships.user_code = stored.code returning memberships.kind, memberships.group_code`
      : sql`select ''::text as kind, ''::text as group_code where false`
  const [found] = await query<{ isGone: boolean }>(
    db,
    sql`
    with stored as materialized (select * from ${table} where code = ${code} and vanished_at is null for no key update),
    departed as (${departed}),
    left_groups as (
      select jsonb_object_agg(kind || 's', codes) as groups
      from (select kind, jsonb_agg(group_code order by group_code collate "C") as codes from departed group by kind) as each_kind
    ),
    -- Its id at the identity provider goes, since that may give it to somebody whom it makes anew.
    gone as (
      update ${table} as here
      set enabled = false, external_id = null, vanished_at = now(),
        changed_at = greatest(now(), stored.changed_at + interval '1 microsecond')
      from stored where here.code = stored.code returning here.code
    ),
    audited as (${auditing(
      by,
      `${kind}.vanish`,
      sql`
        select gone.code as subject,
          jsonb_build_object('enabled', enabled, 'externalId', external_id) || coalesce(groups, '{}') as before,
          '{"enabled": false, "externalId": null}'::jsonb as after
        from gone join stored using (code) cross join left_groups`,
    )})
    select exists (select from gone) as "isGone"`,
  )
  return found?.isGone === true
}
