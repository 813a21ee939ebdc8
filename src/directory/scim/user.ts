/**
 * A user as SCIM has it. Its `id` and its `userName` are our code. What we do not keep (titles, addresses, photos, other phones) is
 * taken and left out.
 */
import type { DirectoryKind, ProvidedName } from '../../db/tables.ts'
import { email, phone } from '../address.ts'
import type { UserInput } from '../rows.ts'
import { fits, type Filter } from './filter.ts'
import { entriesOf, inLowerCase, isObject, textOf, valueOf, yesOf, type Step } from './patch.ts'
import { wrong } from './problem.ts'
import { USER } from './schemas.ts'

export type FoundUser = {
  code: string
  name: string
  phone: string | null
  email: string | null
  locale: string | null
  timeZone: string | null
  enabled: boolean
  externalId: string | null
  providedName: ProvidedName | null
  createdAt: Date
  changedAt: Date
  version: string
  /** Undefined: nobody asked. */
  groups?: { kind: DirectoryKind; code: string; name: string }[]
}

type NamePart = keyof ProvidedName
export type UserChange = {
  id?: string
  userName?: string
  row: Partial<UserInput>
  /** The parts of the name that are said; null: none any more. */
  names: { [Part in NamePart]?: string | null }
}

/** What steps say of a user, who is `found` so far, all of it together. */
export function readUser(steps: readonly Step[], found?: FoundUser): UserChange {
  const change: UserChange = { row: {}, names: {} }
  for (const step of steps) {
    const { schema, attribute } = step.target
    if (schema === undefined) READERS.get(attribute)?.(change, step, found)
  }
  return change
}

type Reader = (change: UserChange, step: Step, found: FoundUser | undefined) => void

const PARTS = new Map<string, NamePart>([
  ['formatted', 'formatted'],
  ['givenname', 'givenName'],
  ['familyname', 'familyName'],
])

const readOnly: Reader = (_change, { isNamed, target }) => {
  if (isNamed) throw wrong('mutability', `${target.attribute} is read-only; people join groups at /Groups`)
}

const READERS = new Map<string, Reader>([
  ['id', (change, step) => void (change.id = textOf(valueOf(step), 'id') ?? '')],
  ['username', (change, step) => void (change.userName = textOf(valueOf(step), 'userName') ?? '')],
  ['externalid', (change, step) => void (change.row.externalId = textOf(valueOf(step), 'externalId'))],
  ['displayname', (change, step) => void (change.names.displayName = textOf(valueOf(step), 'displayName'))],
  ['name', readName],
  ['emails', readEmail],
  ['phonenumbers', readPhone],
  // Some write en_US.
  [
    'locale',
    (change, step) => void (change.row.locale = textOf(valueOf(step), 'locale')?.replaceAll('_', '-') ?? null),
  ],
  ['timezone', (change, step) => void (change.row.timeZone = textOf(valueOf(step), 'timezone'))],
  ['active', (change, step) => void (change.row.enabled = yesOf(valueOf(step), 'active') ?? null)],
  ['groups', readOnly],
  ['meta', readOnly],
])

function readName({ names }: UserChange, step: Step): void {
  const value = valueOf(step)
  const { sub } = step.target
  if (sub !== undefined) {
    const part = PARTS.get(sub)
    if (part !== undefined) names[part] = textOf(value, `name.${part}`)
  } else if (value === null) for (const part of PARTS.values()) names[part] = null
  else if (isObject(value)) {
    const given = inLowerCase(value)
    for (const [name, part] of PARTS) if (name in given) names[part] = textOf(given[name], `name.${part}`)
  } else throw wrong('invalidValue', 'name: must be an object')
}

function readEmail(change: UserChange, step: Step, found: FoundUser | undefined): void {
  const stored = change.row.email === undefined ? (found?.email ?? null) : change.row.email
  const aimed = readAimed(step, { value: stored, type: 'work', primary: true })
  if (aimed !== undefined) change.row.email = aimed.value
  if (aimed !== undefined || step.target.where !== undefined) return
  const entries = entriesOf(valueOf(step), 'emails')
  const isMain = (entry: Record<string, unknown>) => isPrimary(entry) || isOf(entry, 'work')
  const chosen = entries.find(isPrimary) ?? entries.find(isMain) ?? entries.find(hasNoType)
  const any = step.op === 'add' ? undefined : entries[0]
  if (entries.length === 0) change.row.email = null
  else if ((chosen ?? any) !== undefined) change.row.email = textOf((chosen ?? any)?.['value'], 'emails.value')
}

