/**
 * What a template says to each person by name. `user` stands for whoever reads it: `{{ user.name }}`, `{{ user.code }}`. Such
 * a text is rendered again for every recipient; all others are rendered once, as the push is accepted.
 */
import type { Mention } from './liquid.ts'
import type { Variable } from './variables.ts'

/** The name that no variable of a template may have. */
export const USER = 'user'
const MEMBERS = ['name', 'code'] as const
/** What a text may say of its reader. Neither phone nor mail address: a message is no place to learn them. */
export type Named = Record<(typeof MEMBERS)[number], string>

/** Of whom nothing is known: a bare address, a group chat. `{{ user.name | default: "您" }}` is for them. */
export const NOBODY: Named = { name: '', code: '' }
/** Who reads a preview, unless it is for somebody. */
export const SAMPLE: Named = { name: '王小明', code: 'USER001' }

/** Whether `user` is the reader. A version from before may have a variable of that name: then it is that. */
export function isReader(declared: readonly Variable[] | null): boolean {
  return declared === null || !declared.some(({ name }) => name === USER)
}

/** Whether code takes something of its reader: of a template without declared variables only what could be nothing else. */
export function namesReader({ name, members }: Mention, declared: readonly Variable[] | null): boolean {
  return name === USER && isReader(declared) && (declared !== null || isKnown(members))
}

/** Why code may not take that of its reader. */
export function faultOf({ members }: Mention): { zh: string; en: string } | undefined {
  if (isKnown(members)) return undefined
  const said = [USER, ...members].join('.')
  return {
    zh: `没有 ${said}：收件人只有 user.name 和 user.code（变量不能叫 user）`,
    en: `there is no ${said}: of its reader a template knows user.name and user.code, and no variable may be called user`,
  }
}

function isKnown([member, ...more]: readonly string[]): boolean {
  return more.length === 0 && (MEMBERS as readonly (string | undefined)[]).includes(member)
}
