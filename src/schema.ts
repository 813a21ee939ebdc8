/** Assembles the GraphQL schema from the slices; printed to schema.graphql by `npm run generate`. */
import { builder } from './graphql/builder.ts'
import './apps/graphql.ts'
import './inbox/graphql.ts'
import './inbox/graphql-live.ts'
import './messages/graphql.ts'

export const schema = builder.toSchema()
