/** What is answered to an event without a plan: by graphql's own executor, and by Yoga's, through which subscriptions run. */
import { execute, GraphQLObjectType, GraphQLSchema, parse, type ExecutionResult } from 'graphql'
import { createYoga } from 'graphql-yoga'

export const variables = { yes: true, no: false, after: 'somewhere' }

/** Its bytes, or undefined where it reports an error. */
function bytes(result: ExecutionResult): string | undefined {
  return result.errors === undefined ? JSON.stringify(result) : undefined
}

export async function executed(schema: GraphQLSchema, query: string, event: object): Promise<string | undefined> {
  return bytes(
    await execute({
      schema,
      document: parse(query),
      rootValue: event,
      variableValues: variables,
      contextValue: { viewer: 'me' },
    }),
  )
}

/** The same schema, of whose subscription `field` these events come. */
function withEvents(schema: GraphQLSchema, field: string, events: readonly object[]): GraphQLSchema {
  const config = schema.toConfig()
  const subscription = schema.getSubscriptionType()?.toConfig()
  const told = subscription?.fields[field]
  if (subscription === undefined || told === undefined) throw new Error(`There is no subscription ${field}`)
  async function* subscribe() {
    yield* events
  }
  const fields = { [field]: { ...told, subscribe } }
  return new GraphQLSchema({ ...config, subscription: new GraphQLObjectType({ ...subscription, fields }), types: [] })
}

/** What a subscriber over WebSocket gets for each of these, or undefined where it is an error. */
export async function subscribed(schema: GraphQLSchema, field: string, query: string, events: readonly object[]) {
  const yoga = createYoga({ schema: withEvents(schema, field, events), logging: false, maskedErrors: false })
  const { schema: enveloped, subscribe, contextFactory } = yoga.getEnveloped({})
  const results = (await subscribe({
    schema: enveloped,
    document: parse(query),
    variableValues: variables,
    contextValue: await contextFactory(),
  })) as AsyncIterable<ExecutionResult> | ExecutionResult
  if (!(Symbol.asyncIterator in results)) throw new Error(`Refused: ${JSON.stringify(results)}`)
  return (await Array.fromAsync(results)).map(bytes)
}
