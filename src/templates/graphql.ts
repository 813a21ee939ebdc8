/** Templates in GraphQL: what there is. An app sees what it may push, the admin everything. */
import { resolveCursorConnection } from '@pothos/plugin-relay'
import { hasGrant } from '../apps/grants.ts'
import { checkText } from '../check.ts'
import { builder, type GraphqlContext } from '../graphql/builder.ts'
import { forwardOnly, PAGE, readNumberCursor } from '../graphql/paging.ts'
import type { TemplateBody } from './draft.ts'
import { VariableRef } from './graphql-variables.ts'
import { findTemplate, listTemplates, listVersions, type Template, type TemplateVersion } from './templates.ts'

const DraftRef = builder.objectRef<TemplateBody & { basedOn: number }>('TemplateDraft').implement({
  description: 'What an author has saved and not yet published.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    msgType: t.exposeString('msgType', { description: 'The `msgType` of its messages, unless a push says another.' }),
    contents: t.expose('contents', { type: 'JSON', description: 'Channel id → content; its texts are Liquid.' }),
    locales: t.expose('locales', { type: 'JSON', description: 'Language → the same, for people of that language.' }),
    variables: t.expose('variables', { type: [VariableRef], description: 'What a push must or may give.' }),
    basedOn: t.exposeInt('basedOn', {
      description: 'The version that was published when it was last saved; 0: none.',
    }),
  }),
})

const VersionRef = builder.objectRef<TemplateVersion>('TemplateVersion').implement({
  description: 'What a template said from one publication to the next. It never changes.',
  fields: (t) => ({
    version: t.exposeInt('version', { description: 'Its number, from 1. Messages name it.' }),
    name: t.exposeString('name', { description: 'Its name.' }),
    msgType: t.exposeString('msgType', { description: 'The `msgType` of its messages, unless a push says another.' }),
    contents: t.expose('contents', { type: 'JSON', description: 'Channel id → content; its texts are Liquid.' }),
    locales: t.expose('locales', { type: 'JSON', description: 'Language → the same, for people of that language.' }),
    variables: t.expose('variables', { type: [VariableRef], description: 'What a push must or may give.' }),
    restoredFrom: t.exposeInt('restoredFrom', {
      nullable: true,
      description: 'The version that it says again, after a roll-back.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was published.' }),
  }),
})

export const TemplateRef = builder.objectRef<Template>('Template').implement({
  description: 'What a template push can say, by its code.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'The documented `templateCode`.' }),
    name: t.exposeString('name', { description: 'What people call it.' }),
    msgType: t.exposeString('msgType', { description: 'The `msgType` of its messages, unless a push says another.' }),
    enabled: t.exposeBoolean('enabled', { description: 'Whether pushes may use it.' }),
    version: t.int({
      nullable: true,
      description: 'The version that pushes use now. Null: none has been published yet.',
      resolve: ({ version }) => version || null,
    }),
    variables: t.expose('variables', {
      type: [VariableRef],
      description: 'What a push must or may give; of a template that was never published, what its draft says.',
    }),
    revision: t.exposeInt('revision', {
      authScopes: { admin: true },
      description: 'Raised by every change. Whoever changes it names the one he has read.',
    }),
    draft: t.expose('draft', {
      type: DraftRef,
      nullable: true,
      authScopes: { admin: true },
      description: 'What is saved and not yet published.',
    }),
    published: t.field({
      type: VersionRef,
      nullable: true,
      authScopes: { admin: true },
      description: 'The version that pushes use now.',
      resolve: async ({ code, version }, _args, { posthouse }) =>
        (await listVersions(posthouse.db, code, { version, limit: 1 }))[0],
    }),
    versions: t.connection({
      type: VersionRef,
      authScopes: { admin: true },
      description: 'All versions, latest first.',
      resolve: ({ code }, args, { posthouse }) =>
        resolveCursorConnection<Promise<TemplateVersion[]>>(
          { args: forwardOnly(args), ...PAGE, toCursor: ({ version }: TemplateVersion) => String(version) },
          ({ after, limit }) => listVersions(posthouse.db, code, { before: readNumberCursor(after), limit }),
        ),
    }),
  }),
})

/** The channels whose templates a viewer sees: an app's own, for the admin all (undefined). */
function channelsOf({ viewer, posthouse }: GraphqlContext): string[] | undefined {
  if (viewer.kind !== 'app') return undefined
  return [...posthouse.channels.keys()].filter((id) => hasGrant(viewer.app, `channel:${id}`))
}

builder.queryField('template', (t) =>
  t.field({
    type: TemplateRef,
    nullable: true,
    authScopes: { app: true, admin: true },
    description:
      'The template of that code. An app sees those it may push: published, enabled, and saying nothing on a channel it has no grant for.',
    args: { code: t.arg.string({ required: true, description: 'Its code.' }) },
    resolve: async (_root, { code }, context) => {
      checkText(code, 'code')
      return findTemplate(context.posthouse.db, code, channelsOf(context))
    },
  }),
)

builder.queryField('templates', (t) =>
  t.connection({
    type: TemplateRef,
    authScopes: { app: true, admin: true },
    description: 'Templates by code; for an app, those it may push.',
    resolve: (_root, args, context) => {
      checkText(args.after, 'after')
      return resolveCursorConnection<Promise<Template[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ code }: Template) => code },
        ({ after, limit }) => listTemplates(context.posthouse.db, { after, limit, channels: channelsOf(context) }),
      )
    },
  }),
)
