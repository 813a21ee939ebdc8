/** Delivery in GraphQL: what waits, what ended without arriving, and trying that again. */
import { resolveCursorConnection } from '@pothos/plugin-relay'
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import type { DeliveryEvent } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { builder } from '../graphql/builder.ts'
import { forwardOnly, ID, owner, PAGE, readIdCursor } from '../graphql/paging.ts'
import { listEnded, type Delivery } from './deliveries.ts'
import { queueDepth, type QueueLane } from './depth.ts'
import { replay } from './replay.ts'
import { localeOf } from './variants.ts'

/** Ids in one call. */
const IDS_LIMIT = 1_000

const DeliveryStateEnum = builder.enumType('DeliveryState', {
  description: 'Where a delivery is. All but QUEUED and SENDING are final, though a receipt may still correct SENT.',
  values: {
    QUEUED: { value: 'queued', description: 'Waits for its time or its next attempt.' },
    SENDING: { value: 'sending', description: 'With a worker.' },
    SENT: { value: 'sent', description: 'The provider took it.' },
    DELIVERED: { value: 'delivered', description: "The provider's receipt says that it arrived." },
    UNDELIVERED: { value: 'undelivered', description: "The provider's receipt says that it did not arrive." },
    FAILED: { value: 'failed', description: 'The provider refused it for good, or the account is none.' },
    DEAD: { value: 'dead', description: 'All attempts are used up.' },
    SKIPPED: { value: 'skipped', description: 'The person has no address on this channel.' },
    CANCELLED: { value: 'cancelled', description: 'A recall came before it was sent, or stopped further attempts.' },
    EXPIRED: { value: 'expired', description: 'It grew too old before it could be sent.' },
  } as const,
})

export const DeliveryEventRef = builder.objectRef<DeliveryEvent>('DeliveryEvent').implement({
  description: 'One step of a delivery: its making, an attempt, a receipt, a recall, a replay.',
  fields: (t) => ({
    at: t.field({ type: 'DateTime', description: 'When.', resolve: ({ at }) => new Date(at) }),
    state: t.expose('state', { type: DeliveryStateEnum, description: 'Where it led.' }),
    attempt: t.exposeInt('attempt', { description: 'The attempt it belongs to; 0 before the first.' }),
    provider: t.exposeString('provider', { nullable: true, description: 'Who carried it, e.g. `smtp`.' }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why, as a code.' }),
    why: t.exposeString('why', { nullable: true, description: "The provider's own words." }),
  }),
})

export const DeliveryRef = builder.objectRef<Delivery>('Delivery').implement({
  description: 'One recipient on one outbound channel.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The delivery's id, which is also the dedupe key towards the provider." }),
    msgId: t.exposeString('messageId', { description: 'The message it belongs to.' }),
    channelId: t.exposeString('channelId', { description: "The channel's id." }),
    recipient: t.exposeString('recipient', {
      description: "The user's code, or the custom account as it was sent; `*` for a post into a group chat.",
    }),
    locale: t.string({
      nullable: true,
      description: "The language it is in; null: the template's own, or a message without languages.",
      resolve: ({ variant }) => localeOf(variant),
    }),
    state: t.expose('state', { type: DeliveryStateEnum, description: 'Where it is.' }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why it is there, as a code: `NO_ADDRESS`, `INVALID_ACCOUNT`, `THROTTLED`, …',
    }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description: "The provider's own words at the last attempt.",
    }),
    attempts: t.exposeInt('attempts', { description: 'Attempts so far.' }),
    receipt: t.exposeString('receipt', { nullable: true, description: "The provider's id for what it took." }),
    history: t.expose('history', { type: [DeliveryEventRef], description: 'What happened to it, in order.' }),
    dueAt: t.expose('dueAt', { type: 'DateTime', description: 'When it is, or was, to go out next.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    settledAt: t.expose('settledAt', { type: 'DateTime', nullable: true, description: 'When it became final.' }),
  }),
})

const EndedStateEnum = builder.enumType('EndedState', {
  description: 'How a delivery ended without arriving.',
  values: {
    DEAD: { value: 'dead', description: 'All attempts are used up.' },
    FAILED: { value: 'failed', description: 'The provider refused it for good, or the account is none.' },
    EXPIRED: { value: 'expired', description: 'It grew too old before it could be sent.' },
    UNDELIVERED: { value: 'undelivered', description: "The provider's receipt says that it did not arrive." },
  } as const,
})

const EndedFilter = builder.inputType('EndedDeliveriesFilter', {
  description: 'Which deliveries that ended without arriving; an empty filter means all dead ones.',
  fields: (t) => ({
    state: t.field({ type: EndedStateEnum, defaultValue: 'dead', description: 'How they ended.' }),
    channelId: t.string({ description: 'Only those on this channel.' }),
    msgId: t.string({ description: 'Only those of this message.' }),
    reason: t.string({ description: 'Only those with this reason, e.g. `ATTEMPTS_USED_UP`.' }),
    since: t.field({ type: 'DateTime', description: 'Only those that ended then or later.' }),
    until: t.field({ type: 'DateTime', description: 'Only those that ended before then.' }),
  }),
})

