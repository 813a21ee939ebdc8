/** The inbox in GraphQL: reading it and acting on it. Every field is about the inbox of the user who asks. */
import { decodeGlobalID, resolveCursorConnection } from '@pothos/plugin-relay'
import { GraphQLError } from 'graphql'
import { checkText } from '../check.ts'
import { Refusal } from '../errors.ts'
import { builder, viewerUser, type GraphqlContext } from '../graphql/builder.ts'
import { upToDate } from './broadcast.ts'
import { countsBy, nothingCounted, type Counts } from './counts.ts'
import { item, itemsByIds, page, stateOf, type InboxState, type Item } from './inbox.ts'
import { mark, type acts, type Which } from './mark.ts'
import { formatRev, readRev } from './rev.ts'
import { isSearchable, SEARCH_LIMIT, SEARCHED_ITEMS, WORDS_LIMIT } from './search.ts'

const PAGE = { defaultSize: 20, maxSize: 100 }
/** Items that one mutation may name. */
const IDS_LIMIT = 500
const MSG_ID = /^[0-9a-f]{32}$/

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
  description: 'What a badge shows. Exact: kept in the same transaction as the items. Archived items are in neither.',
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

export const ItemRef = builder.objectRef<Item>('InboxItem')
builder.node(ItemRef, {
  description: "One message in one person's inbox.",
  id: { resolve: itemKey, description: 'Global id; what the mutations take.' },
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
  }),
})

/** An item's own key in its global id: message and user. */
export function itemKey({ messageId, userCode }: Pick<Item, 'messageId' | 'userCode'>): string {
  return `${messageId}:${userCode}`
}

/** The message in an item's key, if the item is this user's: the key of another's item is a key of nothing. */
function ownMessageId(key: string, user: string): string | undefined {
  const messageId = key.slice(0, 32)
  return MSG_ID.test(messageId) && key === itemKey({ messageId, userCode: user }) ? messageId : undefined
}

const InboxFilter = builder.inputType('InboxFilter', {
  description: 'Which items; what is left out does not matter.',
  fields: (t) => ({
    unread: t.boolean({ description: 'true: only unread ones; false: only read ones.' }),
    archived: t.boolean({ description: 'true: only archived ones; otherwise only those in the inbox.' }),
    msgType: t.string({ description: 'Only of this type.' }),
    appId: t.string({ description: 'Only from this app.' }),
    senderCode: t.string({ description: 'Only from this sender.' }),
    since: t.field({ type: 'DateTime', description: 'Only what came then or later.' }),
    until: t.field({ type: 'DateTime', description: 'Only what came before then.' }),
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

type Marked = { user: string; state: InboxState; changed: string[] }
const MarkPayload = builder.objectRef<Marked>('MarkItemsPayload').implement({
  description: 'What came of acting on items.',
  fields: (t) => ({
    counts: t.field({ type: CountsRef, description: 'The counts afterwards.', resolve: ({ state }) => state.counts }),
    rev: t.field({
      type: 'Rev',
      description: "The inbox's rev afterwards.",
      resolve: ({ state }) => formatRev(state, state.rev),
    }),
    items: t.field({
      type: [ItemRef],
      description: `The items that changed, newest first, at most ${IDS_LIMIT}. Those that were so already are not among them.`,
      resolve: ({ user, changed }, _args, { posthouse }) => itemsByIds(posthouse.db, user, changed, IDS_LIMIT),
    }),
  }),
})

/** The mutations on items: all are immediate, do nothing twice, and reach the person's other devices. */
const mutations: { name: string; act: keyof typeof acts; description: string }[] = [
  { name: 'markItemsSeen', act: 'seen', description: 'Marks items as seen in a list: they leave `unseen`.' },
  { name: 'markItemsRead', act: 'read', description: 'Marks items as read, and seen.' },
  { name: 'markItemsUnread', act: 'unread', description: 'Marks items as unread again.' },
  { name: 'archiveItems', act: 'archived', description: 'Puts items away: they leave the inbox and its counts.' },
  { name: 'unarchiveItems', act: 'unarchived', description: 'Takes items back into the inbox.' },
  {
    name: 'deleteItems',
    act: 'deleted',
    description: 'Deletes items from this inbox for good. The message itself stays with its sender.',
  },
]

for (const { name, act, description } of mutations) {
  builder.mutationField(name, (t) =>
    t.field({
      type: MarkPayload,
      authScopes: { user: true },
      description,
      args: {
        ids: t.arg.idList({
          required: true,
          description: `Global ids or msgIds of items, at most ${IDS_LIMIT}. Ids of nothing, and of others' items, do nothing.`,
          validate: { maxLength: [IDS_LIMIT, { message: `has more than ${IDS_LIMIT} entries` }] },
        }),
      },
      resolve: (_root, { ids }, context) => {
        const messageIds = ids.map((id) => messageIdOf(id, viewerUser(context))).filter((id) => id !== undefined)
        return actOn(context, act, { messageIds })
      },
    }),
  )
}

async function actOn(context: GraphqlContext, act: keyof typeof acts, which: Which): Promise<Marked> {
  const { posthouse } = context
  const user = viewerUser(context)
  await upToDate(posthouse, user)
  const marked = await mark(posthouse.db, user, act, which)
  if (marked === undefined) throw new Refusal('NOT_FOUND')
  if (marked.changed.length > 0) posthouse.hints.send({ kind: 'inbox', users: [user] })
  return { user, ...marked }
}

/** The message that a `msgId`, or the global id of an item of this user, names; undefined for an id of nothing. */
function messageIdOf(id: string, user: string): string | undefined {
  if (MSG_ID.test(id)) return id
  try {
    const { typename, id: key } = decodeGlobalID(id)
    return typename === 'InboxItem' ? ownMessageId(key, user) : undefined
  } catch {
    return undefined
  }
}

builder.mutationField('markAllRead', (t) =>
  t.field({
    type: MarkPayload,
    authScopes: { user: true },
    description: 'Marks everything as read that was there at a rev. What arrives meanwhile stays unread.',
    args: {
      upTo: t.arg({
        type: 'Rev',
        required: true,
        description: 'The rev that the person was looking at, from `inboxChanges` or a mutation.',
      }),
    },
    resolve: async (_root, { upTo }, context) => {
      const state = await stateOf(context.posthouse.db, viewerUser(context))
      // A rev ahead of the inbox, from before the database was set back, is not to reach what comes later.
      return actOn(context, 'read', { upTo: Math.min(readRev(upTo, state, 'upTo'), state?.rev ?? 0) })
    },
  }),
)
