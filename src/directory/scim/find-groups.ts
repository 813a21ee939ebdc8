/** Finds departments, posts and roles for SCIM clients, as one list. What has vanished is not there for them. */
import { sql, type SQL } from 'drizzle-orm'
import { json, query, type Db } from '../../db/client.ts'
import type { GroupKind } from '../../db/tables.ts'
import { groupOf, type FoundGroup } from './group.ts'
import type { ListWish } from './page.ts'
import { version } from './put.ts'
import { EXTENSION } from './schemas.ts'
import { whereOf, type Column, type Columns } from './where.ts'

/** In one answer. A group that has more is shown without any, since half a list would be taken for all of it. */
const MEMBERS_SHOWN = 10_000

const COLUMNS: Columns = new Map<string, Column>([
  ['id', { kind: 'exact', isIndexed: true, sql: sql`here.kind || ':' || here.code`, is: isGroup }],
  ['displayname', { kind: 'text', sql: sql`here.name` }],
  ['externalid', { kind: 'exact', isIndexed: true, sql: sql`here.external_id` }],
  ['members.value', { kind: 'set', has: hasMember }],
  [`${EXTENSION}:kind`, { kind: 'text', sql: sql`here.kind` }],
  [`${EXTENSION}:code`, { kind: 'exact', sql: sql`here.code` }],
  [`${EXTENSION}:parent`, { kind: 'exact', sql: sql`here.parent_code` }],
  [`${EXTENSION}:active`, { kind: 'yes', sql: sql`here.enabled` }],
  ['meta.lastmodified', { kind: 'time', sql: sql`here.changed_at` }],
])

function isGroup(id: string): SQL {
  const group = groupOf(id)
  return group === undefined ? sql`false` : sql`(here.kind = ${group.kind} and here.code = ${group.code})`
}

function hasMember(user: string): SQL {
  return sql`(here.kind, here.code) in (select kind, group_code from memberships where user_code = ${user})`
}

/** A page of those that the filter means, in the order of their ids, and how many there are in all. */
export async function findGroups(
  db: Db,
  { filter, startIndex, count }: ListWish,
  withMembers: boolean,
): Promise<{ total: number; found: FoundGroup[] }> {
  const where = filter === undefined ? sql`true` : whereOf(filter, COLUMNS)
  const page = sql`where ${where} order by here.kind, here.code limit ${count}::integer offset ${startIndex - 1}::integer`
  const found = await read(db, page, withMembers)
  if (startIndex === 1 && found.length < count) return { total: found.length, found }
  const [all] = await query<{ total: number }>(
    db,
    sql`select count(*)::integer as total from (${ALL}) as here where ${where}`,
  )
  return { total: all?.total ?? 0, found }
}

export async function findGroup(db: Db, id: string, withMembers: boolean): Promise<FoundGroup | undefined> {
  const [found] = await read(db, sql`where ${isGroup(id)}`, withMembers)
  return found
}

async function read(db: Db, which: SQL, withMembers: boolean): Promise<FoundGroup[]> {
  const found = await query<FoundGroup>(
    db,
    sql`
    select kind, code, name, parent_code as "parentCode", enabled, external_id as "externalId", changed_at as "changedAt",
      ${version(sql`here`)} as version,
      (
        select count(*)::integer from memberships join users on users.code = memberships.user_code
        where memberships.kind = here.kind and memberships.group_code = here.code and users.vanished_at is null
      ) as "memberCount"
    from (${ALL}) as here ${which}`,
  )
  if (withMembers) await addMembers(db, found)
  return found
}

const ALL = sql`
  select 'dept' as kind, code, name, parent_code, enabled, external_id, changed_at from departments where vanished_at is null
  union all
  select 'post', code, name, null, enabled, external_id, changed_at from posts where vanished_at is null
  union all
  select 'role', code, name, null, enabled, external_id, changed_at from roles where vanished_at is null`

/** As many groups as fit get theirs, in the order of the page. */
async function addMembers(db: Db, groups: FoundGroup[]): Promise<void> {
  let room = MEMBERS_SHOWN
  const fitting = groups.filter(({ memberCount }) => {
    if (memberCount > room) return false
    room -= memberCount
    return true
  })
  const rows = await query<{ kind: GroupKind; group: string; code: string; name: string }>(
    db,
    sql`
    select memberships.kind, memberships.group_code as group, users.code, users.name
    from jsonb_to_recordset(${json(fitting.map(({ kind, code }) => ({ kind, code })))}::jsonb) as wanted(kind text, code text)
    join memberships on memberships.kind = wanted.kind and memberships.group_code = wanted.code
    join users on users.code = memberships.user_code and users.vanished_at is null
    order by users.code
    limit ${2 * MEMBERS_SHOWN}::integer`,
  )
  const members = Map.groupBy(rows, ({ kind, group }) => `${kind}:${group}`)
  for (const group of fitting)
    group.members = (members.get(`${group.kind}:${group.code}`) ?? []).map(({ code, name }) => ({ code, name }))
}
