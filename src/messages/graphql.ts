/** Messages in GraphQL: pushing them, and seeing what became of them. */
import { createHash } from 'node:crypto'
import { decodeGlobalID, resolveCursorConnection } from '@pothos/plugin-relay'
import { checkText } from '../check.ts'
import { listDeliveries, type Delivery } from '../delivery/deliveries.ts'
import { DeliveryRef } from '../delivery/graphql.ts'
import { builder, nodeId, viewerApp, type GraphqlContext } from '../graphql/builder.ts'
import { forwardOnly, ID, owner, PAGE, readIdCursor } from '../graphql/paging.ts'
import type { Accepted } from './accept.ts'
import { documentedBody, PushChannelMessageInput, PushTemplateMessageInput } from './graphql-input.ts'
import {
  channelStatus,
  findMessage,
  listMessages,
  type ChannelStatus,
  type Message,
  type Translation,
} from './messages.ts'
import { pushChannelMessage, pushTemplateMessage } from './push.ts'

export const ChannelKind = builder.enumType('ChannelKind', {
  description: 'What a channel carries.',
  values: {
    SITE: { value: 'site', description: 'The live inbox (站内信).' },
    SMS: { value: 'sms', description: 'SMS (短信).' },
    MAIL: { value: 'mail', description: 'E-mail (邮件).' },
    CHAT: { value: 'chat', description: 'One post into a group chat (群聊).' },
  } as const,
})

const MessageState = builder.enumType('MessageState', {
  description: 'Where a message is between acceptance and its recipients.',
  values: {
    SCHEDULED: { value: 'scheduled', description: 'Waits for its `sendTime`.' },
    FANNING_OUT: { value: 'fanning_out', description: 'Its recipients are being resolved, chunk by chunk.' },
    FANNED_OUT: { value: 'fanned_out', description: 'Every recipient has an item or a delivery.' },
    RECALLING: { value: 'recalling', description: 'It is being taken back; nothing new goes out.' },
    RECALLED: { value: 'recalled', description: 'It has been taken back: see `recall` for what came of it.' },
    FAILED: { value: 'failed', description: 'Its recipients could not be resolved, time and again.' },
  } as const,
})

const StateTotal = builder.objectRef<{ state: string; count: number }>('StateTotal').implement({
  description: 'How many recipients of a channel are in one state.',
  fields: (t) => ({
    state: t.exposeString('state', {
      description: 'A delivery state in lower case; on the site channel `unread`, `read`, `recalled` or `expired`.',
    }),
    count: t.exposeInt('count', { description: 'Recipients in that state.' }),
  }),
})

const TranslationRef = builder.objectRef<Translation>('MessageTranslation').implement({
  description: 'What a message says to people of a language.',
  fields: (t) => ({
    locale: t.exposeString('locale', { description: 'The language (BCP 47).' }),
    content: t.expose('content', { type: 'JSON', description: 'The content as it was accepted.' }),
  }),
})

const MessageChannel = builder.objectRef<ChannelStatus>('MessageChannel').implement({
  description: 'A message on one channel: what it says there, and how far it is.',
  fields: (t) => ({
    channelId: t.exposeString('channelId', { description: "The channel's id, e.g. `1002`." }),
    kind: t.expose('kind', { type: ChannelKind, description: 'What the channel carries.' }),
    content: t.expose('content', {
      type: 'JSON',
      description:
        'The content as it was accepted: rendered and sanitised. What everybody gets, unless it has their language or names them.',
    }),
    translations: t.expose('translations', {
      type: [TranslationRef],
      description:
        'What it says in the other languages of its template; which a person gets is decided when it becomes his.',
    }),
    isPersonal: t.exposeBoolean('isPersonal', {
      description:
        'Whether it names the person it speaks to (`{{ user.name }}`): `explainDelivery` tells what it says to one.',
    }),
    totals: t.expose('totals', {
      type: [StateTotal],
      description: 'Recipients by state. People who have not looked since a broadcast are in no total.',
    }),
  }),
})

export const MessageRef = builder.objectRef<Message>('Message')
builder.node(MessageRef, {
  description: 'One accepted push.',
  id: nodeId('Message', ({ id }) => id, 'Global id.'),
  loadWithoutCache: (id, context) => load(context, id),
  fields: (t) => ({
    msgId: t.exposeString('id', { description: 'The `msgId` that the documented calls answer with.' }),
    appId: t.exposeString('appId', { description: 'The app that pushed it.' }),
    state: t.expose('state', { type: MessageState, description: 'Where it is.' }),
    receiverType: t.exposeString('receiverType', { description: '`all`, `specified` or `custom`.' }),
    receiver: t.expose('receiver', { type: 'JSON', description: 'Whom the caller named, by list.' }),
    unresolved: t.expose('unresolved', { type: 'JSON', description: 'Codes and accounts that meant nobody, by list.' }),
    recipientCount: t.exposeInt('recipients', {
      description: 'Recipients so far, each once. 0 for a broadcast, which is one row for all.',
    }),
    businessId: t.exposeString('businessId', { nullable: true, description: "The caller's own id; not unique." }),
    msgType: t.exposeString('msgType', { description: '`notice` or `reminder`.' }),
    priority: t.exposeInt('priority', { description: '3 high, 2 normal, 1 low.' }),
    senderCode: t.exposeString('senderCode', { nullable: true, description: "The sender's code as sent." }),
    senderName: t.exposeString('senderName', {
      nullable: true,
      description: "The sender's name, as sent or from the directory.",
    }),
    templateCode: t.exposeString('templateCode', { nullable: true, description: 'The template it was rendered from.' }),
    templateVersion: t.exposeInt('templateVersion', { nullable: true, description: 'The version of that template.' }),
    dueAt: t.expose('dueAt', { type: 'DateTime', description: 'When it goes out.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When nobody is to get it or see it any more; null: never.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was accepted.' }),
    channels: t.field({
      type: [MessageChannel],
      description: 'What it says on each channel, with totals by state.',
      resolve: ({ id }, _args, { posthouse }) => channelStatus(posthouse.db, id),
    }),
    deliveries: t.connection({
      type: DeliveryRef,
      description: 'Its deliveries on outbound channels, by channel and recipient.',
      resolve: ({ id }, args, { posthouse }) =>
        resolveCursorConnection<Promise<Delivery[]>>(
          { args: forwardOnly(args), ...PAGE, toCursor: (delivery: Delivery) => delivery.id },
          ({ after, limit }) => listDeliveries(posthouse.db, id, readIdCursor(after), limit),
        ),
    }),
  }),
})

