/** Reads who there is, for the admin: page by page in the order of codes, disabled ones too. Whom a push reaches: audience.ts. */
import { sql, type SQL } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { GroupKind } from '../db/tables.ts'
import type { User } from './directory.ts'
import { TABLES } from './known.ts'

/** What a list is narrowed to; all that is given must hold. */
export type DirectoryFilter = {
  /** Stands somewhere in the code or the name, or in a user's phone or mail address; in either case. */
  search?: string | null | undefined
  enabled?: boolean | null | undefined
}
export type UserFilter = DirectoryFilter & {
  group?: { kind: GroupKind; code: string; withBelow?: boolean | null | undefined } | null | undefined
}
/** `parentCode`: only what is directly below that department; empty: only the roots. */
export type GroupFilter = DirectoryFilter & { parentCode?: string | null | undefined }

/** Of one user; nobody is in so many but by mistake. */
const GROUPS_SHOWN = 1_000

type Page = { after: string | undefined; limit: number }
type GroupOfUser = { kind: GroupKind; code: string; name: string }
export type ListedUser = User & { groups: GroupOfUser[] }
export type ListedGroup = {
  kind: GroupKind
  code: string
  name: string
  parentCode: string | null
  enabled: boolean
  externalId: string | null
  vanishedAt: Date | null
  members: number
}

/** Users by code, each with the groups he is in himself. */
export function listUsers(db: Db, filter: UserFilter, { after, limit }: Page): Promise<ListedUser[]> {
  return usersWhere(
    db,
    sql`
    ${after === undefined ? sql`true` : sql`users.code > ${after}`}
    and ${narrowed(filter, ['code', 'name', 'phone', 'email'])}
    ${filter.group == null ? sql`` : sql`and users.code in (${membersOf(filter.group)})`}`,
    limit,
  )
}

/** The user of that code, with the groups he is in himself. */
export async function findUser(db: Db, code: string): Promise<ListedUser | undefined> {
  const [found] = await usersWhere(db, sql`users.code = ${code}`, 1)
  return found
}

/** Departments, posts or roles by code, each with how many are in it themselves. */
export function listGroups(
  db: Db,
  kind: GroupKind,
  filter: GroupFilter,
  { after, limit }: Page,
): Promise<ListedGroup[]> {
  const parent = kind === 'dept' ? sql`parent_code` : sql`null::text`
  return query<ListedGroup>(
    db,
    sql`
    select ${kind} as kind, code, name, ${parent} as "parentCode", enabled, external_id as "externalId",
      vanished_at as "vanishedAt",
      (select count(*)::int from memberships where kind = ${kind} and group_code = one.code) as members
    from ${sql.identifier(TABLES[kind])} as one
    where ${after === undefined ? sql`true` : sql`code > ${after}`}
      and ${narrowed(filter, ['code', 'name'])}
      ${filter.parentCode == null ? sql`` : sql`and coalesce(${parent}, '') = ${filter.parentCode}`}
    order by code
    limit ${limit}::integer`,
  )
}

function usersWhere(db: Db, condition: SQL, limit: number): Promise<ListedUser[]> {
  return query<ListedUser>(
    db,
    sql`
    select users.code, users.name, phone, email, locale, time_zone as "timeZone", users.enabled,
      users.external_id as "externalId", users.changed_at as "changedAt", users.vanished_at as "vanishedAt",
      created_at as "createdAt",
      coalesce((
        select jsonb_agg(
          jsonb_build_object('kind', kind, 'code', group_code, 'name', coalesce(departments.name, posts.name, roles.name))
          order by kind, group_code
        )
        from (
          select kind, group_code from memberships where user_code = users.code order by kind, group_code limit ${GROUPS_SHOWN}
        ) as one
        left join departments on kind = 'dept' and departments.code = group_code
        left join posts on kind = 'post' and posts.code = group_code
        left join roles on kind = 'role' and roles.code = group_code
      ), '[]') as groups
    from users
    where ${condition}
    order by users.code
    limit ${limit}::integer`,
  )
}

function narrowed({ search, enabled }: DirectoryFilter, columns: string[]): SQL {
  const words = search?.trim().toLowerCase() ?? ''
  const finds = columns.map((column) => sql`strpos(lower(${sql.identifier(column)}), ${words}) > 0`)
  return sql`
    ${enabled == null ? sql`true` : sql`enabled = ${enabled}::boolean`}
    and ${words === '' ? sql`true` : sql`(${sql.join(finds, sql` or `)})`}`
}

/** The codes of who is in a group himself, or in one below it, also in disabled ones. */
function membersOf({ kind, code, withBelow }: NonNullable<UserFilter['group']>): SQL {
  const isTree = kind === 'dept' && withBelow === true
  return sql`
    with recursive below (code) as (
      select ${code}::text
      union
      select departments.code from departments join below on departments.parent_code = below.code
      where ${isTree}::boolean
    )
    select user_code from memberships where kind = ${kind} and group_code in (select code from below)`
}
