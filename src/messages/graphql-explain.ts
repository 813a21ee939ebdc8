/** What became of a message person by person, and why somebody did or did not get it, in GraphQL. */
import { resolveCursorConnection } from '@pothos/plugin-relay'
import { checkText } from '../check.ts'
import { DeliveryEventRef } from '../delivery/graphql.ts'
import { builder } from '../graphql/builder.ts'
import { forwardOnly, PAGE } from '../graphql/paging.ts'
import { explain, type Finding, type SaidTo } from './explain.ts'
import { load, MessageRef, plainId } from './graphql.ts'
import { formatPlace, readPlace, recipientsAfter, type Recipient, type Step } from './recipients.ts'

const StepRef = builder.objectRef<Step>('RecipientStep').implement({
  description: "One step of a recipient's story.",
  fields: (t) => ({
    at: t.field({ type: 'DateTime', description: 'When.', resolve: ({ at }) => new Date(at) }),
    state: t.exposeString('state', {
      description: 'Where it led: a delivery state in lower case, or what was done to the item.',
    }),
    attempt: t.exposeInt('attempt', { description: 'The attempt it belongs to; 0 before the first, and for items.' }),
    provider: t.exposeString('provider', { nullable: true, description: 'Who carried it, e.g. `smtp`.' }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why, as a code.' }),
    why: t.exposeString('why', { nullable: true, description: "The provider's own words." }),
  }),
})

const RecipientRef = builder.objectRef<Recipient>('Recipient').implement({
  description: 'One recipient of a message on one channel, the inbox included.',
  fields: (t) => ({
    channelId: t.exposeString('channel', { description: 'The channel.' }),
    recipient: t.exposeString('recipient', { description: "The user's code, or the custom account as it was sent." }),
    state: t.exposeString('state', {
      description: 'A delivery state in lower case; on the site channel `unread`, `read` or `recalled`.',
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why it is there, as a code.' }),
    readAt: t.expose('readAt', { type: 'DateTime', nullable: true, description: 'When the person read the item.' }),
    history: t.expose('history', { type: [StepRef], description: 'What happened, in order.' }),
  }),
})

builder.objectField(MessageRef, 'recipients', (t) =>
  t.connection({
    type: RecipientRef,
    description:
      'Its recipients on every channel, by channel and recipient, each with his story. Of a broadcast, those who have looked since.',
    resolve: ({ id }, args, { posthouse }) =>
      resolveCursorConnection<Promise<Recipient[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: (one: Recipient) => formatPlace(one) },
        ({ after, limit }) => recipientsAfter(posthouse.db, id, after ? readPlace(after) : undefined, limit),
      ),
  }),
)

const SaidRef = builder.objectRef<SaidTo>('SaidToPerson').implement({
  description: 'What a message says to one person on one channel.',
  fields: (t) => ({
    locale: t.exposeString('locale', {
      nullable: true,
      description: "The language it is in; null: the template's own, or a message without languages.",
    }),
    content: t.expose('content', { type: 'JSON', description: 'The content: rendered and sanitised.' }),
  }),
})

const FindingRef = builder.objectRef<Finding>('DeliveryFinding').implement({
  description: 'What became of a message for one person on one channel.',
  fields: (t) => ({
    channelId: t.exposeString('channelId', { description: 'The channel.' }),
    code: t.exposeString('code', {
      description: 'What was found, e.g. `READ`, `NO_ADDRESS`, `GAVE_UP`, `NOT_IN_AUDIENCE`.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: "The delivery's reason, where there is a delivery.",
    }),
    zh: t.exposeString('zh', { description: 'In one sentence, in Chinese.' }),
    en: t.exposeString('en', { description: 'In one sentence, in English.' }),
    history: t.expose('history', { type: [DeliveryEventRef], description: 'What happened to the delivery, in order.' }),
    said: t.expose('said', {
      type: SaidRef,
      nullable: true,
      description: 'What it says to this person there; null when he has not got it, or not yet.',
    }),
  }),
})

builder.queryField('explainDelivery', (t) =>
  t.field({
    type: [FindingRef],
    nullable: true,
    authScopes: { app: true, admin: true },
    description:
      'Why this person did or did not get this message, channel by channel. Null when there is no such message or it is not yours.',
    args: {
      msgId: t.arg.id({ required: true, description: "The message's `msgId`, or its global id." }),
      user: t.arg.string({ required: true, description: "A user's code, or a custom account as it was sent." }),
    },
    resolve: async (_root, { msgId, user }, context) => {
      checkText(user, 'user')
      const message = await load(context, plainId(msgId))
      return message && explain(context.posthouse.db, message, user)
    },
  }),
)
