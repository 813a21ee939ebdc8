/** What one operation may ask. Each limit is tried from both sides. */
import {
  buildSchema,
  getIntrospectionQuery,
  getNamedType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  parse,
  type GraphQLObjectType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { examples } from '../../src/graphiql/examples.ts'
import { checkWeight, LIMITS, weigh } from '../../src/graphql/limits.ts'
import { schema } from '../../src/schema.ts'
import { run, type Graphql } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const fields = (count: number, field: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => field(at)).join(' ')
describe('one operation', () => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(stores.at(-1)!)
  })
  afterAll(() => posthouse.stop())

  const ask = (query: string, variables = {}) => posthouse.graphql(posthouse.adminKey, query, variables)
  async function overSocket(query: string): Promise<Graphql> {
    const client = posthouse.socket(posthouse.adminKey)
    // Refusals come as a rejection with the errors.
    const answer = client.iterate({ query }).next()
    const { value } = await answer.catch((errors: Graphql['errors']) => ({ value: { errors } }))
    await client.dispose()
    return value as Graphql
  }
  const refusal = ({ errors }: Graphql) => [errors?.[0]?.extensions?.['code'], errors?.[0]?.message]

  const overLimit: [what: string, over: string, within: string, says: string][] = [
    [
      'characters',
      `{ apps { __typename } } #${'x'.repeat(LIMITS.characters)}`,
      `{ apps { __typename } } #${'x'.repeat(LIMITS.characters - 100)}`,
      'characters',
    ],
    [
      'tokens',
      `{ apps { ${'__typename '.repeat(LIMITS.tokens)} } }`,
      `{ apps { ${'__typename '.repeat(200)} } }`,
      'tokens',
    ],
    [
      'root fields',
      `{ ${fields(LIMITS.rootFields + 1, (at) => `a${at}: app(id: "x") { id }`)} }`,
      `{ ${fields(LIMITS.rootFields, (at) => `a${at}: app(id: "x") { id }`)} }`,
      'root fields',
    ],
    [
      'root fields in fragments',
      `{ ...A ...B } fragment A on Query { ${fields(11, (at) => `a${at}: app(id: "x") { id }`)} }
       fragment B on Query { ${fields(11, (at) => `b${at}: app(id: "x") { id }`)} }`,
      `{ ...A ...B } fragment A on Query { ${fields(10, (at) => `a${at}: app(id: "x") { id }`)} }
       fragment B on Query { ${fields(10, (at) => `b${at}: app(id: "x") { id }`)} }`,
      'root fields',
    ],
    [
      'aliases',
      `{ apps { ${fields(LIMITS.aliases + 1, (at) => `a${at}: __typename`)} } }`,
      `{ apps { ${fields(LIMITS.aliases, (at) => `a${at}: __typename`)} } }`,
      'aliases',
    ],
    [
      'directives',
      `{ apps { ${fields(LIMITS.directives + 1, () => '__typename @include(if: true)')} } }`,
      `{ apps { ${fields(LIMITS.directives, () => '__typename @include(if: true)')} } }`,
      'directives',
    ],
    [
      'cost',
      `{ messages(first: 100) { edges { node { deliveries(first: 100) { edges { node { id state } } } } } } }`,
      `{ messages(first: 100) { edges { node { deliveries(first: 50) { edges { node { id state } } } } } } }`,
      'fields in the answer',
    ],
  ]
  it.each(overLimit)(
    'may not have too many %s, over HTTP or a socket, and is told the limit',
    async (_what, over, within, says) => {
      for (const answer of [await ask(over), await overSocket(over)]) {
        expect(refusal(answer)).toEqual(['BAD_INPUT', expect.stringMatching(new RegExp(`at most \\d+ ${says}`))])
        expect(answer.data ?? null).toBeNull()
      }
      expect((await ask(within)).errors).toBeUndefined()
    },
  )

  it('counts what a page may give by its variables, also those with a default', async () => {
    const query = `query ($n: Int = 100) { messages(first: $n) { edges { node { deliveries(first: $n) { edges { node { id state } } } } } } }`
    expect(refusal(await ask(query))).toEqual(['BAD_INPUT', expect.stringContaining('30201')])
    expect((await ask(query, { n: 10 })).errors).toBeUndefined()
    expect(refusal(await ask(query, { n: 99 }))).toEqual(['BAD_INPUT', expect.stringContaining('fields in the answer')])
    expect(refusal(await ask(query, { n: 'x' }))).toEqual(['BAD_INPUT', expect.stringContaining('$n')])
  })

  it('counts the operation that is asked for, whatever else stands in the text', async () => {
    const deliveries = 'deliveries(first: 100) { edges { node { id state } } }'
    const query = `query Small { apps { __typename } } query Large { messages(first: 100) { edges { node { ${deliveries} } } } }`
    const asked = async (operationName: string) => {
      const response = await fetch(`${posthouse.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${posthouse.adminKey}` },
        body: JSON.stringify({ query, operationName }),
      })
      return refusal((await response.json()) as Graphql)
    }
    expect(await asked('Small')).toEqual([undefined, undefined])
    expect(await asked('Large')).toEqual(['BAD_INPUT', expect.stringContaining('fields in the answer')])
  })

  it('is refused for fragments in a circle, and answered at once for fragments that double what they say', async () => {
    expect(
      refusal(
        await ask(
          '{ apps { ...A } } fragment A on QueryAppsConnection { ...B } fragment B on QueryAppsConnection { ...A }',
        ),
      ),
    ).toEqual(['BAD_INPUT', expect.stringContaining('Cannot spread fragment')])
    const doubling = fields(
      40,
      (at) => `fragment F${at} on App { ${at === 39 ? 'id' : `...F${at + 1} x: id ...F${at + 1}`} }`,
    )
    const started = performance.now()
    await ask(`{ apps { edges { node { ...F0 } } } } ${doubling}`)
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  it('goes no deeper than the schema, which has no circles; in one that had, it would be stopped', () => {
    const circular = buildSchema('type Query { below: Query, end: Int }')
    const nested = (levels: number) => parse(`{ ${'below { '.repeat(levels - 1)} end ${'} '.repeat(levels - 1)} }`)
    const check = (levels: number) => () => checkWeight({ schema: circular, document: nested(levels) })
    expect(check(LIMITS.depth)).not.toThrow()
    expect(check(LIMITS.depth + 1)).toThrow(`at most ${LIMITS.depth} levels`)
    expect(deepest(schema.getQueryType()!, [])).toBeLessThanOrEqual(LIMITS.depth)
    expect(deepest(schema.getSubscriptionType()!, [])).toBeLessThanOrEqual(LIMITS.depth)
  })

  it('is far within the limits for everything that GraphiQL offers, introspection too', async () => {
    const weights = examples.map(({ query, variables }) => weigh(schema, parse(query), undefined, variables).cost)
    expect(Math.max(...weights)).toBeLessThan(LIMITS.cost / 2)
    expect((await ask(getIntrospectionQuery())).errors).toBeUndefined()
  })

  it('may not dig into the schema itself without end', async () => {
    const fields = 'fields { type { fields { type { fields { type { fields { name } } } } } } }'
    expect(refusal(await ask(`{ __schema { types { ${fields} } } }`))).toEqual([
      'BAD_INPUT',
      expect.stringContaining('introspection'),
    ])
  })
})

