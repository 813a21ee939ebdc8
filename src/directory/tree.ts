/** Keeps the departments a tree: every parent is there, and nobody is above himself. */
import { sql } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import type { RowProblem } from '../db/tables.ts'
import { refused, type CheckedRow } from './rows.ts'

/** Levels of a tree; deeper is a mistake, and would be walked at every push. */
const DEPTH = 50

/** What keeps some of these rows from being part of the tree, together with the other rows and what is there already. */
export async function treeProblems(db: Db, rows: readonly CheckedRow[]): Promise<RowProblem[]> {
  const stored = await above(
    db,
    rows.flatMap(({ code, set }) => (typeof set.parentCode === 'string' ? [code, set.parentCode] : [code])),
  )
  const problems: RowProblem[] = []
  let left = new Map(rows.map((row) => [row.code, row]))
  // What hangs on a row that is refused hangs in the air, so look again until nothing falls.
  for (;;) {
    const parents = new Map(stored)
    for (const { code, set } of left.values())
      if (set.parentCode !== undefined || !parents.has(code)) parents.set(code, set.parentCode ?? null)
    const found = [...left.values()].flatMap((row) => problemOf(row, parents) ?? [])
    if (found.length === 0) return problems
    problems.push(...found)
    const fallen = new Set(found.map(({ code }) => code))
    left = new Map([...left].filter(([code]) => !fallen.has(code)))
  }
}

function problemOf({ line, code, set }: CheckedRow, parents: Map<string, string | null>): RowProblem | undefined {
  if (typeof set.parentCode !== 'string') return undefined
  const refuse = (zh: string, en: string) => refused(line, code, { path: 'parentCode', zh, en })
  if (!parents.has(set.parentCode))
    return refuse(
      `没有部门 ${set.parentCode}，请先建立上级部门`,
      `there is no department ${set.parentCode}: put the parent first, or in the same call`,
    )
  const way = [code]
  for (let at = parents.get(code); typeof at === 'string'; at = parents.get(at)) {
    way.push(at)
    if (at === code) return refuse(`部门成环：${way.join(' → ')}`, `makes a circle: ${way.join(' → ')}`)
    // Into a circle of others: they are refused for it.
    if (way.length > DEPTH) return way.length > new Set(way).size ? undefined : refuse(...tooDeep)
  }
  return undefined
}

const tooDeep = [`层级超过 ${DEPTH} 层`, `is more than ${DEPTH} levels below the root`] as const

/** These departments and all above them: code → parent. */
async function above(db: Db, codes: readonly string[]): Promise<Map<string, string | null>> {
  const rows = await query<{ code: string; parent: string | null }>(
    db,
    sql`
    with recursive up as (
      select code, parent_code from departments where code = any(${texts(codes)})
      union
      select departments.code, departments.parent_code from departments join up on departments.code = up.parent_code
    )
    select code, parent_code as parent from up`,
  )
  return new Map(rows.map(({ code, parent }) => [code, parent]))
}
