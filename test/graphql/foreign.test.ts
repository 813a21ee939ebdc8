/**
 * A person against another's inbox: every query, mutation and subscription that a user may ask, with ids, msgIds, revs,
 * cursors and words of another's items, one at a time. Generated from the schema, so that a new one is asked as well.
 */
import { sql } from 'drizzle-orm'
import {
  getNamedType,
  getNullableType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLOutputType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { schema } from '../../src/schema.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const [ME, OTHER] = ['USER001', 'USER002']
const SECRET = '绝密病历'
const DEPTH = 5
/** What says the same to everybody, or is of the token that asks alone. */
const NOBODYS = ['msgTypes', 'logOut', 'renewToken']
/** Within whatever span a field takes. */
const TOMORROW = new Date(Date.now() + 86_400_000).toISOString()

/** What stands for the other's things in an operation; every name is of a pair, one of the other's and one of nothing. */
type Things = { ids: string[]; rev: string; cursor: string; word: string; user: string }
/** What a text must look like to be anything at all. */
const TEXTS: Record<string, string> = { from: '"22:00"', to: '"07:00"' }

/** Everything that can be selected without arguments, deep enough for what an item says. */
function selection(type: GraphQLOutputType, depth = 0): string {
  const named = getNamedType(type)
  if (isLeafType(named)) return ''
  const possible = isAbstractType(named) ? schema.getPossibleTypes(named) : isObjectType(named) ? [named] : []
  const parts = possible.map((one) => {
    const fields = Object.values(one.getFields()).filter(
      ({ args, type: of }) => !args.some(isRequiredArgument) && (depth < DEPTH || isLeafType(getNamedType(of))),
    )
    // Each under a name of its own: types of a union may have fields of one name that differ.
    return `... on ${one.name} { ${fields.map((field) => `${one.name}_${field.name}: ${field.name} ${selection(field.type, depth + 1)}`).join(' ')} }`
  })
  return `{ __typename ${parts.join(' ')} }`
}

/** Values of this type that name the other's things; none for a type that cannot. */
function naming(type: GraphQLInputType, name: string, things: Things): string[] {
  const bare = getNullableType(type)
  const text = (value: string) => JSON.stringify(value)
  if (isListType(bare)) {
    const each = naming(bare.ofType, name, things)
    return each.length > 0 ? [...each.map((one) => `[${one}]`), `[${each.join(', ')}]`] : []
  }
  if (isInputObjectType(bare))
    return Object.values(bare.getFields()).flatMap((field) =>
      naming(field.type, field.name, things).map((value) => {
        const others = Object.values(bare.getFields()).filter((one) => one !== field && isNonNullType(one.type))
        return `{ ${[`${field.name}: ${value}`, ...others.map((one) => `${one.name}: ${TEXTS[one.name] ?? any(one.type, things)}`)].join(', ')} }`
      }),
    )
  if (bare.name === 'ID') return things.ids.map(text)
  if (bare.name === 'Rev') return [text(things.rev)]
  if (bare.name !== 'String') return []
  if (name in TEXTS) return [TEXTS[name]!]
  if (name === 'user') return [text(things.user)]
  return [text(name === 'after' || name === 'before' ? things.cursor : things.word)]
}

/** A value of this type for an argument that is not in question. */
function any(type: GraphQLInputType, things: Things): string {
  const bare = getNullableType(type)
  if (isEnumType(bare)) return bare.getValues()[0]!.name
  if (isListType(bare) || isInputObjectType(bare))
    return naming(bare, '', things).at(-1) ?? (isListType(bare) ? '[]' : '{}')
  const simple: Record<string, string> = { Int: '1', Float: '1', Boolean: 'true', DateTime: `"${TOMORROW}"` }
  return simple[bare.name] ?? naming(bare, '', things)[0] ?? '{}'
}

/** The operations on a field: plain, and with each thing in each place. */
function operations(kind: string, field: GraphQLField<unknown, unknown>, things: Things): string[] {
  const ask = (args: string[]) =>
    `${kind} { ${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''} ${selection(field.type)} }`
  const required = field.args.filter(isRequiredArgument)
  const others = (name: string) =>
    required.filter((one) => one.name !== name).map((one) => `${one.name}: ${any(one.type, things)}`)
  const each = field.args.flatMap((arg) =>
    naming(arg.type, arg.name, things).map((value) => ask([`${arg.name}: ${value}`, ...others(arg.name)])),
  )
  return required.length === 0 ? [ask([]), ...each] : each
}

const doors = (['query', 'mutation', 'subscription'] as const).flatMap((kind) =>
  Object.values(schema.getRootType(kind as never)?.getFields() ?? {})
    .filter(
      (field) => (field.extensions['pothosOptions'] as { authScopes: Record<string, boolean> }).authScopes['user'],
    )
    .map((field) => ({ name: `${kind} ${field.name}`, kind, field })),
)

describe.each(stores)("another's inbox, on $name", (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let others: string
  let foreign: Things
  let nothing: Things
  let before: unknown
  beforeAll(async () => {
    posthouse = await run(store)
    others = await posthouse.token(OTHER)
    await posthouse.push([ME], '我的')
    foreign = await makeThings()
    const none = ['a', 'b', 'c'].map((digit) => digit.repeat(32))
    nothing = {
      ids: [...none, ...none.map((id) => global(id, ME)), ...none.map((id) => global(id, 'nobody'))],
      rev: '0123456789ab-3',
      cursor: '99',
      word: '没有这个',
      user: 'NOBODY',
    }
    before = await state()
  })
  afterAll(() => posthouse.stop())

  const global = (msgId: string, user: string) => Buffer.from(`InboxItem:${msgId}:${user}`).toString('base64')
  /** Three new items of the other's, such that each act would change one of them, if it reached it. */
  async function makeThings(): Promise<Things> {
    const ids: string[] = []
    for (const kept of ['unread', 'read', 'archived']) {
      const more = { senderCode: SECRET, businessId: SECRET }
      ids.push((await posthouse.push([OTHER], `${SECRET} ${kept}`, more)).body.msgId!)
    }
    const { data } = await posthouse.graphql(
      others,
      'mutation ($read: ID!, $archived: ID!) { markItemsRead(ids: [$read]) { rev } archiveItems(ids: [$archived]) { rev } }',
      { read: ids[1], archived: ids[2] },
    )
    return {
      ids: [...ids, ...ids.map((id) => global(id, OTHER)), ...ids.map((id) => global(id, ME))],
      rev: data!['archiveItems'].rev,
      cursor: '3',
      word: SECRET,
      user: OTHER,
    }
  }
  /** All that there is of the other's: the items, the counts, the rev, the preferences. */
  const state = () =>
    query(
      posthouse.context.db,
      sql`
        select to_jsonb(inboxes) as inbox, (select jsonb_agg(to_jsonb(items) order by created_rev) from items where user_code = ${OTHER}) as items,
          (select to_jsonb(preferences) from preferences where user_code = ${OTHER}) as preferences
        from inboxes where user_code = ${OTHER}`,
    )
  /** The answer as text; of a subscription the first. */
  async function answer(token: string, kind: string, operation: string): Promise<string> {
    if (kind !== 'subscription') return JSON.stringify(await posthouse.graphql(token, operation))
    const client = posthouse.socket(token)
    const { value } = await client.iterate({ query: operation }).next()
    await client.dispose()
    return JSON.stringify(value)
  }

  it.each(doors)('$kind $field.name shows and changes nothing of it', async ({ kind, field }) => {
    const [asked, twins] = [operations(kind, field, foreign), operations(kind, field, nothing)]
    expect(asked).toHaveLength(twins.length)
    for (const [at, operation] of asked.entries()) {
      // A token each time: one of the acts takes back the one that asks.
      const said = await answer(await posthouse.token(ME), kind, operation)
      expect(said).not.toMatch(/Cannot query|Syntax Error|Unknown|must be of|is required|INTERNAL/)
      for (const secret of [SECRET, OTHER, ...foreign.ids])
        expect([operation, said.includes(secret)]).toEqual([operation, false])
      // As for what does not exist, but for a cursor, which an empty page gives back.
      const twin = await answer(await posthouse.token(ME), kind, twins[at]!)
      expect(said.replaceAll(`"${foreign.cursor}"`, '"cursor"')).toBe(
        twin.replaceAll(`"${nothing.cursor}"`, '"cursor"'),
      )
      expect([operation, await state()]).toEqual([operation, before])
    }
  })

  // What its owner cannot reach proves nothing above: make the things such that it can.
  it.each(doors.filter(({ field }) => !NOBODYS.includes(field.name)))(
    '$kind $field.name reaches it for its owner',
    async ({ kind, field }) => {
      const things = await makeThings()
      for (const operation of operations(kind, field, things)) {
        const was = await state()
        const said = await answer(others, kind, operation)
        if (said.includes(SECRET) || said.includes('"InboxCounts_unread":')) return
        if (said.includes(`"Preferences_user":"${OTHER}"`)) return
        if (JSON.stringify(await state()) !== JSON.stringify(was)) return
      }
      expect.unreachable(`${field.name} neither shows nor changes anything`)
    },
  )
})