export async function load(context: GraphqlContext, id: string): Promise<Message | null> {
  if (context.viewer.kind !== 'app' && context.viewer.kind !== 'admin') return null
  return (ID.test(id) ? await findMessage(context.posthouse.db, owner(context), id) : undefined) ?? null
}

/** A `msgId` or a global id; anything else is an id of nothing. */
export function plainId(id: string): string {
  if (ID.test(id)) return id
  try {
    const { typename, id: inner } = decodeGlobalID(id)
    return typename === 'Message' ? inner : ''
  } catch {
    return ''
  }
}

builder.queryField('message', (t) =>
  t.field({
    type: MessageRef,
    nullable: true,
    authScopes: { app: true, admin: true },
    description: 'One message: an app sees its own, the admin any. Null when there is none or it is not yours.',
    args: { id: t.arg.id({ required: true, description: 'Its `msgId`, or its global id.' }) },
    resolve: (_root, { id }, context) => load(context, plainId(id)),
  }),
)

builder.queryField('messages', (t) =>
  t.connection({
    type: MessageRef,
    authScopes: { app: true, admin: true },
    description: "The app's own messages, newest first; for the admin, everybody's.",
    args: { businessId: t.arg.string({ description: 'Only those with this `businessId`.' }) },
    resolve: (_root, args, context) => {
      checkText(args.businessId, 'businessId')
      return resolveCursorConnection<Promise<Message[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ id }: Message) => id },
        ({ after, limit }) =>
          listMessages(context.posthouse.db, {
            appId: owner(context),
            businessId: args.businessId,
            before: readIdCursor(after),
            limit,
          }),
      )
    },
  }),
)

const PushPayload = builder.objectRef<Accepted>('PushPayload').implement({
  description: 'A push that was accepted and committed.',
  fields: (t) => ({
    msgId: t.exposeString('messageId', {
      description: 'Names the message from now on, here and in the documented calls.',
    }),
    warnings: t.exposeStringList('warnings', {
      description:
        'What was accepted but left out: `unresolved=2` codes that mean nobody, `no-accounts=1001` a content without accounts.',
    }),
    isReplay: t.exposeBoolean('isReplay', {
      description: 'True when this `idempotencyKey` had been answered before: nothing new was sent.',
    }),
    message: t.field({
      type: MessageRef,
      nullable: true,
      description: 'The message as it stands.',
      resolve: ({ messageId }, _args, context) => load(context, messageId),
    }),
  }),
})

type Beside = { idempotencyKey?: string | null | undefined; confirmation?: string | null | undefined }

function around({ confirmation, ...input }: Beside, requestId: string) {
  const bodySha256 = () => createHash('sha256').update(JSON.stringify(input)).digest('hex')
  return {
    requestId,
    confirmation: confirmation || undefined,
    idempotency: input.idempotencyKey ? { key: input.idempotencyKey, bodySha256: bodySha256() } : undefined,
  }
}

builder.mutationField('pushChannelMessage', (t) =>
  t.field({
    type: PushPayload,
    authScopes: { app: true },
    description:
      'Pushes a message with the contents you give, one per channel. The same as `POST /api/openApi/message/push/channel`.',
    args: { input: t.arg({ type: PushChannelMessageInput, required: true, description: 'What to push, to whom.' }) },
    resolve: (_root, { input }, context) => {
      checkText(input)
      return pushChannelMessage(
        context.posthouse,
        viewerApp(context),
        documentedBody(input),
        around(input, context.requestId),
      )
    },
  }),
)

builder.mutationField('pushTemplateMessage', (t) =>
  t.field({
    type: PushPayload,
    authScopes: { app: true },
    description:
      'Pushes what a template says, with your variables. The same as `POST /api/openApi/message/push/template`.',
    args: { input: t.arg({ type: PushTemplateMessageInput, required: true, description: 'Which template, to whom.' }) },
    resolve: (_root, { input }, context) => {
      checkText(input)
      return pushTemplateMessage(
        context.posthouse,
        viewerApp(context),
        documentedBody(input, viewerApp(context)),
        around(input, context.requestId),
      )
    },
  }),
)
