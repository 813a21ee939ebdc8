/** The inputs of the two push mutations: typed, or in the documented keyed form. Both become the documented body. */
import type { App } from '../apps/apps.ts'
import { badInput } from '../errors.ts'
import { builder } from '../graphql/builder.ts'

const Priority = builder.enumType('Priority', {
  description: 'How urgent a message is.',
  values: {
    HIGH: { value: 3, description: 'Before all others (高).' },
    NORMAL: { value: 2, description: 'As usual (中); this one when none is given.' },
    LOW: { value: 1, description: 'It can wait (低).' },
  } as const,
})

const ReceiverType = builder.enumType('ReceiverType', {
  description: 'The documented `receiverType`.',
  values: {
    all: { description: 'Everybody: a broadcast.' },
    specified: { description: 'The people named in `receiverData` by user, dept, post and role.' },
    custom: { description: 'The accounts named in `receiverData` by channel id.' },
  },
})

const SpecifiedReceiver = builder.inputType('SpecifiedReceiver', {
  description: 'People by code and by group. Everybody meant gets the message once, however often named.',
  fields: (t) => ({
    users: t.stringList({ description: 'User codes.' }),
    depts: t.stringList({ description: 'Department codes; sub-departments belong to them.' }),
    posts: t.stringList({ description: 'Post codes.' }),
    roles: t.stringList({ description: 'Role codes.' }),
  }),
})

const CustomReceiver = builder.inputType('CustomReceiver', {
  description: 'Accounts on one channel.',
  fields: (t) => ({
    channelId: t.string({ required: true, description: "The channel's id, e.g. `1001`." }),
    accounts: t.stringList({
      required: true,
      description: 'Phone numbers, mail addresses or user codes. For a group chat any one, to say that it is wanted.',
    }),
  }),
})

const Receiver = builder.inputType('Receiver', {
  description: 'Whom to reach: exactly one of the three.',
  isOneOf: true,
  fields: (t) => ({
    all: t.boolean({ description: '`true`: everybody.' }),
    specified: t.field({ type: SpecifiedReceiver, description: 'People and groups.' }),
    custom: t.field({ type: [CustomReceiver], description: 'Accounts by channel.' }),
  }),
})

const TemplateVariable = builder.inputType('TemplateVariable', {
  description: "A template variable's value.",
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name in the template.' }),
    value: t.string({ required: true, description: 'Its value, as text.' }),
  }),
})

const SiteContent = builder.inputType('SiteContent', {
  description: 'What the inbox item says.',
  fields: (t) => ({
    title: t.string({ description: 'At most 200 characters; without it the first 40 of the text.' }),
    content: t.string({ required: true, description: 'HTML, sanitised as it is accepted; at most 64 KiB.' }),
    website: t.string({ description: 'Link to details: http(s) or a path.' }),
  }),
})

const SmsTemplate = builder.inputType('SmsTemplate', {
  description: "A template at the SMS provider's.",
  fields: (t) => ({
    templateId: t.string({ required: true, description: "The provider's id for it." }),
    paramData: t.field({ type: 'JSON', description: 'Its parameters: an object of texts.' }),
  }),
})

const SmsContent = builder.inputType('SmsContent', {
  description: 'What the SMS says: free text, a template at the provider, or both for whichever it takes.',
  fields: (t) => ({
    sign: t.string({ description: 'Signature (短信签名).' }),
    templateData: t.field({ type: SmsTemplate, description: "The provider's template." }),
    content: t.string({ description: 'Free text; at most 1,000 characters.' }),
  }),
})

const MailContent = builder.inputType('MailContent', {
  description: 'What the e-mail says.',
  fields: (t) => ({
    title: t.string({ description: 'Subject; without it the first 40 characters of the text.' }),
    content: t.string({ required: true, description: 'HTML; at most 512 KiB. Sent with a text form beside it.' }),
  }),
})

