/** The tokens with which an app lets a front end into one person's inbox, in GraphQL: made, renewed, taken back. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import { badInput } from '../errors.ts'
import { builder, viewerUser } from '../graphql/builder.ts'
import { noteToken } from './keep.ts'
import { revokeTokens } from './revoke.ts'
import { grantInboxToken } from './tokens.ts'

const TokenRef = builder.objectRef<{ token: string; jti: string; expiresAt: Date }>('InboxToken').implement({
  description: "A short-lived token for one person's inbox.",
  fields: (t) => ({
    token: t.exposeString('token', {
      description: 'Send it as `Authorization: Bearer …`, over WebSocket in `connection_init`. Never put it in a URL.',
    }),
    jti: t.exposeString('jti', { description: 'Its id, by which `revokeInboxTokens` takes it back.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When it ends, and subscriptions with it unless `renewToken` brings another one.',
    }),
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

const RenewPayload = builder.objectRef<{ expiresAt: Date }>('RenewTokenPayload').implement({
  description: 'How long the socket stays now.',
  fields: (t) => ({
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When the new token ends.' }),
  }),
})

builder.mutationField('renewToken', (t) =>
  t.field({
    type: RenewPayload,
    authScopes: { user: true },
    description:
      'On a WebSocket: goes on with a fresh token of the same person, subscriptions too, without a gap. Elsewhere just send the new token.',
    args: { token: t.arg.string({ required: true, description: 'The fresh token. Send it as a variable.' }) },
    resolve: async (_root, { token }, { renew }) => {
      checkText(token, 'token')
      if (renew === undefined)
        throw badInput('token', '仅用于 WebSocket', 'is for sockets: over HTTP send it as `Authorization`')
      return { expiresAt: await renew(`Bearer ${token}`) }
    },
  }),
)

const RevokePayload = builder.objectRef<{ user: string }>('RevokePayload').implement({
  description: 'What was taken back is refused from now on; what is open with it ends within seconds.',
  fields: (t) => ({ user: t.exposeString('user', { description: 'Whose tokens.' }) }),
})

builder.mutationField('logOut', (t) =>
  t.field({
    type: RevokePayload,
    authScopes: { user: true },
    description: 'Takes back the token that asks, or all that its person has.',
    args: { everywhere: t.arg.boolean({ description: 'True: on every device. Else: this token only.' }) },
    resolve: async (_root, { everywhere }, context) => {
      const user = viewerUser(context)
      const { viewer } = context
      const token = viewer.kind === 'user' && everywhere !== true ? viewer : undefined
      if (token !== undefined && token.token.jti === undefined)
        throw badInput(
          'everywhere',
          '此令牌没有编号，只能全部退出',
          'must be true: this token has no `jti` to be known by',
        )
      await revokeTokens(context.posthouse.db, undefined, { user, jti: token?.token.jti, expiresAt: token?.expiresAt })
      return { user }
    },
  }),
)

builder.mutationField('revokeInboxTokens', (t) =>
  t.field({
    type: RevokePayload,
    authScopes: { admin: true },
    description: "Takes back a person's inbox tokens: all that were made until now, or the one with that id.",
    args: {
      user: t.arg.string({ required: true, description: "The person's code." }),
      jti: t.arg.string({
        description: 'The id of one token. Left out: all of them.',
        validate: { regex: [/^[^*]{1,255}$/u, { message: 'must be 1 to 255 characters without *' }] },
      }),
    },
    resolve: async (_root, { user, jti }, context) => {
      checkText({ user, jti })
      await revokeTokens(context.posthouse.db, byOf(context), { user, jti: jti ?? undefined })
      return { user }
    },
  }),
)
