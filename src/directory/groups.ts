/** Single acts of the admin: somebody joins or leaves a group, a user or group is disabled or enabled again. */
import { sql } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { query, texts, type Db } from '../db/client.ts'
import type { DirectoryKind, GroupKind } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { TABLES } from './known.ts'

/**
 * Disables a user or a group, or enables it again; says whether it was otherwise before. From the next fan-out on it is reached
 * no more, or again. Refuses a code that is not there.
 */
export async function setEnabled(
  db: Db,
  by: By,
  kind: DirectoryKind,
  code: string,
  enabled: boolean,
): Promise<{ isChanged: boolean }> {
  const table = sql.identifier(TABLES[kind])
  const [found] = await query<{ isThere: boolean; isChanged: boolean }>(
    db,
    sql`
    with changed as (
      update ${table} set enabled = ${enabled}::boolean, changed_at = now(), vanished_at = null
      where code = ${code} and enabled <> ${enabled}::boolean
      returning code
    ),
    audited as (${auditing(
      by,
      `${kind}.${enabled ? 'enable' : 'disable'}`,
      sql`
        select code as subject, jsonb_build_object('enabled', ${!enabled}::boolean) as before,
          jsonb_build_object('enabled', ${enabled}::boolean) as after
        from changed`,
    )})
    select exists (select from ${table} where code = ${code}) as "isThere", exists (select from changed) as "isChanged"`,
  )
  if (found?.isThere) return { isChanged: found.isChanged }
  throw badInput('code', `${code} 不存在`, `${code} does not exist`)
}

/** Adds users to a group; says how many were not in it before. Whoever or whatever is not there refuses all of it. */
export function addToGroup(db: Db, by: By, kind: GroupKind, group: string, users: readonly string[]) {
  return changeGroup(db, by, { kind, group, users, isJoining: true })
}

/** Takes users out of a group; says how many were in it. Whoever or whatever is not there refuses all of it. */
export function removeFromGroup(db: Db, by: By, kind: GroupKind, group: string, users: readonly string[]) {
  return changeGroup(db, by, { kind, group, users, isJoining: false })
}

type GroupChange = { kind: GroupKind; group: string; users: readonly string[]; isJoining: boolean }

async function changeGroup(db: Db, by: By, { kind, group, users, isJoining }: GroupChange): Promise<number> {
  const members = sql`kind = ${kind} and group_code = ${group}`
  const change = isJoining
    ? sql`
      insert into memberships (kind, group_code, user_code)
      select ${kind}, ${group}, code from named where not exists (select from missing) order by code collate "C"
      on conflict do nothing returning user_code as code`
    : sql`
      delete from memberships
      where ${members} and user_code = any(array(select code from named)) and not exists (select from missing)
      returning user_code as code`
  const rows = await query<{ missing: string | null; code: string | null }>(
    db,
    sql`
    with asked as (select distinct jsonb_array_elements_text(to_jsonb(${texts(users)})) as code),
    -- Taken as an upsert takes them: of two that change the same person's groups, the second sees what the first did.
    named as materialized (
      select code from users where code = any(array(select code from asked)) order by code collate "C" for no key update
    ),
    missing as (
      select code from asked where code not in (select code from named)
      union all
      select ${group} where not exists (select from ${sql.identifier(TABLES[kind])} where code = ${group})
    ),
    changed as (${change}),
    touched as (update users set changed_at = now() where code = any(array(select code from changed))),
    audited as (${auditing(
      by,
      `user.${isJoining ? 'join' : 'leave'}`,
      sql`
        select code as subject,
          ${isJoining ? sql`null::jsonb` : sql`jsonb_build_object(${kind}::text, ${group}::text)`} as before,
          ${isJoining ? sql`jsonb_build_object(${kind}::text, ${group}::text)` : sql`null::jsonb`} as after
        from changed`,
    )})
    select code as missing, null as code from missing union all select null, code from changed`,
  )
  const missing = rows.flatMap((row) => row.missing ?? [])
  if (missing.length === 0) return rows.length
  const names = missing.slice(0, 10).join(', ')
  throw badInput('group', `不存在：${names}`, `does not exist: ${names}`)
}
