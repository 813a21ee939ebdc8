/** Assembles the GraphQL schema from the slices; printed to schema.graphql by `npm run generate`. */
import { makeSchema } from './graphql/builder.ts'
import './apps/graphql.ts'
import './apps/graphql-admin.ts'
import './audit/graphql.ts'
import './delivery/graphql.ts'
import './directory/graphql-groups.ts'
import './directory/graphql-sync.ts'
import './directory/graphql-upsert.ts'
import './inbox/graphql.ts'
import './inbox/graphql-acts.ts'
import './inbox/graphql-live.ts'
import './messages/graphql.ts'
import './messages/graphql-explain.ts'
import './messages/graphql-preview.ts'
import './messages/graphql-recall.ts'

export const schema = makeSchema()
