import { randomUUID } from 'node:crypto'
import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  type GraphQLField,
  type GraphQLInputType,
} from 'graphql'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { putKey, saveApp } from '../../src/apps/apps.ts'
import { bearerKey, sha256 } from '../../src/apps/authenticate.ts'
import { schema } from '../../src/schema.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

type Kind = 'app' | 'user' | 'admin'
const KINDS: Kind[] = ['app', 'user', 'admin']

const VALUES: Record<string, string> = { Int: '1', Boolean: 'true', DateTime: `"${new Date().toISOString()}"` }

/** The smallest value of an input type, whatever it means. */
function sample(type: GraphQLInputType): string {
  const bare = getNullableType(type)
  if (isListType(bare)) return '[]'
  if (isEnumType(bare)) return bare.getValues()[0]!.name
  if (isInputObjectType(bare)) {
    const all = Object.values(bare.getFields())
    const fields = bare.isOneOf ? all.slice(0, 1) : all.filter((field) => isNonNullType(field.type))
    return `{ ${fields.map(({ name, type }) => `${name}: ${sample(type)}`).join(', ')} }`
  }
  return VALUES[bare.name] ?? '"USER001"'
}

function operation(kind: string, field: GraphQLField<unknown, unknown>): string {
  const args = field.args.filter(({ type }) => isNonNullType(type)).map(({ name, type }) => `${name}: ${sample(type)}`)
  const selection = isLeafType(getNamedType(field.type)) ? '' : '{ __typename }'
  return `${kind} { ${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''} ${selection} }`
}

const doors = (['Query', 'Mutation', 'Subscription'] as const).flatMap((type) =>
  Object.values(schema.getRootType(type.toLowerCase() as never)?.getFields() ?? {}).map((field) => ({
    name: `${type}.${field.name}`,
    isSubscription: type === 'Subscription',
    query: operation(type.toLowerCase(), field),
    may: KINDS.filter(
      (kind) => (field.extensions['pothosOptions'] as { authScopes: Record<string, boolean> }).authScopes[kind],
    ),
  })),
)

