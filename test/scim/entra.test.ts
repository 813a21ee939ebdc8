/** A life with Microsoft Entra ID, in the requests that its guide to SCIM endpoints describes. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { GROUP, scimClient, USER, type ScimClient } from './client.ts'

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'
const NAME = 'Test_User_ab6490ee-1e48-479e-a20b-2d77186b5dd1'

describe.each(stores)('Microsoft Entra ID, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let entra: ScimClient
  beforeAll(async () => {
    posthouse = await run(store)
    entra = scimClient(posthouse)
  }, 120_000)
  afterAll(() => posthouse.stop())

  const person = (userName: string, more = {}) => ({
    schemas: [USER, ENTERPRISE],
    externalId: `ext-${userName}`,
    userName,
    active: true,
    emails: [{ primary: true, type: 'work', value: `${userName}@testuser.com` }],
    meta: { resourceType: 'User' },
    name: { formatted: 'givenName familyName', familyName: 'familyName', givenName: 'givenName' },
    roles: [],
    ...more,
  })

  it('looks whether somebody is there, makes him, and finds him again', async () => {
    const before = await entra.get(`/Users?filter=userName eq "${NAME}"`)
    expect([before.status, before.body['totalResults'], before.body['Resources']]).toEqual([200, 0, []])
    const { status, body } = await entra.post('/Users', person(NAME))
    expect(status).toBe(201)
    expect(body).toMatchObject({
      id: NAME,
      name: { formatted: 'givenName familyName', familyName: 'familyName', givenName: 'givenName' },
      displayName: 'givenName familyName',
      emails: [{ value: `${NAME}@testuser.com`, type: 'work', primary: true }],
    })
    for (const filter of [
      `userName eq "${NAME}"`,
      `externalId eq "ext-${NAME}"`,
      `emails[type eq "work"].value eq "${NAME}@testuser.com"`,
    ])
      expect((await entra.get(`/Users?filter=${encodeURIComponent(filter)}`)).body).toMatchObject({
        totalResults: 1,
        Resources: [body],
      })
  })

  it('changes parts of a user, with its own way of writing operations', async () => {
    await entra.post('/Users', person('U2'))
    const many = await entra.patch(
      '/Users/U2',
      { op: 'Replace', path: 'emails[type eq "work"].value', value: 'updatedEmail@microsoft.com' },
      { op: 'Replace', path: 'name.familyName', value: 'updatedFamilyName' },
      { op: 'Add', path: 'phoneNumbers[type eq "mobile"].value', value: '+86 18660880002' },
      { op: 'Add', path: 'phoneNumbers[type eq "work"].value', value: '010-62751234' },
      { op: 'Add', path: `${ENTERPRISE}:department`, value: 'Cardiology' },
      { op: 'Add', path: 'addresses[type eq "work"].country', value: 'CN' },
      { op: 'Add', path: 'title', value: 'Nurse' },
    )
    expect([many.status, many.body]).toEqual([
      200,
      expect.objectContaining({
        name: { formatted: 'givenName updatedFamilyName', familyName: 'updatedFamilyName', givenName: 'givenName' },
        displayName: 'givenName updatedFamilyName',
        emails: [{ value: 'updatedEmail@microsoft.com', type: 'work', primary: true }],
        phoneNumbers: [{ value: '+8618660880002', type: 'mobile', primary: true }],
      }),
    ])
    // With its flag for the letter of the RFC: names of members that are paths.
    const flat = await entra.patch('/Users/U2', {
      op: 'replace',
      value: {
        displayName: 'Shown',
        'name.familyName': 'Third',
        'emails[type eq "work"].value': 'third@example.org',
        'phoneNumbers[type eq "mobile"].value': null,
        [`${ENTERPRISE}:employeeNumber`]: '7',
        active: 'True',
      },
    })
    expect(flat.body).toMatchObject({
      displayName: 'Shown',
      name: { formatted: 'givenName Third', familyName: 'Third' },
      emails: [{ value: 'third@example.org' }],
      active: true,
    })
    expect(flat.body).not.toHaveProperty('phoneNumbers')
    // What is mapped to name.formatted does not take the place of the displayName.
    const parts = await entra.patch('/Users/U2', { op: 'Replace', path: 'name.formatted', value: 'Third, Given' })
    expect(parts.body).toMatchObject({ displayName: 'Shown', name: { formatted: 'Third, Given' } })
  })

  it('disables somebody, whose token then means nobody, and deletes him at last', async () => {
    await entra.post('/Users', person('U3'))
    const token = await posthouse.token('U3')
    const off = await entra.patch('/Users/U3', { op: 'Replace', path: 'active', value: false })
    expect([off.status, off.body['active']]).toEqual([200, false])
    const { errors } = await posthouse.graphql(token, '{ inbox(first: 1) { edges { cursor } } }')
    expect(errors?.[0]?.extensions?.['code']).toBe('UNAUTHENTICATED')
    const on = await entra.patch('/Users/U3', { op: 'Replace', path: 'active', value: 'True' })
    expect(on.body['active']).toBe(true)
    expect((await entra.remove('/Users/U3')).status).toBe(204)
    expect((await entra.get('/Users/U3')).status).toBe(404)
  })

  it('refuses another userName and says what to do', async () => {
    await entra.post('/Users', person('U4'))
    const { status, body } = await entra.patch('/Users/U4', { op: 'Replace', path: 'userName', value: 'U4b' })
    expect([status, body['scimType'], body['detail']]).toEqual([
      400,
      'mutability',
      expect.stringContaining('staff number'),
    ])
    expect((await entra.patch('/Users/U4', { op: 'Replace', path: 'userName', value: 'u4' })).status).toBe(200)
  })

  it('makes a group, finds it by name without its members, and moves people in and out, one by one', async () => {
    await entra.post('/Users', person('U5'))
    await entra.post('/Users', person('U6'))
    const made = await entra.post('/Groups', {
      schemas: [GROUP, 'http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group'],
      externalId: '8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159',
      displayName: '值班医生组',
      meta: { resourceType: 'Group' },
    })
    expect([made.status, made.body['id'], made.body['members']]).toEqual([201, 'role:值班医生组', []])
    const path = `/Groups/${encodeURIComponent('role:值班医生组')}`
    const filter = encodeURIComponent('displayName eq "值班医生组"')
    const found = await entra.get(`/Groups?excludedAttributes=members&filter=${filter}`)
    expect([found.body['totalResults'], found.body['Resources'][0]]).toEqual([
      1,
      expect.not.objectContaining({ members: [] }),
    ])

    expect((await entra.patch(path, { op: 'Replace', path: 'displayName', value: '值班' })).status).toBe(204)
    for (const value of ['U5', 'U6']) {
      const added = await entra.patch(path, { op: 'Add', path: 'members', value: [{ $ref: null, value }] })
      expect(added.status).toBe(204)
    }
    const isMember = (user: string) => entra.ids('Groups', `id eq "role:值班医生组" and members eq "${user}"`)
    expect([await isMember('U5'), await isMember('U4')]).toEqual([['role:值班医生组'], []])
    expect(
      (await entra.patch(path, { op: 'Remove', path: 'members', value: [{ $ref: null, value: 'U5' }] })).status,
    ).toBe(204)
    const { body } = await entra.get(path)
    expect([body['displayName'], body['members'].map(({ value }: { value: string }) => value)]).toEqual([
      '值班',
      ['U6'],
    ])
    // By its name an app reaches whoever is in it.
    const pushed = await posthouse.push([], '值班通知', { receiverData: { role: ['值班医生组'] } })
    expect(pushed.body.code).toBe(200)
    const reached = await query<{ code: string }>(
      posthouse.context.db,
      sql`select user_code as code from items join contents using (message_id) where contents.content->>'title' = '值班通知'`,
    )
    expect(reached).toEqual([{ code: 'U6' }])
    expect((await entra.patch(path, { op: 'Remove', path: 'members' })).status).toBe(204)
    expect((await entra.get(path)).body['members']).toEqual([])
    expect((await entra.remove(path)).status).toBe(204)
    expect((await entra.get(path)).status).toBe(404)
  })

  it('learns what is here', async () => {
    const schemas = await entra.get('/Schemas')
    expect([schemas.status, schemas.body['totalResults']]).toEqual([200, 3])
    expect(schemas.body['Resources'].map(({ id }: { id: string }) => id)).toContain(USER)
    expect(
      (await entra.get(`/Schemas/${USER}`)).body['attributes'].map(({ name }: { name: string }) => name),
    ).toContain('userName')
    expect(
      (await entra.get('/ResourceTypes')).body['Resources'].map(({ endpoint }: { endpoint: string }) => endpoint),
    ).toEqual(['/Users', '/Groups'])
    expect((await entra.get('/ServiceProviderConfig')).body).toMatchObject({
      patch: { supported: true },
      bulk: { supported: false },
      filter: { supported: true, maxResults: 200 },
    })
  })
})
