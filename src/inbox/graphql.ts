/** The inbox in GraphQL: reading it. Every field is about the inbox of the user who asks. */
import { encodeGlobalID, resolveCursorConnection } from '@pothos/plugin-relay'
import { GraphQLError } from 'graphql'
import { checkText } from '../check.ts'
import { Refusal } from '../errors.ts'
import { builder, nodeId, viewerUser } from '../graphql/builder.ts'
import { upToDate } from './broadcast.ts'
import { countsBy, nothingCounted, type Counts } from './counts.ts'
import { item, page, stateOf, type Item } from './inbox.ts'
import { isSearchable, SEARCH_LIMIT, SEARCHED_ITEMS, WORDS_LIMIT } from './search.ts'

const PAGE = { defaultSize: 20, maxSize: 100 }
export const MSG_ID = /^[0-9a-f]{32}$/

builder.scalarType('Rev', {
  description: 'A position in one inbox. Opaque: keep the last one you got, and pass it as `after` to resume.',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value === 'string') return value
    throw new GraphQLError('Rev is a string')
  },
})

const TypeCounts = builder.objectRef<ReturnType<typeof countsBy>[number]>('InboxTypeCounts').implement({
  description: 'The counts of one type of message.',
  fields: (t) => ({
    msgType: t.exposeString('name', { description: 'The type.' }),
    unread: t.exposeInt('unread', { description: 'Items not read.' }),
    unseen: t.exposeInt('unseen', { description: 'Items not even seen in a list.' }),
  }),
})

const AppCounts = builder.objectRef<ReturnType<typeof countsBy>[number]>('InboxAppCounts').implement({
  description: 'The counts of what one app pushed.',
  fields: (t) => ({
    appId: t.exposeString('name', { description: 'The app.' }),
    unread: t.exposeInt('unread', { description: 'Items not read.' }),
    unseen: t.exposeInt('unseen', { description: 'Items not even seen in a list.' }),
  }),
})

export const CountsRef = builder.objectRef<Counts>('InboxCounts').implement({
  description:
    'What a badge shows. Exact: kept in the same transaction as the items. Archived and sleeping items are in neither.',
  fields: (t) => ({
    unread: t.exposeInt('unread', { description: 'Items not read.' }),
    unseen: t.exposeInt('unseen', { description: 'Items not even seen in a list.' }),
    byMsgType: t.field({
      type: [TypeCounts],
      description: 'The same by type, without those of which nothing counts.',
      resolve: (counts) => countsBy('msgType', counts),
    }),
    byApp: t.field({
      type: [AppCounts],
      description: 'The same by app, without those of which nothing counts.',
      resolve: (counts) => countsBy('appId', counts),
    }),
  }),
})

const ITEM = 'InboxItem'
export const ItemRef = builder.objectRef<Item>(ITEM)
builder.node(ItemRef, {
  description: "One message in one person's inbox.",
  id: nodeId(ITEM, itemKey, 'Global id; what the mutations take.'),
  loadWithoutCache: async (key, { posthouse, viewer }) => {
    const messageId = viewer.kind === 'user' ? ownMessageId(key, viewer.code) : undefined
    if (viewer.kind !== 'user' || messageId === undefined) return null
    return (await item(posthouse.db, viewer.code, messageId)) ?? null
  },
  fields: (t) => ({
    msgId: t.exposeString('messageId', { description: "The message's id, as its sender knows it." }),
    title: t.string({ description: 'One line.', resolve: ({ content }) => content.title }),
    content: t.string({ description: 'HTML, sanitised.', resolve: ({ content }) => content.content }),
    text: t.string({ description: 'The content as plain text.', resolve: ({ content }) => content.text }),
    website: t.string({
      nullable: true,
      description: 'Link to details.',
      resolve: ({ content }) => content.website ?? null,
    }),
    msgType: t.exposeString('msgType', { description: '`notice` or `reminder`.' }),
    priority: t.exposeInt('priority', { description: '3 high, 2 normal, 1 low.' }),
    appId: t.exposeString('appId', { description: 'The app that pushed it.' }),
    businessId: t.exposeString('businessId', {
      nullable: true,
      description: "The app's own id for what this is about.",
    }),
    senderCode: t.exposeString('senderCode', { nullable: true, description: "The sender's code." }),
    senderName: t.exposeString('senderName', { nullable: true, description: "The sender's name." }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it came.' }),
    seenAt: t.expose('seenAt', { type: 'DateTime', nullable: true, description: 'When it was first seen in a list.' }),
    readAt: t.expose('readAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was read; null while unread.',
    }),
    archivedAt: t.expose('archivedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was put away; null while in the inbox.',
    }),
    snoozedUntil: t.expose('snoozedUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'Until when it sleeps, out of the inbox; null while awake.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it will be gone from the inbox by itself; null: never.',
    }),
  }),
})