/** Of the phones the mobile one, since that is where an SMS goes. Others are left out, whatever they are. */
function readPhone(change: UserChange, step: Step, found: FoundUser | undefined): void {
  const stored = change.row.phone === undefined ? (found?.phone ?? null) : change.row.phone
  const aimed = readAimed(step, { value: stored, type: 'mobile', primary: true })
  if (aimed !== undefined) change.row.phone = aimed.value === null ? null : plainNumber(aimed.value)
  if (aimed !== undefined || step.target.where !== undefined) return
  const entries = entriesOf(valueOf(step), 'phoneNumbers')
  const mobiles = entries.filter((entry) => isOf(entry, 'mobile'))
  const chosen = mobiles.find(isPrimary) ?? mobiles[0] ?? entries.find(hasNoType)
  const any =
    step.op === 'add' ? undefined : entries.find(({ value }) => phone(plainNumber(String(value))) !== undefined)
  const number = textOf((chosen ?? any)?.['value'], 'phoneNumbers.value')
  if (entries.length === 0) change.row.phone = null
  else if ((chosen ?? any) !== undefined) change.row.phone = number === null ? null : plainNumber(number)
}

/**
 * What a step says that aims at one entry (`emails[type eq "work"].value`, `emails.value`) or takes all away; undefined: it says nothing
 * of the one that we keep.
 */
function readAimed(
  step: Step,
  kept: Record<string, unknown> & { value: unknown },
): { value: string | null } | undefined {
  const { attribute, sub, where } = step.target
  const value = valueOf(step)
  if (where === undefined && sub === undefined) return step.op === 'remove' ? { value: null } : undefined
  if (where !== undefined && !fits(where, kept)) {
    if (step.op !== 'remove' && namesValue(where))
      throw wrong('noTarget', `There is no such entry in ${attribute}: no value is what the filter asks for`)
    return undefined
  }
  if (sub !== undefined && sub !== 'value') return undefined
  if (sub === undefined && isObject(value)) {
    const entry = inLowerCase(value)
    return 'value' in entry ? { value: textOf(entry['value'], attribute) } : undefined
  }
  return { value: textOf(value, attribute) }
}

function namesValue(filter: Filter): boolean {
  if (filter.op === 'and' || filter.op === 'or') return filter.of.some(namesValue)
  return filter.op === 'not' ? namesValue(filter.of) : filter.path.attribute === 'value'
}

function isPrimary({ primary }: Record<string, unknown>): boolean {
  return String(primary).toLowerCase() === 'true'
}

function isOf({ type }: Record<string, unknown>, wanted: string): boolean {
  return typeof type === 'string' && type.toLowerCase() === wanted
}

function hasNoType({ type }: Record<string, unknown>): boolean {
  return type === undefined || type === null || type === ''
}

/** Without what RFC 3966 puts around a number: `tel:+86-186-6088-6275;ext=1`. */
function plainNumber(text: string): string {
  return text.replace(/^tel:/i, '').split(';')[0] ?? ''
}

/** How a mail address or phone is kept, to look for it; what is none stays as it is and is found nowhere. */
export const kept = {
  email: (text: string) => email(text) ?? text,
  phone: (text: string) => phone(plainNumber(text)) ?? text,
}

/** The user as a SCIM client sees him. */
export function showUser(user: FoundUser, base: string): Record<string, unknown> {
  const { code, name, providedName, email, phone, groups } = user
  return {
    schemas: [USER],
    id: code,
    ...(user.externalId === null ? {} : { externalId: user.externalId }),
    userName: code,
    displayName: name,
    name: { formatted: name, ...withoutDisplayName(providedName) },
    active: user.enabled,
    ...(email === null ? {} : { emails: [{ value: email, type: 'work', primary: true }] }),
    ...(phone === null ? {} : { phoneNumbers: [{ value: phone, type: 'mobile', primary: true }] }),
    ...(user.locale === null ? {} : { locale: user.locale }),
    ...(user.timeZone === null ? {} : { timezone: user.timeZone }),
    ...(groups === undefined || groups.length === 0
      ? {}
      : {
          groups: groups.map(({ kind, code, name }) => ({
            value: `${kind}:${code}`,
            $ref: `${base}Groups/${encodeURIComponent(`${kind}:${code}`)}`,
            display: name,
            type: 'direct',
          })),
        }),
    meta: {
      resourceType: 'User',
      created: user.createdAt.toISOString(),
      lastModified: user.changedAt.toISOString(),
      location: `${base}Users/${encodeURIComponent(code)}`,
    },
  }
}

function withoutDisplayName(name: ProvidedName | null): ProvidedName {
  const { displayName: _, ...parts } = name ?? {}
  return parts
}
