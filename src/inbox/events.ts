/** What happened in an inbox, as subscribers are told of it. */
import type { InboxState, Item } from './inbox.ts'
import { formatRev } from './rev.ts'
import type { Change } from './since.ts'

/** What a subscriber is told. Every one carries the rev to resume after. */
export type InboxEvent =
  | { type: 'InboxSnapshot'; state: InboxState; items: Item[]; hasMore: boolean; rev: string }
  | { type: 'ItemChanged'; state: InboxState; item: Change; rev: string }
  | { type: 'ItemsChanged'; state: InboxState; change: Change; rev: string }
  | { type: 'ItemGone'; state: InboxState; item: GoneItem; reason: GoneReason; rev: string }
  | { type: 'InboxLagged'; why: 'tooFarBehind' | 'ahead'; rev: string }
  | { type: 'InboxCaughtUp'; rev: string }

/** Why an item left the inbox for good. */
const GONE = ['deleted', 'recalled', 'expired'] as const
type GoneReason = (typeof GONE)[number]

/** Of an item that is gone only its name is told, nothing of what it said. */
export type GoneItem = Pick<Item, 'messageId' | 'userCode'>

export function eventOf(state: InboxState, item: Change): InboxEvent {
  const rev = formatRev(state, item.at)
  if (item.messageIds.length > 1) return { type: 'ItemsChanged', state, change: item, rev }
  if (item.deletedAt === null) return { type: 'ItemChanged', state, item, rev }
  const { messageId, userCode, change } = item
  const reason = GONE.find((one) => one === change) ?? 'deleted'
  return { type: 'ItemGone', state, item: { messageId, userCode }, reason, rev }
}
