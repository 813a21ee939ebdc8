/** What a full sync did not name: how much it is, and disabling it. */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { query, type Db } from '../db/client.ts'
import type { DirectoryKind } from '../db/tables.ts'
import { TABLES } from './known.ts'

/** Disabled in one statement. */
const PART = 2_000
const NAMED_PART = 20_000
/** So many of them are named when they are too many. */
const EXAMPLES = 3

export type Missing = { kind: DirectoryKind; enabled: number; missing: number; examples: string[] }

/** Of each kind how many are enabled, and how many of those the run did not name. */
export function countMissing(db: Db, run: string, covers: readonly DirectoryKind[]): Promise<Missing[]> {
  const counts = covers.map(
    (kind) => sql`
      select ${kind}::text as kind, count(*) as enabled, count(*) filter (where ${missing(kind, run)}) as missing,
        to_jsonb((array_agg(here.code order by here.code collate "C") filter (where ${missing(kind, run)}))[1:${EXAMPLES}::integer]) as examples
      from ${table(kind)} as here where here.enabled`,
  )
  return query<Missing>(db, sql.join(counts, sql` union all `))
}

/**
 * Disables up to so many of what the run did not name, and says how many. Of users the memberships of the kinds that the run covers
 * go too: it named none. They come back with the next sync that names them.
 */
export async function disableMissing(db: Db, by: By, run: string, kind: DirectoryKind): Promise<number> {
  const [row] = await query<{ count: number }>(
    db,
    sql`
    with run as materialized (
      select id, covers from directory_runs where id = ${run} and state = 'finishing' for update
    ),
    gone as materialized (
      select here.code from ${table(kind)} as here
      where here.enabled and ${missing(kind, run)} and exists (select from run)
      order by here.code collate "C" limit ${PART}::integer for no key update
    ),
    ${kind === 'user' ? leaving : sql`left_groups as (select ''::text as code, '{}'::jsonb as groups where false)`},
    disabled as (
      update ${table(kind)} as here set enabled = false, vanished_at = now(), changed_at = now()
      from gone where here.code = gone.code returning here.code
    ),
    audited as (${auditing(
      by,
      `${kind}.vanish`,
      sql`
        select code as subject, '{"enabled": true}' || coalesce(groups, '{}') as before, '{"enabled": false}'::jsonb as after
        from disabled left join left_groups using (code)`,
    )}),
    told as (
      update directory_runs set disabled = disabled + (select count(*) from gone), touched_at = now()
      from run where directory_runs.id = run.id
    )
    select count(*)::integer as count from disabled`,
  )
  return row?.count ?? 0
}

const leaving = sql`
  departed as (
    delete from memberships using gone, run
    where memberships.user_code = gone.code and memberships.user_code = any(array(select code from gone))
      and run.covers ? memberships.kind
    returning memberships.user_code, memberships.kind, memberships.group_code
  ),
  left_groups as (
    select code, jsonb_object_agg(kind || 's', codes) as groups
    from (
      select user_code as code, kind, jsonb_agg(group_code order by group_code collate "C") as codes
      from departed group by user_code, kind
    ) as each_kind
    group by code
  )`

/** Forgets whom a run named that is over. */
export async function forgetNamed(db: Db, run: string): Promise<void> {
  for (;;) {
    const gone = await query<{ count: number }>(
      db,
      sql`
      with gone as (
        delete from directory_named
        where ctid = any(array(select ctid from directory_named where run_id = ${run} limit ${NAMED_PART}::integer))
        returning 1
      )
      select count(*)::integer as count from gone`,
    )
    if ((gone[0]?.count ?? 0) < NAMED_PART) return
  }
}

/**
 * Somebody made or touched by others since the run began cannot have been known to it. PostgreSQL often still takes nobody for
 * named, since there were none when it last counted, and would go through all who were for each: `is not true` keeps it
 * from that join, to a hash table or the index.
 */
function missing(kind: DirectoryKind, run: string): SQL {
  const since = sql.raw(kind === 'user' ? 'here.created_at' : 'here.changed_at')
  return sql`(
    ${since} < (select started_at from directory_runs where id = ${run})
    and exists (
      select from directory_named as named where named.run_id = ${run} and named.kind = ${kind} and named.code = here.code
    ) is not true
  )`
}

function table(kind: DirectoryKind) {
  return sql.identifier(TABLES[kind])
}
