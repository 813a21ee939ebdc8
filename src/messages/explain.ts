/** Why somebody did or did not get a message: one finding a channel, as data and as a sentence in both languages. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { DeliveryEvent } from '../db/tables.ts'
import type { ContentKind } from '../delivery/content.ts'
import { deliveriesTo, type Delivery } from '../delivery/deliveries.ts'
import { localeOf } from '../delivery/variants.ts'
import { accounts, reaches } from '../directory/audience.ts'
import { sentences, type FindingCode, type Said } from './findings.ts'
import { channelStatus, type Message } from './messages.ts'

export type Finding = {
  channelId: string
  code: FindingCode
  /** The delivery's reason, where there is a delivery. */
  reason: string | null
  zh: string
  en: string
  history: DeliveryEvent[]
  /** What it says to this person there. Null: it has not become his. */
  said: SaidTo | null
}

/** `locale` null: the template's own language, or a message without languages. */
export type SaidTo = { locale: string | null; content: Record<string, unknown> }

/** One finding for each channel of the message: a delivery's own state decides, then the item's, then the message's and the directory's. `user`: a user's code, or a custom account as it was written. */
export async function explain(db: Db, message: Message, user: string): Promise<Finding[]> {
  const channels = await channelStatus(db, message.id)
  const isCustom = message.receiverType === 'custom'
  const found = await deliveriesTo(db, message.id, user, isCustom)
  const deliveries = new Map(found.map((one) => [one.channelId, one]))
  // An account on the site channel may be a phone; the item is its owner's.
  const owner = (isCustom ? (await accounts(db, 'site', [user])).resolved[0]?.userCode : undefined) ?? user
  const findings: Finding[] = []
  for (const { channelId, kind } of channels) {
    const delivery = deliveries.get(channelId)
    const told =
      delivery !== undefined
        ? ofDelivery(delivery)
        : kind === 'chat'
          ? { code: 'POSTED_TO_GROUP' as const }
          : ((kind === 'site' ? await ofItem(db, message, owner) : undefined) ??
            (await ofNothing(db, message, channelId, kind, kind === 'site' ? owner : user)))
    const said = await saidTo(db, message.id, channelId, kind, delivery?.id, owner)
    findings.push({ ...finding(channelId, user, told, delivery), said })
  }
  return findings
}

async function saidTo(
  db: Db,
  messageId: string,
  channelId: string,
  kind: ContentKind,
  deliveryId: string | undefined,
  owner: string,
): Promise<SaidTo | null> {
  if (deliveryId === undefined && kind !== 'site') return null
  const his =
    deliveryId === undefined
      ? sql`select variant from items where user_code = ${owner} and message_id = ${messageId}`
      : sql`select variant from deliveries where id = ${deliveryId}`
  const [said] = await query<{ variant: string | null; content: Record<string, unknown> }>(
    db,
    sql`
      select his.variant, coalesce(variants.content, contents.content) as content
      from (${his}) as his
      join contents on contents.message_id = ${messageId} and contents.channel_id = ${channelId}
      left join variants on variants.message_id = contents.message_id and variants.channel_id = contents.channel_id
        and variants.variant = his.variant`,
  )
  return said === undefined ? null : { locale: localeOf(said.variant), content: said.content }
}

type Found = { code: FindingCode; at?: Date | null }

function finding(channelId: string, user: string, { code, at }: Found, delivery?: Delivery): Omit<Finding, 'said'> {
  const said: Said = {
    user,
    channel: channelId,
    at: (at ?? delivery?.settledAt ?? delivery?.dueAt ?? delivery?.createdAt)?.toISOString() ?? '',
    words: delivery?.lastError ?? '',
    attempts: delivery?.attempts ?? 0,
    reason: delivery?.reason ?? '',
  }
  const { zh, en } = sentences[code]
  return {
    channelId,
    code,
    reason: delivery?.reason ?? null,
    zh: zh(said),
    en: en(said),
    history: delivery?.history ?? [],
  }
}

/** What a delivery's state says; reasons that say more have a finding of their own. */
const BY_STATE: Record<Delivery['state'], FindingCode> = {
  queued: 'WAITING',
  sending: 'SENDING',
  sent: 'SENT',
  delivered: 'DELIVERED',
  undelivered: 'UNDELIVERED',
  failed: 'REFUSED',
  dead: 'GAVE_UP',
  skipped: 'SKIPPED',
  cancelled: 'CANCELLED',
  expired: 'TOO_OLD',
}
const BY_REASON: Record<string, FindingCode> = {
  NO_ADDRESS: 'NO_ADDRESS',
  INVALID_ACCOUNT: 'INVALID_ACCOUNT',
  UNFIT: 'UNFIT',
  NO_CHANNEL: 'NO_CHANNEL',
  MAY_HAVE_GONE_OUT: 'MAY_HAVE_GONE_OUT',
  OPTED_OUT: 'OPTED_OUT',
}
/** What they made it wait for is over once a worker has it again. */
const BY_QUIET_HOURS: Partial<Record<Delivery['state'], FindingCode>> = {
  queued: 'QUIET_HOURS',
  expired: 'OVER_IN_QUIET_HOURS',
}