const ChatContent = builder.inputType('ChatContent', {
  description: 'What is posted into the group chat.',
  fields: (t) => ({
    title: t.string({ description: 'Stands above the text; at most 200 characters.' }),
    content: t.string({
      required: true,
      description: 'Plain text or Markdown. How long it may be depends on the robot; at most 20 KiB.',
    }),
    website: t.string({ description: 'Link to details: http(s).' }),
    atMobiles: t.stringList({ description: 'Mobile numbers of members to mention; at most 100.' }),
    atAll: t.boolean({ description: 'Mention everybody in the chat.' }),
  }),
})

const ChannelContent = builder.inputType('ChannelContent', {
  description: 'A content and the channel it is for. Give the one that the channel carries.',
  fields: (t) => ({
    channelId: t.string({ required: true, description: "The channel's id, e.g. `1002`." }),
    site: t.field({ type: SiteContent, description: 'For the inbox channel.' }),
    sms: t.field({ type: SmsContent, description: 'For an SMS channel.' }),
    mail: t.field({ type: MailContent, description: 'For an e-mail channel.' }),
    chat: t.field({ type: ChatContent, description: 'For a group chat.' }),
  }),
})

const receiverAndMore = {
  receiver: { description: 'Whom to reach. Or use `receiverType` and `receiverData` as documented.' },
  receiverType: { description: 'The documented form of `receiver`.' },
  receiverData: {
    description: 'The documented form: lists by `user`, `dept`, `post`, `role`, or accounts by channel id.',
  },
  businessId: { description: 'Your own id, for correlation; at most 128 characters, not unique.' },
  msgType: { description: '`notice` (default) or `reminder`.' },
  senderCode: { description: "The sender's code; its name is looked up." },
  senderName: { description: "The sender's name, when it is to be another." },
  sendTime: {
    description: '`yyyy-MM-dd HH:mm:ss` in the configured zone, or ISO 8601 with offset. None or past: now.',
  },
  expiresAt: {
    description:
      'When nobody is to get it or see it any more, written as `sendTime` is: it leaves the inboxes, and what has not gone out never does. None: it stays.',
  },
  idempotencyKey: {
    description: 'Any text up to 255 characters: the same key and input push once, however often sent.',
  },
  confirmation: {
    description:
      "What `previewPush` gave out for this very push, where the app's guard wants it; good once, for 15 minutes.",
  },
}

export const PushChannelMessageInput = builder.inputType('PushChannelMessageInput', {
  description: 'A message with its contents.',
  fields: (t) => ({
    receiver: t.field({ type: Receiver, ...receiverAndMore.receiver }),
    receiverType: t.field({ type: ReceiverType, ...receiverAndMore.receiverType }),
    receiverData: t.field({ type: 'JSON', ...receiverAndMore.receiverData }),
    channels: t.field({
      type: [ChannelContent],
      description: 'What it says on each channel. Or use `channelData` as documented.',
    }),
    channelData: t.field({ type: 'JSON', description: 'The documented form: contents by channel id.' }),
    priority: t.field({ type: Priority, description: 'How urgent it is.' }),
    businessId: t.string(receiverAndMore.businessId),
    msgType: t.string(receiverAndMore.msgType),
    senderCode: t.string(receiverAndMore.senderCode),
    senderName: t.string(receiverAndMore.senderName),
    sendTime: t.string(receiverAndMore.sendTime),
    expiresAt: t.string(receiverAndMore.expiresAt),
    idempotencyKey: t.string({ ...receiverAndMore.idempotencyKey, validate: { minLength: 1, maxLength: 255 } }),
    confirmation: t.string(receiverAndMore.confirmation),
  }),
})

