/** The operations of a PATCH (RFC 7644 §3.5.2), one step for each attribute they name, in their order. */
import { z } from 'zod'
import { look } from '../../check.ts'
import { parsePath, type Target } from './filter.ts'
import { wrong } from './problem.ts'

/** In one PATCH. Clients send a few; a group's members go by the list, not by the operation. */
const OPERATIONS = 1_000

export type Step = {
  op: 'add' | 'replace' | 'remove'
  target: Target
  value: unknown
  /** The client named this attribute as the one to change; false: it is one of many in a value. */
  isNamed: boolean
}

const operation = z.object({
  // Microsoft Entra ID writes `Add` and `Replace`.
  op: z
    .string()
    .transform((op) => op.toLowerCase())
    .pipe(z.enum(['add', 'replace', 'remove'])),
  path: z.string().nullish(),
  value: z.unknown().optional(),
})
const body = z.object({ operations: z.array(operation).min(1).max(OPERATIONS) })

/** Reads the body of a PATCH, or refuses it. A value without a path is a step for each of its members, whose names are paths. */
export function readSteps(value: unknown): Step[] {
  const { operations, ...others } = isObject(value) ? inLowerCase(value) : {}
  const lowered = Array.isArray(operations)
    ? operations.map((one) => (isObject(one) ? inLowerCase(one) : one))
    : operations
  const { data, wrong: found } = look(body, { ...others, operations: lowered })
  if (data === undefined) throw wrong('invalidSyntax', `${found.path || '(body)'}: ${found.en}`)
  return data.operations.flatMap(({ op, path, value }): Step[] => {
    if (path != null && path !== '') return [{ op, target: parsePath(path), value, isNamed: true }]
    if (op === 'remove') throw wrong('noTarget', 'An operation `remove` needs a path')
    if (!isObject(value))
      throw wrong('invalidValue', `An operation \`${op}\` without a path needs an object as its value`)
    return stepsOf(op, value)
  })
}

/** A whole resource as the steps that say it. */
export function asSteps(resource: unknown): Step[] {
  if (!isObject(resource)) throw wrong('invalidSyntax', '(body): must be an object')
  return stepsOf('replace', resource)
}

/** The value of a step, where `remove` means none. */
export function valueOf({ op, value }: Step): unknown {
  return op === 'remove' ? null : value
}

/** The one text in a value; null: none. Old clients wrap it as a list with one entry. */
export function textOf(value: unknown, name: string): string | null {
  const plain = Array.isArray(value) && value.length === 1 ? (value[0] as unknown) : value
  const text = isObject(plain) && 'value' in plain ? plain['value'] : plain
  if (text === null || text === undefined) return null
  if (typeof text === 'string') return text
  throw wrong('invalidValue', `${name}: must be a text`)
}

/** True or false, also written as a text: Microsoft Entra ID says `"False"`. */
export function yesOf(value: unknown, name: string): boolean | undefined {
  const plain = typeof value === 'boolean' ? value : textOf(value, name)
  if (plain === null) return undefined
  const wanted = String(plain).toLowerCase()
  if (wanted === 'true' || wanted === 'false') return wanted === 'true'
  throw wrong('invalidValue', `${name}: must be true or false`)
}

/** The entries of a multi-valued attribute; a single one counts as a list of one, a text as an entry's value. */
export function entriesOf(value: unknown, name: string): Record<string, unknown>[] {
  if (value === null || value === undefined) return []
  return (Array.isArray(value) ? (value as unknown[]) : [value]).map((entry) => {
    if (typeof entry === 'string') return { value: entry }
    if (isObject(entry)) return inLowerCase(entry)
    throw wrong('invalidValue', `${name}: must be a list of objects with a \`value\``)
  })
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object with its members' names in lower case, since SCIM compares them so. */
export function inLowerCase(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]))
}

/** Where a member's name aims; undefined: at nothing that SCIM could mean, so at nothing that we keep. */
function aimOf(name: string): Target | undefined {
  try {
    return parsePath(name)
  } catch {
    return undefined
  }
}

function stepsOf(op: 'add' | 'replace', values: Record<string, unknown>): Step[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const target = aimOf(name)
    return target === undefined ? [] : [{ op, target, value, isNamed: false }]
  })
}
