import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { APP, boot, eventually, run } from '../kit/posthouse.ts'
import { onPostgres, stores } from '../kit/stores.ts'
import { channelBody, CHANNEL } from '../rest/door.ts'

const CREATE = `mutation ($input: CreateAppInput!) { createApp(input: $input) { keyId bearer app { id grants enabled } } }`
const UPDATE = `mutation ($input: UpdateAppInput!) {
  updateApp(input: $input) { id name grants legacyFrom compat { httpStatus codeAsString } rateLimit { perSecond burst } }
}`

describe.each(stores)('an admin keeps apps, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const admin = async (query: string, variables: Record<string, unknown> = {}) => {
    const { data, errors } = await posthouse.graphql(posthouse.adminKey, query, variables)
    expect(errors).toBeUndefined()
    return data as Record<string, any>
  }
  const refusal = async (query: string, variables: Record<string, unknown> = {}) =>
    (await posthouse.graphql(posthouse.adminKey, query, variables)).errors?.[0]
  const create = async (id: string, more: Record<string, unknown> = {}) =>
    (await admin(CREATE, { input: { id, name: id, grants: ['channel:*'], ...more } }))['createApp']
  const push = (appId: string, bearer?: string) =>
    posthouse.post(CHANNEL, channelBody({ appId }), bearer === undefined ? {} : { authorization: `Bearer ${bearer}` })
  const audit = async (subject: string) => {
    const asked = `query ($subject: String) { auditEntries(filter: { subject: $subject }) { edges { node { act before after } } } }`
    const { auditEntries } = await admin(asked, { subject })
    return auditEntries.edges.map(({ node }: { node: object }) => node).toReversed()
  }

  it('makes one whose first key works at once and is told only then', async () => {
    const made = await create('lab', { grants: ['channel:1002', 'channel:1002'] })
    expect(made).toEqual({
      keyId: expect.stringMatching(/^[0-9a-f]{16}$/),
      bearer: expect.stringMatching(`^ph_${made.keyId}_`),
      app: { id: 'lab', grants: ['channel:1002'], enabled: true },
    })
    expect((await push('lab', made.bearer)).status).toBe(200)
    const { app } = await admin('{ app(id: "lab") { keys { keyId lastUsedAt revokedAt } } }')
    expect(app.keys).toEqual([{ keyId: made.keyId, lastUsedAt: expect.anything(), revokedAt: null }])
    expect(JSON.stringify(await audit('lab'))).not.toContain(made.bearer.split('_')[2])
  })

  it('changes what is given and leaves the rest, and takes away what is null', async () => {
    await create('his', { legacyFrom: ['10.1.0.0/16', 'fd00::/8'], compat: { codeAsString: true } })
    const named = await admin(UPDATE, { input: { id: 'his', name: '医院信息系统' } })
    expect(named['updateApp']).toMatchObject({
      name: '医院信息系统',
      grants: ['channel:*'],
      legacyFrom: ['10.1.0.0/16', 'fd00::/8'],
      compat: { httpStatus: null, codeAsString: true },
      rateLimit: null,
    })
    const more = { legacyFrom: null, compat: { httpStatus: 'ALWAYS_200' }, rateLimit: { perSecond: 2.5, burst: 5 } }
    const changed = await admin(UPDATE, { input: { id: 'his', ...more } })
    expect(changed['updateApp']).toMatchObject({ ...more, name: '医院信息系统' })
    expect(changed['updateApp'].compat).toEqual({ httpStatus: 'ALWAYS_200', codeAsString: null })
    expect((await audit('his')).map(({ act }: { act: string }) => act)).toEqual([
      'app.create',
      'app.update',
      'app.update',
    ])
  })

  it('notes before and after of what really changed, once', async () => {
    await create('quiet')
    const off = `mutation { setAppEnabled(id: "quiet", enabled: false) { enabled } }`
    await admin(off)
    await admin(off)
    expect(await audit('quiet')).toMatchObject([
      { act: 'app.create', before: null, after: { enabled: true } },
      { act: 'app.disable', before: { enabled: true, name: 'quiet' }, after: { enabled: false, name: 'quiet' } },
    ])
  })

  it('keeps a disabled one out, by key and in legacy mode, until it is enabled again', async () => {
    const { bearer } = await create('oa', { legacyFrom: ['127.0.0.1', '::1'] })
    const set = (enabled: boolean) => admin(`mutation { setAppEnabled(id: "oa", enabled: ${enabled}) { enabled } }`)
    await set(false)
    expect([(await push('oa', bearer)).status, (await push('oa')).status]).toEqual([401, 401])
    await set(true)
    expect([(await push('oa', bearer)).status, (await push('oa')).status]).toEqual([200, 200])
  })

  it('lets an app change over between two live keys, and refuses a third', async () => {
    const first = await create('pharmacy')
    const make = 'mutation { createAppKey(id: "pharmacy") { keyId bearer } }'
    const { createAppKey: second } = await admin(make)
    expect([(await push('pharmacy', first.bearer)).status, (await push('pharmacy', second.bearer)).status]).toEqual([
      200, 200,
    ])
    expect(await refusal(make)).toMatchObject({ message: expect.stringContaining('revoke one of them first') })

    const revoke = `mutation { revokeAppKey(keyId: "${first.keyId}") { keys { keyId revokedAt } } }`
    await admin(revoke)
    const { revokeAppKey } = await admin(revoke)
    expect(revokeAppKey.keys).toEqual([
      { keyId: second.keyId, revokedAt: null },
      { keyId: first.keyId, revokedAt: expect.any(String) },
    ])
    expect([(await push('pharmacy', first.bearer)).status, (await push('pharmacy', second.bearer)).status]).toEqual([
      401, 200,
    ])
    await admin(make)
    const acts = (await audit('pharmacy')).map(({ act }: { act: string }) => act)
    expect(acts).toEqual(['app.create', 'app.createKey', 'app.revokeKey', 'app.createKey'])
  })

  it('makes no third key when many ask at once', async () => {
    await create('busy')
    const make = 'mutation { createAppKey(id: "busy") { keyId } }'
    const answers = await Promise.all(Array.from({ length: 8 }, () => posthouse.graphql(posthouse.adminKey, make)))
    expect(answers.filter(({ errors }) => errors === undefined)).toHaveLength(1)
  })

  it('asks for the grant `recall` of an app that takes a message back', async () => {
    const { bearer } = await create('no-recall')
    const { body } = await push('no-recall', bearer)
    const recall = { appId: 'no-recall', msgId: body.msgId }
    const headers = { authorization: `Bearer ${bearer}` }
    const refused = await posthouse.post('/api/openApi/message/recall', recall, headers)
    expect(refused.body.msg).toContain('应用缺少授权 recall')
    const typed = await posthouse.graphql(bearer, `mutation { recallMessage(id: "${body.msgId}") { isMore } }`)
    expect(typed.errors?.[0]?.message).toContain('lacks the grant recall')
    await admin(UPDATE, { input: { id: 'no-recall', grants: ['channel:*', 'recall'] } })
    expect((await posthouse.post('/api/openApi/message/recall', recall, headers)).status).toBe(200)
  })

  it('lists all of them, page by page', async () => {
    const page = async (after: string) =>
      (
        await admin(
          `{ apps(first: 2, after: "${after}") { edges { node { id } } pageInfo { hasNextPage endCursor } } }`,
        )
      )['apps']
    const ids: string[] = []
    let { edges, pageInfo } = await page('')
    ids.push(...edges.map(({ node }: { node: { id: string } }) => node.id))
    while (pageInfo.hasNextPage) {
      ;({ edges, pageInfo } = await page(pageInfo.endCursor))
      ids.push(...edges.map(({ node }: { node: { id: string } }) => node.id))
    }
    expect(ids).toContain(APP)
    expect(ids.length).toBeGreaterThan(3)
    expect(ids).toEqual([...new Set(ids)])
  })

  it.each([
    [{ id: '' }, 'id', 'must be 1 to 64 letters'],
    [{ id: 'a b' }, 'id', 'must be 1 to 64 letters'],
    [{ id: APP }, 'id', `is taken: there is an app ${APP}`],
    [{ name: ' ' }, 'name', 'must be 1 to 200 characters'],
    [{ name: 'a\0' }, 'variables.input.name', 'contains a NUL character'],
    [{ grants: ['channel:*', 'chanel:1002'] }, 'grants.1', '"chanel:1002" is no grant: use channel:1002'],
    [{ grants: ['__proto__'] }, 'grants.0', 'is no grant'],
    [{ legacyFrom: ['10.0.0.0/33'] }, 'legacyFrom.0', '"10.0.0.0/33" is no address or range'],
    [{ legacyFrom: ['::1', 'localhost'] }, 'legacyFrom.1', '"localhost" is no address or range'],
    [{ legacyFrom: [] }, 'legacyFrom', 'must have 1 to 100 entries, or be null'],
    [{ rateLimit: { perSecond: 0, burst: 1 } }, 'rateLimit.perSecond', 'must be over 0'],
    [{ rateLimit: { perSecond: 1, burst: 0 } }, 'rateLimit.burst', 'must be 1 to 100000'],
  ])('refuses %j and makes nothing', async (words, field, why) => {
    const input = { id: 'wrong', name: 'wrong', grants: [], ...words }
    const found = await refusal(CREATE, { input })
    expect(found).toMatchObject({ message: expect.stringContaining(why), extensions: { code: 'BAD_INPUT', field } })
    expect((await admin('{ app(id: "wrong") { id } }'))['app']).toBeNull()
  })

  it('says so when there is no such app or key', async () => {
    expect(await refusal(UPDATE, { input: { id: 'nobody' } })).toMatchObject({ extensions: { code: 'NOT_FOUND' } })
    expect(await refusal('mutation { createAppKey(id: "nobody") { keyId } }')).toMatchObject({
      message: 'Not found: id: there is no app nobody',
    })
    expect(await refusal('mutation { revokeAppKey(keyId: "nobody") { id } }')).toMatchObject({
      extensions: { code: 'BAD_INPUT', field: 'keyId' },
    })
  })
})

describe.skipIf(!onPostgres)('two nodes on PostgreSQL', () => {
  it('both refuse a revoked key within a second or so', async () => {
    const one = await run(onPostgres!)
    const other = await boot(one.place.env)
    const { data } = await one.graphql(one.adminKey, CREATE, {
      input: { id: 'two', name: 'two', grants: ['channel:*'] },
    })
    const { keyId, bearer } = data!['createApp']
    const status = async (node: typeof other) =>
      (await node.post(CHANNEL, channelBody({ appId: 'two' }), { authorization: `Bearer ${bearer}` })).status
    expect([await status(one), await status(other)]).toEqual([200, 200])
    await one.graphql(one.adminKey, `mutation { revokeAppKey(keyId: "${keyId}") { id } }`)
    expect(await status(one)).toBe(401)
    await eventually(async () => (await status(other)) === 401, 3_000)
    await other.stop()
    await one.stop()
  })
})
