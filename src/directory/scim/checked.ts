/** What a SCIM client says of a user or group, checked by the rules of every row of the directory, and told in its own words. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from '../../db/client.ts'
import type { DirectoryKind, RowProblem } from '../../db/tables.ts'
import { problemsTogether } from '../known.ts'
import { readRow, type RowValues } from '../rows.ts'
import { ScimProblem, notFound, wrong } from './problem.ts'
import type { PutOutcome } from './put.ts'
import { GROUP_EXTENSION } from './schemas.ts'

/** How often a change is made anew when others have changed the same meanwhile. */
const TRIES = 20
const PAUSE_MS = 20

/** How SCIM calls the fields of a row. */
const ATTRIBUTES: Record<string, string> = {
  name: 'displayName',
  phone: 'phoneNumbers',
  email: 'emails',
  timeZone: 'timezone',
  enabled: 'active',
  parentCode: `${GROUP_EXTENSION}:parent`,
}

/** The row with its values normalised, only those that are said; or a refusal that names the attribute. */
export async function checkedRow(
  db: Db,
  kind: DirectoryKind,
  code: string,
  said: Record<string, unknown>,
): Promise<{ code: string; set: Partial<RowValues> }> {
  // A row must have a name; one that is not said is not written.
  const { row, problem } = readRow(kind, { name: '-', ...said, code }, 1)
  if (problem !== undefined) throw refusalOf(kind, problem)
  const [wrong] = (await problemsTogether(db, kind, [row])).filter(({ isRefused }) => isRefused)
  if (wrong !== undefined) throw refusalOf(kind, wrong)
  const { name, ...others } = row.set
  const set = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined))
  return { code: row.code, set: said['name'] === undefined ? set : { ...set, name } }
}

function refusalOf(kind: DirectoryKind, { path, en }: RowProblem): ScimProblem {
  const isTaken = path === 'externalId' && en.startsWith('belongs to')
  const codeName = kind === 'user' ? 'userName' : `${GROUP_EXTENSION}:code (displayName, where none is given)`
  const attribute = path === 'code' ? codeName : (ATTRIBUTES[path] ?? path)
  return new ScimProblem(isTaken ? 409 : 400, isTaken ? 'uniqueness' : 'invalidValue', `${attribute}: ${en}`)
}

/** Throws what an outcome refuses; `moved` and `done` are none. */
export function refuseOutcome(outcome: PutOutcome, kind: DirectoryKind, code: string): void {
  if (outcome.is === 'gone') throw notFound(kind === 'user' ? `user ${code}` : `group ${kind}:${code}`)
  if (outcome.is === 'idTaken') throw new ScimProblem(409, 'uniqueness', 'externalId: belongs to another already')
  if (outcome.is === 'missing')
    throw wrong('invalidValue', `members: there is no user ${outcome.people.join(', ')}; create users first`)
}

/** Makes a change until nobody else has changed the same between look and act. */
export async function settled(act: () => Promise<PutOutcome>): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    if ((await act()).is !== 'moved') return
    await sleep(Math.random() * PAUSE_MS * tries)
  }
  throw new ScimProblem(503, undefined, 'Too many changes of the same at once: try again shortly')
}
