/**
 * Writes one user or group as a SCIM client puts it, a group's members with it: one statement, which writes and notes in the audit
 * log only what really changes. The row itself is taken first, then the people in the order of their codes.
 */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../../audit/audit.ts'
import { json, query, type Db } from '../../db/client.ts'
import type { DirectoryKind, ProvidedName } from '../../db/tables.ts'
import { TABLES } from '../known.ts'
import type { RowValues } from '../rows.ts'
import { COLUMNS } from '../write.ts'

export type Put = {
  kind: DirectoryKind
  code: string
  /** What is not said stays, and of somebody new is none. */
  set: Partial<RowValues> & { providedName?: ProvidedName | null }
  /** Refuse if it is there already. One that has vanished comes back as new. */
  isNew: boolean
  /** Of a group. */
  members?: MemberChange
  /** Write only if it is as it was then (`version` of what was found), since the change was made from that. */
  seen?: string
}

/** Whoever joins and leaves; `isWhole`: nobody stays but those who join. */
export type MemberChange = { isWhole: boolean; join: readonly string[]; leave: readonly string[] }

/** `taken`: there already; `idTaken`: the external id is another's; `gone`: not there, or no more; `moved`: not as it was seen. Anything but `done`: nothing was written. */
export type PutOutcome = { is: 'done' | 'taken' | 'idTaken' | 'gone' | 'moved' } | { is: 'missing'; people: string[] }

/** Of those who are not there so many are named. */
const NAMED = 10

/** When it was last changed, as a number that is compared exactly. */
export const version = (table: SQL) => sql`(extract(epoch from ${table}.changed_at) * 1000000)::bigint::text`

/** PostgreSQL's number for a value that a unique index has already. */
const UNIQUE_VIOLATION = '23505'

/** Writes what is put, whole or not at all, and says what came of it. */
export async function put(db: Db, by: By, { kind, code, set, isNew, members, seen }: Put): Promise<PutOutcome> {
  const table = sql.identifier(TABLES[kind])
  const columns = [
    ...Object.entries(COLUMNS[kind]),
    ...(kind === 'user' ? [['providedName', 'provided_name'] as const] : []),
  ]
  const names = list(columns.map(([, column]) => sql.identifier(column)))
  const stored = list(columns.map(([name, column]) => sql`${sql.raw(`'${name}'`)}, stored.${sql.identifier(column)}`))
  const values = list(columns.map(([name]) => valueOf(name)))
  const overwrite = list(
    columns.map(([, column]) => sql`${sql.identifier(column)} = excluded.${sql.identifier(column)}`),
  )
  const none = json(Object.fromEntries(columns.map(([name]) => [name, name === 'enabled' ? true : null])))
  const isFit = isNew
    ? sql`(stored.code is null or stored.vanished_at is not null) and ${kind === 'user' ? isFree(code) : sql`true`}`
    : sql`stored.vanished_at is null and stored.code is not null and ${seen === undefined ? sql`true` : sql`${version(sql`stored`)} = ${seen}`}`
  const rows = await query<{ isThere: boolean; isFit: boolean; isWritten: boolean; missing: string[] }>(
    db,
    sql`
    with stored as materialized (select * from ${table} where code = ${code} for no key update),
    compared as materialized (
      select case when stored.code is not null then jsonb_build_object(${stored}) end as before,
        ${isNew ? sql`${none}::jsonb` : sql`jsonb_build_object(${stored})`} || ${json(set)}::jsonb as after,
        stored.vanished_at is not null as was_gone, stored.changed_at
      from (select) as given left join stored on true
      where ${isFit}
    ),
    ${membersOf(kind, code, members)},
    written as (
      insert into ${table} (code, ${names}, changed_at)
      select ${code}, ${values}, greatest(now(), changed_at + interval '1 microsecond')
      from compared
      where not exists (select from missing)
        and (before is distinct from after or was_gone or exists (select from joining) or exists (select from leaving))
      on conflict (code) do update set ${overwrite}, changed_at = excluded.changed_at, vanished_at = null
      where ${isNew ? sql`${table}.vanished_at is not null` : sql`true`}
      returning code
    ),
    ${members === undefined ? sql`` : moving(by, kind, code)}
    audited as (${auditing(
      by,
      `${kind}.upsert`,
      sql`
        select written.code as subject, before, after from compared cross join written
        where before is distinct from after or was_gone`,
    )})
    select exists (select from stored where vanished_at is null) as "isThere", exists (select from compared) as "isFit",
      exists (select from written) as "isWritten", to_jsonb(array(select code from missing order by code limit ${NAMED}::integer)) as missing`,
  ).catch((error: { code?: unknown }) => {
    // Somebody else has got the external id since it was looked for.
    if (error.code === UNIQUE_VIOLATION) return undefined
    throw error
  })
  if (rows === undefined) return { is: 'idTaken' }
  const [found] = rows
  if (found === undefined || !found.isFit) return { is: isNew ? 'taken' : found?.isThere ? 'moved' : 'gone' }
  if (found.missing.length > 0) return { is: 'missing', people: found.missing }
  // Of two who make the same at once, the second finds it made.
  return { is: isNew && !found.isWritten ? 'taken' : 'done' }
}

