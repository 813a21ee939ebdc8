/** What the admin does with templates, in GraphQL. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import { builder } from '../graphql/builder.ts'
import { find, publish, restore, save, type Done } from './author.ts'
import { TemplateRef } from './graphql.ts'
import { bodyFields, ProblemRef } from './graphql-variables.ts'
import { discardDraft, setEnabled } from './publish.ts'

const SaveDraftInput = builder.inputType('SaveTemplateDraftInput', {
  description: 'A template as its author wants it.',
  fields: (t) => ({
    code: t.string({ required: true, description: 'What pushes name it by; at most 64 characters.' }),
    revision: t.int({
      description: 'The `revision` of the template as you have read it. Without it a new template is made.',
    }),
    ...bodyFields(t),
  }),
})

const DoneRef = builder.objectRef<Done>('TemplatePayload').implement({
  description: 'What came of a change to a template. It is committed.',
  fields: (t) => ({
    template: t.expose('template', { type: TemplateRef, description: 'The template as it stands now.' }),
    warnings: t.expose('warnings', { type: [ProblemRef], description: 'What may be wrong with what it says.' }),
  }),
})

const code = { required: true, description: "The template's code." } as const
const revision = {
  required: true,
  description: 'The `revision` of the template as you have read it; at another it is refused with `CONFLICT`.',
} as const

builder.mutationField('saveTemplateDraft', (t) =>
  t.field({
    type: DoneRef,
    authScopes: { admin: true },
    description:
      'Saves the draft of a template, in place of the one there is. Pushes do not see it. Refused when it has errors; `previewTemplate` tells all of them.',
    args: { input: t.arg({ type: SaveDraftInput, required: true, description: 'The template.' }) },
    resolve: (_root, { input }, context) => save(context.posthouse, byOf(context), input),
  }),
)

builder.mutationField('publishTemplate', (t) =>
  t.field({
    type: DoneRef,
    authScopes: { admin: true },
    description:
      'Makes the draft the next version, which pushes use from now on. Messages accepted before keep the version they name.',
    args: { code: t.arg.string(code), revision: t.arg.int(revision) },
    resolve: (_root, { code, revision }, context) => {
      checkText(code, 'code')
      return publish(context.posthouse, byOf(context), code, revision)
    },
  }),
)

builder.mutationField('rollBackTemplate', (t) =>
  t.field({
    type: DoneRef,
    authScopes: { admin: true },
    description: 'Publishes again what an earlier version said, as the next version. A draft stays as it is.',
    args: {
      code: t.arg.string(code),
      toVersion: t.arg.int({ required: true, description: 'The version to say again.' }),
      revision: t.arg.int(revision),
    },
    resolve: (_root, { code, toVersion, revision }, context) => {
      checkText(code, 'code')
      return restore(context.posthouse, byOf(context), code, toVersion, revision)
    },
  }),
)

builder.mutationField('discardTemplateDraft', (t) =>
  t.field({
    type: TemplateRef,
    authScopes: { admin: true },
    description: 'Throws the draft away. What is published stays.',
    args: { code: t.arg.string(code), revision: t.arg.int(revision) },
    resolve: async (_root, { code, revision }, context) => {
      checkText(code, 'code')
      await discardDraft(context.posthouse.db, byOf(context), code, revision)
      return find(context.posthouse, code)
    },
  }),
)

builder.mutationField('setTemplateEnabled', (t) =>
  t.field({
    type: TemplateRef,
    authScopes: { admin: true },
    description: 'Lets pushes use the template, or refuses them. What was accepted goes out all the same.',
    args: {
      code: t.arg.string(code),
      enabled: t.arg.boolean({ required: true, description: 'Whether pushes may use it.' }),
    },
    resolve: async (_root, { code, enabled }, context) => {
      checkText(code, 'code')
      await setEnabled(context.posthouse.db, byOf(context), code, enabled)
      return find(context.posthouse, code)
    },
  }),
)
