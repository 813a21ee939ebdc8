/** What is wrong with rows beside each other and beside what is there: each is right in itself, but not together. */
import { sql } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { DirectoryKind, RowProblem } from '../db/tables.ts'
import { refused, type CheckedRow } from './rows.ts'
import { treeProblems } from './tree.ts'

/** Where each kind is kept. */
export const TABLES = { user: 'users', dept: 'departments', post: 'posts', role: 'roles' } as const
const LISTS = { dept: 'depts', post: 'posts', role: 'roles' } as const
/** Others of one phone that a warning names. */
const SHOWN = 3

/** Why some of the rows cannot be kept, and of which of the rest to warn. Groups are never removed, so a look is enough. */
export async function problemsTogether(
  db: Db,
  kind: DirectoryKind,
  rows: readonly CheckedRow[],
): Promise<RowProblem[]> {
  const problems = twice(rows, ({ code }) => code, 'code', '编码', 'code')
  problems.push(...twice(without(rows, problems), ({ set }) => set.externalId, 'externalId', '外部标识', 'external id'))
  problems.push(...(await takenIds(db, kind, without(rows, problems))))
  if (kind === 'dept') problems.push(...(await treeProblems(db, without(rows, problems))))
  if (kind !== 'user') return problems
  problems.push(...(await unknownGroups(db, without(rows, problems))))
  return [...problems, ...(await sharedPhones(db, without(rows, problems)))]
}

/** The rows that no problem refuses. By line and code: of two rows with one code one may be refused. */
export function without(rows: readonly CheckedRow[], problems: readonly RowProblem[]): CheckedRow[] {
  const fallen = new Set(problems.filter(({ isRefused }) => isRefused).map(({ line, code }) => `${line} ${code}`))
  return rows.filter(({ line, code }) => !fallen.has(`${line} ${code}`))
}

function twice(
  rows: readonly CheckedRow[],
  read: (row: CheckedRow) => string | null | undefined,
  path: string,
  zh: string,
  en: string,
): RowProblem[] {
  const first = new Map<string, number>()
  return rows.flatMap((row) => {
    const value = read(row)
    if (value === null || value === undefined) return []
    const before = first.get(value)
    if (before === undefined) return first.set(value, row.line) && []
    return refused(row.line, row.code, {
      path,
      zh: `与第 ${before} 行的${zh}相同`,
      en: `is the same ${en} as on line ${before}`,
    })
  })
}

async function takenIds(db: Db, kind: DirectoryKind, rows: readonly CheckedRow[]): Promise<RowProblem[]> {
  const ids = rows.flatMap(({ set }) => set.externalId ?? [])
  if (ids.length === 0) return []
  const owners = await query<{ id: string; code: string }>(
    db,
    sql`select external_id as id, code from ${sql.identifier(TABLES[kind])} where external_id = any(${texts(ids)})`,
  )
  const owner = new Map(owners.map(({ id, code }) => [id, code]))
  return rows.flatMap(({ line, code, set }) => {
    const other = owner.get(set.externalId ?? '')
    if (other === undefined || other === code) return []
    return refused(line, code, {
      path: 'externalId',
      zh: `已属于 ${other}`,
      en: `belongs to ${other} already`,
    })
  })
}

async function unknownGroups(db: Db, rows: readonly CheckedRow[]): Promise<RowProblem[]> {
  const named = (kind: keyof typeof LISTS) => [...new Set(rows.flatMap(({ lists }) => lists[kind] ?? []))]
  const found = await query<{ kind: string; code: string }>(
    db,
    sql`
    select 'dept' as kind, code from departments where code = any(${texts(named('dept'))})
    union all
    select 'post', code from posts where code = any(${texts(named('post'))})
    union all
    select 'role', code from roles where code = any(${texts(named('role'))})`,
  )
  const known = new Set(found.map(({ kind, code }) => `${kind} ${code}`))
  return rows.flatMap(({ line, code, lists }) => {
    for (const [kind, path] of Object.entries(LISTS)) {
      const missing = (lists[kind as keyof typeof LISTS] ?? []).find((group) => !known.has(`${kind} ${group}`))
      if (missing !== undefined)
        return refused(line, code, {
          path,
          zh: `${missing} 不存在，请先建立`,
          en: `${missing} does not exist: put it first`,
        })
    }
    return []
  })
}

/** Allowed, since families and wards share one; said, since it is often a slip, and then one phone no longer means one person. */
async function sharedPhones(db: Db, rows: readonly CheckedRow[]): Promise<RowProblem[]> {
  const phones = rows.flatMap(({ set }) => set.phone ?? [])
  if (phones.length === 0) return []
  const theirs = new Set(rows.map(({ code }) => code))
  const stored = await query<{ code: string; phone: string }>(
    db,
    sql`select code, phone from users where enabled and phone = any(${texts(phones)}) order by code`,
  )
  const owners = Map.groupBy(
    [
      ...stored.filter(({ code }) => !theirs.has(code)),
      ...rows.flatMap(({ code, set }) => (typeof set.phone === 'string' ? [{ code, phone: set.phone }] : [])),
    ],
    ({ phone }) => phone,
  )
  return rows.flatMap(({ line, code, set }) => {
    const others = (owners.get(set.phone ?? '') ?? []).filter((owner) => owner.code !== code)
    if (others.length === 0) return []
    const names = others.slice(0, SHOWN).map((owner) => owner.code)
    const more = others.length > SHOWN ? ` +${others.length - SHOWN}` : ''
    return {
      line,
      code,
      isRefused: false,
      path: 'phone',
      zh: `手机号也是 ${names.join('、')}${more} 的`,
      en: `is also the phone of ${names.join(', ')}${more}`,
    }
  })
}
