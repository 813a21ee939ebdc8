/** The one name that everybody sees, out of the parts in which an identity provider says it. */
import type { ProvidedName } from '../../db/tables.ts'
import type { UserChange } from './user.ts'

export type Naming = { providedName?: ProvidedName | null; name?: string }

/** What a change makes of a user's name. `before`: what was provided so far; undefined: the user is new, and is called something. */
export function naming(
  { names }: UserChange,
  before: { providedName: ProvidedName | null } | undefined,
  fallback: string,
): Naming {
  const said = Object.entries(names)
  if (before !== undefined && said.length === 0) return {}
  const merged = { ...before?.providedName, ...names }
  const isSplit = filled(merged.givenName) && filled(merged.familyName)
  // One part of two has changed: the whole that was said before is no longer theirs.
  const isStale = !('formatted' in names) && ('givenName' in names || 'familyName' in names)
  if (isStale && isSplit) delete merged.formatted
  const parts: ProvidedName = Object.fromEntries(Object.entries(merged).filter(([, part]) => filled(part)))
  if (isStale && isSplit) parts.formatted = joined(parts)
  const providedName = Object.keys(parts).length === 0 ? null : parts
  const whole = parts.displayName ?? parts.formatted
  if (before === undefined) return { providedName, name: whole ?? (joined(parts) || fallback) }
  // Somebody whom others have named is not renamed to half a name.
  const name = whole ?? (isSplit ? joined(parts) : undefined)
  const isUntouched = parts.displayName !== undefined && !('displayName' in names)
  return name === undefined || isUntouched ? { providedName } : { providedName, name }
}

/** 张 and 三 are 张三; John and Smith are John Smith. */
function joined({ givenName = '', familyName = '' }: ProvidedName): string {
  return /^\p{Script=Han}+$/u.test(familyName + givenName)
    ? familyName + givenName
    : `${givenName} ${familyName}`.trim()
}

function filled(part: string | null | undefined): boolean {
  return typeof part === 'string' && part.trim() !== ''
}
