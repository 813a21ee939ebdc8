/** The audit log in GraphQL, for the admin. */
import { resolveCursorConnection } from '@pothos/plugin-relay'
import { checkText } from '../check.ts'
import { builder } from '../graphql/builder.ts'
import { forwardOnly, PAGE, readNumberCursor } from '../graphql/paging.ts'
import { listAuditEntries, type AuditEntry } from './audit.ts'

const AuditEntryRef = builder.objectRef<AuditEntry>('AuditEntry').implement({
  description: 'One change that an admin made. Entries are never changed or removed.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When.' }),
    actor: t.exposeString('actor', {
      description: 'Who proved to be allowed to: `admin`, `app:<id>`, `user:<code>` or `command-line`.',
    }),
    operator: t.exposeString('operator', {
      nullable: true,
      description: 'Who sat there, as the `X-Posthouse-Operator` header of the call said.',
    }),
    act: t.exposeString('act', { description: 'What was done: `<area>.<verb>`, e.g. `template.publish`.' }),
    subject: t.exposeString('subject', { description: 'The code or id of what was changed.' }),
    before: t.expose('before', {
      type: 'JSON',
      nullable: true,
      description: 'How it stood before. Null: it was not there. Secrets are never in it.',
    }),
    after: t.expose('after', {
      type: 'JSON',
      nullable: true,
      description: 'How it stood afterwards. Null: it is gone. Secrets are never in it.',
    }),
    requestId: t.exposeString('requestId', { description: 'The `X-Request-Id` of the call.' }),
  }),
})

const AuditFilter = builder.inputType('AuditFilter', {
  description: 'Which entries; all that is given must hold.',
  fields: (t) => ({
    act: t.string({ description: 'Exactly this act, e.g. `user.upsert`.' }),
    actor: t.string({ description: 'Exactly this actor, e.g. `admin`.' }),
    subject: t.string({ description: 'Exactly this code or id.' }),
    since: t.field({ type: 'DateTime', description: 'From then on.' }),
    until: t.field({ type: 'DateTime', description: 'Before then.' }),
  }),
})

builder.queryField('auditEntries', (t) =>
  t.connection({
    type: AuditEntryRef,
    authScopes: { admin: true },
    description: 'Who changed what, newest first.',
    args: { filter: t.arg({ type: AuditFilter, description: 'Only these.' }) },
    resolve: (_root, args, { posthouse }) => {
      checkText(args.filter, 'filter')
      return resolveCursorConnection<Promise<AuditEntry[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ seq }: AuditEntry) => String(seq) },
        ({ after, limit }) =>
          listAuditEntries(posthouse.db, { ...args.filter, before: readNumberCursor(after), limit }),
      )
    },
  }),
)
