/** What a SCIM client does to one user. */
import type { By } from '../../audit/audit.ts'
import type { Db } from '../../db/client.ts'
import { checkedRow, refuseOutcome, settled } from './checked.ts'
import { findUser } from './find-users.ts'
import { naming } from './names.ts'
import type { Step } from './patch.ts'
import { ScimProblem, notFound, wrong } from './problem.ts'
import { put } from './put.ts'
import { readUser, type UserChange } from './user.ts'
import { vanishOne } from './vanish-one.ts'

/** Makes a user, or makes one who had been deleted anew, and says under which id. Refuses a `userName` or `externalId` that is taken. */
export async function createUser(db: Db, by: By, steps: readonly Step[]): Promise<string> {
  const change = readUser(steps)
  const { userName } = change
  if (userName === undefined || userName.trim() === '') throw wrong('invalidValue', 'userName: is required')
  const { name, providedName } = naming(change, undefined, userName)
  const { code, set } = await checkedRow(db, 'user', userName, { ...change.row, name })
  const outcome = await put(db, by, { kind: 'user', code, set: { ...set, ...someOf({ providedName }) }, isNew: true })
  if (outcome.is === 'taken')
    throw new ScimProblem(
      409,
      'uniqueness',
      `userName: there is a user ${code} already, or one that differs in case only`,
    )
  refuseOutcome(outcome, 'user', code)
  return code
}

/** Changes what the steps name, and leaves the rest as it is. */
export function changeUser(db: Db, by: By, id: string, steps: readonly Step[]): Promise<void> {
  return settled(async () => {
    const found = await findUser(db, id, false)
    if (found === undefined) throw notFound(`user ${id}`)
    const change = readUser(steps, found)
    refuseRenaming(change, id)
    const { name, providedName } = naming(change, found, id)
    const { set } = await checkedRow(db, 'user', id, { ...change.row, ...(name === undefined ? {} : { name }) })
    const outcome = await put(db, by, {
      kind: 'user',
      code: id,
      set: { ...set, ...someOf({ providedName }) },
      isNew: false,
      // A name is made from the parts that were known.
      ...(providedName === undefined ? {} : { seen: found.version }),
    })
    refuseOutcome(outcome, 'user', id)
    return outcome
  })
}

/** Deletes a user: disabled, in no group, and for SCIM not there any more. */
export async function deleteUser(db: Db, by: By, id: string): Promise<void> {
  if (!(await vanishOne(db, by, 'user', id))) throw notFound(`user ${id}`)
}

function refuseRenaming({ id, userName }: UserChange, now: string): void {
  if (id !== undefined && id !== now) throw wrong('mutability', `id: is ${now} and cannot be changed`)
  if (userName !== undefined && userName.trim().toLowerCase() !== now.toLowerCase())
    throw wrong(
      'mutability',
      `userName: is ${now} and cannot be changed, since messages are pushed to it: map something to userName that stays, such as the staff number, or delete the user and create another`,
    )
}

function someOf<Values extends object>(values: Values): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
