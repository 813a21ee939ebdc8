/** The live inbox in GraphQL: one stream of changes, as a subscription and as a query for pollers. */
import { Refusal } from '../errors.ts'
import { builder, viewerUser, type GraphqlContext } from '../graphql/builder.ts'
import { atEnd } from '../graphql/expiry.ts'
import type { InboxEvent } from './events.ts'
import { CountsRef, itemId, ItemRef } from './graphql.ts'
import type { Marks } from './since.ts'
import { changes, patiently, position, SNAPSHOT_ITEMS } from './live.ts'

const ItemChangeEnum = builder.enumType('ItemChange', {
  description: 'What happened to an item.',
  values: {
    NEW: {
      value: 'new',
      description: 'It came. If more happened to it meanwhile, the item shows that already and another event follows.',
    },
    SEEN: { value: 'seen', description: 'It was seen.' },
    READ: { value: 'read', description: 'It was read.' },
    UNREAD: { value: 'unread', description: 'It was marked unread.' },
    ARCHIVED: { value: 'archived', description: 'It was put away.' },
    UNARCHIVED: { value: 'unarchived', description: 'It was taken back.' },
    SNOOZED: {
      value: 'snoozed',
      description: 'It sleeps until `snoozedUntil`, out of the inbox, also if it was archived.',
    },
    WOKEN: { value: 'woken', description: 'It is back, unread and unseen.' },
    DELETED: { value: 'deleted', description: 'It was deleted.' },
    RECALLED: { value: 'recalled', description: 'Its sender took it back.' },
    EXPIRED: { value: 'expired', description: 'Its `expiresAt` came.' },
  } as const,
})

type EventOf<Type extends InboxEvent['type']> = Extract<InboxEvent, { type: Type }>

const Snapshot = builder.objectRef<EventOf<'InboxSnapshot'>>('InboxSnapshot').implement({
  description: 'The inbox as it stands: start from here and forget what you had.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    counts: t.field({ type: CountsRef, description: 'The counts at this rev.', resolve: ({ state }) => state.counts }),
    items: t.expose('items', {
      type: [ItemRef],
      description: `The newest ${SNAPSHOT_ITEMS} items; page on with \`inbox\`.`,
    }),
    hasMore: t.exposeBoolean('hasMore', { description: 'Whether there are older ones.' }),
  }),
})

const Changed = builder.objectRef<EventOf<'ItemChanged'>>('ItemChanged').implement({
  description:
    'An item is new or changed. Several changes in quick succession may come as one, but an item always comes as new first.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    change: t.field({
      type: ItemChangeEnum,
      description: 'What happened to it last.',
      resolve: ({ item }) => (item.isNew ? 'new' : item.change),
    }),
    counts: t.field({ type: CountsRef, description: 'The counts now.', resolve: ({ state }) => state.counts }),
    item: t.expose('item', { type: ItemRef, description: 'The item as it stands.' }),
  }),
})

const MarksRef = builder.objectRef<Marks>('InboxItemMarks').implement({
  description: 'How an item stands with its person.',
  fields: (t) => ({
    id: t.id({ description: "The item's global id.", resolve: (marks) => itemId(marks) }),
    seenAt: t.expose('seenAt', { type: 'DateTime', nullable: true, description: 'As `InboxItem` has it.' }),
    readAt: t.expose('readAt', { type: 'DateTime', nullable: true, description: 'As `InboxItem` has it.' }),
    archivedAt: t.expose('archivedAt', { type: 'DateTime', nullable: true, description: 'As `InboxItem` has it.' }),
    snoozedUntil: t.expose('snoozedUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'As `InboxItem` has it.',
    }),
  }),
})

const ItemsChanged = builder.objectRef<EventOf<'ItemsChanged'>>('ItemsChanged').implement({
  description:
    'Several items changed by one act; also several that are gone. The same happened to each, at the same time.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    change: t.field({
      type: ItemChangeEnum,
      description: 'What happened to them.',
      resolve: ({ change }) => change.change,
    }),
    itemIds: t.idList({
      description: 'Their global ids, newest first.',
      resolve: ({ change: { userCode, messageIds } }) => messageIds.map((messageId) => itemId({ messageId, userCode })),
    }),
    marks: t.field({
      type: [MarksRef],
      description:
        'How each of them stands now; none once they are gone. Set these: whoever was away has not heard what happened to some of them before, and `change` is only what happened last.',
      resolve: ({ change }) => change.marks,
    }),
    counts: t.field({ type: CountsRef, description: 'The counts now.', resolve: ({ state }) => state.counts }),
  }),
})