type EndedFilterInput = typeof EndedFilter.$inferInput

function endedFilter(filter: EndedFilterInput | null | undefined, appId: string | undefined) {
  checkText(filter, 'filter')
  const { state, msgId, ...rest } = filter ?? {}
  if (msgId != null && !ID.test(msgId)) throw badInput('filter.msgId', '不是消息编号', 'is no msgId')
  return { ...rest, messageId: msgId, state: state ?? ('dead' as const), appId }
}

builder.queryField('endedDeliveries', (t) =>
  t.connection({
    type: DeliveryRef,
    authScopes: { app: true, admin: true },
    description: "Deliveries that ended without arriving, latest first: the app's own, for the admin everybody's.",
    args: { filter: t.arg({ type: EndedFilter, description: 'Which; all dead ones unless told.' }) },
    resolve: (_root, { filter, ...args }, context) => {
      const wanted = endedFilter(filter, owner(context))
      return resolveCursorConnection<Promise<Delivery[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ id }: Delivery) => id },
        ({ after, limit }) => listEnded(context.posthouse.db, wanted, readIdCursor(after), limit),
      )
    },
  }),
)

const ReplayInput = builder.inputType('ReplayDeliveriesInput', {
  description: 'Which ended deliveries to try again: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    ids: t.idList({ description: `These, at most ${IDS_LIMIT}. Those that have not ended are left as they are.` }),
    filter: t.field({ type: EndedFilter, description: 'All that this finds; `{}` means all dead ones.' }),
  }),
})

type Replayed = { replayed: number; isMore: boolean }
const ReplayPayload = builder.objectRef<Replayed>('ReplayDeliveriesPayload').implement({
  description: 'What came of a replay.',
  fields: (t) => ({
    replayed: t.exposeInt('replayed', { description: 'Deliveries that are queued again.' }),
    isMore: t.exposeBoolean('isMore', { description: 'Some that had ended before the call are left: call again.' }),
  }),
})

builder.mutationField('replayDeliveries', (t) =>
  t.field({
    type: ReplayPayload,
    authScopes: { app: true, admin: true },
    description:
      'Tries ended deliveries again, under the same ids, with all their attempts and another day to live. Not those without an address, nor of recalled messages.',
    args: { input: t.arg({ type: ReplayInput, required: true, description: 'Which.' }) },
    resolve: (_root, { input: { ids, filter } }, context) => {
      const appId = owner(context)
      const by = context.viewer.kind === 'admin' ? byOf(context) : undefined
      if (ids == null) return replay(context.posthouse, { filter: endedFilter(filter, appId) }, by)
      if (ids.length > IDS_LIMIT)
        throw badInput('input.ids', `超过上限 ${IDS_LIMIT} 个`, `are more than ${IDS_LIMIT}: send them in parts`)
      const wrong = ids.find((id) => !ID.test(id))
      if (wrong !== undefined) throw badInput('input.ids', '含有无效的编号', 'contains what is no id of a delivery')
      return replay(context.posthouse, { ids, appId }, by)
    },
  }),
)

const Lane = builder.enumType('Lane', {
  description:
    'Deliveries of one priority on a channel. Each lane has a share of the channel that the others leave alone.',
  values: {
    HIGH: { value: 'high', description: 'Messages of high priority (高).' },
    NORMAL: { value: 'normal', description: 'Messages of normal priority (中).' },
    LOW: { value: 'low', description: 'Messages of low priority (低).' },
  } as const,
})

const QueueLaneRef = builder.objectRef<QueueLane>('QueueLane').implement({
  description: 'What waits in one lane of a channel.',
  fields: (t) => ({
    channelId: t.exposeString('channelId', { description: 'The channel.' }),
    lane: t.expose('lane', { type: Lane, description: 'Which lane of it.' }),
    waiting: t.exposeInt('waiting', { description: 'Deliveries with no worker: due, or for another attempt later.' }),
    dueNow: t.exposeInt('dueNow', { description: 'Of those, how many are due.' }),
    inFlight: t.exposeInt('inFlight', { description: 'Deliveries with a worker.' }),
    isAtLeast: t.exposeBoolean('isAtLeast', {
      description:
        'Only 20,000 deliveries of a lane are counted, and it has more: the counts and `oldestSeconds` are at least so much. `oldestDueSeconds` is always exact.',
    }),
    oldestDueSeconds: t.exposeFloat('oldestDueSeconds', {
      description: 'For how many seconds the longest has been due without a worker; 0 when none is due.',
    }),
    oldestSeconds: t.exposeFloat('oldestSeconds', {
      description: 'Age of the oldest that is not finished, those in flight and between attempts included.',
    }),
  }),
})

builder.queryField('queue', (t) =>
  t.field({
    type: [QueueLaneRef],
    authScopes: { admin: true },
    description:
      'What waits to be delivered, by channel and lane; lanes with nothing in them are left out. At most a second old. `/metrics` tells the same.',
    resolve: (_root, _args, { posthouse }) => queueDepth(posthouse.db),
  }),
)
