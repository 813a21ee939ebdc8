/**
 * Writes rows that are known to be right: the one statement behind every upsert. It writes, and notes in the audit log, only
 * what really changes.
 */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { json, query, type Db } from '../db/client.ts'
import type { DirectoryKind, RowProblem } from '../db/tables.ts'
import { TABLES } from './known.ts'
import type { CheckedRow } from './rows.ts'

/** Column by the name that rows and the audit log have for it. Text, but for `enabled`. */
export const COLUMNS: Record<DirectoryKind, Record<string, string>> = {
  user: {
    name: 'name',
    phone: 'phone',
    email: 'email',
    locale: 'locale',
    timeZone: 'time_zone',
    enabled: 'enabled',
    externalId: 'external_id',
  },
  dept: { name: 'name', parentCode: 'parent_code', enabled: 'enabled', externalId: 'external_id' },
  post: { name: 'name', enabled: 'enabled', externalId: 'external_id' },
  role: { name: 'name', enabled: 'enabled', externalId: 'external_id' },
}

export type Written = { created: number; changed: number }
/** The sync or import that rows belong to, with what it is to remember of them. */
export type InRun = { id: string; named: readonly string[]; refused: number; problems: readonly RowProblem[] }

/**
 * Creates or changes what these rows name; a value that a row does not say stays, and of somebody new is empty. Undefined:
 * the run is not open, so nothing was written.
 */
export async function write(
  db: Db,
  by: By,
  kind: DirectoryKind,
  rows: readonly CheckedRow[],
  run?: InRun,
): Promise<Written | undefined> {
  const table = sql.identifier(TABLES[kind])
  const columns = Object.entries(COLUMNS[kind])
  const names = list(columns.map(([, column]) => sql.identifier(column)))
  const stored = list(columns.map(([name, column]) => sql`${sql.raw(`'${name}'`)}, stored.${sql.identifier(column)}`))
  const values = list(
    columns.map(([name]) => sql.raw(name === 'enabled' ? `(after->>'enabled')::boolean` : `after->>'${name}'`)),
  )
  const overwrite = list(
    columns.map(([, column]) => sql`${sql.identifier(column)} = excluded.${sql.identifier(column)}`),
  )
  const none = json(Object.fromEntries(columns.map(([name]) => [name, name === 'enabled' ? true : null])))
  const [found] = await query<Written & { isOpen: boolean }>(
    db,
    sql`
    with run as (${openRun(run)}),
    given as materialized (
      select value->>'code' as code, value->'set' as set, run.unsaid || (value->'lists') as lists
      from run cross join jsonb_array_elements(${json(rows)}::jsonb)
    ),
    -- Taken in the order of their codes, so that two of these statements cannot deadlock, and as they are now.
    stored as materialized (
      select * from ${table} where code = any(array(select code from given)) order by code collate "C" for no key update
    ),
    compared as materialized (
      select given.code, given.lists,
        case when stored.code is not null then jsonb_build_object(${stored}) end as before,
        coalesce(jsonb_build_object(${stored}), '{}') || case when stored.code is null then ${none}::jsonb else '{}' end
          || case when ${run !== undefined} and stored.vanished_at is not null then '{"enabled": true}'::jsonb else '{}' end
          || given.set as after
      from given left join stored on stored.code = given.code
    ),
    ${kind === 'user' ? moves : noMoves},
    changes as materialized (
      select code, compared.before || coalesce(moved.before, '{}') as before, compared.after || coalesce(moved.after, '{}') as after
      from compared left join moved using (code)
      where compared.after is distinct from compared.before or moved.code is not null
    ),
    written as (
      insert into ${table} (code, ${names}, changed_at)
      select code, ${values}, now() from changes order by code collate "C"
      on conflict (code) do update
      set ${overwrite}, changed_at = excluded.changed_at,
        vanished_at = case when excluded.enabled then null else ${table}.vanished_at end
      returning code
    ),
    audited as (${auditing(by, `${kind}.upsert`, sql`select code as subject, before, after from changes`)}),
    counted as (
      select count(*) filter (where before is null) as created, count(*) filter (where before is not null) as changed from changes
    )
    ${run === undefined ? sql`` : remembering(run, kind, rows.length)}
    select exists (select from run) as "isOpen", created::integer, changed::integer from counted`,
  )
  return found?.isOpen ? { created: found.created, changed: found.changed } : undefined
}

