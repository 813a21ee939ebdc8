/** How a template would look, in GraphQL. */
import { checkText } from '../check.ts'
import { builder } from '../graphql/builder.ts'
import { bodyFields, ProblemRef, VariableRef } from './graphql-variables.ts'
import { preview, type Preview, type PreviewedChannel } from './preview.ts'

const DraftInput = builder.inputType('TemplateDraftInput', {
  description: 'A template that is not saved.',
  fields: (t) => ({
    ...bodyFields(t),
  }),
})

const PreviewTemplateInput = builder.inputType('PreviewTemplateInput', {
  description: 'What to preview: a saved template by its code, or a draft as it is being written.',
  fields: (t) => ({
    code: t.string({ description: 'The saved template: its draft, or without one what is published.' }),
    version: t.int({ description: 'Of the saved template, this version.' }),
    draft: t.field({ type: DraftInput, description: 'A template that is not saved.' }),
    variables: t.field({ type: 'JSON', description: 'Values by name; for all others the examples are taken.' }),
    locale: t.string({ description: 'For people of this language (BCP 47).' }),
    user: t.string({
      description: 'For this person, by name (`{{ user.name }}`) and in his language, unless `locale` says another.',
    }),
  }),
})

const SmsLengthRef = builder.objectRef<NonNullable<PreviewedChannel['sms']>>('SmsLength').implement({
  description: 'How long an SMS is, as operators count it.',
  fields: (t) => ({
    encoding: t.exposeString('encoding', {
      description: '`GSM`: 160 characters in one segment, 153 in each of several. `UCS2` (Chinese): 70 and 67.',
    }),
    characters: t.exposeInt('characters', { description: 'Its length, the signature included.' }),
    segments: t.exposeInt('segments', { description: 'How many are charged.' }),
  }),
})

const PreviewedChannelRef = builder.objectRef<PreviewedChannel>('PreviewedChannel').implement({
  description: 'What a template says on one channel.',
  fields: (t) => ({
    channelId: t.exposeString('channelId', { description: 'The channel.' }),
    kind: t.exposeString('kind', { description: '`site`, `sms`, `mail` or `chat`.' }),
    locale: t.exposeString('locale', { nullable: true, description: 'The language it is in; null: the default.' }),
    content: t.expose('content', { type: 'JSON', description: 'As it would be stored: rendered, HTML made safe.' }),
    text: t.exposeString('text', {
      nullable: true,
      description: 'The same as plain text: what an SMS says, the text form of a mail. Null: only the provider knows.',
    }),
    sms: t.expose('sms', { type: SmsLengthRef, nullable: true, description: 'Of an SMS with words of its own.' }),
  }),
})

const PreviewRef = builder.objectRef<Preview>('TemplatePreview').implement({
  description: 'How a template would look.',
  fields: (t) => ({
    problems: t.expose('problems', {
      type: [ProblemRef],
      description: 'All that is wrong with it in any language, or may be. With an error nothing is rendered.',
    }),
    variables: t.expose('variables', { type: [VariableRef], description: 'Declared, or inferred.' }),
    channels: t.expose('channels', { type: [PreviewedChannelRef], description: 'What it says on each channel.' }),
  }),
})

builder.queryField('previewTemplate', (t) =>
  t.field({
    type: PreviewRef,
    authScopes: { admin: true },
    description: 'Renders each channel of a template with sample values and tells all its problems. Changes nothing.',
    args: { input: t.arg({ type: PreviewTemplateInput, required: true, description: 'What to preview.' }) },
    resolve: (_root, { input }, { posthouse }) => {
      checkText(input)
      return preview(posthouse, input)
    },
  }),
)