const GoneReason = builder.enumType('ItemGoneReason', {
  description: 'Why an item left the inbox for good.',
  values: {
    DELETED: { value: 'deleted', description: 'The person deleted it.' },
    RECALLED: { value: 'recalled', description: 'Its sender took it back.' },
    EXPIRED: { value: 'expired', description: 'Its `expiresAt` came.' },
  } as const,
})

const Gone = builder.objectRef<EventOf<'ItemGone'>>('ItemGone').implement({
  description: 'An item left the inbox for good.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }),
    itemId: t.id({ description: "The item's global id.", resolve: ({ item }) => itemId(item) }),
    reason: t.expose('reason', { type: GoneReason, description: 'Why.' }),
    counts: t.field({ type: CountsRef, description: 'The counts now.', resolve: ({ state }) => state.counts }),
  }),
})

const LagReason = builder.enumType('InboxLagReason', {
  description: 'Why a subscriber has to start anew.',
  values: {
    TOO_FAR_BEHIND: { value: 'tooFarBehind', description: 'Too much has changed since to send it one by one.' },
    AHEAD: {
      value: 'ahead',
      description: 'The rev is ahead of the inbox: the database was set back to an older state.',
    },
  } as const,
})

const Lagged = builder.objectRef<EventOf<'InboxLagged'>>('InboxLagged').implement({
  description: 'Resuming is not possible; a snapshot follows.',
  fields: (t) => ({
    rev: t.expose('rev', { type: 'Rev', description: 'Where the subscriber stood.' }),
    lagReason: t.expose('why', { type: LagReason, description: 'Why.' }),
  }),
})

const CaughtUp = builder.objectRef<EventOf<'InboxCaughtUp'>>('InboxCaughtUp').implement({
  description: 'Everything up to here has been said; what follows is live.',
  fields: (t) => ({ rev: t.expose('rev', { type: 'Rev', description: 'Resume after this.' }) }),
})

const InboxChange = builder.unionType('InboxChange', {
  description: 'What a subscriber is told. Every kind carries the rev to resume after.',
  types: [Snapshot, Changed, ItemsChanged, Gone, Lagged, CaughtUp],
  resolveType: ({ type }) => type,
})

const after = 'The last rev you got. Without it: a snapshot first. Of another inbox: BAD_CURSOR.'

builder.queryField('inboxChanges', (t) =>
  t.field({
    type: [InboxChange],
    authScopes: { user: true },
    description: 'The same as the subscription, for pollers: everything up to now, ending with `InboxCaughtUp`.',
    args: { after: t.arg({ type: 'Rev', description: after }) },
    resolve: async (_root, args, context) => {
      const user = viewerUser(context)
      return Array.fromAsync(changes(context.posthouse, user, await position(context.posthouse, user, args.after)))
    },
  }),
)

builder.subscriptionField('inboxChanges', (t) =>
  t.field({
    type: InboxChange,
    authScopes: { user: true },
    description:
      'Everything that happens in the inbox, each thing once, in order and without a gap, across disconnects.',
    args: { after: t.arg({ type: 'Rev', description: after }) },
    subscribe: async (_root, args, context) => {
      const user = viewerUser(context)
      // An operation that is refused is not asked for again by clients: one that comes back during an outage waits it out.
      const { posthouse, handover } = context
      const reached = handover?.from ?? (await patiently(() => position(posthouse, user, args.after)))
      return watch(context, user, reached)
    },
    resolve: (event) => event,
  }),
)

/**
 * The changes of a user's inbox until the subscriber leaves, the token ends, or the person may not stay. The bell hangs from the first `next` on,
 * so that a stream nobody begins to read leaves none behind.
 * With a handover the bell outlives it: the socket leaves who goes on, and ends as the token and the person do.
 * Not a generator itself: `return` on one that waits for the bell would wait as well, and never let go of it.
 */
function watch(
  { posthouse, viewer, handover }: GraphqlContext,
  user: string,
  reached: number | undefined,
): AsyncIterableIterator<InboxEvent> {
  let leave = () => {}
  async function* run() {
    const bell = posthouse.live.watch(user)
    let mustLeave = false
    const shut = () => {
      mustLeave = true
      bell.close()
    }
    const cancels = viewer.kind === 'user' ? [atEnd(viewer, shut), posthouse.live.guests.enter(viewer, shut)] : []
    const cancel = () => {
      for (const one of cancels) one()
    }
    leave = () => {
      cancel()
      bell.close()
    }
    try {
      yield* changes(posthouse, user, reached, bell, handover)
    } finally {
      if (handover?.follow) cancel()
      else leave()
    }
    if (mustLeave)
      throw new Refusal('UNAUTHENTICATED', {
        path: 'token',
        zh: '令牌已过期或已失效',
        en: 'has expired or is not good any more: subscribe again with a new one',
      })
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