/** The longest way down from a type; the schema must have an end. */
function deepest(type: GraphQLObjectType, above: string[]): number {
  if (above.includes(type.name)) throw new Error(`${type.name} is below itself: ${above.join(' > ')}`)
  const below = Object.values(type.getFields()).flatMap((field) => {
    const named = getNamedType(field.type)
    if (isObjectType(named)) return [named]
    return isUnionType(named) || isInterfaceType(named) ? [...schema.getPossibleTypes(named)] : []
  })
  return 1 + Math.max(0, ...below.map((one) => deepest(one, [...above, type.name])))
}

describe('a Posthouse with GRAPHIQL=no', () => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(stores.at(-1)!, { GRAPHIQL: 'no' })
  })
  afterAll(() => posthouse.stop())

  it('tells nobody its schema, not by introspection, not by suggestions, and shows no page', async () => {
    const ask = async (query: string) => (await posthouse.graphql(posthouse.adminKey, query)).errors?.[0]?.message
    expect(await ask('{ __schema { types { name } } }')).toContain('introspection')
    expect(await ask('{ app(id: "x") { nam } }')).toBe('Cannot query field "nam" on type "App".')
    const page = await fetch(`${posthouse.url}/graphql`, { headers: { accept: 'text/html' } })
    expect(page.headers.get('content-type') ?? '').not.toContain('text/html')
    expect(await ask('{ __typename }')).toBeUndefined()
  })
})