/**
 * Held until the statement ends: whoever wants to end the run waits for it. `unsaid`: what the lists are that a row does not have.
 * A full run names everybody's groups of the kinds that it covers, so there it is none.
 */
function openRun(run: InRun | undefined): SQL {
  if (run === undefined) return sql`select '{}'::jsonb as unsaid`
  return sql`
    select id, is_full,
      case when is_full then '{"dept": [], "post": [], "role": []}'::jsonb - array(
        select kind from unnest(array['dept', 'post', 'role']) as kind where not covers ? kind
      ) else '{}'::jsonb end as unsaid
    from directory_runs where id = ${run.id} and state = 'open' for update`
}

/** Replaces the memberships of the kinds that a row lists, and says how they stood, where that is something else. */
const moves = sql`
  lists as materialized (
    select compared.code, list.key as kind, list.value as groups
    from compared cross join lateral jsonb_each(compared.lists) as list
  ),
  stood as materialized (
    select user_code as code, kind, jsonb_agg(group_code order by group_code collate "C") as groups
    from memberships where user_code = any(array(select code from lists)) group by user_code, kind
  ),
  moves as materialized (
    select code, kind, lists.groups, coalesce(stood.groups, '[]') as before
    from lists left join stood using (code, kind)
    where not (coalesce(stood.groups, '[]') @> lists.groups and lists.groups @> coalesce(stood.groups, '[]'))
  ),
  left_ as (
    delete from memberships using moves
    where memberships.user_code = any(array(select code from moves)) and memberships.user_code = moves.code
      and memberships.kind = moves.kind and not moves.groups ? memberships.group_code
  ),
  joined as (
    insert into memberships (kind, group_code, user_code)
    select kind, jsonb_array_elements_text(groups) as group_code, code from moves order by 1, 2, 3
    on conflict do nothing
  ),
  moved as materialized (
    select code, jsonb_object_agg(kind || 's', before) as before, jsonb_object_agg(kind || 's', groups) as after
    from moves group by code
  )`

const noMoves = sql`moved as (select ''::text as code, '{}'::jsonb as before, '{}'::jsonb as after where false)`

function remembering({ named, refused, problems }: InRun, kind: DirectoryKind, kept: number): SQL {
  return sql`
    , remembered as (
      insert into directory_named (run_id, kind, code)
      select run.id, ${kind}::text, named.code
      from run cross join jsonb_array_elements_text(${json(named)}::jsonb) as named (code)
      where run.is_full
      on conflict do nothing
    ),
    told as (
      update directory_runs
      set batches = batches + 1, touched_at = now(), refused = directory_runs.refused + ${refused}::integer,
        created = directory_runs.created + counted.created, changed = directory_runs.changed + counted.changed,
        unchanged = directory_runs.unchanged + ${kept}::integer - counted.created - counted.changed,
        problems = case when jsonb_array_length(directory_runs.problems) < ${PROBLEMS_KEPT}
          then directory_runs.problems || ${json(problems.slice(0, PROBLEMS_KEPT))}::jsonb else directory_runs.problems end
      from run, counted where directory_runs.id = run.id
    )`
}

/** Of what was wrong in a run so many are kept, or a batch more. */
const PROBLEMS_KEPT = 1_000

function list(parts: SQL[] | ReturnType<typeof sql.identifier>[]): SQL {
  return sql.join(parts as SQL[], sql`, `)
}
