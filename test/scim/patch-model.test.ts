/** Whatever a client does to a group's members, one PATCH after the other or several at once, it has whom a simple model says. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { scimClient, type ScimClient } from './client.ts'

const PEOPLE = ['A', 'B', 'C', 'D']
type Operation = { op: string; path: string; value?: { value: string }[] }

const some = fc.subarray(PEOPLE)
const valued = (codes: string[]) => codes.map((value) => ({ value }))
const operation: fc.Arbitrary<Operation> = fc.oneof(
  some.map((codes) => ({ op: 'add', path: 'members', value: valued(codes) })),
  some.map((codes) => ({ op: 'Remove', path: 'members', value: valued(codes) })),
  some.map((codes) => ({ op: 'replace', path: 'members', value: valued(codes) })),
  fc
    .subarray(PEOPLE, { minLength: 1 })
    .map((codes) => ({ op: 'remove', path: `members[${codes.map((code) => `value eq "${code}"`).join(' or ')}]` })),
  fc.constant({ op: 'remove', path: 'members' }),
)
const patch = fc.array(operation, { minLength: 1, maxLength: 3 })

/** Who is in it after one operation, by the letter of the RFC. */
function after(members: string[], { op, path, value }: Operation): string[] {
  const listed =
    value?.map(({ value }) => value) ?? PEOPLE.filter((code) => path === 'members' || path.includes(`"${code}"`))
  const outcomes: Record<string, () => string[]> = {
    add: () => [...members, ...listed],
    replace: () => listed,
    remove: () => members.filter((code) => !listed.includes(code)),
  }
  return [...new Set(outcomes[op.toLowerCase()]?.())].toSorted()
}
const afterAllOf = (members: string[], operations: Operation[]) => operations.reduce(after, members)

describe.each(stores)('the members of a group, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let scim: ScimClient
  let count = 0
  beforeAll(async () => {
    posthouse = await run(store)
    scim = scimClient(posthouse)
    for (const userName of PEOPLE) await scim.post('/Users', { userName })
  }, 120_000)
  afterAll(() => posthouse.stop())

  const make = async (members: string[]) => {
    const { body } = await scim.post('/Groups', { displayName: `model ${count++}`, members: valued(members) })
    return `/Groups/${encodeURIComponent(body['id'])}`
  }
  const membersOf = async (path: string) =>
    (await scim.get(path)).body['members'].map(({ value }: { value: string }) => value)

  it('are whom the operations leave, in their order', async () => {
    await fc.assert(
      fc.asyncProperty(some, fc.array(patch, { minLength: 1, maxLength: 3 }), async (start, patches) => {
        const path = await make(start)
        for (const operations of patches) expect((await scim.patch(path, ...operations)).status).toBe(204)
        expect(await membersOf(path)).toEqual(patches.reduce(afterAllOf, start.toSorted()))
      }),
      { numRuns: 150 },
    )
  }, 60_000)

  it('are whom some order leaves, when two do it at once', async () => {
    await fc.assert(
      fc.asyncProperty(some, patch, patch, async (start, one, other) => {
        const path = await make(start)
        await Promise.all([scim.patch(path, ...one), scim.patch(path, ...other)])
        const orders = [
          [one, other],
          [other, one],
        ].map((order) => order.reduce(afterAllOf, start.toSorted()))
        expect(orders).toContainEqual(await membersOf(path))
      }),
      { numRuns: 150 },
    )
  }, 60_000)
})
