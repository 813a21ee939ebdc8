/**
 * A device as the protocol asks it to be: it folds what it is told into what it shows, comes back with the last rev it
 * got, to either node, over WebSocket or SSE, and notes everything that it was told wrongly.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { subscribe, subscribeSse, type Event, type Subscriber, type ToldItem } from '../inbox/subscriber.ts'
import { eventually, talkTo } from '../kit/posthouse.ts'
import type { Gone, Item } from './model.ts'

const BEGIN_MS = 30_000

/** The message in an item's global id. */
const msgIdIn = (id: string) => Buffer.from(id, 'base64').toString().split(':')[1] ?? id

export type Device = Awaited<ReturnType<typeof makeDevice>>

/** A device of `user` that goes to the nodes at `urls`, in an order that `random` decides. */
export async function makeDevice(user: string, urls: readonly string[], random: () => number) {
  const token = await talkTo(urls[0] ?? '').token(user)
  const shows = new Map<string, Item | Gone>()
  const wrong: string[] = []
  const events: Event[] = []
  const told = { visits: 0, snapshots: 0, changes: 0 }
  let isLeaving = false
  let breakOff = async () => {}

  function note(event: Event): void {
    events.push(event)
    const before = revOf(events.at(-2))
    const isChange = event.__typename.startsWith('Item')
    if (isChange) told.changes++
    if (isChange && before >= revOf(event)) wrong.push(`rev ${event.rev} came after ${events.at(-2)?.rev}`)
    folds[event.__typename](event)
  }

  const folds: Record<Event['__typename'], (event: Event) => void> = {
    InboxSnapshot({ items = [], hasMore }) {
      told.snapshots++
      if (hasMore) wrong.push('the snapshot of a small inbox says that there is more')
      shows.clear()
      for (const item of items) shows.set(item.msgId, stateOf(item))
    },
    ItemChanged({ change, item, rev }) {
      if (item === undefined) return
      if (change === 'NEW' && shows.has(item.msgId)) wrong.push(`${item.msgId} came as new again at ${rev}`)
      if (change !== 'NEW' && !shows.has(item.msgId))
        wrong.push(`${item.msgId} was ${change} at ${rev} and had never come`)
      shows.set(item.msgId, stateOf(item))
    },
    ItemsChanged({ change = '', itemIds = [], marks = [], rev }) {
      for (const [at, msgId] of itemIds.map(msgIdIn).entries()) {
        const item = shows.get(msgId)
        // As with one that is gone: it may have come and gone while the device was away.
        if (item === undefined && change === 'DELETED') {
          shows.set(msgId, change)
          continue
        }
        if (item === undefined) wrong.push(`${msgId} was ${change} with others at ${rev} and had never come`)
        if (item === undefined || typeof item === 'string') continue
        shows.set(msgId, marks[at] === undefined ? (change as Gone) : stateOf(marks[at]))
      }
    },
    ItemGone({ itemId = '', goneReason }) {
      shows.set(msgIdIn(itemId), goneReason as Gone)
    },
    InboxLagged({ rev }) {
      wrong.push(`was told at ${rev} that too much had changed`)
    },
    InboxCaughtUp() {},
  }

  async function visit(): Promise<void> {
    const url = urls[Math.floor(random() * urls.length)] ?? ''
    const after = events.at(-1)?.rev
    told.visits++
    let stream: Subscriber
    if (random() < 0.25) {
      const sse = await subscribeSse(url, token, after)
      stream = sse
      breakOff = sse.leave
    } else {
      const client = talkTo(url).socket(token)
      stream = subscribe(client, after)
      breakOff = async () => void (await client.dispose())
    }
    for (;;) note(await stream.next())
  }

  async function live(): Promise<void> {
    while (!isLeaving) {
      try {
        await visit()
      } catch (error) {
        // Its node was killed, or it has left by itself; a refusal of what it asks is no reason to come back.
        if (String(error).includes('Refused')) wrong.push(String(error))
      }
      await breakOff().catch(() => {})
      await sleep(random() * 60)
    }
  }
  const living = live()
  // It begins with an empty inbox, so that it knows of every item from the start.
  await eventually(() => events.at(-1)?.__typename === 'InboxCaughtUp', BEGIN_MS)

  return {
    user,
    /** What it shows, by message. */
    shows,
    /** What it was told that cannot be. */
    wrong,
    told,
    lastEvents: () => events.slice(-40),
    /** The last rev it got. */
    rev: () => events.at(-1)?.rev,
    counts: () => events.findLast(({ counts }) => counts !== undefined)?.counts,
    /** Goes away in the middle of whatever comes, and comes back by itself. */
    goAway: () => breakOff().catch(() => {}),
    async close() {
      isLeaving = true
      await breakOff().catch(() => {})
      await living
    },
  }
}

function stateOf({ seenAt, readAt, archivedAt, snoozedUntil }: Omit<ToldItem, 'msgId' | 'title'>): Item {
  return { seen: seenAt !== null, read: readAt !== null, archived: archivedAt !== null, snoozed: snoozedUntil !== null }
}

function revOf(event: Event | undefined): number {
  return event === undefined ? -1 : Number(event.rev.split('-')[1])
}