/** To a SCIM client, names that differ only in case are one. */
function isFree(code: string): SQL {
  return sql`not exists (select from users where lower(code) = lower(${code}) and code <> ${code} and vanished_at is null)`
}

function valueOf(name: string): SQL {
  if (name === 'enabled') return sql`(after->>'enabled')::boolean`
  if (name === 'providedName') return sql`nullif(after->'providedName', 'null')`
  return sql.raw(`after->>'${name}'`)
}

/** Who is asked for, who is not there, and who really joins and leaves. Taken as an upsert takes people: in the order of their codes. */
function membersOf(kind: DirectoryKind, code: string, change: MemberChange | undefined): SQL {
  if (change === undefined)
    return sql`
      missing as (select ''::text as code where false), joining as (select ''::text as code where false),
      leaving as (select ''::text as code where false)`
  const { isWhole, join, leave } = change
  return sql`
    asked as materialized (select distinct jsonb_array_elements_text(${json(join)}::jsonb) as code),
    stood as materialized (select user_code as code, ctid as place from memberships where kind = ${kind} and group_code = ${code}),
    leaving as materialized (
      select code, place from stood
      where ${isWhole ? sql`code not in (select code from asked)` : sql`code in (select jsonb_array_elements_text(${json(leave)}::jsonb))`}
    ),
    named as materialized (
      select code, vanished_at from users
      where code = any(array(select code from asked union all select code from leaving)) and exists (select from compared)
      order by code collate "C" for no key update
    ),
    missing as materialized (
      select code from asked where exists (select from compared) and code not in (select code from named where vanished_at is null)
    ),
    joining as materialized (select code from asked where code not in (select code from stood))`
}

function moving(by: By, kind: DirectoryKind, code: string): SQL {
  const membership = sql`jsonb_build_object(${kind}::text, ${code}::text)`
  return sql`
    -- All who are asked for: somebody who was in it when this began may have been taken out while it waited for the group.
    joined as (
      insert into memberships (kind, group_code, user_code)
      select ${kind}, ${code}, asked.code from asked cross join written order by asked.code collate "C"
      on conflict do nothing returning user_code as code
    ),
    left_ as (
      -- By their places: joined by code, or by \`= any\`, PostgreSQL would search the whole list for each of the members.
      delete from memberships where ctid = any(array(select place from leaving)) and exists (select from written)
      returning user_code as code
    ),
    touched as (
      update users set changed_at = now() where code = any(array(select code from joined union all select code from left_))
    ),
    audited_joins as (${auditing(by, 'user.join', sql`select code as subject, null::jsonb as before, ${membership} as after from joined`)}),
    audited_leaves as (${auditing(by, 'user.leave', sql`select code as subject, ${membership} as before, null::jsonb as after from left_`)}),`
}

function list(parts: (SQL | ReturnType<typeof sql.identifier>)[]): SQL {
  return sql.join(parts as SQL[], sql`, `)
}
