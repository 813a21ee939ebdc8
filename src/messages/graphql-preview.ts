/** Looking at a push before it is one, in GraphQL. */
import { findApp, type App } from '../apps/apps.ts'
import { checkText } from '../check.ts'
import { badInput, Refusal } from '../errors.ts'
import { builder, type GraphqlContext } from '../graphql/builder.ts'
import { ChannelKind } from './graphql.ts'
import { documentedBody, PushChannelMessageInput, PushTemplateMessageInput } from './graphql-input.ts'
import { previewPush, type Example, type Preview, type PreviewedChannel } from './preview.ts'

const PreviewLanguage = builder.objectRef<PreviewedChannel['languages'][number]>('PreviewLanguage').implement({
  description: 'What a push would say on one channel in one language, and to how many.',
  fields: (t) => ({
    locale: t.exposeString('locale', { nullable: true, description: 'The language (BCP 47); null: the default.' }),
    reachable: t.exposeInt('reachable', { description: 'How many would get it so today.' }),
    content: t.expose('content', { type: 'JSON', description: 'What it would say: rendered and sanitised.' }),
    segments: t.exposeInt('segments', { nullable: true, description: 'Segments of one SMS. Null: it is no SMS.' }),
  }),
})

const PreviewChannel = builder.objectRef<PreviewedChannel>('PreviewChannel').implement({
  description: 'What a push would come to on one channel.',
  fields: (t) => ({
    channelId: t.exposeString('channelId', { description: "The channel's id, e.g. `1002`." }),
    kind: t.expose('kind', { type: ChannelKind, description: 'What the channel carries.' }),
    reachable: t.exposeInt('reachable', {
      description: 'Recipients with an address there; 1 for the post into a group chat.',
    }),
    withoutAddress: t.exposeInt('withoutAddress', {
      description: 'People who have no address there, and accounts that mean nobody.',
    }),
    switchedOff: t.exposeInt('switchedOff', {
      description: 'Reachable people who have switched this type off there: they would be skipped.',
    }),
    inQuietHours: t.exposeInt('inQuietHours', {
      description: 'Reachable people for whom it would be a quiet hour when the push is due: for them it would wait.',
    }),
    content: t.expose('content', { type: 'JSON', description: 'What it would say: rendered and sanitised.' }),
    segments: t.exposeInt('segments', {
      nullable: true,
      description:
        'Segments of one SMS in the default language: 70 characters alone or 67 of several, 160 or 153 in the GSM alphabet. Null: it is no SMS.',
    }),
    smsSegments: t.exposeInt('smsSegments', {
      description: 'SMS segments that all of it comes to there, each person’s by what he gets.',
    }),
    languages: t.expose('languages', {
      type: [PreviewLanguage],
      description: 'Language by language, the default first. Empty: it says the same in all.',
    }),
  }),
})

const PreviewExample = builder.objectRef<Example>('PreviewExample').implement({
  description: 'What a push would say to one person on a channel where it names him.',
  fields: (t) => ({
    user: t.exposeString('user', { description: 'Whose it is: the code.' }),
    name: t.exposeString('name', { description: 'The name.' }),
    channelId: t.exposeString('channelId', { description: 'The channel.' }),
    locale: t.exposeString('locale', { nullable: true, description: 'The language (BCP 47); null: the default.' }),
    content: t.expose('content', { type: 'JSON', nullable: true, description: 'What it would say; null: see `why`.' }),
    segments: t.exposeInt('segments', { nullable: true, description: 'Segments of an SMS. Null: it is none.' }),
    why: t.exposeString('why', {
      nullable: true,
      description: 'Why it cannot be said to this person, who would not get it; null: it can.',
    }),
  }),
})

const PushPreview = builder.objectRef<Preview>('PushPreview').implement({
  description: 'What a push would come to. Nothing was sent.',
  fields: (t) => ({
    recipients: t.exposeInt('recipients', { description: 'People and bare addresses it would reach, each once.' }),
    names: t.exposeStringList('names', { description: 'The first ten of them, in the order of their codes.' }),
    unresolved: t.expose('unresolved', { type: 'JSON', description: 'Codes and accounts that mean nobody, by list.' }),
    channels: t.expose('channels', { type: [PreviewChannel], description: 'Channel by channel.' }),
    smsSegments: t.exposeInt('smsSegments', { description: 'SMS segments that all of it comes to.' }),
    warnings: t.exposeStringList('warnings', {
      description: 'What the push would warn of, and how many deliveries would be skipped or wait.',
    }),
    examples: t.expose('examples', {
      type: [PreviewExample],
      description: 'What it would say to the first three of them, where it names its readers.',
    }),
    needsConfirmation: t.stringList({
      description: "Why the app's guard wants the confirmation; empty: it wants none.",
      resolve: ({ needs }) => needs.map(({ en }) => en),
    }),
    confirmation: t.string({
      description: 'Send it with the same push, unchanged, within 15 minutes; it is good once.',
      resolve: ({ confirmation }) => confirmation.token,
    }),
    confirmationExpiresAt: t.field({
      type: 'DateTime',
      description: 'Until when it is good.',
      resolve: ({ confirmation }) => confirmation.expiresAt,
    }),
  }),
})

const PreviewPushInput = builder.inputType('PreviewPushInput', {
  description: 'The push to look at: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    channel: t.field({ type: PushChannelMessageInput, description: 'As for `pushChannelMessage`.' }),
    template: t.field({ type: PushTemplateMessageInput, description: 'As for `pushTemplateMessage`.' }),
  }),
})

builder.queryField('previewPush', (t) =>
  t.field({
    type: PushPreview,
    authScopes: { app: true, admin: true },
    description:
      'Looks at a push before it is one: whom it reaches, what it says, what it needs. Sends nothing, and refuses what the push would refuse. An app needs the grant `preview`. The same as `POST /api/openApi/message/preview/…`.',
    args: {
      input: t.arg({ type: PreviewPushInput, required: true, description: 'The push.' }),
      appId: t.arg.string({ description: 'For the admin, who must name the app that would push. An app is itself.' }),
    },
    resolve: async (_root, { input, appId }, context) => {
      checkText({ input, appId })
      const app = await pusher(context, appId)
      const { channel, template } = input
      return channel
        ? previewPush(context.posthouse, app, 'channel', documentedBody(channel), context.requestId)
        : previewPush(context.posthouse, app, 'template', documentedBody(template ?? {}, app), context.requestId)
    },
  }),
)

/** The app that would push. The admin may look as any app, whatever it may do itself. */
async function pusher({ viewer, posthouse }: GraphqlContext, appId: string | null | undefined): Promise<App> {
  if (viewer.kind === 'app') {
    if (appId == null || appId === viewer.app.id) return viewer.app
    throw badInput('appId', '只能是自己的 appId', 'must be your own, or left out')
  }
  if (appId == null) throw badInput('appId', '管理员必填', 'is required of the admin')
  const app = await findApp(posthouse.db, appId)
  if (app === undefined)
    throw new Refusal('NOT_FOUND', { path: 'appId', zh: `没有应用 ${appId}`, en: `there is no app ${appId}` })
  return { ...app, grants: [...app.grants, 'preview'] }
}
