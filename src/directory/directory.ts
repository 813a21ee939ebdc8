/**
 * Writes who there is: users, the groups that a receiver can name, and who belongs to them. Putting a row that is there
 * already overwrites it. Each put is one statement over one JSON parameter, so it happens whole or not at all.
 */
import { eq, sql } from 'drizzle-orm'
import { json, query, texts, type Db } from '../db/client.ts'
import { users, type GroupKind } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { email, phone } from './address.ts'

export type User = typeof users.$inferSelect
export type UserRow = { code: string; name: string; phone?: string | null; email?: string | null; enabled?: boolean }
export type GroupRow = { code: string; name: string }
export type DepartmentRow = GroupRow & { parentCode?: string | null }
export type MembershipRow = { kind: GroupKind; groupCode: string; userCode: string }

/** Writes users. Their phones and mail addresses are stored normalised; one that is none is refused. */
export async function putUsers(db: Db, rows: readonly UserRow[]): Promise<void> {
  const normalised = rows.map((row, at) => ({
    code: row.code,
    name: row.name,
    phone: address(row.phone, phone, `users.${at}.phone`),
    email: address(row.email, email, `users.${at}.email`),
    enabled: row.enabled ?? true,
  }))
  await query(
    db,
    sql`
    insert into users (code, name, phone, email, enabled)
    select code, name, phone, email, enabled
    from jsonb_to_recordset(${json(lastOfEach(normalised))}::jsonb)
      as row(code text, name text, phone text, email text, enabled boolean)
    order by code
    on conflict (code) do update
    set name = excluded.name, phone = excluded.phone, email = excluded.email, enabled = excluded.enabled`,
  )
}

/** Writes departments. A parent may come later, or in the same call; no `parentCode`: a root. */
export async function putDepartments(db: Db, rows: readonly DepartmentRow[]): Promise<void> {
  await query(
    db,
    sql`
    insert into departments (code, name, parent_code)
    select code, name, "parentCode"
    from jsonb_to_recordset(${json(lastOfEach(rows))}::jsonb) as row(code text, name text, "parentCode" text)
    order by code
    on conflict (code) do update set name = excluded.name, parent_code = excluded.parent_code`,
  )
}

/** Writes posts. */
export async function putPosts(db: Db, rows: readonly GroupRow[]): Promise<void> {
  await query(
    db,
    sql`
    insert into posts (code, name)
    select code, name from jsonb_to_recordset(${json(lastOfEach(rows))}::jsonb) as row(code text, name text)
    order by code
    on conflict (code) do update set name = excluded.name`,
  )
}

/** Writes roles. */
export async function putRoles(db: Db, rows: readonly GroupRow[]): Promise<void> {
  await query(
    db,
    sql`
    insert into roles (code, name)
    select code, name from jsonb_to_recordset(${json(lastOfEach(rows))}::jsonb) as row(code text, name text)
    order by code
    on conflict (code) do update set name = excluded.name`,
  )
}

/** Adds users to groups. When a user or a group does not exist, nothing is added and the refusal names all of them. */
export async function putMemberships(db: Db, rows: readonly MembershipRow[]): Promise<void> {
  const missing = await query<{ what: string; code: string }>(
    db,
    sql`
    with wanted as (
      select distinct kind, "groupCode" as group_code, "userCode" as user_code
      from jsonb_to_recordset(${json(rows)}::jsonb) as row(kind text, "groupCode" text, "userCode" text)
    ), missing as (
      select 'user' as what, user_code as code from wanted where user_code not in (select code from users)
      union
      select kind, group_code from wanted
      where case kind
        when 'dept' then group_code not in (select code from departments)
        when 'post' then group_code not in (select code from posts)
        when 'role' then group_code not in (select code from roles)
        else true
      end
    ), added as (
      insert into memberships (kind, group_code, user_code)
      select kind, group_code, user_code from wanted
      where not exists (select from missing)
      order by kind, group_code, user_code
      on conflict do nothing
    )
    select what, code from missing order by what, code`,
  )
  if (missing.length === 0) return
  const names = missing.map(({ what, code }) => `${what} ${code}`).join(', ')
  throw badInput('memberships', `不存在：${names}，请先建立`, `name what does not exist, put that first: ${names}`)
}

/** The user of that code, disabled ones too. */
export async function person(db: Db, code: string): Promise<User | undefined> {
  const [row] = await db.select().from(users).where(eq(users.code, code))
  return row
}

/** The users of those codes, disabled ones too, by code. Codes that name nobody are not in it. */
export async function people(db: Db, codes: readonly string[]): Promise<Map<string, User>> {
  const rows = await db
    .select()
    .from(users)
    .where(sql`${users.code} = any(${texts(codes)})`)
  return new Map(rows.map((row) => [row.code, row]))
}

/** One statement may not write a row twice: of several rows with one code the last counts, as if put one by one. */
function lastOfEach<Row extends { code: string }>(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [row.code, row])).values()]
}

function address(
  text: string | null | undefined,
  read: (text: string) => string | undefined,
  path: string,
): string | null {
  if (text === null || text === undefined || text === '') return null
  const normalised = read(text)
  if (normalised !== undefined) return normalised
  const [zh, en, example] =
    read === phone ? ['手机号', 'mobile number', '18660886275'] : ['邮箱地址', 'mail address', 'name@example.org']
  throw badInput(
    path,
    `“${text}”不是${zh}，请写成 ${example} 的形式或留空`,
    `"${text}" is not a ${en}: write one such as ${example}, or none`,
  )
}
