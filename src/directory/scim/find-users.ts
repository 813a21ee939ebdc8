/** Finds users for SCIM clients. Whoever has vanished is not there for them. */
import { sql, type SQL } from 'drizzle-orm'
import { query, type Db } from '../../db/client.ts'
import { groupOf } from './group.ts'
import type { ListWish } from './page.ts'
import { version } from './put.ts'
import { kept, type FoundUser } from './user.ts'
import { whereOf, type Column, type Columns } from './where.ts'

/** Groups of one person that are shown. */
const GROUPS_SHOWN = 1_000

const code: Column = { kind: 'exact', isIndexed: true, sql: sql`users.code` }
/** Without regard to case, as SCIM has it; but who is exactly meant hides who differs in case. */
const userName: Column = {
  kind: 'text',
  isIndexed: true,
  sql: sql`users.code`,
  is: (value) => sql`
    (lower(users.code) = lower(${value}::text)
      and (users.code = ${value} or not exists (select from users as same where same.code = ${value} and same.vanished_at is null)))`,
}
const name: Column = { kind: 'text', sql: sql`users.name` }
const has = sql`users.email is not null`
const mail: Columns = new Map<string, Column>([
  ['emails.value', { kind: 'text', isIndexed: true, sql: sql`users.email`, read: kept.email }],
  ['emails.type', { kind: 'text', sql: sql`case when ${has} then 'work' end` }],
  ['emails.primary', { kind: 'yes', sql: sql`case when ${has} then true end` }],
])
const hasPhone = sql`users.phone is not null`

const COLUMNS: Columns = new Map<string, Column>([
  ['id', code],
  ['username', userName],
  ['externalid', { kind: 'exact', isIndexed: true, sql: sql`users.external_id` }],
  ['displayname', name],
  ['name.formatted', name],
  ['name.familyname', { kind: 'text', sql: sql`users.provided_name->>'familyName'` }],
  ['name.givenname', { kind: 'text', sql: sql`users.provided_name->>'givenName'` }],
  ...mail,
  ['phonenumbers.value', { kind: 'exact', isIndexed: true, sql: sql`users.phone`, read: kept.phone }],
  ['phonenumbers.type', { kind: 'text', sql: sql`case when ${hasPhone} then 'mobile' end` }],
  ['phonenumbers.primary', { kind: 'yes', sql: sql`case when ${hasPhone} then true end` }],
  ['active', { kind: 'yes', sql: sql`users.enabled` }],
  ['locale', { kind: 'text', sql: sql`users.locale` }],
  ['timezone', { kind: 'text', sql: sql`users.time_zone` }],
  ['groups.value', { kind: 'set', has: isIn }],
  ['meta.created', { kind: 'time', sql: sql`users.created_at` }],
  ['meta.lastmodified', { kind: 'time', sql: sql`users.changed_at` }],
])

function isIn(id: string): SQL {
  const group = groupOf(id)
  if (group === undefined) return sql`false`
  return sql`users.code in (select user_code from memberships where kind = ${group.kind} and group_code = ${group.code})`
}

/** A page of those whom the filter means, in the order of their ids, and how many there are in all. */
export async function findUsers(
  db: Db,
  { filter, startIndex, count }: ListWish,
  withGroups: boolean,
): Promise<{ total: number; found: FoundUser[] }> {
  const where = sql`users.vanished_at is null and ${filter === undefined ? sql`true` : whereOf(filter, COLUMNS)}`
  const found = await read(
    db,
    sql`where ${where} order by users.code limit ${count}::integer offset ${startIndex - 1}::integer`,
    withGroups,
  )
  if (startIndex === 1 && found.length < count) return { total: found.length, found }
  const [all] = await query<{ total: number }>(db, sql`select count(*)::integer as total from users where ${where}`)
  return { total: all?.total ?? 0, found }
}

export async function findUser(db: Db, id: string, withGroups: boolean): Promise<FoundUser | undefined> {
  const [found] = await read(db, sql`where users.code = ${id} and users.vanished_at is null`, withGroups)
  return found
}

function read(db: Db, which: SQL, withGroups: boolean): Promise<FoundUser[]> {
  return query<FoundUser>(
    db,
    sql`
    select code, name, phone, email, locale, time_zone as "timeZone", enabled, external_id as "externalId",
      provided_name as "providedName", created_at as "createdAt", changed_at as "changedAt", ${version(sql`users`)} as version
      ${withGroups ? groups : sql``}
    from users ${which}`,
  )
}

const groups = sql`,
  (
    select coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'code', code, 'name', name) order by kind, code), '[]')
    from (
      select kind, group_code as code, coalesce(departments.name, posts.name, roles.name) as name
      from memberships
      left join departments on kind = 'dept' and departments.code = group_code and departments.vanished_at is null
      left join posts on kind = 'post' and posts.code = group_code and posts.vanished_at is null
      left join roles on kind = 'role' and roles.code = group_code and roles.vanished_at is null
      where user_code = users.code and coalesce(departments.code, posts.code, roles.code) is not null
      limit ${GROUPS_SHOWN}::integer
    ) as theirs
  ) as groups`
