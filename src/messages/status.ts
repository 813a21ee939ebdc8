/** What became of a message, told to the app that pushed it. */
import { z } from 'zod'
import { check, rule } from '../check.ts'
import type { Db } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Named } from './input.ts'
import { channelStatus, findMessage, listMessages, type Message } from './messages.ts'
import { toldOf } from './recalled.ts'
import { formatPlace, readPlace, recipientsAfter, type Place } from './recipients.ts'

/** Messages told of at once when one `businessId` stands for many. */
const MESSAGES_LIMIT = 20
const RECIPIENTS = { default: 100, most: 500 }
const MSG_ID = /^[0-9a-f]{32}$/

/**
 * The messages of this app (of any, when it is undefined) that are meant, newest first, or those older than `before`;
 * NOT_FOUND when there is none, or only somebody else's. After a page there may be none.
 */
export async function namedMessages(
  db: Db,
  appId: string | undefined,
  { msgId, businessId }: Named,
  limit: number,
  before?: string,
): Promise<Message[]> {
  const found = msgId === undefined ? await listMessages(db, { appId, businessId, before, limit }) : await one()
  if (found.length > 0 || (msgId === undefined && before !== undefined)) return found
  throw new Refusal('NOT_FOUND', {
    path: msgId === undefined ? 'businessId' : 'msgId',
    zh: '没有这条消息',
    en: 'is no message of this app',
  })

  async function one(): Promise<Message[]> {
    const message = MSG_ID.test(msgId ?? '') ? await findMessage(db, appId, msgId ?? '') : undefined
    return message !== undefined && (businessId === undefined || message.businessId === businessId) ? [message] : []
  }
}

type Paging = { limit: number; after: Place | undefined }

const paging = z.object({
  limit: z
    .string()
    .refine(
      (text) => /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= RECIPIENTS.most,
      rule(`应为 1 到 ${RECIPIENTS.most}`, `must be 1 to ${RECIPIENTS.most}`),
    )
    .transform(Number)
    .default(RECIPIENTS.default),
  after: z.string().optional(),
})

/** `limit` and `after` of a query. */
export function readPaging(input: Record<string, unknown>): Paging {
  const { limit, after } = check(paging, input, '')
  return { limit, after: after === undefined ? undefined : readPlace(after) }
}

/**
 * The messages meant, newest first, each with its totals by channel and a page of its recipients in the order of channel
 * and recipient; `next` is the `after` of the following page, null at the end. `isMore`: the `businessId` stands for
 * more messages than are told. Of a broadcast, those are its recipients who have looked since.
 */
export async function statusOf(db: Db, appId: string, named: Named, paging: Paging) {
  const messages = await namedMessages(db, appId, named, MESSAGES_LIMIT + 1)
  return {
    messages: await Promise.all(messages.slice(0, MESSAGES_LIMIT).map((message) => oneStatus(db, message, paging))),
    isMore: messages.length > MESSAGES_LIMIT,
  }
}

async function oneStatus(db: Db, message: Message, { limit, after }: Paging) {
  const { id, businessId, state, dueAt, recipients: recipientCount, unresolved } = message
  const channels = await channelStatus(db, id)
  const found = await recipientsAfter(db, id, after, limit + 1)
  const recipients = found.slice(0, limit)
  const last = recipients.at(-1)
  return {
    msgId: id,
    businessId,
    state,
    sendTime: dueAt.toISOString(),
    recipientCount,
    unresolved,
    recall: await toldOf(db, message),
    channels: channels.map(({ channelId, totals }) => ({
      channel: channelId,
      totals: Object.fromEntries(totals.map(({ state, count }) => [state, count])),
    })),
    recipients: recipients.map(({ readAt, history, ...one }) => ({
      ...one,
      readAt: readAt?.toISOString() ?? null,
      history: history.map((step) => ({ ...step, at: new Date(step.at).toISOString() })),
    })),
    next: found.length > limit && last !== undefined ? formatPlace(last) : null,
  }
}
