/** Apps in GraphQL: the token with which an app lets a front end into one person's inbox. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import { builder } from '../graphql/builder.ts'
import { grantInboxToken } from './authenticate.ts'
import { noteToken } from './keep.ts'

const TokenRef = builder.objectRef<{ token: string; expiresAt: Date }>('InboxToken').implement({
  description: "A short-lived token for one person's inbox.",
  fields: (t) => ({
    token: t.exposeString('token', {
      description: 'Send it as `Authorization: Bearer …`, over WebSocket in `connection_init`. Never put it in a URL.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When it ends, and subscriptions with it.' }),
  }),
})

builder.mutationField('inboxToken', (t) =>
  t.field({
    type: TokenRef,
    authScopes: { app: true, admin: true },
    description: "Makes a token with which a front end reads one person's inbox. An app needs the grant `token`.",
    args: {
      user: t.arg.string({ required: true, description: "The person's code." }),
      ttlSeconds: t.arg.int({
        description: 'How long it lasts; 3600 unless told, at most 86400.',
        validate: { min: [1, { message: 'must be at least 1' }], max: [86_400, { message: 'must be at most 86400' }] },
      }),
    },
    resolve: async (_root, { user, ttlSeconds }, context) => {
      checkText(user, 'user')
      const { posthouse, viewer } = context
      const granted = await grantInboxToken(posthouse, viewer.kind === 'app' ? viewer.app : undefined, user, ttlSeconds)
      if (viewer.kind === 'admin') await noteToken(posthouse.db, byOf(context), user, granted.expiresAt)
      return granted
    },
  }),
)
