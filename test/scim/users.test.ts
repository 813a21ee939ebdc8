import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { scimClient, USER, type ScimClient } from './client.ts'

describe.each(stores)('a user over SCIM, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let scim: ScimClient
  beforeAll(async () => {
    posthouse = await run(store)
    scim = scimClient(posthouse)
  }, 60_000)
  afterAll(() => posthouse.stop())

  it('is made, found by name, by external id, by mail and by phone, and reached', async () => {
    const { status, headers, body } = await scim.post('/Users', {
      schemas: [USER],
      userName: 'bjensen',
      externalId: 'ext-1',
      name: { formatted: 'Ms. Barbara J Jensen', familyName: 'Jensen', givenName: 'Barbara', middleName: 'Jane' },
      displayName: 'Babs Jensen',
      title: 'Tour Guide',
      emails: [
        { value: 'home@example.org', type: 'home' },
        { value: 'bjensen@Example.org', type: 'work' },
      ],
      phoneNumbers: [
        { value: '010 6275 1234', type: 'work' },
        { value: 'tel:+86-186-6088-0001', type: 'mobile' },
      ],
      locale: 'en_US',
      timezone: 'Asia/Shanghai',
      active: true,
    })
    expect(status).toBe(201)
    expect(headers.get('content-type')).toBe('application/scim+json; charset=utf-8')
    expect(headers.get('location')).toBe(`${posthouse.url}/scim/v2/Users/bjensen`)
    expect(body).toEqual({
      schemas: [USER],
      id: 'bjensen',
      externalId: 'ext-1',
      userName: 'bjensen',
      displayName: 'Babs Jensen',
      name: { formatted: 'Ms. Barbara J Jensen', familyName: 'Jensen', givenName: 'Barbara' },
      active: true,
      emails: [{ value: 'bjensen@example.org', type: 'work', primary: true }],
      phoneNumbers: [{ value: '+8618660880001', type: 'mobile', primary: true }],
      locale: 'en-US',
      timezone: 'Asia/Shanghai',
      meta: {
        resourceType: 'User',
        created: expect.any(String),
        lastModified: expect.any(String),
        location: `${posthouse.url}/scim/v2/Users/bjensen`,
      },
    })
    expect((await scim.get('/Users/bjensen')).body).toEqual(body)
    for (const filter of [
      'userName eq "bjensen"',
      'userName eq "BJensen"',
      'externalId eq "ext-1"',
      'emails.value eq "BJENSEN@example.org"',
      'emails[type eq "work"].value eq "bjensen@example.org"',
      'phoneNumbers.value eq "186 6088 0001"',
      'id eq "bjensen" and active eq true',
      'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "bj"',
      'name.familyName eq "jensen" and not (displayName co "nobody")',
    ])
      expect([filter, await scim.ids('Users', filter)]).toEqual([filter, ['bjensen']])
    await posthouse.push(['bjensen'], 'hello')
    const { data } = await posthouse.graphql(
      await posthouse.token('bjensen'),
      '{ inbox(first: 5) { edges { node { title } } } }',
    )
    expect(data).toEqual({ inbox: { edges: [{ node: { title: 'hello' } }] } })
  })

  it('is disabled and enabled, deleted, and made again', async () => {
    await scim.post('/Users', {
      userName: 'gone',
      externalId: 'ext-2',
      displayName: 'Gone',
      emails: [{ value: 'g@example.org' }],
    })
    const made = await scim.post('/Groups', { displayName: 'leavers', members: [{ value: 'gone' }] })
    expect([made.status, made.body['members']]).toEqual([
      201,
      [expect.objectContaining({ value: 'gone', display: 'Gone' })],
    ])
    const off = await scim.patch('/Users/gone', { op: 'Replace', path: 'active', value: 'False' })
    expect([off.status, off.body['active']]).toEqual([200, false])
    expect((await scim.get('/Users/gone')).body).toMatchObject({ active: false, groups: [{ value: 'role:leavers' }] })
    expect((await scim.remove('/Users/gone')).status).toBe(204)
    expect((await scim.get('/Users/gone')).status).toBe(404)
    expect((await scim.remove('/Users/gone')).status).toBe(404)
    expect((await scim.patch('/Users/gone', { op: 'replace', path: 'active', value: true })).status).toBe(404)
    expect(await scim.ids('Users', 'userName eq "gone"')).toEqual([])
    expect((await scim.get('/Groups/role:leavers')).body['members']).toEqual([])
    const again = await scim.post('/Users', { userName: 'gone', externalId: 'ext-2' })
    expect([again.status, again.body['active'], again.body['displayName'], again.body['emails']]).toEqual([
      201,
      true,
      'gone',
      undefined,
    ])
    const acts = await query<{ act: string }>(
      posthouse.context.db,
      sql`select act from audit_entries where subject = 'gone' order by seq`,
    )
    expect(acts.map(({ act }) => act)).toEqual([
      'user.upsert',
      'user.join',
      'user.upsert',
      'user.vanish',
      'user.upsert',
    ])
  })
})
