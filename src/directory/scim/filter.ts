/**
 * Reads SCIM filters and the paths of a PATCH (RFC 7644 §3.4.2.2, §3.5.2) in one walk from left to right: no text takes longer than
 * its length, and none goes deeper than `DEPTH`.
 */
import { checkText } from '../../check.ts'
import { Refusal } from '../../errors.ts'
import { wrong, type ScimProblem } from './problem.ts'
import { CORE_SCHEMAS, SCHEMAS } from './schemas.ts'

/** Far more than any client writes, and little for the database. */
const LENGTH = 10_000
const DEPTH = 20
const TERMS = 100

const COMPARISONS = ['eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le'] as const
export type Comparison = (typeof COMPARISONS)[number]
export type Value = string | number | boolean | null

/** An attribute in lower case, since their names are compared so. `schema`: of an extension; none: one of the core's. */
export type Path = { schema?: string; attribute: string; sub?: string }

export type Filter =
  | { op: 'and'; of: Filter[] }
  | { op: 'or'; of: Filter[] }
  | { op: 'not'; of: Filter }
  | { op: 'has'; path: Path; where: Filter }
  | { op: 'pr'; path: Path }
  | { op: Comparison; path: Path; value: Value }

/** Where a PATCH aims: an attribute, or those of its values that `where` fits, or one part of them. */
export type Target = Path & { where?: Filter }

type Reader = { text: string; at: number; terms: number; refuse(what: string): ScimProblem }

/** Reads a filter, or refuses with the place where it goes wrong. */
export function parseFilter(text: string): Filter {
  const reader = begin(text, 'invalidFilter')
  const filter = readOr(reader, 0)
  if (reader.at < text.length) throw reader.refuse('the end, `and` or `or`')
  return filter
}

/** Reads the path of a PATCH: `active`, `name.givenName`, `emails[type eq "work"].value`, `urn:…:parent`. */
export function parsePath(text: string): Target {
  const reader = begin(text, 'invalidPath')
  const path = readPath(reader)
  const where = take(reader, '[') ? readInner(reader, 0) : undefined
  const sub = where !== undefined && take(reader, '.') ? part(reader) : path.sub
  if (reader.at < text.length) throw reader.refuse('the end of the path')
  return { ...path, ...(sub === undefined ? {} : { sub }), ...(where === undefined ? {} : { where }) }
}

/** Whether a value of a multi-valued attribute is one that the filter means. Texts are compared without regard to case. */
export function fits(filter: Filter, value: Record<string, unknown>): boolean {
  if (filter.op === 'and') return filter.of.every((one) => fits(one, value))
  if (filter.op === 'or') return filter.of.some((one) => fits(one, value))
  if (filter.op === 'not') return !fits(filter.of, value)
  if (filter.op === 'has') return false
  const found = folded(value[filter.path.attribute] ?? null)
  if (filter.op === 'pr') return found !== null
  const wanted = folded(filter.value)
  if (filter.op === 'eq') return found === wanted
  if (filter.op === 'ne') return found !== wanted
  if (typeof found !== 'string' || typeof wanted !== 'string') return false
  return ORDERS[filter.op](found, wanted)
}

const ORDERS: Record<Exclude<Comparison, 'eq' | 'ne'>, (found: string, wanted: string) => boolean> = {
  co: (found, wanted) => found.includes(wanted),
  sw: (found, wanted) => found.startsWith(wanted),
  ew: (found, wanted) => found.endsWith(wanted),
  gt: (found, wanted) => found > wanted,
  ge: (found, wanted) => found >= wanted,
  lt: (found, wanted) => found < wanted,
  le: (found, wanted) => found <= wanted,
}

