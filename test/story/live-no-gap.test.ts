import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, texts, type Db } from '../../src/db/client.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { recount, storedCounts, subscribe, subscribeSse, type Event, type Subscriber } from '../inbox/subscriber.ts'

const USERS = ['USER001', 'USER002', 'USER003']
/** No run begins after this; on an idle machine all of them fit. */
const MILLISECONDS = 8_000
const RUNS = 25
const SEED = Date.now() % 2 ** 31

/** What happens at one step. The model of the test is which messages each person must have got. */
type Step =
  | { kind: 'push'; to: string[] }
  | { kind: 'broadcast' }
  | {
      kind: 'mark'
      user: string
      act: 'markItemsRead' | 'markItemsUnread' | 'archiveItems' | 'unarchiveItems'
      which: number
    }
  | { kind: 'leave'; subscriber: number; read: number; transport: 'WebSocket' | 'SSE' }

/** The message in an item's global id. */
const msgIdIn = (id: string) => Buffer.from(id, 'base64').toString().split(':')[1]!

/** What happened last to these items. */
async function lastChanges(db: Db, user: string, messageIds: string[]): Promise<[string, string][]> {
  const rows = await query<{ messageId: string; change: string }>(
    db,
    sql`select message_id as "messageId", change from items where user_code = ${user} and message_id = any(${texts(messageIds)}::uuid[])`,
  )
  return rows.map(({ messageId, change }) => [messageId, change.toUpperCase()])
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('push' as const), to: fc.subarray(USERS, { minLength: 1 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'broadcast' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('mark' as const),
      user: fc.constantFrom(...USERS),
      act: fc.constantFrom(
        'markItemsRead' as const,
        'markItemsUnread' as const,
        'archiveItems' as const,
        'unarchiveItems' as const,
      ),
      which: fc.nat(3),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('leave' as const),
      subscriber: fc.nat(USERS.length - 1),
      read: fc.nat(6),
      transport: fc.constantFrom('WebSocket' as const, 'SSE' as const),
    }),
  },
)

describe.each(stores)('a live inbox has no gaps and no duplicates, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  /** A person's device that may leave at any time and comes back with the last rev it saw. */
  async function device(user: string) {
    const token = await posthouse.token(user)
    const events: Event[] = []
    let transport: 'WebSocket' | 'SSE' = 'WebSocket'
    let close = async () => {}
    let stream: Subscriber
    const come = async (after: string | undefined) => {
      if (transport === 'SSE') {
        const sse = await subscribeSse(posthouse.url, token, after)
        ;[stream, close] = [sse, sse.leave]
        return
      }
      const client = posthouse.socket(token)
      ;[stream, close] = [subscribe(client, after), async () => void (await client.dispose())]
    }
    const read = async () => events.push(await stream.next())
    await come(undefined)
    while (events.at(-1)?.__typename !== 'InboxCaughtUp') await read()
    const [snapshot] = events
    return {
      user,
      events,
      /** What the snapshot already held. */
      had: new Set(snapshot!.items!.map(({ msgId }) => msgId)),
      /** Reads so many events, if there are as many, and breaks off wherever that leaves it; comes back in another way. */
      async leave(count: number, next: 'WebSocket' | 'SSE') {
        const enough = new Promise((resolve) => setTimeout(resolve, 30))
        let isLeaving = false
        const reading = (async () => {
          for (let n = 0; n < count && !isLeaving; n++) await read()
        })().catch(() => {})
        await Promise.race([reading, enough])
        isLeaving = true
        await close()
        await reading
        transport = next
        await come(events.at(-1)!.rev)
      },
      async readUpTo(rev: string) {
        while (events.at(-1)!.rev !== rev) await read()
      },
      close: () => close(),
    }
  }

  const revOf = async (user: string): Promise<string> => {
    const { data } = await posthouse.graphql(
      await posthouse.token(user),
      '{ inboxChanges { ... on InboxCaughtUp { rev } } }',
    )
    return data!['inboxChanges'].at(-1).rev
  }

  async function play(steps: Step[]): Promise<void> {
    const devices = await Promise.all(USERS.map(device))
    const expected = new Map<string, Set<string>>(USERS.map((user) => [user, new Set()]))
    const accepted = (users: string[], msgId: string | undefined) => {
      for (const user of users) expected.get(user)!.add(msgId!)
    }
    // Everything that writes runs at once; only the acts of one device are one after another.
    const writing: Promise<unknown>[] = []
    const leaving = devices.map(() => Promise.resolve())
    for (const one of steps) {
      if (one.kind === 'push')
        writing.push(posthouse.push(one.to, 'x').then(({ body }) => accepted(one.to, body.msgId)))
      if (one.kind === 'broadcast') {
        writing.push(
          posthouse
            .push([], 'x', { receiverType: 'all', receiverData: null })
            .then(({ body }) => accepted(USERS, body.msgId)),
        )
      }
      if (one.kind === 'mark') {
        const ids = [...expected.get(one.user)!].slice(-1 - one.which)
        const token = await posthouse.token(one.user)
        writing.push(posthouse.graphql(token, `mutation ($ids: [ID!]!) { ${one.act}(ids: $ids) { rev } }`, { ids }))
      }
      if (one.kind === 'leave')
        leaving[one.subscriber] = leaving[one.subscriber]!.then(() =>
          devices[one.subscriber]!.leave(one.read, one.transport),
        )
      // Lets some of it happen before the next.
      if (writing.length % 3 === 0) await writing.at(-1)
    }
    await Promise.all(writing)
    await Promise.all(leaving)

    for (const { user, events, had, readUpTo, close } of devices) {
      await readUpTo(await revOf(user))
      await close()
      const news = events.filter(({ change }) => change === 'NEW').map(({ item }) => item!.msgId)
      expect(news.toSorted()).toEqual([...expected.get(user)!].filter((msgId) => !had.has(msgId)).toSorted())
      const revs = events
        .filter(({ __typename }) => __typename === 'ItemChanged' || __typename === 'ItemsChanged')
        .map(({ rev }) => Number(rev.split('-')[1]))
      expect(revs).toEqual([...new Set(revs)].toSorted((a, b) => a - b))
      const known = new Set(had)
      const last = new Map<string, string>()
      for (const { change, item, itemIds = [] } of events) {
        if (change === 'NEW') known.add(item!.msgId)
        else if (item !== undefined) expect(known).toContain(item.msgId)
        for (const id of itemIds) expect(known).toContain(msgIdIn(id))
        if (change !== 'NEW') for (const msgId of item ? [item.msgId] : itemIds.map(msgIdIn)) last.set(msgId, change!)
      }
      expect(last).toEqual(new Map(await lastChanges(posthouse.context.db, user, [...last.keys()])))
      const truth = await recount(posthouse.context.db, user)
      expect(await storedCounts(posthouse.context.db, user)).toEqual(truth)
      expect(events.findLast(({ counts }) => counts !== undefined)?.counts).toEqual(truth)
    }
  }

  it('for devices that come and go while several push, broadcast and mark', async () => {
    const until = Date.now() + MILLISECONDS
    let runs = 0
    const playInTime = async (steps: Step[]) => {
      if (Date.now() > until) return
      runs++
      await play(steps)
    }
    // A failure is told as it is: what comes of timing shrinks to nothing.
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), playInTime), {
      seed: SEED,
      numRuns: RUNS,
      endOnFailure: true,
    })
    console.info(`seed ${SEED}: ${runs} runs`)
    expect(runs).toBeGreaterThan(0)
    await eventually(() => posthouse.context.live.connected() === 0)
  })
})
