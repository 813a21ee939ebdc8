/** The documented request bodies, read field by field as docs/rest.md says. Unknown fields are ignored. */
import { z } from 'zod'
import { check, codePoints, rule } from '../check.ts'
import { badInput } from '../errors.ts'

/** Codes or accounts in one list. */
const LIST_LIMIT = 10_000
const CODE_LIMIT = 128
/** Why a message is recalled. */
export const REASON_LIMIT = 200

/** Optional text: null and '' count as absent. */
const optionalText = (limit: number) =>
  z
    .string()
    .refine((text) => codePoints(text) <= limit, rule(`超过 ${limit} 字`, `is longer than ${limit} characters`))
    .nullish()
    .transform((text) => text || undefined)

/** A list of codes or accounts: trimmed, each once, no blanks. Never split on commas. */
const codes = z
  .array(z.string().max(CODE_LIMIT * 2))
  .max(LIST_LIMIT)
  .nullish()
  .transform((list) => [...new Set((list ?? []).map((code) => code.trim()).filter((code) => code !== ''))])

const appId = z.string().max(CODE_LIMIT)

const common = z.object({
  receiverType: z.enum(['all', 'specified', 'custom']),
  businessId: optionalText(128),
  senderCode: optionalText(CODE_LIMIT),
  senderName: optionalText(CODE_LIMIT),
})

const specified = z.strictObject({ user: codes, dept: codes, post: codes, role: codes })
const custom = z.record(z.string(), codes)

export type Receiver = {
  receiverType: 'all' | 'specified' | 'custom'
  /** `specified`: list by kind; `custom`: accounts by channel id; `all`: empty. Empty lists are left out. */
  receiver: Record<string, string[]>
}

export type CommonInput = Receiver & {
  businessId: string | undefined
  senderCode: string | undefined
  senderName: string | undefined
}

/** The body as an object, or a refusal that says what came instead. */
export function readBody(body: unknown): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badInput('(body)', '应为 JSON 对象', 'must be a JSON object')
  }
  // A null prototype: a field named `__proto__` or `constructor` is just a field that nobody reads.
  return Object.assign(Object.create(null), body)
}

/** `appId` of a body: text, or a number that is one exactly. */
export function readAppId(body: Record<string, unknown>): string {
  const value = body['appId']
  if (value === undefined || value === null || value === '') throw badInput('appId', '必填', 'is required')
  // Of a number that JSON has rounded, the digits would be those of another app.
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw badInput('appId', '不是可精确表示的整数，请用字符串', 'is no integer that JSON keeps exactly: send a string')
  }
  if (typeof value !== 'string' && typeof value !== 'number') throw badInput('appId', '应为字符串', 'must be a string')
  return check(appId, String(value), 'appId')
}

/** Which of an app's messages are meant: by `msgId`, by `businessId` (which may be several), or by both. */
export type Named = { msgId: string | undefined; businessId: string | undefined }

const named = z.object({ msgId: optionalText(CODE_LIMIT), businessId: optionalText(128) })

/** Reads `msgId` and `businessId`, of which one must be there. */
export function readNamed(input: Record<string, unknown>): Named {
  const { msgId, businessId } = check(named, input, '')
  if (msgId === undefined && businessId === undefined)
    throw badInput('msgId', '与 businessId 至少填一项', 'or businessId is required')
  return { msgId, businessId }
}

/** `reason` of a recall. */
export function readReason(value: unknown): string | undefined {
  return check(optionalText(REASON_LIMIT), value, 'reason')
}

/** `reason` of a recall, and `after`: the `next` of the page before. */
export function readRecall(input: Record<string, unknown>) {
  return { reason: readReason(input['reason']), after: check(optionalText(CODE_LIMIT), input['after'], 'after') }
}

/** `user` of a call about a message: some users, or undefined for all. An empty list is a mistake, not everybody. */
export function readUsers(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return undefined
  const users = check(codes, value, 'user')
  if (users.length === 0)
    throw badInput(
      'user',
      '不能为空列表；要标记所有接收者请不填',
      'must not be an empty list: leave it out to mean all recipients',
    )
  return users
}

/** The fields that both documented calls have. */
export function readCommon(body: Record<string, unknown>): CommonInput {
  const { receiverType, ...fields } = check(common, body, '')
  return { ...fields, receiverType, receiver: readReceiver(receiverType, body['receiverData']) }
}

function readReceiver(receiverType: Receiver['receiverType'], data: unknown): Receiver['receiver'] {
  if (receiverType === 'all') {
    const isEmpty = data === undefined || data === null || (typeof data === 'object' && Object.keys(data).length === 0)
    if (isEmpty) return {}
    throw badInput(
      'receiverData',
      'receiverType 为 all 时必须为空',
      'must be empty when receiverType is all, or it would reach everybody',
    )
  }
  if (data === undefined || data === null) throw badInput('receiverData', '必填', 'is required')
  const lists: Record<string, string[]> = check<Record<string, string[]>>(
    receiverType === 'specified' ? specified : custom,
    data,
    'receiverData',
  )
  const named = Object.entries(lists).filter(([, list]) => list.length > 0)
  if (named.length === 0) throw badInput('receiverData', '没有任何接收目标', 'names nobody')
  return Object.fromEntries(named)
}

/** How a call reads `priority`. Template pushes say "0,1,2" in the document; an app may ask for 1 to 3 there too. */
export const priorityScales = {
  plain: new Map([
    ['3', 3],
    ['2', 2],
    ['1', 1],
  ]),
  template: new Map([
    ['3', 3],
    ['2', 3],
    ['1', 2],
    ['0', 1],
  ]),
} satisfies Record<string, Map<string, number>>

/** `priority` as 3 high, 2 normal, 1 low. Absent or '' is normal. */
export function readPriority(value: unknown, scale: Map<string, number>): number {
  if (value === undefined || value === null || value === '') return 2
  const priority = typeof value === 'string' || typeof value === 'number' ? scale.get(String(value).trim()) : undefined
  if (priority === undefined) {
    const known = [...scale.keys()].toSorted().join(', ')
    throw badInput('priority', `只能是 ${known}`, `must be one of ${known}`)
  }
  return priority
}

/** `msgType`: one of the configured ones. */
export function readMsgType(value: unknown, fallback: string, known: readonly string[]): string {
  if (value === undefined || value === null || value === '') return fallback
  if (typeof value === 'string' && known.includes(value)) return value
  throw badInput('msgType', `只能是 ${known.join(', ')}`, `must be one of ${known.join(', ')}`)
}
