/** An app's keys in GraphQL: what an admin sees of them. */
import { builder } from '../graphql/builder.ts'
import type { AppKey, KeyKind } from './keep.ts'

export const KeyKindRef = builder.enumType('KeyKind', {
  description: 'What a key is good for, and nothing else.',
  values: {
    BEARER: { value: 'bearer' as KeyKind, description: 'It is sent: `Authorization: Bearer ph_…`.' },
    SIGNING: {
      value: 'signing' as KeyKind,
      description: 'It never travels: requests are signed with it (docs/signing.md).',
    },
  },
})

export const AppKeyRef = builder.objectRef<AppKey>('AppKey').implement({
  description: 'A key of an app, without its secret, which was told once.',
  fields: (t) => ({
    keyId: t.exposeString('keyId', { description: 'The part of the key that names it: `ph_<keyId>_…`.' }),
    kind: t.expose('kind', { type: KeyKindRef, description: 'What it is good for, and nothing else.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last used, to the hour; null: never. An old key may go when this stands still.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended; null: it is live.',
    }),
  }),
})
