/** Reads outside input with zod and words what is wrong in both languages. Part of the kit: no domain in here. */
import type { z } from 'zod'
import { badInput } from './errors.ts'

/** The document's own bodies are five deep. */
const MAX_DEPTH = 20

type Issue = z.core.$ZodIssue
type Words = { zh: string; en: string }

/** Reads `value`, or refuses with BAD_INPUT at `path` and below. */
export function check<Out>(schema: z.ZodType<Out>, value: unknown, path: string): Out {
  const { data, wrong } = look(schema, value)
  if (wrong === undefined) return data
  throw badInput([path, wrong.path].filter(Boolean).join('.'), wrong.zh, wrong.en)
}

/** Reads `value`, or says the first thing that is wrong with it and where. */
export function look<Out>(
  schema: z.ZodType<Out>,
  value: unknown,
): { data: Out; wrong?: undefined } | { data?: undefined; wrong: Words & { path: string } } {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return { data: result.data }
  const issue = result.error.issues[0] as Issue
  return { wrong: { path: issue.path.map(String).join('.'), ...describe(issue) } }
}

/** A rule of ours inside a zod schema: `z.string().refine(isPhone, rule('不是手机号', 'is not a phone number'))`. */
export function rule(zh: string, en: string) {
  return { params: { zh, en }, message: en }
}

/** Length in code points, which is what every limit of ours counts. */
export function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}

const TYPES: Record<string, Words> = {
  string: { zh: '字符串', en: 'a string' },
  number: { zh: '数字', en: 'a number' },
  boolean: { zh: '布尔值', en: 'a boolean' },
  array: { zh: '数组', en: 'an array' },
  object: { zh: '对象', en: 'an object' },
  record: { zh: '对象', en: 'an object' },
}

function describe(issue: Issue): Words {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return { zh: '必填', en: 'is required' }
    const type = TYPES[issue.expected] ?? { zh: issue.expected, en: issue.expected }
    return { zh: `应为${type.zh}`, en: `must be ${type.en}` }
  }
  if (issue.code === 'too_big') {
    return issue.origin === 'array'
      ? { zh: `最多 ${issue.maximum} 项`, en: `has more than ${issue.maximum} entries` }
      : { zh: `超过上限 ${issue.maximum}`, en: `is over the limit of ${issue.maximum}` }
  }
  if (issue.code === 'too_small') return { zh: '不能为空', en: 'must not be empty' }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String).join(', ')
    return { zh: `只能是 ${values}`, en: `must be one of ${values}` }
  }
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.join(', ')
    return { zh: `未知字段 ${keys}`, en: `has unknown fields: ${keys}` }
  }
  if (issue.code === 'custom' && issue.params !== undefined) return issue.params as Words
  return { zh: '格式不正确', en: issue.message }
}

/**
 * Refuses text that PostgreSQL cannot store (NUL) or that is no text at all (half a surrogate pair), anywhere in `value`,
 * keys included. Runs before any other check, on whatever came in.
 */
export function checkText(value: unknown, path = '', depth = 0): void {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw badInput(path, '含有 NUL 字符', 'contains a NUL character')
    if (!value.isWellFormed()) throw badInput(path, '含有不完整的 Unicode 字符', 'contains half a surrogate pair')
    return
  }
  if (typeof value !== 'object' || value === null) return
  if (depth >= MAX_DEPTH)
    throw badInput([...path].slice(0, 40).join(''), `嵌套超过 ${MAX_DEPTH} 层`, `is nested deeper than ${MAX_DEPTH}`)
  for (const [key, member] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`
    checkText(key, path === '' ? '(key)' : `${path}.(key)`)
    checkText(member, at, depth + 1)
  }
}