/** An item's global id. */
export function itemId(item: Pick<Item, 'messageId' | 'userCode'>): string {
  return encodeGlobalID(ITEM, itemKey(item))
}

/** An item's own key in its global id: message and user. */
function itemKey({ messageId, userCode }: Pick<Item, 'messageId' | 'userCode'>): string {
  return `${messageId}:${userCode}`
}

/** The message in an item's key, if the item is this user's: the key of another's item is a key of nothing. */
export function ownMessageId(key: string, user: string): string | undefined {
  const messageId = key.slice(0, 32)
  return MSG_ID.test(messageId) && key === itemKey({ messageId, userCode: user }) ? messageId : undefined
}

type InputFields = Parameters<Parameters<typeof builder.inputType>[1]['fields']>[0]

/** Where items come from and when they came: for pages and for acts on everything. */
export const kindFields = (t: InputFields) => ({
  msgType: t.string({ description: 'Only of this type.' }),
  appId: t.string({ description: 'Only from this app.' }),
  senderCode: t.string({ description: 'Only from this sender.' }),
  since: t.field({ type: 'DateTime', description: 'Only what came then or later.' }),
  until: t.field({ type: 'DateTime', description: 'Only what came before then.' }),
})

const InboxFilter = builder.inputType('InboxFilter', {
  description: 'Which items; what is left out does not matter.',
  fields: (t) => ({
    unread: t.boolean({ description: 'true: only unread ones; false: only read ones.' }),
    archived: t.boolean({ description: 'true: only archived ones; otherwise only those in the inbox.' }),
    snoozed: t.boolean({ description: 'true: only sleeping ones; otherwise only those awake.' }),
    ...kindFields(t),
    search: t.string({
      description:
        `Only what says all of these words, in title or text; spaces part them. Case and full or half width do not matter, ` +
        `nothing is a wildcard, and a word is found inside another. At most ${SEARCH_LIMIT} characters and ${WORDS_LIMIT} words. ` +
        `Looks at the newest ${SEARCHED_ITEMS} items of the inbox, the archived among them, and at none before those.`,
      validate: {
        refine: [isSearchable, { message: `has more than ${SEARCH_LIMIT} characters or ${WORDS_LIMIT} words` }],
      },
    }),
  }),
})

builder.queryField('inbox', (t) =>
  t.connection({
    type: ItemRef,
    authScopes: { user: true },
    description: 'The inbox, newest first. Pages stay put while new items arrive.',
    args: { filter: t.arg({ type: InboxFilter, description: 'Which items.' }) },
    resolve: async (_root, { filter, ...args }, context) => {
      const user = viewerUser(context)
      checkText(filter, 'filter')
      await upToDate(context.posthouse, user)
      return resolveCursorConnection<Promise<Item[]>>(
        { args, ...PAGE, toCursor: ({ createdRev }: Item) => String(createdRev) },
        async (wanted) => {
          const cursors = { after: readCursor(wanted.after, 'after'), before: readCursor(wanted.before, 'before') }
          const found = await page(
            context.posthouse.db,
            user,
            { ...cursors, limit: wanted.limit, fromEnd: wanted.inverted },
            filter ?? {},
          )
          const items = found?.items ?? []
          return wanted.inverted ? items.toReversed() : items
        },
      )
    },
  }),
)

function readCursor(cursor: string | undefined, path: string): number | undefined {
  // An empty page gives the empty cursor.
  if (cursor === undefined || cursor === '') return undefined
  if (!/^\d{1,15}$/.test(cursor)) {
    throw new Refusal('BAD_CURSOR', {
      path,
      zh: '不是有效的游标',
      en: 'is no cursor of this list: use endCursor or startCursor of a page',
    })
  }
  return Number(cursor)
}

builder.queryField('inboxCounts', (t) =>
  t.field({
    type: CountsRef,
    authScopes: { user: true },
    description: 'The counts now.',
    resolve: async (_root, _args, context) => {
      const user = viewerUser(context)
      await upToDate(context.posthouse, user)
      return (await stateOf(context.posthouse.db, user))?.counts ?? nothingCounted
    },
  }),
)
