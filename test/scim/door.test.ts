import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { makeApp } from '../rest/door.ts'
import { scimClient, USER, type ScimAnswer, type ScimClient } from './client.ts'

const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error'

describe.each(stores)('the SCIM door, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let scim: ScimClient
  beforeAll(async () => {
    posthouse = await run(store)
    scim = scimClient(posthouse)
  }, 120_000)
  afterAll(() => posthouse.stop())

  const told = ({ status, body }: ScimAnswer) => [status, body['scimType']]

  it('is open to the admin alone, and says so as SCIM does', async () => {
    const app = await makeApp(posthouse)
    const cases: [string, number][] = [
      [`Bearer ${app.key}`, 403],
      [`Bearer ${await posthouse.token('USER001')}`, 403],
      ['Bearer nonsense', 401],
      ['Basic YWRtaW46YWRtaW4=', 401],
      ['', 401],
    ]
    for (const [authorization, status] of cases)
      for (const path of ['/Users', '/Groups/role:ROLE001', '/ServiceProviderConfig', '/nowhere']) {
        const answer = await scim.call('GET', path, undefined, { authorization })
        expect([authorization, path, answer.status, answer.body]).toEqual([
          authorization,
          path,
          status,
          { schemas: [ERROR], status: String(status), detail: expect.any(String) },
        ])
        expect(answer.headers.get('content-type')).toContain('application/scim+json')
      }
    const { headers } = await scim.call('DELETE', '/Users/USER001', undefined, { authorization: 'Bearer nonsense' })
    expect(headers.get('www-authenticate')).toContain('Bearer')
    expect((await scim.get('/Users/USER001')).status).toBe(200)
  })

  it('says of paths and methods what there is', async () => {
    expect((await scim.get('/nowhere')).status).toBe(404)
    expect((await scim.get('')).status).toBe(404)
    expect((await scim.get('/Users/')).status).toBe(200)
    expect((await scim.get('/users')).status).toBe(200)
    expect((await scim.get('/Me')).status).toBe(501)
    expect((await scim.post('/Bulk', {})).status).toBe(501)
    const wrong = await scim.remove('/Users')
    expect([wrong.status, wrong.headers.get('allow'), wrong.body['schemas']]).toEqual([405, 'GET, POST', [ERROR]])
    expect((await scim.post('/Users/USER001', {})).headers.get('allow')).toBe('GET, PUT, PATCH, DELETE')
    expect((await scim.get('/Schemas/none')).status).toBe(404)
    expect((await scim.get('/ResourceTypes/User')).body['endpoint']).toBe('/Users')
    expect((await scim.get('/Users/%E0%A4%A')).status).toBe(404)
    expect(told(await scim.get('/Users/%00'))).toEqual([400, 'invalidValue'])
    expect((await scim.get('/Groups/USER001')).status).toBe(404)
  })

  it('reads bodies strictly', async () => {
    const send = async (body: string, headers = {}) => told(await scim.call('POST', '/Users', body, headers))
    expect(await send('{"userName":"json"}', { 'content-type': 'application/json; charset=utf-8' })).toEqual([
      201,
      undefined,
    ])
    expect(await send('{}', { 'content-type': 'text/plain' })).toEqual([415, undefined])
    expect(await send('')).toEqual([400, 'invalidSyntax'])
    expect(await send('{"userName":')).toEqual([400, 'invalidSyntax'])
    expect(await send('[]')).toEqual([400, 'invalidSyntax'])
    expect(await send('{}')).toEqual([400, 'invalidValue'])
    expect(await send(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`)).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":"a\\u0000b"}')).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":"\\ud800"}')).toEqual([400, 'invalidValue'])
    expect(await send(`{"userName":"${'x'.repeat(65)}"}`)).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":{"value":["x"]}}')).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":"p","phoneNumbers":[{"type":"mobile","value":"123"}]}')).toEqual([
      400,
      'invalidValue',
    ])
    expect(await send('{"userName":"p","emails":"nothing"}')).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":"p","active":"maybe"}')).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":"p","timezone":"China Standard Time"}')).toEqual([400, 'invalidValue'])
    expect(await send('{"userName":"p","externalId":"taken"}')).toEqual([201, undefined])
    expect(await send('{"userName":"q","externalId":"taken"}')).toEqual([409, 'uniqueness'])
    expect(await send('{"__proto__":{"userName":"x"},"constructor":1,"http://x/y":2}')).toEqual([400, 'invalidValue'])
    expect(await scim.ids('Users', 'userName eq "q"')).toEqual([])
  })

  it('makes somebody once, however many ask at the same time', async () => {
    const made = await Promise.all(
      Array.from({ length: 8 }, (_, at) => scim.post('/Users', { userName: 'once', displayName: `${at}` })),
    )
    expect(made.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([201, ...Array(7).fill(409)])
    const groups = await Promise.all(
      Array.from({ length: 6 }, () => scim.post('/Groups', { displayName: 'once', members: [{ value: 'once' }] })),
    )
    expect(groups.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([
      201,
      ...Array(5).fill(409),
    ])
    const shared = await Promise.all(
      Array.from({ length: 6 }, (_, at) => scim.post('/Users', { userName: `shared${at}`, externalId: 'shared' })),
    )
    const outcomes = shared.map((answer) => told(answer).join(' ')).toSorted((one, other) => one.localeCompare(other))
    expect(outcomes).toEqual(['201 ', ...Array<string>(5).fill('409 uniqueness')])
    const noted = await query<{ subject: string }>(
      posthouse.context.db,
      sql`select subject from audit_entries where subject in ('once') and act in ('user.upsert', 'role.upsert', 'user.join')`,
    )
    expect(noted).toHaveLength(3)
    expect((await scim.post('/Users', { userName: 'ONCE' })).status).toBe(409)
  })

  it('pages through everybody, each once, whatever is asked for', async () => {
    const { body } = await scim.get('/Users?count=0')
    const total = body['totalResults'] as number
    expect([body['Resources'], body['itemsPerPage'], total > 20]).toEqual([[], 0, true])
    const seen: string[] = []
    for (let startIndex = 1; startIndex <= total; startIndex += 7) {
      const page = await scim.get(`/Users?startIndex=${startIndex}&count=7`)
      expect([page.body['totalResults'], page.body['startIndex']]).toEqual([total, startIndex])
      seen.push(...page.body['Resources'].map(({ id }: { id: string }) => id))
    }
    expect([seen.length, new Set(seen).size]).toEqual([total, total])
    const groups = await scim.get('/Groups?count=3&startIndex=2&attributes=id')
    expect(groups.body['Resources']).toHaveLength(3)
    for (const [asked, startIndex, found] of [
      ['startIndex=0', 1, total],
      ['startIndex=-5&count=-1', 1, 0],
      ['startIndex=99999999999999999999', 2_147_483_647, 0],
      ['count=99999999999999999999', 1, total],
    ] as const) {
      const page = await scim.get(`/Users?${asked}`)
      expect([asked, page.body['startIndex'], page.body['Resources'].length]).toEqual([asked, startIndex, found])
    }
    expect(told(await scim.get('/Users?startIndex=one'))).toEqual([400, 'invalidValue'])
    expect(told(await scim.get('/Users?sortBy=userName'))).toEqual([400, 'invalidValue'])
  })

  it('answers what is asked for, no more and no less', async () => {
    const only = await scim.get('/Users/USER001?attributes=userName,emails.value,name.formatted')
    expect(only.body).toEqual({
      schemas: [USER],
      id: 'USER001',
      userName: 'USER001',
      name: { formatted: '李伟' },
      emails: [{ value: 'liwei@example.org' }],
    })
    const without = await scim.get(`/Users/USER001?excludedAttributes=${USER}:groups,META,phoneNumbers.type,id`)
    expect(Object.keys(without.body)).not.toContain('groups')
    expect(Object.keys(without.body)).not.toContain('meta')
    expect([without.body['id'], without.body['phoneNumbers']]).toEqual([
      'USER001',
      [{ value: '+8618660886275', primary: true }],
    ])
    const found = await scim.post('/Users/.search', {
      filter: 'userName sw "user00"',
      startIndex: 2,
      count: 2,
      attributes: ['userName'],
    })
    expect(found.body).toMatchObject({
      startIndex: 2,
      itemsPerPage: 2,
      Resources: [{ id: 'USER002', userName: 'USER002' }, { id: 'USER003' }],
    })
    expect(found.body['Resources'][0]).not.toHaveProperty('name')
    expect(told(await scim.post('/Groups/.search', { count: 'many' }))).toEqual([400, 'invalidSyntax'])
  })

  it('filters by whatever is kept, and refuses the rest with what it could', async () => {
    const [at] = await query<{ time: Date }>(
      posthouse.context.db,
      sql`select changed_at as time from users where code = 'USER001'`,
    )
    const when = at?.time.toISOString()
    const one = 'id eq "USER001" and'
    for (const filter of [
      `${one} not (userName eq "USER002")`,
      `${one} not (id eq "USER002" or not (active eq true))`,
      `${one} externalId eq null and not (externalId pr)`,
      `${one} (locale ne "de" and timezone ne "Asia/Tokyo")`,
      `${one} name.formatted ew "伟" and displayName co "李"`,
      `${one} phoneNumbers[type eq "mobile" and value sw "+86"]`,
      `${one} not emails[value eq "x"]`.replace('not emails[value eq "x"]', 'not (emails[value eq "x"])'),
      `${one} emails.type eq "work" and emails.primary eq true and emails pr`,
      `${one} meta.lastModified ge "${when}" and meta.lastModified le "${when}"`,
      `${one} meta.created gt "2020-01-01T00:00:00+08:00" and meta.created lt "2999-01-01T00:00:00Z"`,
      `${one} userName gt "USER000" and userName le "user001"`,
      `${one} active eq "True"`,
    ])
      expect([filter, await scim.ids('Users', filter)]).toEqual([filter, ['USER001']])
    for (const filter of [
      'title eq "x"',
      'userName eq 7',
      'active gt true',
      'active eq "yes"',
      'meta.created gt "yesterday"',
      'meta.created gt "2026-02-30T00:00:00Z"',
      'groups.value co "x"',
      'groups pr',
      'userName eq "x',
      'emails[color eq "x"]',
      'userName eq "\\u0000"',
    ])
      expect([filter, told(await scim.get(`/Users?filter=${encodeURIComponent(filter)}`))]).toEqual([
        filter,
        [400, 'invalidFilter'],
      ])
    expect(told(await scim.post('/Users/.search', { filter: `userName eq "${'('.repeat(100_000)}"` }))).toEqual([
      400,
      'invalidFilter',
    ])
    expect((await scim.get(`/Users?filter=${encodeURIComponent('title eq "x"')}`)).body['detail']).toContain('username')
    const many = (term: string) => `/Users?filter=${encodeURIComponent(Array(40).fill(term).join(' or '))}`
    expect((await scim.get(many('userName eq "USER001"'))).body['totalResults']).toBe(1)
    expect(told(await scim.get(many('displayName co "x"')))).toEqual([400, 'invalidFilter'])
    const odd = "o'; drop table users; -- 😀 \\u4e2d%_"
    expect((await scim.post('/Users', { userName: odd })).status).toBe(201)
    expect(await scim.ids('Users', `userName eq ${JSON.stringify(odd)}`)).toEqual([odd])
    expect((await scim.get(`/Users/${encodeURIComponent(odd)}`)).body['userName']).toBe(odd)
  })
})
