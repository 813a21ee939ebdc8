/**
 * Puts a table into the directory as a run: in parts, so that memory stays small and others have their turn, each part whole
 * or not at all. How far it is and what is wrong with which line stands in the run, for whoever asks.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { By } from '../audit/audit.ts'
import type { Db } from '../db/client.ts'
import type { RowProblem } from '../db/tables.ts'
import { Refusal } from '../errors.ts'
import type { TableKind } from './csv-columns.ts'
import type { Table, TableRow } from './csv.ts'
import { refused } from './rows.ts'
import { begin, fail, finish, type Run } from './sync.ts'
import { BATCH_ROWS, upsert, type InputOf, type Upserted } from './upsert.ts'

/** Small enough for a busy database to write within the time that a statement has. */
const PART_ROWS = Math.min(2_000, BATCH_ROWS)
/** While the database is away a part waits and is sent again, which is harmless. */
const AGAIN_MS = 1_000
const AGAIN_AT_MOST = 60

export type ImportHow = {
  kind: TableKind
  /** The id of the run. */
  run: string
  /** Who is not in the table is disabled. */
  isFull: boolean
  /** Also when they are more than the guard lets pass. */
  confirm?: boolean | undefined
  /** Ends it between two parts, as failed. */
  signal?: AbortSignal | undefined
  guardPercent: number
  /** Told of each part that is in. */
  onPart?: (upserted: Upserted) => void
}

/** Begins the run of an import; refuses it while a full sync is open, if it is one itself. */
export function beginImport(db: Db, by: By, { count }: Table, { kind, run, isFull }: ImportHow): Promise<Run> {
  return begin(db, by, { run, covers: [kind], isFull, expected: count })
}

/** Imports an opened table whose run was begun. When it cannot go on, the run ends as failed and says why; what was put until then stays. */
export async function importTable(db: Db, by: By, table: Table, how: ImportHow): Promise<Run> {
  const { kind, run, confirm, guardPercent, signal, onPart } = how
  try {
    for await (const part of partsOf(table.rows)) {
      signal?.throwIfAborted()
      const upserted = await patiently(() => putPart(db, by, kind, run, part))
      onPart?.(upserted)
    }
    signal?.throwIfAborted()
    return await patiently(() => finish(db, by, run, { confirm, guardPercent }))
  } catch (error) {
    const why = error instanceof Refusal ? error.zh : signal?.aborted ? '驿站已停止，请重新导入' : '服务器内部错误'
    await fail(db, by, run, why)
    throw error
  }
}

async function putPart(db: Db, by: By, kind: TableKind, run: string, part: readonly TableRow[]): Promise<Upserted> {
  const fit = part.filter(({ wrong }) => wrong === undefined)
  const beforehand = part.flatMap(({ line, row, wrong }): RowProblem[] =>
    wrong === undefined ? [] : [refused(line, String(row['code'] ?? ''), wrong)],
  )
  const rows = fit.map(({ row }) => row) as InputOf[TableKind][]
  return upsert(db, by, kind, rows, { run, lines: fit.map(({ line }) => line), beforehand })
}

async function* partsOf(rows: AsyncIterable<TableRow>): AsyncGenerator<TableRow[]> {
  let part: TableRow[] = []
  for await (const row of rows) {
    part.push(row)
    if (part.length < PART_ROWS) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}

async function patiently<Out>(act: () => Promise<Out>): Promise<Out> {
  for (let tries = 1; ; tries++) {
    try {
      return await act()
    } catch (error) {
      const isAway = error instanceof Refusal && error.code === 'UNAVAILABLE'
      if (!isAway || tries === AGAIN_AT_MOST) throw error
      await sleep(AGAIN_MS)
    }
  }
}
