/** One rendering for all: what is written without the executor are the executor's own bytes, or nothing. */
import fc from 'fast-check'
import {
  getNamedType,
  isCompositeType,
  isObjectType,
  NoUnusedVariablesRule,
  parse,
  specifiedRules,
  validate,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import { planOf, render } from '../../src/graphql/live-plan.ts'
import { schema } from '../../src/schema.ts'
import { anyEvent, anySelection, VARIABLES } from './random-selection.ts'
import { executed, subscribed, variables } from './executed.ts'
import { odd, oddities } from './odd-schema.ts'

/** A selection need not use every variable. */
const RULES = specifiedRules.filter((rule) => rule !== NoUnusedVariablesRule)

function written(of: GraphQLSchema, query: string, event: object): string | undefined {
  const plan = planOf(of, parse(query), undefined, variables)
  return plan && render(plan, event)
}

/** The types of objects that an answer may hold. */
function reachable(name: string): GraphQLObjectType[] {
  const found = new Set<GraphQLObjectType>()
  function enter(type: unknown) {
    if (!isCompositeType(type)) return
    for (const one of isObjectType(type) ? [type] : schema.getPossibleTypes(type)) {
      if (found.has(one)) continue
      found.add(one)
      for (const field of Object.values(one.getFields())) enter(getNamedType(field.type))
    }
  }
  enter(schema.getType(name))
  return [...found]
}

/** A way from an event to each type. */
const WAYS: Record<string, (asked: string) => string> = {
  InboxItem: (asked) => `... on InboxSnapshot { items ${asked} } ... on ItemChanged { item ${asked} }`,
  InboxItemMarks: (asked) => `... on ItemsChanged { marks ${asked} }`,
  InboxCounts: (asked) => `... on ItemChanged { counts ${asked} } ... on ItemGone { counts ${asked} }`,
  InboxTypeCounts: (asked) => `... on ItemChanged { counts { byMsgType ${asked} } }`,
  InboxAppCounts: (asked) => `... on ItemChanged { counts { byApp ${asked} } }`,
}

const fields = reachable('InboxChange').flatMap((type) =>
  Object.values(type.getFields()).map((field) => ({ type: type.name, name: field.name, field })),
)

describe('what is written of an event', () => {
  it('is what executors answer, byte for byte, whatever is asked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.gen(), fc.array(anyEvent, { minLength: 1, maxLength: 12 }), async (gen, events) => {
        const { asked, fragments } = anySelection(gen, schema, 'InboxChange')
        const query = `subscription ($after: Rev, ${VARIABLES}) { live: inboxChanges(after: $after) ${asked} } ${fragments}`
        expect(validate(schema, parse(query), RULES)).toEqual([])
        const texts = events.map((event) => written(schema, query, event))
        expect(texts).not.toContain(undefined)
        expect(texts).toEqual(await Promise.all(events.map((event) => executed(schema, query, event))))
        expect(texts).toEqual(await subscribed(schema, 'inboxChanges', query, events))
      }),
      { numRuns: 300 },
    )
  })

  it.each(fields)('$type $name needs no executor', async ({ type, field }) => {
    const below = isCompositeType(getNamedType(field.type)) ? '{ __typename }' : ''
    const asked = `{ ${field.name} ${below} }`
    const query = `subscription { inboxChanges { ${WAYS[type]?.(asked) ?? `... on ${type} ${asked}`} } }`
    expect(validate(schema, parse(query))).toEqual([])
    for (const event of fc.sample(anyEvent, { numRuns: 40, seed: 1 })) {
      const text = written(schema, query, event)
      expect(text).toContain('{"data":{"inboxChanges":{')
      expect(text).toBe(await executed(schema, query, event))
    }
  })

  it.each(oddities)('with $what it is the same, or left to the executor', async ({ asked, isWritten, event }) => {
    const text = written(odd, asked, event)
    expect(text !== undefined).toBe(isWritten)
    expect(text ?? (await executed(odd, asked, event))).toBe(await executed(odd, asked, event))
  })

  it('is written once for an event and an operation', () => {
    let read = 0
    const event = {
      get name() {
        read += 1
        return 'somebody'
      },
    }
    const plan = planOf(odd, parse('subscription { told { is: name } }'), undefined, {})
    const other = planOf(odd, parse('subscription { told { called: name } }'), undefined, {})
    const texts = [plan, other, plan, other].map((one) => one && render(one, event))
    expect(texts).toEqual([
      '{"data":{"told":{"is":"somebody"}}}',
      '{"data":{"told":{"called":"somebody"}}}',
      '{"data":{"told":{"is":"somebody"}}}',
      '{"data":{"told":{"called":"somebody"}}}',
    ])
    expect(read).toBe(2)
  })
})

describe('a plan', () => {
  const query =
    'subscription S($after: Rev, $yes: Boolean!) { inboxChanges(after: $after) { __typename @skip(if: $yes) } }'
  const of = (text: string, given: Record<string, unknown>, name?: string) => planOf(schema, parse(text), name, given)

  it('is the same for all who ask alike, wherever they resume and however they write it', () => {
    const plan = of(query, { after: '1', yes: true })
    expect(plan).toMatchObject({ field: 'inboxChanges', responseKey: 'inboxChanges' })
    expect(of(query.replaceAll(' ', '\n  '), { after: '2', yes: true })).toBe(plan)
  })

  it('is another one where an answer depends on a variable', () => {
    expect(of(query, { yes: false })).not.toBe(of(query, { yes: true }))
  })

  it('is found by the name of the operation', () => {
    const two = `${query} subscription T { there: inboxChanges { __typename } }`
    expect(of(two, {}, 'T')?.responseKey).toBe('there')
    expect(of(two, { yes: true }, 'S')?.responseKey).toBe('inboxChanges')
    expect(of(two, { yes: true })).toBeUndefined()
    expect(of(two, {}, 'U')).toBeUndefined()
  })

  it.each([
    ['a query', 'query { inboxChanges { __typename } }', {}],
    ['a mutation', 'mutation { markAllSeen { counts { unread } } }', {}],
    ['two root fields', 'subscription { a: inboxChanges { __typename } b: inboxChanges { __typename } }', {}],
    ['a directive at the root', 'subscription { inboxChanges @include(if: true) { __typename } }', {}],
    ['a directive on the operation', 'subscription @live { inboxChanges { __typename } }', {}],
    ['@defer', 'subscription { inboxChanges { ... @defer { __typename } } }', {}],
    ['@stream', 'subscription { inboxChanges { ... on InboxSnapshot { items @stream { id } } } }', {}],
    ['a directive within a fragment', 'subscription { inboxChanges { ...F } } fragment F on ItemGone { rev @odd }', {}],
    ['a variable that is refused', query, { yes: 'perhaps' }],
    ['a variable that is missing', query, {}],
    ['a field that is not there', 'subscription { inboxChanges { ... on ItemGone { colour } } }', {}],
  ])('is not made for %s', (_what, text, given) => {
    expect(of(text, given)).toBeUndefined()
  })

  it('enters each fragment once, however often they spread each other', () => {
    const doubling = Array.from({ length: 60 }, (_, n) => `fragment F${n} on ItemGone { ...F${n + 1} ...F${n + 1} }`)
    const text = `subscription { inboxChanges { ...F0 } } ${doubling.join(' ')} fragment F60 on ItemGone { rev }`
    expect(of(text, {})).toBeDefined()
  })
})
