/** The GraphQL kit: the builder with its plugins, and scalars. The types are the slices'. */
import SchemaBuilder from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import RelayPlugin, { decodeGlobalID, encodeGlobalID } from '@pothos/plugin-relay'
import ScopeAuthPlugin from '@pothos/plugin-scope-auth'
import ZodPlugin from '@pothos/plugin-zod'
import { GraphQLError, isObjectType, Kind, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql'
import { Temporal } from 'temporal-polyfill'
import type { App } from '../apps/apps.ts'
import type { Asking, Context } from '../context.ts'
import { badInput, Refusal } from '../errors.ts'
import type { Handover } from './direct.ts'
import { complexity } from './limits.ts'

/**
 * What resolvers get: the running Posthouse, and who asks; for an operation on a socket, how its stream may end before it,
 * and how the person stays on with a new token.
 */
export type GraphqlContext = Asking & {
  posthouse: Context
  handover?: Handover | undefined
  renew?: ((authorization: string) => Promise<Date>) | undefined
}

type Types = {
  Context: GraphqlContext
  DefaultFieldNullability: false
  Scalars: {
    DateTime: { Input: Date; Output: Date }
    JSON: { Input: unknown; Output: unknown }
    Rev: { Input: string; Output: string }
  }
  AuthScopes: { app: boolean; user: boolean; admin: boolean; anybody: boolean }
}

export const builder = new SchemaBuilder<Types>({
  plugins: [ScopeAuthPlugin, RelayPlugin, ZodPlugin, ComplexityPlugin],
  complexity,
  defaultFieldNullability: false,
  relay: {
    clientMutationId: 'omit',
    cursorType: 'String',
    // What is no id of ours is an id of nothing, as in every other place that takes one.
    decodeGlobalID(id) {
      try {
        return decodeGlobalID(id)
      } catch {
        return { typename: '', id: '' }
      }
    },
    nodeQueryOptions: {
      description: 'Any object with a global id. Null when there is none or it is not yours: the two look the same.',
      authScopes: { app: true, user: true, admin: true },
      args: { id: { description: 'Its global id.' } },
      resolve(_root, { id }, _context, { schema }, load) {
        const type = schema.getType(id.typename)
        return isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node') ? load(id) : null
      },
    },
    nodesQueryOptions: false,
    nodeTypeOptions: { description: 'An object with a global id, unique over all types.' },
    idFieldOptions: { description: 'Global id: opaque, unique over all types.' },
    pageInfoTypeOptions: { description: 'Where a page stands.' },
    pageInfoFieldOptions: { description: 'Where this page stands.' },
    hasNextPageFieldOptions: { description: 'Whether there is more after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether there is more before this page.' },
    startCursorFieldOptions: { description: 'Cursor of the first entry; pass it as `before`.' },
    endCursorFieldOptions: { description: 'Cursor of the last entry; pass it as `after`.' },
    edgesFieldOptions: { description: 'The entries of this page.' },
    nodeFieldOptions: { description: 'The entry itself.' },
    cursorFieldOptions: { description: 'Pass it as `after` or `before` to go on from this entry.' },
    firstArgOptions: { description: 'How many from the start; 20 unless told, at most 100.' },
    lastArgOptions: { description: 'How many from the end; at most 100.' },
    afterArgOptions: { description: 'Only entries after this cursor.' },
    beforeArgOptions: { description: 'Only entries before this cursor.' },
    defaultConnectionTypeOptions: { description: 'A page of a list.' },
    defaultEdgeTypeOptions: { description: 'An entry of a page.' },
  },
  scopeAuth: {
    authorizeOnSubscribe: true,
    authScopes: ({ viewer }) => ({
      app: viewer.kind === 'app',
      user: viewer.kind === 'user',
      admin: viewer.kind === 'admin',
      anybody: true,
    }),
    unauthorizedError: (_parent, { viewer }) => new Refusal(viewer.kind === 'nobody' ? 'UNAUTHENTICATED' : 'FORBIDDEN'),
  },
  zod: {
    validationError: (error) => {
      const [issue] = error.issues
      return badInput(issue?.path.join('.') ?? '', issue?.message ?? '', issue?.message ?? '')
    },
  },
})

builder.scalarType('DateTime', {
  description: 'An instant in ISO 8601 with offset, e.g. `2026-08-04T12:15:12.000Z`.',
  serialize: (value) => value.toISOString(),
  parseValue: (value) => {
    try {
      // Strict: no 30th of February, and nothing without an offset.
      return new Date(Temporal.Instant.from(String(value)).epochMilliseconds)
    } catch {
      throw new GraphQLError('DateTime must be in ISO 8601 with offset, e.g. 2026-08-04T12:15:12+08:00')
    }
  },
})

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: function read(node, variables): unknown {
    if (node.kind === Kind.OBJECT)
      return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, read(value, variables)]))
    if (node.kind === Kind.LIST) return node.values.map((value) => read(value, variables))
    if (node.kind === Kind.INT || node.kind === Kind.FLOAT) return Number(node.value)
    if (node.kind === Kind.NULL) return null
    if (node.kind === Kind.VARIABLE) return variables?.[node.name.value]
    return node.value
  },
})

builder.queryType({ description: 'What can be asked. Each field says who may ask.' })
builder.mutationType({ description: 'What can be done. Every mutation is committed when it answers.' })
builder.subscriptionType({ description: 'What can be watched, over WebSocket (graphql-ws) or SSE on the same path.' })

/** Makes ids without waiting. The plugin's own resolver is async: a promise an item, and nothing that can be written at once. */
type IdResolver = GraphQLFieldResolver<unknown, GraphqlContext>

/** The id of a node type of this name: what its objects are called inside, and a resolver that says it at once. */
export function nodeId<Node>(type: string, resolve: (node: Node) => string, description: string) {
  const atOnce: IdResolver = (node) => encodeGlobalID(type, resolve(node as Node))
  return { resolve, description, extensions: { atOnce } }
}

/** The schema, with every `nodeId` said at once. */
export function makeSchema(): GraphQLSchema {
  const schema = builder.toSchema()
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const atOnce = field.extensions['atOnce'] as IdResolver | undefined
      if (atOnce !== undefined) field.resolve = atOnce
    }
  }
  return schema
}

/** The app that asks; the field's rule has made sure of it. */
export function viewerApp({ viewer }: GraphqlContext): App {
  if (viewer.kind !== 'app') throw new Refusal('FORBIDDEN')
  return viewer.app
}

/** The code of the user who asks; the field's rule has made sure of it. */
export function viewerUser({ viewer }: GraphqlContext): string {
  if (viewer.kind !== 'user') throw new Refusal('FORBIDDEN')
  return viewer.code
}
