/** What a row of the directory may say, checked and written in one way. A row is right or refused by itself. */
import { z } from 'zod'
import { codePoints, look, rule } from '../check.ts'
import type { DirectoryKind, RowProblem } from '../db/tables.ts'
import { email, phone } from './address.ts'

/** Code points of a code; bytes tell what an index can hold. */
const CODE_LENGTH = 64
const NAME_LENGTH = 200
const LOCALE_LENGTH = 35
/** Groups of one kind that a person may be in. */
const LIST_LENGTH = 1_000

/** What one row sets, under the names that the audit log uses too. What it does not say stays as it is. */
export type RowValues = {
  name: string
  phone?: string | null | undefined
  email?: string | null | undefined
  locale?: string | null | undefined
  timeZone?: string | null | undefined
  parentCode?: string | null | undefined
  enabled?: boolean | undefined
  externalId?: string | null | undefined
}
/** A person's groups by kind; a list replaces what was, and a kind that is not there stays as it is. */
export type Lists = { dept?: string[] | undefined; post?: string[] | undefined; role?: string[] | undefined }
/** A row that is right in itself. */
export type CheckedRow = { line: number; code: string; set: RowValues; lists: Lists }

const text = z
  .string()
  .refine((value) => !value.includes('\0'), rule('含有 NUL 字符', 'contains a NUL character'))
  .refine((value) => value.isWellFormed(), rule('含有不完整的 Unicode 字符', 'contains half a surrogate pair'))
const trimmed = (most: number) =>
  text
    .transform((value) => value.trim())
    .refine((value) => codePoints(value) <= most, rule(`超过 ${most} 个字符`, `has more than ${most} characters`))
const filled = (most: number) => trimmed(most).refine((value) => value !== '', rule('不能为空', 'must not be empty'))
/** Empty text, as a table has it in a cell, is none. */
const orNone = <Out>(inner: z.ZodType<Out>) =>
  z.preprocess(
    (value) => (typeof value === 'string' && value.trim() === '' ? null : value),
    inner.nullable().optional(),
  )
const readAs = (read: (value: string) => string | undefined, words: { params: object; message: string }) =>
  text.transform((value, issues) => {
    const found = read(value)
    if (found !== undefined) return found
    issues.addIssue({ code: 'custom', ...words, input: value })
    return z.NEVER
  })

/** A code of a user or a group, as it is compared: exactly, without the blanks around it. */
const code = filled(CODE_LENGTH).refine(
  (value) => !/\p{Cc}/u.test(value),
  rule('含有控制字符', 'contains a control character'),
)
const codes = z
  .array(code)
  .max(LIST_LENGTH)
  .nullable()
  .optional()
  .transform((list) => (list === null || list === undefined ? undefined : [...new Set(list)]))

const group = {
  code,
  name: filled(NAME_LENGTH),
  enabled: z
    .boolean()
    .nullable()
    .optional()
    .transform((value) => value ?? undefined),
  externalId: orNone(trimmed(NAME_LENGTH)),
}
const groupRow = z.strictObject(group)
const departmentRow = z.strictObject({ ...group, parentCode: orNone(code) })
const userRow = z.strictObject({
  ...group,
  phone: orNone(
    readAs(
      phone,
      rule(
        '不是手机号，请写成 18660886275 的形式或留空',
        'is no mobile number: write one such as 18660886275, or none',
      ),
    ),
  ),
  email: orNone(
    readAs(
      email,
      rule('不是邮箱地址，请写成 name@example.org 的形式或留空', 'is no mail address: write name@example.org, or none'),
    ),
  ),
  locale: orNone(
    readAs(
      readLocale,
      rule('不是语言标签，请写成 zh-CN 的形式', 'is no language tag: write one such as zh-CN, or none'),
    ),
  ),
  timeZone: orNone(
    readAs(
      readTimeZone,
      rule('不是时区名，请写成 Asia/Shanghai 的形式', 'is no time zone: write one such as Asia/Shanghai, or none'),
    ),
  ),
  depts: codes,
  posts: codes,
  roles: codes,
})
const SHAPES = { user: userRow, dept: departmentRow, post: groupRow, role: groupRow }

/** A row as it comes in, before anything is known of it. */
export type UserInput = z.input<typeof userRow>
export type DepartmentInput = z.input<typeof departmentRow>
export type GroupInput = z.input<typeof groupRow>

/** Reads one row, which stands on that line. */
export function readRow(
  kind: DirectoryKind,
  value: unknown,
  line: number,
): { row: CheckedRow; problem?: undefined } | { row?: undefined; problem: RowProblem } {
  const { data, wrong } = look<Record<string, unknown>>(SHAPES[kind], value)
  if (wrong !== undefined) return { problem: refused(line, codeOf(value), wrong) }
  const { code, depts, posts, roles, ...set } = data as z.output<typeof userRow>
  return { row: { line, code, set, lists: { dept: depts, post: posts, role: roles } } }
}

/** What is wrong with a row, which is not kept for it. */
export function refused(line: number, code: string, wrong: { path: string; zh: string; en: string }): RowProblem {
  return { line, code, isRefused: true, ...wrong }
}

/** The code of a row that may be wrong in anything; empty when it cannot be told. */
function codeOf(value: unknown): string {
  const given = (value as { code?: unknown } | null | undefined)?.code
  return look(code, given).data ?? ''
}

function readLocale(text: string): string | undefined {
  if (text.length > LOCALE_LENGTH) return undefined
  try {
    return Intl.getCanonicalLocales(text.trim())[0]
  } catch {
    return undefined
  }
}

/** By name only: an offset is no place, and knows no summer. */
function readTimeZone(text: string): string | undefined {
  try {
    return /^[+-]/.test(text.trim())
      ? undefined
      : new Intl.DateTimeFormat('en', { timeZone: text.trim() }).resolvedOptions().timeZone
  } catch {
    return undefined
  }
}
