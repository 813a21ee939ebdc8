/** A life with Okta, in the requests that its SCIM 2.0 reference describes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { GROUP, PATCH_OP, scimClient, USER, type ScimClient } from './client.ts'

const LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse'

describe.each(stores)('Okta, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let okta: ScimClient
  beforeAll(async () => {
    posthouse = await run(store)
    okta = scimClient(posthouse)
  }, 120_000)
  afterAll(() => posthouse.stop())

  const person = (userName: string, more = {}) => ({
    schemas: [USER],
    userName,
    name: { givenName: 'Test', familyName: 'User' },
    emails: [{ primary: true, value: userName, type: 'work' }],
    displayName: 'Test User',
    locale: 'en-US',
    externalId: `okta-${userName}`,
    groups: [],
    password: '1mz050nq',
    active: true,
    ...more,
  })

  it('tests the connection, and finds nobody who is not there', async () => {
    const { status, body } = await okta.get('/Users?startIndex=1&count=1')
    expect([status, body['schemas'], body['startIndex'], body['itemsPerPage']]).toEqual([200, [LIST], 1, 1])
    expect(body['totalResults']).toBeGreaterThan(10)
    const none = await okta.get('/Users?filter=userName%20eq%20%22abcdefgh%40okta.local%22&startIndex=1&count=100')
    expect(none.body).toEqual({ schemas: [LIST], totalResults: 0, startIndex: 1, itemsPerPage: 0, Resources: [] })
  })

  it('makes a user, who is found with the name in parts, and makes nobody twice', async () => {
    const { status, body } = await okta.post('/Users', person('test.user@okta.local'))
    expect([status, body]).toEqual([
      201,
      expect.objectContaining({
        id: 'test.user@okta.local',
        userName: 'test.user@okta.local',
        externalId: 'okta-test.user@okta.local',
        name: { formatted: 'Test User', givenName: 'Test', familyName: 'User' },
        emails: [{ primary: true, value: 'test.user@okta.local', type: 'work' }],
        active: true,
      }),
    ])
    expect(body).not.toHaveProperty('password')
    const found = await okta.get('/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100')
    expect(found.body).toMatchObject({ totalResults: 1, Resources: [body] })
    expect((await okta.get('/Users/test.user%40okta.local')).body).toEqual(body)
    const twice = await okta.post('/Users', person('test.user@okta.local'))
    expect([twice.status, twice.body]).toEqual([
      409,
      {
        schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'],
        status: '409',
        scimType: 'uniqueness',
        detail: expect.any(String),
      },
    ])
  })

  it('writes a profile back whole, and switches somebody off and on', async () => {
    const { body } = await okta.get('/Users/test.user%40okta.local')
    const put = await okta.put('/Users/test.user%40okta.local', {
      ...body,
      name: { givenName: 'Another', middleName: 'Excited', familyName: 'User' },
      displayName: 'Another User',
    })
    expect([put.status, put.body['name']['givenName'], put.body['displayName']]).toEqual([
      200,
      'Another',
      'Another User',
    ])
    for (const active of [false, true]) {
      const switched = await okta.patch('/Users/test.user%40okta.local', { op: 'replace', value: { active } })
      expect([switched.status, switched.body['active']]).toEqual([200, active])
    }
    const off = await okta.put('/Users/test.user%40okta.local', { ...put.body, active: false })
    expect([off.status, off.body['active'], off.body['displayName']]).toEqual([200, false, 'Another User'])
  })

  it('pushes a group, renames it, and moves people in and out', async () => {
    await okta.post('/Users', person('member1@okta.local'))
    await okta.post('/Users', person('member2@okta.local'))
    const made = await okta.post('/Groups', {
      schemas: [GROUP],
      displayName: 'Test SCIMv2',
      members: [{ value: 'member1@okta.local', display: 'member1@okta.local' }],
    })
    expect([made.status, made.body['displayName'], made.body['members']]).toEqual([
      201,
      'Test SCIMv2',
      [expect.objectContaining({ value: 'member1@okta.local', display: 'Test User', type: 'User' })],
    ])
    const { id } = made.body as { id: string }
    const path = `/Groups/${encodeURIComponent(id)}`
    const group = async () => {
      const { body } = await okta.get(path)
      return [body['displayName'], body['members'].map(({ value }: { value: string }) => value)]
    }
    expect(made.headers.get('location')).toBe(`${posthouse.url}/scim/v2${path}`)

    expect((await okta.patch(path, { op: 'replace', value: { id, displayName: 'Renamed' } })).status).toBe(204)
    await okta.patch(
      path,
      { op: 'remove', path: 'members[value eq "member1@okta.local"]' },
      { op: 'add', path: 'members', value: [{ value: 'member2@okta.local', display: 'member2@okta.local' }] },
    )
    expect(await group()).toEqual(['Renamed', ['member2@okta.local']])
    const put = await okta.put(path, {
      schemas: [GROUP],
      id,
      displayName: 'Renamed again',
      members: [{ value: 'member1@okta.local' }, { value: 'member2@okta.local' }],
    })
    expect([put.status, put.body['members'].length]).toEqual([200, 2])
    await okta.patch(path, { op: 'replace', path: 'members', value: [{ value: 'member1@okta.local' }] })
    expect(await group()).toEqual(['Renamed again', ['member1@okta.local']])
    expect((await okta.get('/Groups?startIndex=1&count=100')).body['Resources']).toContainEqual(
      expect.objectContaining({ id, displayName: 'Renamed again' }),
    )
    expect((await okta.remove(path)).status).toBe(204)
    expect((await okta.get(path)).status).toBe(404)
  })

  it('is told 404 in the form of the RFC for somebody who is not there', async () => {
    const { status, body } = await okta.get('/Users/010101001010101011001010101011')
    expect([status, body]).toEqual([
      404,
      {
        schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'],
        status: '404',
        detail: 'There is no user 010101001010101011001010101011',
      },
    ])
    const patch = await okta.call('PATCH', '/Users/nobody', {
      schemas: [PATCH_OP],
      Operations: [{ op: 'replace', value: { active: false } }],
    })
    expect(patch.status).toBe(404)
  })
})