function ofDelivery({ state, reason }: Delivery): Found {
  const quiet = reason === 'QUIET_HOURS' ? BY_QUIET_HOURS[state] : undefined
  if (quiet !== undefined) return { code: quiet }
  return { code: BY_REASON[reason ?? ''] ?? BY_STATE[state] }
}

/** Why an item is gone, by its last change; otherwise the person deleted it. */
const GONE_BY: Record<string, FindingCode> = { recalled: 'RECALLED', expired: 'EXPIRED' }

type ItemRow = { change: string; createdAt: Date; readAt: Date | null; deletedAt: Date | null }
type BroadcastRow = { isRecalled: boolean; isExpired: boolean; isBefore: boolean | null }

async function ofItem(db: Db, message: Message, user: string): Promise<Found | undefined> {
  const [item] = await query<ItemRow>(
    db,
    sql`
      select change, created_at as "createdAt", read_at as "readAt", deleted_at as "deletedAt"
      from items where user_code = ${user} and message_id = ${message.id}`,
  )
  if (item?.deletedAt) return { code: GONE_BY[item.change] ?? 'DELETED_BY_USER', at: item.deletedAt }
  if (item !== undefined)
    return item.readAt ? { code: 'READ', at: item.readAt } : { code: 'IN_INBOX', at: item.createdAt }
  const [broadcast] = await query<BroadcastRow>(
    db,
    sql`
      select broadcasts.recalled_at is not null as "isRecalled",
        coalesce(broadcasts.expires_at <= now(), false) as "isExpired", users.created_at < broadcasts.created_at as "isBefore"
      from broadcasts left join users on users.code = ${user} and users.enabled
      where broadcasts.message_id = ${message.id}`,
  )
  if (broadcast === undefined || broadcast.isBefore === null) return undefined
  if (!broadcast.isBefore) return { code: 'JOINED_LATER' }
  if (broadcast.isRecalled) return { code: 'BROADCAST_RECALLED' }
  return broadcast.isExpired ? { code: 'EXPIRED_BEFORE', at: message.expiresAt } : { code: 'WAITS_FOR_LOOK' }
}

/** Neither an item nor a delivery: the message has not got there, or never meant this person. */
async function ofNothing(
  db: Db,
  message: Message,
  channelId: string,
  kind: 'site' | 'sms' | 'mail',
  user: string,
): Promise<Found> {
  if (message.state === 'scheduled') return { code: 'SCHEDULED', at: message.dueAt }
  const [person] = await query<{ enabled: boolean }>(db, sql`select enabled from users where code = ${user}`)
  if (message.receiverType !== 'custom' && person === undefined) return { code: 'UNKNOWN_USER' }
  if (message.receiverType !== 'custom' && person?.enabled === false) return { code: 'DISABLED_USER' }
  if (!(await isMeantToday(db, message, channelId, kind, user))) return { code: 'NOT_IN_AUDIENCE' }
  if (message.expiresAt !== null && message.expiresAt <= new Date())
    return { code: 'EXPIRED_BEFORE', at: message.expiresAt }
  if (message.state === 'fanned_out' || isPassed(message, user)) return { code: 'ADDED_LATER' }
  if (message.state === 'fanning_out') return { code: 'STILL_FANNING_OUT' }
  return { code: message.state === 'failed' ? 'FAN_OUT_FAILED' : 'RECALLED_BEFORE' }
}

/** Whether fan-out had gone past this person. A recall of what was fanned out puts the cursor beyond everybody. */
function isPassed({ cursor }: Message, user: string): boolean {
  // In byte order, as the pages of users.
  return Buffer.compare(Buffer.from(user), Buffer.from(cursor)) <= 0
}

async function isMeantToday(
  db: Db,
  { appId, receiverType, receiver }: Message,
  channelId: string,
  kind: 'site' | 'sms' | 'mail',
  user: string,
): Promise<boolean> {
  if (receiverType === 'all') return true
  if (receiverType === 'custom') {
    const { resolved } = await accounts(db, kind, receiver[channelId] ?? [])
    // Compared by what they mean: there are many ways to write a phone number.
    const [asked] = (await accounts(db, kind, [user])).resolved
    if (asked === undefined) return false
    return resolved.some(({ userCode, address }) =>
      kind === 'site' ? userCode === asked.userCode : address === asked.address,
    )
  }
  const [app] = await query<{ descendants: boolean }>(
    db,
    sql`
      select coalesce((compat->>'deptIncludesDescendants')::boolean, true) as descendants
      from apps where id = ${appId}`,
  )
  return reaches(db, receiver, user, app?.descendants ?? true)
}
