/**
 * Puts many users or groups at once: what is new is created, what is there is changed, and what a row does not say stays as
 * it is. A row that is wrong is told and left out; the others are kept, unless all or none is asked for.
 */
import type { By } from '../audit/audit.ts'
import type { Db } from '../db/client.ts'
import type { DirectoryKind, RowProblem } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { problemsTogether, without } from './known.ts'
import { readRow, type CheckedRow, type DepartmentInput, type GroupInput, type UserInput } from './rows.ts'
import { write } from './write.ts'

/** Rows in one call. */
export const BATCH_ROWS = 10_000
/** So many are checked before others have their turn. */
const ROWS_A_TURN = 500

export type Upserted = {
  created: number
  changed: number
  /** Were as the row says. */
  unchanged: number
  refused: number
  /** False: all or none was asked for, and some were refused, so none was kept. */
  isKept: boolean
  /** Why rows were refused, and what others are warned of, by line. */
  problems: RowProblem[]
}

export type InputOf = { user: UserInput; dept: DepartmentInput; post: GroupInput; role: GroupInput }

export type UpsertHow = {
  /** Keep none if one is refused. */
  allOrNothing?: boolean | null | undefined
  /** The line that each row stands on; without it they are counted from 1. */
  lines?: readonly number[]
  /** The open run that they are part of. */
  run?: string
  /** Rows beside these that cannot be read: they count as refused, and their codes as named. */
  beforehand?: readonly RowProblem[]
}

/**
 * Puts at most `BATCH_ROWS` rows in one statement, and says what became of them. Refuses what is no list of rows, and a `run`
 * that is not open; whatever else is wrong is told by row.
 */
export async function upsert<Kind extends DirectoryKind>(
  db: Db,
  by: By,
  kind: Kind,
  rows: readonly InputOf[Kind][],
  { allOrNothing, lines, run, beforehand = [] }: UpsertHow = {},
): Promise<Upserted> {
  if (rows.length > BATCH_ROWS)
    throw badInput('rows', `超过上限 ${BATCH_ROWS} 行，请分批`, `has more than ${BATCH_ROWS} rows: send them in parts`)
  const { checked, problems } = await readRows(kind, rows, lines)
  problems.push(...beforehand)
  problems.push(...(await problemsTogether(db, kind, checked)))
  problems.sort((one, other) => one.line - other.line)
  const kept = without(checked, problems)
  const refused = rows.length + beforehand.length - kept.length
  const nothing = { created: 0, changed: 0, unchanged: 0, refused, isKept: !allOrNothing || refused === 0, problems }
  if (!nothing.isKept || (kept.length === 0 && run === undefined)) return nothing
  // Somebody whose row is wrong is there all the same: a sync must not take him for gone.
  const named = run === undefined ? [] : namedBy(checked, problems)
  const written = await write(db, by, kind, kept, run === undefined ? undefined : { id: run, named, refused, problems })
  if (written === undefined) throw badInput('run', `${run} 未在进行中`, `${run} is not open: begin it first`)
  return { ...nothing, ...written, unchanged: kept.length - written.created - written.changed }
}

async function readRows(kind: DirectoryKind, rows: readonly unknown[], lines: readonly number[] | undefined) {
  const checked: CheckedRow[] = []
  const problems: RowProblem[] = []
  for (const [at, value] of rows.entries()) {
    const { row, problem } = readRow(kind, value, lines?.[at] ?? at + 1)
    if (problem === undefined) checked.push(row)
    else problems.push(problem)
    if (at % ROWS_A_TURN === ROWS_A_TURN - 1) await new Promise((resolve) => setImmediate(resolve))
  }
  return { checked, problems }
}

function namedBy(checked: readonly CheckedRow[], problems: readonly RowProblem[]): string[] {
  return [...new Set([...checked, ...problems].map(({ code }) => code).filter((code) => code !== ''))]
}
