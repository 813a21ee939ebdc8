/** What a person does to the inbox, in GraphQL. Every mutation is about the inbox of the user who asks. */
import { decodeGlobalID } from '@pothos/plugin-relay'
import { checkText } from '../check.ts'
import { badInput, Refusal } from '../errors.ts'
import { builder, viewerUser, type GraphqlContext } from '../graphql/builder.ts'
import { upToDate } from './broadcast.ts'
import { CountsRef, ItemRef, kindFields, MSG_ID, ownMessageId } from './graphql.ts'
import { itemsByIds, stateOf, type InboxState } from './inbox.ts'
import { archiveAwake, archiveRead, deleteArchived, mark, type Act, type acts, type Which } from './mark.ts'
import { formatRev, readRev } from './rev.ts'
import { sleepUntil } from './clock.ts'

/** Items that one mutation may name. */
const IDS_LIMIT = 500

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
    name: 'unsnoozeItems',
    act: 'unsnoozed',
    description: 'Wakes sleeping items before their time: they are back, unread and unseen.',
  },
  {
    name: 'deleteItems',
    act: 'deleted',
    description: 'Deletes items from this inbox for good. The message itself stays with its sender.',
  },
]

const atMost: [number, { message: string }] = [IDS_LIMIT, { message: `has more than ${IDS_LIMIT} entries` }]
const IDS = {
  required: true as const,
  description: `Global ids or msgIds of items, at most ${IDS_LIMIT}. Ids of nothing, and of others' items, do nothing.`,
  validate: { maxLength: atMost },
}

for (const { name, act, description } of mutations) {
  builder.mutationField(name, (t) =>
    t.field({
      type: MarkPayload,
      authScopes: { user: true },
      description,
      args: {
        ids: t.arg.idList(IDS),
      },
      resolve: (_root, { ids }, context) => {
        return actOn(context, act, { messageIds: messageIdsOf(ids, context) })
      },
    }),
  )
}

/** Days that an item may sleep. */
const LONGEST_SLEEP_DAYS = 366

builder.mutationField('snoozeItems', (t) =>
  t.field({
    type: MarkPayload,
    authScopes: { user: true },
    description: 'Lets items sleep: they leave the inbox, its counts or the archive, and come back unread and unseen.',
    args: {
      ids: t.arg.idList(IDS),
      until: t.arg({
        type: 'DateTime',
        required: true,
        description: 'When they wake: in the future, at most a year ahead.',
      }),
    },
    resolve: (_root, { ids, until }, context) => {
      const ahead = until.getTime() - Date.now()
      if (ahead <= 0) throw badInput('until', '必须是将来的时间', 'is not in the future')
      if (ahead > LONGEST_SLEEP_DAYS * 86_400_000)
        throw badInput('until', '不能晚于一年后', 'is more than a year ahead')
      return actOn(context, sleepUntil(until), { messageIds: messageIdsOf(ids, context) })
    },
  }),
)

async function actOn(context: GraphqlContext, act: keyof typeof acts | Act, which: Which): Promise<Marked> {
  const { posthouse } = context
  const user = viewerUser(context)
  await upToDate(posthouse, user)
  const marked = await mark(posthouse.db, user, act, which)
  if (marked === undefined) throw new Refusal('NOT_FOUND')
  if (marked.changed.length > 0) posthouse.hints.send({ kind: 'inbox', users: [user] })
  return { user, ...marked }
}

function messageIdsOf(ids: readonly string[], context: GraphqlContext): string[] {
  return ids.map((id) => messageIdOf(id, viewerUser(context))).filter((id) => id !== undefined)
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

/** The mutations on everything that was there at a rev. */
const sweeps: { name: string; act: keyof typeof acts | Act; description: string }[] = [
  {
    name: 'markAllSeen',
    act: 'seen',
    description: 'Marks everything as seen that was there at a rev, as when a list of it was opened.',
  },
  {
    name: 'markAllRead',
    act: 'read',
    description: 'Marks everything as read that was there at a rev. What arrives meanwhile stays unread.',
  },
  {
    name: 'archiveAll',
    act: archiveAwake,
    description: 'Puts away what came up to a rev, read or not. What sleeps goes on sleeping.',
  },
  {
    name: 'archiveAllRead',
    act: archiveRead,
    description: 'Puts away what came up to a rev and has been read. What sleeps goes on sleeping.',
  },
  {
    name: 'deleteAllArchived',
    act: deleteArchived,
    description: 'Deletes for good what came up to a rev and is archived.',
  },
]

const InboxKindFilter = builder.inputType('InboxKindFilter', {
  description: 'Items by where they come from and when they came; what is left out does not matter.',
  fields: kindFields,
})

for (const { name, act, description } of sweeps) {
  builder.mutationField(name, (t) =>
    t.field({
      type: MarkPayload,
      authScopes: { user: true },
      description,
      args: {
        upTo: t.arg({
          type: 'Rev',
          required: true,
          description: 'The rev that the person was looking at, from `inboxChanges` or a mutation.',
        }),
        filter: t.arg({ type: InboxKindFilter, description: 'Only these of it.' }),
      },
      resolve: async (_root, { upTo, filter }, context) => {
        checkText(filter, 'filter')
        const state = await stateOf(context.posthouse.db, viewerUser(context))
        // A rev ahead of the inbox, from before the database was set back, is not to reach what comes later.
        const reached = Math.min(readRev(upTo, state, 'upTo'), state?.rev ?? 0)
        return actOn(context, act, { upTo: reached, kind: filter ?? {} })
      },
    }),
  )
}
