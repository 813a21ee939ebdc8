import { describe, expect, it } from 'vitest'
import { boot, run } from '../kit/posthouse.ts'
import { onPostgres, type TestStore } from '../kit/stores.ts'
import { scimClient, type ScimAnswer } from './client.ts'

const ROUNDS = 8

describe.skipIf(!onPostgres)('SCIM on two nodes', () => {
  it('makes everything once, and answers whatever else happens to it at the same time', async () => {
    const posthouse = await run(onPostgres as TestStore)
    const second = await boot(posthouse.place.env)
    const [one, two] = [scimClient(posthouse), scimClient(second)]
    const statuses = (answers: ScimAnswer[]) => answers.map(({ status }) => status).toSorted((a, b) => a - b)
    for (let at = 0; at < ROUNDS; at++) {
      const [user, group] = [`T${at}`, `/Groups/role:G${at}`]
      const members = [{ value: user }, { value: 'USER001' }]
      const users = await Promise.all(
        [one, two, one, two].map((scim) => scim.post('/Users', { userName: user, externalId: user })),
      )
      expect(statuses(users)).toEqual([201, 409, 409, 409])
      const groups = await Promise.all(
        [one, two, one, two].map((scim) => scim.post('/Groups', { displayName: `G${at}`, members })),
      )
      expect(statuses(groups)).toEqual([201, 409, 409, 409])
      const mixed = await Promise.all([
        one.patch(group, { op: 'replace', path: 'members', value: [{ value: 'USER002' }] }),
        two.patch(group, { op: 'add', path: 'members', value: [{ value: 'USER003' }] }),
        one.remove(`/Users/${user}`),
        two.patch(`/Users/${user}`, { op: 'replace', path: 'name.familyName', value: 'x' }),
        two.remove(group),
        one.post('/Groups', { displayName: `G${at}`, members: [{ value: 'USER001' }] }),
        two.post('/Users', { userName: user }),
      ])
      const odd = mixed.filter(({ status }) => ![200, 201, 204, 404, 409].includes(status))
      expect(odd.map(({ status, body }) => [status, body])).toEqual([])
    }
    await second.stop()
    await posthouse.stop()
  }, 120_000)
})