describe.each(stores)('who may ask for what, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let bearers: Record<Kind, string>
  /** Another app with this id and these grants; gives its bearer key. */
  async function makeApp(id: string, grants: string[]): Promise<string> {
    const [keyId, secret] = [randomUUID().slice(0, 8), randomUUID()]
    await saveApp(posthouse.context.db, { id, name: id, grants })
    await putKey(posthouse.context.db, { keyId, appId: id, secretSha256: sha256(secret) })
    return bearerKey(keyId, secret)
  }
  beforeAll(async () => {
    posthouse = await run(store)
    const app = await makeApp('app-a', ['channel:*', 'preview', 'recall', 'token'])
    bearers = { app, user: '', admin: posthouse.adminKey }
  })
  // A token each time: some of the acts take back those that there are.
  beforeEach(async () => {
    const { data } = await posthouse.graphql(posthouse.adminKey, 'mutation { inboxToken(user: "USER001") { token } }')
    bearers.user = data!['inboxToken'].token
  })
  afterAll(() => posthouse.stop())

  /** The code that an operation is refused with, the way its kind is asked. */
  async function codeOf(bearer: string | undefined, query: string, isSubscription: boolean): Promise<unknown> {
    if (!isSubscription) return (await posthouse.graphql(bearer, query)).errors?.[0]?.extensions?.['code']
    const client = createClient({
      url: `${posthouse.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: bearer ? { authorization: `Bearer ${bearer}` } : {},
      retryAttempts: 0,
    })
    const { value } = await client.iterate({ query }).next()
    await client.dispose()
    return value?.errors?.[0]?.extensions?.['code']
  }

  it.each(doors)(
    '$name is refused for nobody and for the wrong kind of viewer',
    async ({ query, may, isSubscription }) => {
      expect(await codeOf(undefined, query, isSubscription)).toBe('UNAUTHENTICATED')
      for (const kind of KINDS) {
        const code = await codeOf(bearers[kind], query, isSubscription)
        if (may.includes(kind)) expect([kind, code]).not.toEqual([kind, 'FORBIDDEN'])
        else expect([kind, code]).toEqual([kind, 'FORBIDDEN'])
      }
    },
  )

  it('a wrong credential is refused as such, with HTTP 401, never taken for nobody', async () => {
    for (const authorization of [
      'Bearer nonsense',
      'Basic dXNlcjpwYXNz',
      `Bearer ${bearers.user}x`,
      `bearer  ${bearers.app}x`,
    ]) {
      const response = await fetch(`${posthouse.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ query: '{ __typename }' }),
      })
      expect(response.status).toBe(401)
      expect(await response.json()).toMatchObject({
        errors: [{ message: 'Not authenticated', extensions: { code: 'UNAUTHENTICATED' } }],
      })
    }
  })

  it("another app's message looks the same as none, byte for byte", async () => {
    const other = await makeApp('app-b', [])
    const input = {
      receiver: { specified: { users: ['USER001'] } },
      channels: [{ channelId: '1002', site: { content: '密' } }],
      businessId: 'B-7',
    }
    const pushed = await posthouse.graphql(
      bearers.app,
      'mutation ($input: PushChannelMessageInput!) { pushChannelMessage(input: $input) { msgId message { id } } }',
      { input },
    )
    const { msgId, message } = pushed.data!['pushChannelMessage']
    const missing = '0'.repeat(32)
    const bytes = async (query: string, id: string) => {
      const response = await fetch(`${posthouse.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${other}` },
        body: JSON.stringify({ query, variables: { id } }),
      })
      return response.text()
    }
    const query = 'query ($id: ID!) { message(id: $id) { msgId } }'
    expect(await bytes(query, msgId)).toBe(await bytes(query, missing))
    expect(await bytes(query, message.id)).toBe('{"data":{"message":null}}')
    const node = 'query ($id: ID!) { node(id: $id) { id } }'
    expect(await bytes(node, message.id)).toBe(await bytes(node, 'nonsense'))
    expect((await posthouse.graphql(other, '{ messages { edges { node { msgId } } } }')).data).toEqual({
      messages: { edges: [] },
    })
    expect(
      (await posthouse.graphql(other, '{ messages(businessId: "B-7") { edges { node { msgId } } } }')).data,
    ).toEqual({ messages: { edges: [] } })
    expect((await posthouse.graphql(bearers.admin, query, { id: msgId })).data).toEqual({ message: { msgId } })
  })

  it('inboxToken needs the grant, and a person who is there and active', async () => {
    const ask = (bearer: string, user: string, ttlSeconds?: number) =>
      posthouse.graphql(
        bearer,
        'mutation ($user: String!, $ttlSeconds: Int) { inboxToken(user: $user, ttlSeconds: $ttlSeconds) { token expiresAt } }',
        { user, ttlSeconds },
      )
    const { data } = await ask(bearers.app, 'USER002', 60)
    const { token, expiresAt } = data!['inboxToken']
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(55_000)
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(60_000)
    expect((await posthouse.graphql(token, '{ inboxCounts { unread } }')).data).toBeDefined()
    expect((await ask(posthouse.adminKey, 'USER002')).errors).toBeUndefined()

    const without = await makeApp('app-c', ['channel:*'])
    expect((await ask(without, 'USER002')).errors).toMatchObject([
      { extensions: { code: 'FORBIDDEN' }, message: expect.stringContaining('grant token') },
    ])
    for (const nobody of ['nobody', '', 'USER044', 'a\u0000b']) {
      expect((await ask(bearers.app, nobody)).errors).toMatchObject([
        { extensions: { code: 'BAD_INPUT', field: expect.stringContaining('user') } },
      ])
    }
    for (const ttlSeconds of [0, -1, 86_401]) {
      expect((await ask(bearers.app, 'USER002', ttlSeconds)).errors).toMatchObject([
        { extensions: { code: 'BAD_INPUT', field: 'ttlSeconds' } },
      ])
    }
  })
})
