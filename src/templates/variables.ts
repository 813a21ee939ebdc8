/** The variables of a template: what a push must or may give, and of what type. */
import { z } from 'zod'
import { Temporal } from 'temporal-polyfill'
import { check, codePoints, rule } from '../check.ts'
import { isWebsite, textMap } from '../delivery/content.ts'
import { phone } from '../directory/address.ts'
import { badInput, type Refusal } from '../errors.ts'
import { USER } from './personal.ts'

export const VARIABLE_TYPES = ['string', 'number', 'date', 'boolean', 'url', 'phone'] as const
export type VariableType = (typeof VARIABLE_TYPES)[number]

export type Variable = {
  name: string
  type: VariableType
  /** Whether a push must give it. */
  required: boolean
  /** What previews and checks use. */
  example?: string
  /** What an optional one is when it is not given; without it: empty. */
  default?: string
  /** Its value is nobody's business but the recipient's. */
  sensitive: boolean
}

/** What a value must look like as text, and how that is said; `sample` stands in where there is no example. */
const types: Record<VariableType, { is: (value: string) => boolean; sample: string; zh: string; en: string }> = {
  string: { is: () => true, sample: '', zh: '文本', en: 'text' },
  number: {
    is: (value) => value.length <= 40 && /^-?\d+(?:\.\d+)?$/.test(value),
    sample: '1',
    zh: '数字，如 12.5',
    en: 'a number such as 12.5',
  },
  date: {
    is: isDate,
    sample: '2026-08-04',
    zh: '日期，如 2026-08-04 或 2026-08-04 12:15:12',
    en: 'a date such as 2026-08-04 or 2026-08-04 12:15:12',
  },
  boolean: {
    is: (value) => value === 'true' || value === 'false',
    sample: 'true',
    zh: 'true 或 false',
    en: 'true or false',
  },
  url: {
    is: isWebsite,
    sample: 'https://example.org/',
    zh: 'http(s) 地址或以单个 / 开头的路径',
    en: 'an http(s) address, or a path that starts with a single /',
  },
  phone: {
    is: (value) => phone(value) !== undefined,
    sample: '13800138000',
    zh: '手机号，如 18660886275',
    en: 'a mobile number such as 18660886275',
  },
}

export const VARIABLES_AT_MOST = 100
const NAME_LENGTH = 64
const VALUE_LENGTH = 2_000

const short = (maximum: number) =>
  z
    .string()
    .refine(
      (text) => codePoints(text) <= maximum,
      rule(`超过上限 ${maximum} 个字符`, `is over the limit of ${maximum} characters`),
    )
const optional = short(VALUE_LENGTH)
  .nullish()
  .transform((text) => text ?? undefined)

const declaration = z
  .object({
    name: short(NAME_LENGTH).trim().min(1),
    type: z
      .enum(VARIABLE_TYPES)
      .nullish()
      .transform((type) => type ?? 'string'),
    required: z
      .boolean()
      .nullish()
      .transform((required) => required ?? true),
    example: optional,
    default: optional,
    sensitive: z
      .boolean()
      .nullish()
      .transform((sensitive) => sensitive ?? false),
  })
  .transform(({ example, default: fallback, ...rest }): Variable => ({
    ...rest,
    ...(example === undefined ? {} : { example }),
    ...(fallback === undefined ? {} : { default: fallback }),
  }))

const declarations = z
  .array(declaration)
  .max(VARIABLES_AT_MOST)
  .superRefine((variables, context) => {
    const names = new Set<string>()
    for (const [at, { name, type, example, default: fallback }] of variables.entries()) {
      const fault = (member: string, zh: string, en: string) =>
        context.addIssue({ code: 'custom', path: [at, member], ...rule(zh, en) })
      if (name === USER) fault('name', '变量不能叫 user，它代表收件人', 'must not be user, which stands for the reader')
      if (names.has(name)) fault('name', `变量 ${name} 重复`, `declares ${name} a second time`)
      names.add(name)
      const { is, zh, en } = types[type]
      for (const [member, value] of Object.entries({ example, default: fallback }))
        if (value !== undefined && value !== '' && !is(value)) fault(member, `应为${zh}`, `must be ${en}`)
    }
  })

/** Reads declared variables; refuses a name that comes twice, and an example or a default that is not of its type. */
export function readDeclarations(value: unknown): Variable[] {
  return check(declarations, value, 'variables')
}

/** Variables as code names them: required texts. */
export function inferred(names: readonly string[]): Variable[] {
  return names.map((name) => ({ name, type: 'string', required: true, sensitive: false }))
}

/** Reads `channelParamData`: absent or null means none. The result has no prototype. */
export function readVariables(value: unknown): Record<string, string> {
  return check(textMap, value ?? {}, 'channelParamData')
}

/** Values as Liquid gets them, by name. Without a prototype. */
export type Values = Record<string, string | number | boolean>

/**
 * The values of a push: all of what is declared, each of its type, and nothing else. Refuses with all names that are
 * missing, or at the first that is of another type. An optional one that is absent or empty is its default.
 */
export function readValues(variables: readonly Variable[], given: Record<string, string>): Values {
  const missing = variables.filter(({ name, required }) => required && !Object.hasOwn(given, name))
  if (missing.length > 0) throw lacks(missing.map(({ name }) => name))
  const values: Values = Object.create(null)
  for (const { name, type, required, default: fallback } of variables) {
    const value = Object.hasOwn(given, name) ? given[name]! : ''
    const isLeftOut = !required && value === ''
    const { is, zh, en } = types[type]
    if (!isLeftOut && !is(value)) throw badInput(`channelParamData.${name}`, `应为${zh}`, `must be ${en}`)
    values[name] = typed(type, isLeftOut ? (fallback ?? '') : value)
  }
  return values
}

/** What a preview uses for what it is not given: the example, the default, or something of that type. */
export function samples(variables: readonly Variable[], given: Record<string, string>): Record<string, string> {
  const values: Record<string, string> = Object.create(null)
  for (const { name, type, example, default: fallback } of variables)
    values[name] = Object.hasOwn(given, name) ? given[name]! : (example ?? fallback ?? madeUp(name, type))
  return values
}

/** Whether a preview has to make a value up. */
export function isMadeUp({ example, default: fallback }: Variable): boolean {
  return example === undefined && fallback === undefined
}

function madeUp(name: string, type: VariableType): string {
  return type === 'string' ? `〈${name}〉` : types[type].sample
}

/** `if` and arithmetic want numbers and booleans; what a number would print in another way stays as it was written. */
function typed(type: VariableType, value: string): Values[string] {
  if (type === 'boolean') return value === 'true'
  if (type === 'number' && value !== '' && String(Number(value)) === value) return Number(value)
  return value
}

export function lacks(names: string[]): Refusal {
  const list = names.join(', ')
  return badInput('channelParamData', `缺少变量 ${list}`, `lacks the variables ${list}`)
}

/** A day, a day with a time, or an instant; the 30th of February is none. */
function isDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/.test(value)) return false
  try {
    Temporal.PlainDateTime.from(value.replace(/Z$/, ''))
    return true
  } catch {
    return false
  }
}
