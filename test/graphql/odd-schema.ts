/** A schema of what the live inbox does not have: whatever an executor must be asked for, and what must stay the same. */
import {
  GraphQLBoolean,
  GraphQLInt,
  GraphQLInterfaceType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  GraphQLSchema,
  GraphQLString,
  type GraphQLFieldConfig,
} from 'graphql'

type Fields = Record<string, GraphQLFieldConfig<Record<string, unknown>, { viewer: string }>>

const Anything = new GraphQLScalarType({ name: 'Anything', coerceOutputValue: (value) => value })

const Named = new GraphQLInterfaceType({
  name: 'Named',
  fields: { name: { type: GraphQLString } },
  resolveType: ({ kind }: { kind: string }) => kind,
})
const Recognised = new GraphQLInterfaceType({ name: 'Recognised', fields: { name: { type: GraphQLString } } })

const Person: GraphQLObjectType = new GraphQLObjectType({
  name: 'Person',
  interfaces: [Named],
  fields: (): Fields => ({
    name: { type: GraphQLString },
    needed: { type: new GraphQLNonNull(GraphQLString) },
    count: { type: GraphQLInt },
    isThere: { type: GraphQLBoolean },
    anything: { type: Anything },
    names: { type: new GraphQLList(GraphQLString) },
    matrix: { type: new GraphQLList(new GraphQLNonNull(new GraphQLList(GraphQLInt))) },
    friend: { type: Person },
    friends: { type: new GraphQLList(new GraphQLNonNull(Person)) },
    named: { type: Named },
    recognised: { type: Recognised },
    greet: {
      type: GraphQLString,
      args: { with: { type: GraphQLString, defaultValue: 'Hello' }, loudly: { type: GraphQLBoolean } },
      resolve: ({ name }, args) => `${args['with']} ${String(name)}${args['loudly'] === true ? '!' : ''}`,
    },
    later: { type: GraphQLString, resolve: async ({ name }) => name },
    mine: { type: GraphQLString, resolve: (_source, _args, { viewer }) => viewer },
    asked: { type: GraphQLString, resolve: (_source, _args, _context, { fieldName }) => fieldName },
    failing: {
      type: GraphQLString,
      resolve: () => {
        throw new Error('no')
      },
    },
  }),
})
const Animal = new GraphQLObjectType({
  name: 'Animal',
  interfaces: [Recognised],
  fields: { name: { type: GraphQLString }, legs: { type: GraphQLInt } },
  isTypeOf: () => true,
})

const told = { type: Person, args: { to: { type: GraphQLString } }, resolve: (event: unknown) => event }

export const odd = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { told } }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      told,
      toldAs: { ...told, resolve: (event: object, { to }) => ({ ...event, name: to as string }) },
      plain: { type: Person },
    },
  }),
  types: [Animal],
})

type Oddity = { what: string; asked: string; event: Record<string, unknown>; isWritten: boolean }
const one = (what: string, selected: string, event: Record<string, unknown>, isWritten: boolean): Oddity => ({
  what,
  asked: `subscription { told { ${selected} } }`,
  event,
  isWritten,
})

/** Each with whether it is written without the executor. */
export const oddities: Oddity[] = [
  one('arguments', 'greet polite: greet(with: "Good day", loudly: true)', { name: 'Li' }, true),
  one('an argument of the wrong type', 'greet(with: 5)', { name: 'Li' }, false),
  one('nothing', 'name friend { name } names count anything', {}, true),
  one('lists', 'names matrix friends { name }', { names: ['a', null], matrix: [[1, null], []], friends: [{}] }, true),
  one('a type that says what it is', 'named { __typename name }', { named: { kind: 'Person', name: 'a' } }, true),
  one('numbers', 'count isThere name', { count: -0, isThere: 0, name: 5 }, true),
  one('any JSON', 'anything', { anything: { a: [undefined, new Date(0), Number.NaN], b: undefined } }, true),
  one('only what is skipped', 'name @skip(if: true)', { name: 'a' }, true),
  one('a null that may not be', 'needed', { needed: null }, false),
  one('a null that may not be, in a list', 'friends { name }', { friends: [null] }, false),
  one('a value of another type', 'count', { count: 'many' }, false),
  one('a list that is none', 'names', { names: 'abc' }, false),
  one('a set', 'names', { names: new Set(['a']) }, false),
  one('an error as a value', 'name', { name: new Error('no') }, false),
  one('an error as an object', 'friend { name }', { friend: new Error('no') }, false),
  one('a promise', 'name', { name: Promise.resolve('a') }, false),
  one('a promise of anything', 'anything', { anything: Promise.resolve('a') }, false),
  one('a promise of an object', 'friend { name }', { friend: Promise.resolve({ name: 'a' }) }, false),
  one('a promise in a list', 'names', { names: [Promise.resolve('a')] }, false),
  one('a method', 'name', { name: () => 'a' }, false),
  one('an async resolver', 'later', { name: 'a' }, false),
  one('a resolver that fails', 'failing', {}, false),
  one('a resolver that looks who is asking', 'mine', {}, false),
  one('a resolver that looks how it was asked', 'asked', {}, false),
  one('a type that has to be recognised', 'recognised { name }', { recognised: { name: 'a' } }, false),
  one('a type of another kind', 'named { name }', { named: { kind: 'Animal', name: 'a' } }, false),
  one('a type that is not there', 'named { __typename }', { named: { kind: 'Stone' } }, false),
  {
    what: 'a root that reads its arguments',
    asked: 'subscription { toldAs(to: "a") { name } }',
    event: {},
    isWritten: false,
  },
  {
    what: 'a root without a resolver',
    asked: 'subscription { plain { name } }',
    event: { plain: { name: 'a' } },
    isWritten: false,
  },
]
