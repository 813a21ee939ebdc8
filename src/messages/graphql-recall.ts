/** Recalling messages in GraphQL, and what came of it. */
import { enforceGrant } from '../apps/grants.ts'
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import { badInput } from '../errors.ts'
import { builder, type GraphqlContext } from '../graphql/builder.ts'
import { MessageRef, plainId } from './graphql.ts'
import { REASON_LIMIT, readReason } from './input.ts'
import { recallMessages, type Recalled, type Recaller } from './recall.ts'
import { recallOf, type ChannelRecall, type Recall, type RecallCounts } from './recalled.ts'

const RecallResult = builder.enumType('RecallResult', {
  description: "What a recall came to on one channel: its worst recipient's lot, from the bottom of this list up.",
  values: {
    CANCELLED: { description: 'Nothing went out, and nothing ever will.' },
    RECALLED: { description: 'It was in inboxes, and is gone from all of them.' },
    TOO_LATE: { description: 'Some were with the provider already, or may have been. The others were cancelled.' },
    PENDING: { description: 'Not all is decided yet; the final answer follows.' },
  } as const,
})

const RecallCountsRef = builder.objectRef<RecallCounts>('RecallCounts').implement({
  description: 'How many recipients of a channel fared how.',
  fields: (t) => ({
    cancelled: t.exposeInt('cancelled', { description: 'It never went out, and never will.' }),
    recalled: t.exposeInt('recalled', { description: 'It was in the inbox, and is gone from it.' }),
    read: t.exposeInt('read', { description: 'Of those recalled, who had read it before.' }),
    tooLate: t.exposeInt('tooLate', { description: 'It was with the provider already, or may have been.' }),
    pending: t.exposeInt('pending', { description: 'Not decided yet: with a worker, or not reached so far.' }),
    ended: t.exposeInt('ended', {
      description: 'Nothing to take back: it had ended without going out, had expired, or the person had deleted it.',
    }),
  }),
})

const ChannelRecallRef = builder.objectRef<ChannelRecall>('ChannelRecall').implement({
  description: 'What a recall came to on one channel.',
  fields: (t) => ({
    channelId: t.exposeString('channelId', { description: "The channel's id, e.g. `1002`." }),
    result: t.expose('result', { type: RecallResult, description: 'In one word.' }),
    counts: t.expose('counts', { type: RecallCountsRef, description: 'In numbers.' }),
  }),
})

const RecallRef = builder.objectRef<Recall>('MessageRecall').implement({
  description: 'The recall of a message, with what has come of it by now.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was recalled.' }),
    by: t.exposeString('by', { description: 'Who recalled it: `app` or `admin`.' }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why, in the words of who recalled it.' }),
    channels: t.expose('channels', { type: [ChannelRecallRef], description: 'What it came to, channel by channel.' }),
  }),
})

builder.objectField(MessageRef, 'recall', (t) =>
  t.field({
    type: RecallRef,
    nullable: true,
    description: 'Its recall; null when it was not recalled.',
    resolve: (message, _args, { posthouse }) => recallOf(posthouse.db, message),
  }),
)

const RecallPayload = builder.objectRef<Recalled>('RecallPayload').implement({
  description: 'What came of a recall.',
  fields: (t) => ({
    messages: t.expose('messages', { type: [MessageRef], description: 'The messages meant; ask for their `recall`.' }),
    isMore: t.exposeBoolean('isMore', {
      description: 'The `businessId` stands for more messages than are told here. They are recalled as well.',
    }),
    next: t.exposeString('next', {
      nullable: true,
      description: 'The `after` that tells of the following messages; null at the end.',
    }),
  }),
})

builder.mutationField('recallMessage', (t) =>
  t.field({
    type: RecallPayload,
    authScopes: { app: true, admin: true },
    description:
      'Takes a message back: what has not gone out is cancelled, and it leaves every inbox. An app recalls its own and needs the grant `recall`, the admin any. The same as `POST /api/openApi/message/recall`.',
    args: {
      id: t.arg.id({ description: 'Its `msgId`, or its global id.' }),
      businessId: t.arg.string({
        description: "All of an app's messages with it, told 20 at a time; with `id`, only if both fit.",
      }),
      after: t.arg.string({ description: 'The `next` of the answer before, to be told of the following messages.' }),
      reason: t.arg.string({ description: `Why: kept on the message, at most ${REASON_LIMIT} characters.` }),
    },
    resolve: (_root, { id, businessId, reason, after }, context) => {
      checkText({ businessId, reason, after })
      const by = recaller(context)
      if (!id && !businessId) throw badInput('id', '与 businessId 至少填一项', 'or businessId is required')
      // Two apps may use the same one, and only one of them is meant.
      if (!id && by.by === 'admin')
        throw badInput('id', '管理员必填', "is required of the admin: a businessId is an app's own")
      const named = { msgId: id ? plainId(id) : undefined, businessId: businessId || undefined }
      return recallMessages(context.posthouse, by, named, readReason(reason), after ?? undefined)
    },
  }),
)

function recaller(context: GraphqlContext): Recaller {
  const { viewer } = context
  if (viewer.kind !== 'app') return { by: 'admin', appId: undefined, audit: byOf(context) }
  enforceGrant(viewer.app, 'recall')
  return { by: 'app', appId: viewer.app.id }
}
