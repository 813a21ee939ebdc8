/** Why somebody did or did not get a message: one finding a channel, as data and as a sentence in both languages. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../db/client.ts'
import type { DeliveryEvent } from '../db/tables.ts'
import { deliveriesTo, type Delivery } from '../delivery/deliveries.ts'
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
}

/** One finding for each channel of the message: a delivery's own state decides, then the item's, then the message's and the directory's. `user`: a user's code, or a custom account as it was written. */
export async function explain(db: Db, message: Message, user: string): Promise<Finding[]> {
  const channels = await channelStatus(db, message.id)
  const deliveries = new Map((await deliveriesTo(db, message.id, user)).map((one) => [one.channelId, one]))
  const findings: Finding[] = []
  for (const { channelId, kind } of channels) {
    const delivery = deliveries.get(channelId)
    const found =
      delivery !== undefined
        ? ofDelivery(delivery)
        : kind === 'chat'
          ? { code: 'POSTED_TO_GROUP' as const }
          : ((kind === 'site' ? await ofItem(db, message, user) : undefined) ??
            (await ofNothing(db, message, channelId, kind, user)))
    findings.push(finding(channelId, user, found, delivery))
  }
  return findings
}

type Found = { code: FindingCode; at?: Date | null }

function finding(channelId: string, user: string, { code, at }: Found, delivery?: Delivery): Finding {
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
  MAY_HAVE_GONE_OUT: 'MAY_HAVE_GONE_OUT',
}

function ofDelivery({ state, reason }: Delivery): Found {
  return { code: BY_REASON[reason ?? ''] ?? BY_STATE[state] }
}

type ItemRow = { change: string; createdAt: Date; readAt: Date | null; deletedAt: Date | null }
type BroadcastRow = { isRecalled: boolean; isBefore: boolean | null }

async function ofItem(db: Db, message: Message, user: string): Promise<Found | undefined> {
  const [item] = await query<ItemRow>(
    db,
    sql`
      select change, created_at as "createdAt", read_at as "readAt", deleted_at as "deletedAt"
      from items where user_code = ${user} and message_id = ${message.id}`,
  )
  if (item?.deletedAt) return { code: item.change === 'recalled' ? 'RECALLED' : 'DELETED_BY_USER', at: item.deletedAt }
  if (item !== undefined)
    return item.readAt ? { code: 'READ', at: item.readAt } : { code: 'IN_INBOX', at: item.createdAt }
  const [broadcast] = await query<BroadcastRow>(
    db,
    sql`
      select broadcasts.recalled_at is not null as "isRecalled", users.created_at < broadcasts.created_at as "isBefore"
      from broadcasts left join users on users.code = ${user} and users.enabled
      where broadcasts.message_id = ${message.id}`,
  )
  if (broadcast === undefined || broadcast.isBefore === null) return undefined
  if (!broadcast.isBefore) return { code: 'JOINED_LATER' }
  return { code: broadcast.isRecalled ? 'BROADCAST_RECALLED' : 'WAITS_FOR_LOOK' }
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
  if (message.state === 'fanning_out') return { code: 'STILL_FANNING_OUT' }
  return { code: message.recalledAt === null ? 'ADDED_LATER' : 'RECALLED_BEFORE' }
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
    return resolved.some(({ account, userCode }) => account === user || userCode === user)
  }
  const [app] = await query<{ descendants: boolean }>(
    db,
    sql`
      select coalesce((compat->>'deptIncludesDescendants')::boolean, true) as descendants
      from apps where id = ${appId}`,
  )
  return reaches(db, receiver, user, app?.descendants ?? true)
}
