import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { OURS, scimClient, type ScimAnswer, type ScimClient } from './client.ts'

describe.each(stores)('a group over SCIM, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let scim: ScimClient
  beforeAll(async () => {
    posthouse = await run(store)
    scim = scimClient(posthouse)
    for (const userName of ['M1', 'M2', 'M3', 'M4']) await scim.post('/Users', { userName })
  }, 120_000)
  afterAll(() => posthouse.stop())

  const db = () => posthouse.context.db
  const make = async (displayName: string, members: string[] = []) => {
    const { body } = await scim.post('/Groups', { displayName, members: members.map((value) => ({ value })) })
    return `/Groups/${encodeURIComponent(body['id'])}`
  }
  const membersOf = async (path: string) =>
    (await scim.get(path)).body['members'].map(({ value }: { value: string }) => value)
  const told = ({ status, body }: ScimAnswer) => [status, body['scimType'], body['detail']]
  const entries = (subject: string) =>
    query<{ act: string; before: unknown; after: unknown }>(
      db(),
      sql`select act, before, after from audit_entries where subject = ${subject} order by seq`,
    )

  it('is a department, a post or a role, with a code of its own and a place in the tree', async () => {
    const made = await scim.post('/Groups', {
      displayName: '儿科',
      externalId: 'dept-ext',
      [OURS]: { kind: 'dept', code: 'DEPT801', parent: 'DEPT001' },
      members: [{ value: 'M1' }],
    })
    expect([made.status, made.body]).toEqual([
      201,
      {
        schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group', OURS],
        id: 'dept:DEPT801',
        externalId: 'dept-ext',
        displayName: '儿科',
        members: [{ value: 'M1', $ref: `${posthouse.url}/scim/v2/Users/M1`, display: 'M1', type: 'User' }],
        [OURS]: { kind: 'dept', code: 'DEPT801', parent: 'DEPT001', active: true, memberCount: 1 },
        meta: {
          resourceType: 'Group',
          lastModified: expect.any(String),
          location: `${posthouse.url}/scim/v2/Groups/dept%3ADEPT801`,
        },
      },
    ])
    expect(await scim.ids('Groups', `${OURS}:kind eq "dept" and ${OURS}:parent eq "DEPT001"`)).toContain('dept:DEPT801')
    expect(await scim.ids('Groups', 'externalId eq "dept-ext" or displayName sw "儿"')).toEqual(['dept:DEPT801'])
    expect(await scim.ids('Users', 'groups.value eq "dept:DEPT801"')).toEqual(['M1'])
    expect(await scim.ids('Users', 'groups[value eq "dept:DEPT801"] and active eq true')).toEqual(['M1'])
    await scim.patch('/Groups/dept:DEPT801', { op: 'replace', path: `${OURS}:parent`, value: 'DEPT002' })
    expect((await scim.get('/Groups/dept:DEPT801')).body[OURS]['parent']).toBe('DEPT002')
    await scim.patch('/Groups/dept:DEPT801', { op: 'replace', value: { [OURS]: { active: false } } })
    expect(await scim.ids('Groups', `${OURS}:active eq false`)).toEqual(['dept:DEPT801'])
  })

  it('refuses what cannot be, names the attribute, and changes nothing', async () => {
    const path = await make('steady', ['M1'])
    const patch = async (...operations: unknown[]) => told(await scim.patch(path, ...operations))
    expect(
      await patch(
        { op: 'replace', path: 'displayName', value: 'lost' },
        { op: 'add', path: 'members', value: [{ value: 'M2' }, { value: 'nobody' }, { value: 'role:steady' }] },
      ),
    ).toEqual([400, 'invalidValue', 'members: there is no user nobody, role:steady; create users first'])
    expect(await patch({ op: 'replace', path: 'id', value: 'role:x' })).toEqual([
      400,
      'mutability',
      expect.stringContaining('id: is role:steady'),
    ])
    expect(await patch({ op: 'replace', path: `${OURS}:kind`, value: 'post' })).toEqual([
      400,
      'mutability',
      expect.anything(),
    ])
    expect(await patch({ op: 'replace', path: `${OURS}:parent`, value: 'DEPT001' })).toEqual([
      400,
      'invalidValue',
      expect.stringContaining('only a department'),
    ])
    expect(await patch({ op: 'replace', path: 'displayName', value: '' })).toEqual([
      400,
      'invalidValue',
      'displayName: must not be empty',
    ])
    expect(await patch({ op: 'replace', path: 'displayName', value: 7 })).toEqual([
      400,
      'invalidValue',
      'displayName: must be a text',
    ])
    expect(await patch({ op: 'add', path: 'members', value: [{ display: 'M2' }] })).toEqual([
      400,
      'invalidValue',
      expect.stringContaining('`value`'),
    ])
    expect(await patch({ op: 'add', path: 'members[value eq "M2"]', value: {} })).toEqual([
      400,
      'invalidPath',
      expect.anything(),
    ])
    expect(await patch({ op: 'remove', path: 'members[display eq "M2"]' })).toEqual([
      400,
      'invalidPath',
      expect.anything(),
    ])
    expect(await patch({ op: 'remove' })).toEqual([400, 'noTarget', expect.anything()])
    expect(await patch({ op: 'move', path: 'members' })).toEqual([
      400,
      'invalidSyntax',
      'operations.0.op: must be one of add, replace, remove',
    ])
    expect(await patch()).toEqual([400, 'invalidSyntax', expect.stringContaining('operations')])
    const post = async (body: unknown) => told(await scim.post('/Groups', body))
    expect(await post({ displayName: 'steady' })).toEqual([409, 'uniqueness', expect.stringContaining('role:steady')])
    expect(await post({ members: [] })).toEqual([400, 'invalidValue', 'displayName: is required'])
    expect(await post({ displayName: 'x'.repeat(65) })).toEqual([
      400,
      'invalidValue',
      expect.stringContaining(`${OURS}:code`),
    ])
    expect(await post({ displayName: 'x', [OURS]: { kind: 'team' } })).toEqual([
      400,
      'invalidValue',
      expect.stringContaining('dept, post or role'),
    ])
    expect(await post({ displayName: 'x', [OURS]: { kind: 'dept', parent: 'NONE' } })).toEqual([
      400,
      'invalidValue',
      expect.stringContaining('there is no department NONE'),
    ])
    expect(await post({ displayName: 'x', members: [{ value: 'nobody' }] })).toEqual([
      400,
      'invalidValue',
      expect.stringContaining('nobody'),
    ])
    expect(await scim.ids('Groups', 'displayName eq "x"')).toEqual([])
    expect((await scim.get(path)).body).toMatchObject({ displayName: 'steady', members: [{ value: 'M1' }] })
  })

  it('counts what comes later in a PATCH, and leaves entries of what really changed', async () => {
    const path = await make('folded', ['M1', 'M2'])
    await scim.patch(
      path,
      { op: 'add', path: 'members', value: [{ value: 'M3' }, { value: 'M1' }] },
      { op: 'remove', path: 'members[value eq "M3" or value eq "M2"]' },
      { op: 'Add', value: { members: [{ value: 'M4' }], displayName: '折叠' } },
    )
    expect(await membersOf(path)).toEqual(['M1', 'M4'])
    const before = (await scim.get(path)).body['meta']['lastModified']
    await scim.patch(
      path,
      { op: 'add', path: 'members', value: [{ value: 'M4' }] },
      { op: 'remove', path: 'members[value eq "M2"]' },
    )
    await scim.put(path, { displayName: '折叠' })
    expect((await scim.get(path)).body['meta']['lastModified']).toBe(before)
    expect(await entries('folded')).toEqual([
      { act: 'role.upsert', before: null, after: { name: 'folded', enabled: true, externalId: null } },
      {
        act: 'role.upsert',
        before: { name: 'folded', enabled: true, externalId: null },
        after: { name: '折叠', enabled: true, externalId: null },
      },
    ])
    expect((await entries('M4')).slice(-1)).toEqual([{ act: 'user.join', before: null, after: { role: 'folded' } }])
    expect((await entries('M2')).slice(-2)).toEqual([
      { act: 'user.join', before: null, after: { role: 'folded' } },
      { act: 'user.leave', before: { role: 'folded' }, after: null },
    ])
  })

  it('comes back with the members that are said then, when it is made again', async () => {
    const path = await make('phoenix', ['M1', 'M2'])
    await scim.remove(path)
    expect((await scim.get('/Users/M1')).body['groups'] ?? []).not.toContainEqual(
      expect.objectContaining({ value: 'role:phoenix' }),
    )
    const again = await scim.post('/Groups', { displayName: 'phoenix', members: [{ value: 'M2' }, { value: 'M3' }] })
    expect([again.status, await membersOf(path)]).toEqual([201, ['M2', 'M3']])
    const pushed = await posthouse.push([], 'up', { receiverData: { role: ['phoenix'] } })
    expect(pushed.body.code).toBe(200)
  })

  it('has exactly the members of some order, when many change it at once', async () => {
    const path = await make('busy')
    const users = Array.from({ length: 12 }, (_, at) => `B${at}`)
    for (const userName of users) await scim.post('/Users', { userName })
    const joined = await Promise.all(
      users.map((value) => scim.patch(path, { op: 'add', path: 'members', value: [{ value }] })),
    )
    expect(joined.map(({ status }) => status)).toEqual(users.map(() => 204))
    expect(await membersOf(path)).toEqual(users.toSorted())
    // Each sets the whole list to itself: one of them is last, and then nobody else is in it.
    const set = await Promise.all(
      users.map((value) => scim.patch(path, { op: 'replace', path: 'members', value: [{ value }] })),
    )
    expect(set.map(({ status }) => status)).toEqual(users.map(() => 204))
    expect(await membersOf(path)).toHaveLength(1)
    // Each puts itself in the place of the one before: whoever goes last is in, and nobody is there twice.
    const swaps = await Promise.all(
      ['B1', 'B2'].map((value, at) =>
        scim.patch(
          path,
          { op: 'replace', path: 'members', value: [] },
          { op: 'add', path: 'members', value: [{ value }, { value: `B${at + 3}` }] },
        ),
      ),
    )
    expect(swaps.map(({ status }) => status)).toEqual([204, 204])
    expect([
      ['B1', 'B3'],
      ['B2', 'B4'],
    ]).toContainEqual(await membersOf(path))
  })

  it('lists nobody when it is too large to list everybody, and pages through them as users', async () => {
    const path = await make('huge')
    await query(
      db(),
      sql`
      with people as (
        insert into users (code, name) select 'HUGE' || n, '人' || n from generate_series(1, 10001) as n returning code
      )
      insert into memberships (kind, group_code, user_code) select 'role', 'huge', code from people`,
    )
    const { body } = await scim.get(path)
    expect([body[OURS]['memberCount'], 'members' in body]).toEqual([10_001, false])
    const page = await scim.get(
      `/Users?filter=${encodeURIComponent('groups.value eq "role:huge"')}&startIndex=9901&count=200`,
    )
    expect([page.body['totalResults'], page.body['itemsPerPage']]).toEqual([10_001, 101])
    // What was read is written back, and nobody is lost.
    expect((await scim.put(path, { ...body, displayName: 'enormous' })).status).toBe(200)
    await scim.patch(path, { op: 'remove', path: 'members[value eq "HUGE1"]' })
    expect((await scim.get(path)).body['members']).toHaveLength(10_000)
  })
})