export const PushTemplateMessageInput = builder.inputType('PushTemplateMessageInput', {
  description: 'A message said by a template.',
  fields: (t) => ({
    receiver: t.field({ type: Receiver, ...receiverAndMore.receiver }),
    receiverType: t.field({ type: ReceiverType, ...receiverAndMore.receiverType }),
    receiverData: t.field({ type: 'JSON', ...receiverAndMore.receiverData }),
    templateCode: t.string({ required: true, description: 'Which template.' }),
    variables: t.field({
      type: [TemplateVariable],
      description: 'Values of its variables. Or use `channelParamData` as documented.',
    }),
    channelParamData: t.field({ type: 'JSON', description: 'The documented form: values by name.' }),
    priority: t.field({ type: Priority, description: 'How urgent it is.' }),
    businessId: t.string(receiverAndMore.businessId),
    msgType: t.string({ description: "`notice` or `reminder`; otherwise the template's own." }),
    senderCode: t.string(receiverAndMore.senderCode),
    senderName: t.string(receiverAndMore.senderName),
    sendTime: t.string(receiverAndMore.sendTime),
    expiresAt: t.string(receiverAndMore.expiresAt),
    idempotencyKey: t.string({ ...receiverAndMore.idempotencyKey, validate: { minLength: 1, maxLength: 255 } }),
    confirmation: t.string(receiverAndMore.confirmation),
  }),
})

type AnyInput = Partial<typeof PushChannelMessageInput.$inferInput> &
  Partial<typeof PushTemplateMessageInput.$inferInput>

/**
 * The documented body that says the same. `templateOf` is the app whose reading of a template's priority applies:
 * the enum means what it says, whatever numbers the app uses over REST.
 */
export function documentedBody(input: AnyInput, templateOf?: App): Record<string, unknown> {
  const { receiver, channels, variables, priority, ...documented } = input
  both(receiver, documented.receiverType ?? documented.receiverData, 'receiver', 'receiverType')
  both(channels, documented.channelData, 'channels', 'channelData')
  both(variables, documented.channelParamData, 'variables', 'channelParamData')
  const isShifted = templateOf !== undefined && templateOf.compat.templatePriority !== '123'
  return {
    ...documented,
    ...(receiver ? documentedReceiver(receiver) : {}),
    ...(channels ? { channelData: documentedChannels(channels) } : {}),
    ...(variables ? { channelParamData: Object.fromEntries(variables.map(({ name, value }) => [name, value])) } : {}),
    ...(priority ? { priority: isShifted ? priority - 1 : priority } : {}),
  }
}

function both(typed: unknown, documented: unknown, name: string, documentedName: string): void {
  if (typed == null || documented == null) return
  throw badInput(name, `不能与 ${documentedName} 同时使用`, `says the same as ${documentedName}: give one of them`)
}

function documentedReceiver({ all, specified, custom }: typeof Receiver.$inferInput) {
  if (all === false) throw badInput('receiver.all', '只能是 true', 'can only be true')
  if (all) return { receiverType: 'all' }
  if (specified) {
    const { users: user, depts: dept, posts: post, roles: role } = specified
    return { receiverType: 'specified', receiverData: { user, dept, post, role } }
  }
  const accounts = (custom ?? []).map(({ channelId, accounts }) => [channelId, accounts] as const)
  checkEachOnce(
    accounts.map(([id]) => id),
    'receiver.custom',
  )
  return { receiverType: 'custom', receiverData: Object.fromEntries(accounts) }
}

function documentedChannels(channels: (typeof ChannelContent.$inferInput)[]) {
  checkEachOnce(
    channels.map(({ channelId }) => channelId),
    'channels',
  )
  return Object.fromEntries(
    channels.map(({ channelId, site, sms, mail, chat }, index) => {
      const given = [site, sms, mail, chat].filter((content) => content != null)
      if (given.length !== 1)
        throw badInput(`channels.${index}`, '只能有一种内容', 'needs exactly one of site, sms, mail and chat')
      return [channelId, given[0]]
    }),
  )
}

function checkEachOnce(ids: string[], path: string): void {
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) throw badInput(path, `渠道 ${twice} 重复`, `names channel ${twice} twice`)
}