function folded(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

function begin(text: string, scimType: 'invalidFilter' | 'invalidPath'): Reader {
  const name = scimType === 'invalidFilter' ? 'filter' : 'path'
  if (text.length > LENGTH) throw wrong(scimType, `The ${name} has more than ${LENGTH} characters`)
  const reader: Reader = {
    text,
    at: 0,
    terms: 0,
    refuse(what) {
      const found = reader.at < text.length ? `"${[...text.slice(reader.at, reader.at + 20)].join('')}"` : 'its end'
      return wrong(scimType, `The ${name} is wrong at character ${reader.at + 1}: expected ${what}, found ${found}`)
    },
  }
  skip(reader)
  return reader
}

function readOr(reader: Reader, depth: number): Filter {
  return readList(reader, 'or', () => readList(reader, 'and', () => readOne(reader, depth)))
}

function readList(reader: Reader, op: 'and' | 'or', read: () => Filter): Filter {
  const first = read()
  const of = [first]
  while (takeWord(reader, op)) of.push(read())
  return of.length === 1 ? first : { op, of }
}

function readOne(reader: Reader, depth: number): Filter {
  if (depth > DEPTH) throw reader.refuse(`no more than ${DEPTH} brackets in each other`)
  if (take(reader, '(')) return readRest(reader, depth)
  const before = reader.at
  if (takeWord(reader, 'not') && take(reader, '(')) return { op: 'not', of: readRest(reader, depth) }
  reader.at = before
  if (++reader.terms > TERMS) throw reader.refuse(`no more than ${TERMS} comparisons`)
  const path = readPath(reader)
  if (!take(reader, '[')) return readComparison(reader, path)
  const where = readInner(reader, depth + 1)
  // Not in the RFC, but how Microsoft Entra ID asks for a mail address: emails[type eq "work"].value eq "…".
  if (!take(reader, '.')) return { op: 'has', path, where }
  const compared = readComparison(reader, { attribute: part(reader) })
  return { op: 'has', path, where: { op: 'and', of: [where, compared] } }
}

function readRest(reader: Reader, depth: number): Filter {
  const filter = readOr(reader, depth + 1)
  if (!take(reader, ')')) throw reader.refuse('`)`')
  return filter
}

function readInner(reader: Reader, depth: number): Filter {
  const filter = readOr(reader, depth)
  if (reader.text[reader.at] !== ']') throw reader.refuse('`]`')
  reader.at += 1
  // `.value` follows at once; anything else after blanks.
  if (reader.text[reader.at] !== '.') skip(reader)
  return filter
}

function readComparison(reader: Reader, path: Path): Filter {
  const before = reader.at
  const op = word(reader).toLowerCase()
  if (op === 'pr') return { op, path }
  const comparison = COMPARISONS.find((one) => one === op)
  if (comparison !== undefined) return { op: comparison, path, value: readValue(reader) }
  reader.at = before
  throw reader.refuse(`one of ${COMPARISONS.join(', ')}, pr`)
}

const STRING = /"(?:[^"\\]|\\.)*"/y
const PLAIN = /true|false|null|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/iy

function readValue(reader: Reader): Value {
  const found = match(reader, STRING) ?? match(reader, PLAIN)?.toLowerCase()
  if (found === undefined) throw reader.refuse('a text in double quotes, a number, true, false or null')
  try {
    const value = JSON.parse(found) as Value
    checkText(value)
    skip(reader)
    return value
  } catch (error) {
    reader.at -= found.length
    throw reader.refuse(error instanceof Refusal ? `a text that ${error.message}` : 'a text as JSON writes it')
  }
}

/** `userName`, `name.givenName`, either behind the URN of its schema; an extension's URN alone means all of it. */
function readPath(reader: Reader): Path {
  const text = word(reader).toLowerCase()
  const schema = text.startsWith('urn:')
    ? (SCHEMAS.find((one) => text === one || text.startsWith(`${one}:`)) ?? text.slice(0, text.lastIndexOf(':')))
    : ''
  const [attribute = '', ...subs] = text.slice(schema === '' ? 0 : schema.length + 1).split('.')
  if (subs.length > 1) throw reader.refuse('an attribute with at most one part behind a dot')
  const [sub] = subs
  return {
    ...(schema === '' || CORE_SCHEMAS.includes(schema) ? {} : { schema }),
    attribute,
    ...(sub === undefined ? {} : { sub }),
  }
}

/** What stands behind `emails[…].`. */
function part(reader: Reader): string {
  const found = match(reader, PART)
  if (found === undefined) throw reader.refuse('a name')
  skip(reader)
  return found.toLowerCase()
}

const PART = /[\w$-]+/y
const WORD = /[\w$:.-]+/y

function word(reader: Reader): string {
  const found = match(reader, WORD)
  if (found === undefined) throw reader.refuse('a name')
  skip(reader)
  return found
}

function take(reader: Reader, sign: string): boolean {
  if (reader.text[reader.at] !== sign) return false
  reader.at += 1
  skip(reader)
  return true
}

function takeWord(reader: Reader, wanted: string): boolean {
  const before = reader.at
  if (match(reader, WORD)?.toLowerCase() === wanted) {
    skip(reader)
    return true
  }
  reader.at = before
  return false
}

function match(reader: Reader, pattern: RegExp): string | undefined {
  pattern.lastIndex = reader.at
  const found = pattern.exec(reader.text)?.[0]
  if (found !== undefined) reader.at += found.length
  return found
}

function skip(reader: Reader): void {
  while (reader.text[reader.at] === ' ') reader.at += 1
}
