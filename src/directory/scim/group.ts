/** A group as SCIM has it: a department, a post or a role, told apart by its `id` (`dept:…`, `post:…`, `role:…`) and an extension. */
import type { GroupKind } from '../../db/tables.ts'
import type { Filter } from './filter.ts'
import { entriesOf, inLowerCase, isObject, textOf, valueOf, yesOf, type Step } from './patch.ts'
import { wrong } from './problem.ts'
import type { MemberChange } from './put.ts'
import { EXTENSION, GROUP, GROUP_EXTENSION } from './schemas.ts'

export type FoundGroup = {
  kind: GroupKind
  code: string
  name: string
  parentCode: string | null
  enabled: boolean
  externalId: string | null
  changedAt: Date
  version: string
  memberCount: number
  /** Undefined: nobody asked, or they are too many. */
  members?: { code: string; name: string }[]
}

export type GroupChange = {
  id?: string
  displayName?: string
  externalId?: string | null
  kind?: string
  code?: string
  parentCode?: string | null
  enabled?: boolean
  members?: MemberChange
}

/** `role:R1` → its kind and code; undefined: no id of a group. */
export function groupOf(id: string): { kind: GroupKind; code: string } | undefined {
  const [, kind, code] = /^(dept|post|role):(.+)$/s.exec(id) ?? []
  return kind === undefined || code === undefined ? undefined : { kind: kind as GroupKind, code }
}

/** What steps say of a group, all of it together. */
export function readGroup(steps: readonly Step[]): GroupChange {
  const change: GroupChange = {}
  const members = foldMembers()
  for (const step of steps) {
    const { schema, attribute, sub } = step.target
    if (schema === EXTENSION) readExtension(change, step)
    else if (schema !== undefined) continue
    else if (attribute === 'id') change.id = textOf(valueOf(step), 'id') ?? ''
    else if (attribute === 'displayname') change.displayName = textOf(valueOf(step), 'displayName') ?? ''
    else if (attribute === 'externalid') change.externalId = textOf(valueOf(step), 'externalId')
    else if (attribute === 'members' && sub === undefined) members.take(step)
    else if (step.isNamed && (attribute === 'meta' || attribute === 'members'))
      throw wrong('mutability', `${[attribute, sub].filter(Boolean).join('.')} cannot be changed`)
  }
  const told = members.told()
  return told === undefined ? change : { ...change, members: told }
}

/** Who joins and leaves, folded over the operations in their order: what comes later counts. */
function foldMembers() {
  const [join, leave] = [new Set<string>(), new Set<string>()]
  let isWhole = false
  let isTold = false
  const add = (code: string) => {
    leave.delete(code)
    join.add(code)
  }
  const remove = (code: string) => {
    join.delete(code)
    if (!isWhole) leave.add(code)
  }
  return {
    take({ op, target, value }: Step): void {
      isTold = true
      if (target.where !== undefined) {
        if (op !== 'remove')
          throw wrong('invalidPath', 'members[…] can only be removed: add members by the path `members`')
        codesIn(target.where).forEach(remove)
      } else if (op === 'add') codesOf(value).forEach(add)
      // Microsoft Entra ID lists those who leave; without a list it is everybody.
      else if (op === 'remove' && value !== undefined && value !== null) codesOf(value).forEach(remove)
      else {
        isWhole = true
        join.clear()
        leave.clear()
        if (op === 'replace') codesOf(value).forEach(add)
      }
    },
    told: (): MemberChange | undefined => (isTold ? { isWhole, join: [...join], leave: [...leave] } : undefined),
  }
}

function codesOf(value: unknown): string[] {
  return entriesOf(value, 'members').map((entry) => {
    const code = textOf(entry['value'], 'members.value')
    if (code === null || code === '') throw wrong('invalidValue', "members: each needs a `value`, the user's id")
    return code
  })
}

/** `value eq "U1"`, or several of these with `or`. */
function codesIn(filter: Filter): string[] {
  if (filter.op === 'or') return filter.of.flatMap(codesIn)
  if (filter.op === 'eq' && filter.path.attribute === 'value' && typeof filter.value === 'string') return [filter.value]
  throw wrong('invalidPath', 'Members are named by members[value eq "…"], several with `or`')
}

function readExtension(change: GroupChange, step: Step): void {
  const { attribute, sub } = step.target
  if (sub !== undefined) return
  const value = valueOf(step)
  if (attribute === '') {
    if (value === null) return
    if (!isObject(value)) throw wrong('invalidValue', `${GROUP_EXTENSION}: must be an object`)
    for (const [name, member] of Object.entries(inLowerCase(value))) readOwn(change, name, member)
  } else readOwn(change, attribute, value)
}

function readOwn(change: GroupChange, name: string, value: unknown): void {
  const path = `${GROUP_EXTENSION}:${name}`
  if (name === 'kind') change.kind = textOf(value, path) ?? ''
  else if (name === 'code') change.code = textOf(value, path) ?? ''
  else if (name === 'parent') change.parentCode = textOf(value, path)
  else if (name === 'active') {
    const enabled = yesOf(value, path)
    if (enabled !== undefined) change.enabled = enabled
  }
}

/** The group as a SCIM client sees it. */
export function showGroup(group: FoundGroup, base: string): Record<string, unknown> {
  const id = `${group.kind}:${group.code}`
  return {
    schemas: [GROUP, GROUP_EXTENSION],
    id,
    ...(group.externalId === null ? {} : { externalId: group.externalId }),
    displayName: group.name,
    ...(group.members === undefined
      ? {}
      : {
          members: group.members.map(({ code, name }) => ({
            value: code,
            $ref: `${base}Users/${encodeURIComponent(code)}`,
            display: name,
            type: 'User',
          })),
        }),
    [GROUP_EXTENSION]: {
      kind: group.kind,
      code: group.code,
      ...(group.parentCode === null ? {} : { parent: group.parentCode }),
      active: group.enabled,
      memberCount: group.memberCount,
    },
    meta: {
      resourceType: 'Group',
      lastModified: group.changedAt.toISOString(),
      location: `${base}Groups/${encodeURIComponent(id)}`,
    },
  }
}
