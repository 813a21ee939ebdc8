/** The live inbox in GraphQL: one stream of changes, as a subscription and as a query for pollers. */
import { Refusal } from '../errors.ts'
import { builder, viewerUser, type GraphqlContext } from '../graphql/builder.ts'
import { CountsRef, ItemRef } from './graphql.ts'
import { changes, SNAPSHOT_ITEMS, type InboxEvent } from './live.ts'

const ItemChangeEnum = builder.enumType('ItemChange', {
  description: 'What happened to an item.',
  values: {
    NEW: { value: 'new', description: 'It is new to this subscriber.' },
    SEEN: { value: 'seen', description: 'It was seen.' },
    READ: { value: 'read', description: 'It was read.' },
    UNREAD: { value: 'unread', description: 'It was marked unread.' },
    ARCHIVED: { value: 'archived', description: 'It was put away.' },
    UNARCHIVED: { value: 'unarchived', description: 'It was taken back.' },
    DELETED: { value: 'deleted', description: 'It was deleted.' },
  } as const,
})

type EventOf<Type extends InboxEvent['type']> = Extract<InboxEvent, { type: Type }>

const Snapshot = builder.objectRef<EventOf<'InboxSnapshot'>>('InboxSnapshot').implement({
  description: 'The inbox as it stands: start from here and forget what you had.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    counts: t.field({ type: CountsRef, description: 'The counts at this rev.', resolve: ({ state }) => state.counts }),
    items: t.expose('items', { type: [ItemRef], description: `The newest ${SNAPSHOT_ITEMS} items; page on with \`inbox\`.` }),
    hasMore: t.exposeBoolean('hasMore', { description: 'Whether there are older ones.' }),
  }),
})

const Changed = builder.objectRef<EventOf<'ItemChanged'>>('ItemChanged').implement({
  description: 'An item is new or changed. Several changes in quick succession may come as one: the item is as it stands.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    change: t.field({ type: ItemChangeEnum, description: 'What happened to it last.', resolve: ({ item, isNew }) => (isNew ? 'new' : item.change) }),
    counts: t.field({ type: CountsRef, description: 'The counts now.', resolve: ({ state }) => state.counts }),
    item: t.expose('item', { type: ItemRef, description: 'The item as it stands.' }),
  }),
})

const GoneReason = builder.enumType('ItemGoneReason', {
  description: 'Why an item left the inbox for good.',
  values: { DELETED: { value: 'deleted', description: 'The person deleted it.' } } as const,
})

const Gone = builder.objectRef<EventOf<'ItemGone'>>('ItemGone').implement({
  description: 'An item left the inbox for good.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    itemId: t.globalID({
      description: "The item's global id.",
      resolve: ({ messageId, userCode }) => ({ type: 'InboxItem', id: `${messageId}:${userCode}` }),
    }),
    reason: t.expose('reason', { type: GoneReason, description: 'Why.' }),
    counts: t.field({ type: CountsRef, description: 'The counts now.', resolve: ({ state }) => state.counts }),
  }),
})

const LagReason = builder.enumType('InboxLagReason', {
  description: 'Why a subscriber has to start anew.',
  values: {
    TOO_FAR_BEHIND: { value: 'tooFarBehind', description: 'Too much has changed since to send it one by one.' },
    AHEAD: { value: 'ahead', description: 'The rev is ahead of the inbox: the database was set back to an older state.' },
  } as const,
})

const Lagged = builder.objectRef<EventOf<'InboxLagged'>>('InboxLagged').implement({
  description: 'Resuming is not possible; a snapshot follows.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Where the subscriber stood, or the inbox stands.' }),
    reason: t.expose('why', { type: LagReason, description: 'Why.' }),
  }),
})

const CaughtUp = builder.objectRef<EventOf<'InboxCaughtUp'>>('InboxCaughtUp').implement({
  description: 'Everything up to here has been said; what follows is live.',
  fields: (t) => ({ rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }) }),
})

const InboxChange = builder.unionType('InboxChange', {
  description: 'What a subscriber is told. Every kind carries the rev to resume after.',
  types: [Snapshot, Changed, Gone, Lagged, CaughtUp],
  resolveType: ({ type }) => type,
})

const after = 'The last rev you got. Without it: a snapshot first. Of another inbox: BAD_CURSOR.'

builder.queryField('inboxChanges', (t) =>
  t.field({
    type: [InboxChange],
    authScopes: { user: true },
    description: 'The same as the subscription, for pollers: everything up to now, ending with `InboxCaughtUp`.',
    args: { after: t.arg({ type: 'Rev', description: after }) },
    resolve: (_root, args, context) => Array.fromAsync(changes(context.posthouse.db, viewerUser(context), args.after ?? undefined)),
  }),
)

builder.subscriptionField('inboxChanges', (t) =>
  t.field({
    type: InboxChange,
    authScopes: { user: true },
    description: 'Everything that happens in the inbox, each thing once, in order and without a gap, across disconnects.',
    args: { after: t.arg({ type: 'Rev', description: after }) },
    subscribe: (_root, args, context) => watch(context, viewerUser(context), args.after ?? undefined),
    resolve: (event) => event as InboxEvent,
  }),
)

/**
 * The changes of a user's inbox until the subscriber leaves or the token ends.
 * Not a generator itself: `return` on one that waits for the bell would wait as well, and never let go of it.
 */
function watch({ posthouse, viewer }: GraphqlContext, user: string, from: string | undefined): AsyncIterableIterator<InboxEvent> {
  const bell = posthouse.live.watch(user)
  const expiresAt = viewer.kind === 'user' ? viewer.expiresAt.getTime() : 0
  let hasExpired = false
  const end = setTimeout(
    () => {
      hasExpired = true
      bell.close()
    },
    Math.max(0, expiresAt - Date.now()),
  )
  const leave = () => {
    clearTimeout(end)
    bell.close()
  }
  async function* run() {
    try {
      yield* changes(posthouse.db, user, from, bell)
    } finally {
      leave()
    }
    if (hasExpired) throw new Refusal('UNAUTHENTICATED', { path: 'token', zh: '令牌已过期', en: 'has expired: subscribe again with a new one' })
  }
  const events = run()
  return {
    next: () => events.next(),
    async return() {
      leave()
      return events.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
