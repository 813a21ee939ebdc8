/** What a SCIM client does to one group. */
import type { By } from '../../audit/audit.ts'
import type { Db } from '../../db/client.ts'
import type { GroupKind } from '../../db/tables.ts'
import { checkedRow, refuseOutcome, settled } from './checked.ts'
import { findGroup } from './find-groups.ts'
import { groupOf, readGroup, type GroupChange } from './group.ts'
import type { Step } from './patch.ts'
import { ScimProblem, notFound, wrong } from './problem.ts'
import { put, type MemberChange } from './put.ts'
import { GROUP_EXTENSION } from './schemas.ts'
import { vanishOne } from './vanish-one.ts'

const KINDS: readonly GroupKind[] = ['dept', 'post', 'role']

/**
 * Makes a group, or makes one that had been deleted anew, and says under which id. What says nothing of its kind is a role; without
 * a code its name is its code, by which receivers name it.
 */
export async function createGroup(db: Db, by: By, steps: readonly Step[]): Promise<string> {
  const change = readGroup(steps)
  const kind = KINDS.find((one) => one === (change.kind ?? 'role'))
  if (kind === undefined) throw wrong('invalidValue', `${GROUP_EXTENSION}:kind: must be dept, post or role`)
  if (change.displayName === undefined) throw wrong('invalidValue', 'displayName: is required')
  const { code, set } = await checkedRow(db, kind, change.code ?? change.displayName, saidOf(kind, change))
  const members = { isWhole: true, join: change.members?.join ?? [], leave: [] }
  const outcome = await put(db, by, { kind, code, set, isNew: true, members })
  if (outcome.is === 'taken')
    throw new ScimProblem(
      409,
      'uniqueness',
      `displayName: there is a group ${kind}:${code} already; another of that name needs a code of its own, ${GROUP_EXTENSION}:code`,
    )
  refuseOutcome(outcome, kind, code)
  return `${kind}:${code}`
}

/** Changes what the steps name, members included, and leaves the rest as it is. */
export function changeGroup(db: Db, by: By, id: string, steps: readonly Step[]): Promise<void> {
  return settled(async () => {
    const group = groupOf(id)
    const found = group && (await findGroup(db, id, false))
    if (group === undefined || found === undefined) throw notFound(`group ${id}`)
    const { kind, code } = group
    const change = readGroup(steps)
    refuseMoving(change, id, group)
    const { set } = await checkedRow(db, kind, code, saidOf(kind, change))
    const { members } = change
    const isExact = members !== undefined && dependsOnWhatIsThere(members)
    const outcome = await put(db, by, {
      kind,
      code,
      set,
      isNew: false,
      ...(members === undefined ? {} : { members }),
      ...(isExact ? { seen: found.version } : {}),
    })
    refuseOutcome(outcome, kind, code)
    return outcome
  })
}

/** Deletes a group: disabled, and for SCIM not there any more. */
export async function deleteGroup(db: Db, by: By, id: string): Promise<void> {
  const group = groupOf(id)
  if (group === undefined || !(await vanishOne(db, by, group.kind, group.code))) throw notFound(`group ${id}`)
}

/** Those who only join, and a single one who leaves, do so whatever others do at the same time. */
function dependsOnWhatIsThere({ isWhole, join, leave }: MemberChange): boolean {
  return isWhole || leave.length > 1 || (join.length > 0 && leave.length > 0)
}

function saidOf(kind: GroupKind, { displayName, externalId, enabled, parentCode }: GroupChange) {
  if (parentCode != null && parentCode !== '' && kind !== 'dept')
    throw wrong('invalidValue', `${GROUP_EXTENSION}:parent: only a department has one`)
  return {
    ...(displayName === undefined ? {} : { name: displayName }),
    ...(externalId === undefined ? {} : { externalId }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(parentCode === undefined || kind !== 'dept' ? {} : { parentCode }),
  }
}

function refuseMoving(change: GroupChange, id: string, { kind, code }: { kind: GroupKind; code: string }): void {
  const told: [name: string, said: string | undefined, is: string][] = [
    ['id', change.id, id],
    [`${GROUP_EXTENSION}:kind`, change.kind, kind],
    [`${GROUP_EXTENSION}:code`, change.code, code],
  ]
  for (const [name, said, is] of told)
    if (said !== undefined && said !== is) throw wrong('mutability', `${name}: is ${is} and cannot be changed`)
}
