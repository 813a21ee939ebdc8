/** What an inbox must come to: the model that devices are held against. It knows acts and items, and nothing of revs or events. */

/** An item as a person is told of it. */
export type Item = { seen: boolean; read: boolean; archived: boolean; snoozed: boolean }
export type Gone = 'DELETED' | 'RECALLED'

const fresh: Item = { seen: false, read: false, archived: false, snoozed: false }

/** What a person may do to named items, by the mutation's name; each does nothing to items that are so already. */
export const acts = {
  markItemsSeen: (item) => ({ ...item, seen: true }),
  markItemsRead: (item) => (item.read ? item : { ...item, read: true, seen: true }),
  markItemsUnread: (item) => ({ ...item, read: false }),
  archiveItems: (item) => (item.archived ? item : { ...item, archived: true, snoozed: false }),
  unarchiveItems: (item) => ({ ...item, archived: false }),
  snoozeItems: (item) => ({ ...item, snoozed: true, archived: false }),
  unsnoozeItems: (item) => (item.snoozed ? { ...item, snoozed: false, seen: false, read: false } : item),
  deleteItems: () => 'DELETED',
} satisfies Record<string, (item: Item) => Item | Gone>
export type Act = keyof typeof acts

/** The same for all items up to a rev. */
export const sweeps = {
  markAllRead: acts.markItemsRead,
  archiveAllRead: (item) => (item.read && !item.archived && !item.snoozed ? { ...item, archived: true } : item),
  deleteAllArchived: (item) => (item.archived ? 'DELETED' : item),
} satisfies Record<string, (item: Item) => Item | Gone>
export type Sweep = keyof typeof sweeps

/** One person's inbox. What is gone stays gone, whatever is done to it. */
export type Inbox = Map<string, Item | Gone>

export function arrive(inbox: Inbox, msgId: string): void {
  if (!inbox.has(msgId)) inbox.set(msgId, fresh)
}

export function change(inbox: Inbox, msgIds: readonly string[], how: (item: Item) => Item | Gone): void {
  for (const msgId of msgIds) {
    const item = inbox.get(msgId)
    if (item !== undefined && typeof item !== 'string') inbox.set(msgId, how(item))
  }
}

/** What must be counted: items that are in the inbox, neither archived nor asleep. */
export function countsOf(items: Iterable<Item | Gone>): { unread: number; unseen: number } {
  const shown = [...items].filter((item) => typeof item !== 'string').filter((item) => !item.archived && !item.snoozed)
  return { unread: shown.filter(({ read }) => !read).length, unseen: shown.filter(({ seen }) => !seen).length }
}
