/** A SCIM filter as a condition in SQL. A negation is handed down to what is compared, so that indexes stay of use. */
import { sql, type SQL } from 'drizzle-orm'
import { z } from 'zod'
import type { Comparison, Filter, Path, Value } from './filter.ts'
import { wrong } from './problem.ts'

/** What a filter may compare. `text`: without regard to case, as SCIM has it; `exact`: with; `set`: whether something is in it. */
export type Column =
  | ({ kind: 'text' } & Text)
  | ({ kind: 'exact' } & Text)
  | { kind: 'yes'; sql: SQL }
  | { kind: 'time'; sql: SQL }
  | { kind: 'set'; has: (value: string) => SQL }

/** `is`: how it is looked for; `read`: how what is looked for is written here; `isIndexed`: one value is found without reading all. */
type Text = { sql: SQL; isIndexed?: true; is?: (value: string) => SQL; read?: (value: string) => string }

/** By attribute in lower case: `username`, `emails.value`, `urn:…:kind`. */
export type Columns = ReadonlyMap<string, Column>

/** Comparisons in one filter that no index answers: each is made with everybody. */
const READ_ALL = 10

/** The condition, or a refusal that says what can be asked for. */
export function whereOf(filter: Filter, columns: Columns): SQL {
  const work = { readAll: 0 }
  const where = compile(filter, { columns, under: '', isNegated: false, work })
  if (work.readAll <= READ_ALL) return where
  const indexed = [...columns].filter(([, column]) => 'isIndexed' in column).map(([name]) => name)
  throw wrong(
    'invalidFilter',
    `Has more than ${READ_ALL} comparisons for which everything must be read; any number is fine of eq with ${indexed.join(', ')}`,
  )
}

type Place = { columns: Columns; under: string; isNegated: boolean; work: { readAll: number } }

function compile(filter: Filter, place: Place): SQL {
  const { isNegated } = place
  if (filter.op === 'and' || filter.op === 'or') {
    const joint = (filter.op === 'and') === isNegated ? sql` or ` : sql` and `
    return sql`(${sql.join(
      filter.of.map((one) => compile(one, place)),
      joint,
    )})`
  }
  if (filter.op === 'not') return compile(filter.of, { ...place, isNegated: !isNegated })
  if (filter.op === 'has') {
    const under = `${keyOf(filter.path)}.`
    const value = place.columns.get(`${under}value`)
    const inner = compile(filter.where, { ...place, under })
    if (value === undefined || value.kind === 'set') return inner
    return isNegated ? sql`(${value.sql} is null or ${inner})` : sql`(${value.sql} is not null and ${inner})`
  }
  const column = columnOf(filter.path, place)
  if (isNegated || filter.op !== 'eq' || !('isIndexed' in column)) place.work.readAll += 1
  const positive =
    filter.op === 'pr' ? present(filter.path, column) : compare(filter.op, filter.path, column, filter.value)
  return isNegated ? sql`(${positive} is not true)` : positive
}

function keyOf({ schema, attribute, sub }: Path): string {
  return `${schema === undefined ? '' : `${schema}:`}${attribute}${sub === undefined ? '' : `.${sub}`}`
}

function columnOf(path: Path, { columns, under }: Place): Column {
  const key = `${under}${keyOf(path)}`
  const column = columns.get(key) ?? columns.get(`${key}.value`)
  if (column !== undefined) return column
  throw wrong('invalidFilter', `Cannot filter by ${key}; what can be: ${[...columns.keys()].join(', ')}`)
}

function present(path: Path, column: Column): SQL {
  if (column.kind === 'set') throw wrong('invalidFilter', `${keyOf(path)} can be asked for with eq only`)
  return sql`(${column.sql} is not null)`
}

function compare(op: Comparison, path: Path, column: Column, value: Value): SQL {
  if (op === 'ne') return sql`(${compare('eq', path, column, value)} is not true)`
  if (column.kind === 'set') {
    if (op === 'eq' && typeof value === 'string') return column.has(value)
    throw wrong('invalidFilter', `${keyOf(path)} can be asked for with eq and a text only`)
  }
  if (value === null && op === 'eq') return sql`(${column.sql} is null)`
  if (column.kind === 'yes') return compareYes(op, path, column.sql, value)
  if (column.kind === 'time') return compareTime(op, path, column.sql, value)
  if (typeof value !== 'string')
    throw wrong('invalidFilter', `${keyOf(path)} is a text: write the value in double quotes`)
  const wanted = column.read?.(value) ?? value
  if (op === 'eq' && column.is !== undefined) return column.is(wanted)
  return column.kind === 'exact'
    ? compareText(op, column.sql, sql`${wanted}::text`)
    : compareText(op, sql`lower(${column.sql})`, sql`lower(${wanted}::text)`)
}

const SIGNS = { eq: sql`=`, gt: sql`>`, ge: sql`>=`, lt: sql`<`, le: sql`<=` }

function compareText(op: Exclude<Comparison, 'ne'>, one: SQL, other: SQL): SQL {
  if (op === 'eq') return sql`(${one} = ${other})`
  if (op === 'co') return sql`(position(${other} in ${one}) > 0)`
  if (op === 'sw') return sql`starts_with(${one}, ${other})`
  if (op === 'ew') return sql`(right(${one}, length(${other})) = ${other})`
  return sql`(${one} collate "C" ${SIGNS[op]} ${other})`
}

function compareYes(op: Comparison, path: Path, column: SQL, value: Value): SQL {
  const wanted = String(value).toLowerCase()
  if (op !== 'eq' || (wanted !== 'true' && wanted !== 'false'))
    throw wrong('invalidFilter', `${keyOf(path)} can be compared with eq and ne, to true and false`)
  return sql`(${column} = ${wanted === 'true'}::boolean)`
}

const time = z.iso.datetime({ offset: true })

function compareTime(op: Comparison, path: Path, column: SQL, value: Value): SQL {
  if (!(op in SIGNS) || !time.safeParse(value).success)
    throw wrong(
      'invalidFilter',
      `${keyOf(path)} can be compared with eq, ne, gt, ge, lt, le to a time such as "2026-11-27T08:00:00Z"`,
    )
  // As it is shown: whoever asks for what is later than the last one does not get that again.
  return sql`(date_trunc('milliseconds', ${column}) ${SIGNS[op as keyof typeof SIGNS]} ${String(value)}::text::timestamptz)`
}
