/** Subscribers of the live inbox as front ends have them, over graphql-ws and over SSE, and the count to hold them against. */
import { sql } from 'drizzle-orm'
import type { Client } from 'graphql-ws'
import { query, type Db } from '../../src/db/client.ts'
import { countsBy } from '../../src/inbox/counts.ts'
import { stateOf, type InboxState } from '../../src/inbox/inbox.ts'

/** As GraphQL tells them; `COUNTS` asks for all of it. */
export type Counts = {
  unread: number
  unseen: number
  byMsgType: { msgType: string; unread: number; unseen: number }[]
  byApp: { appId: string; unread: number; unseen: number }[]
}
export const COUNTS = 'counts { unread unseen byMsgType { msgType unread unseen } byApp { appId unread unseen } }'

export type ToldItem = {
  id: string
  msgId: string
  title: string
  seenAt: string | null
  readAt: string | null
  archivedAt: string | null
  snoozedUntil: string | null
}
const ITEM = 'id msgId title seenAt readAt archivedAt snoozedUntil'

export type Event = {
  __typename: 'InboxSnapshot' | 'ItemChanged' | 'ItemsChanged' | 'ItemGone' | 'InboxLagged' | 'InboxCaughtUp'
  rev: string
  change?: string
  goneReason?: string
  counts?: Counts
  item?: ToldItem
  items?: ToldItem[]
  hasMore?: boolean
  itemId?: string
  itemIds?: string[]
  marks?: Omit<ToldItem, 'msgId' | 'title'>[]
}

const EVENT = `
  __typename
  ... on InboxSnapshot { rev ${COUNTS} hasMore items { ${ITEM} } }
  ... on ItemChanged { rev change ${COUNTS} item { ${ITEM} } }
  ... on ItemsChanged { rev change itemIds marks { id seenAt readAt archivedAt snoozedUntil } ${COUNTS} }
  ... on ItemGone { rev goneReason: reason ${COUNTS} itemId }
  ... on InboxLagged { rev lagReason }
  ... on InboxCaughtUp { rev }`

export const SUBSCRIPTION = `subscription ($after: Rev) { inboxChanges(after: $after) { ${EVENT} } }`
export const POLL = `query ($after: Rev) { inboxChanges(after: $after) { ${EVENT} } }`

type Result = {
  data?: { inboxChanges: Event } | null
  errors?: readonly { message: string; extensions?: Record<string, unknown> }[]
}

/** Reads a stream of results one by one. */
function reader(results: AsyncIterator<Result>, leave: () => void | Promise<void>) {
  const result = async (): Promise<Result> => {
    const { value, done } = await results.next()
    if (done) throw new Error('The stream ended')
    return value
  }
  const next = async (): Promise<Event> => {
    const { data, errors } = await result()
    if (data == null) throw new Error(`Refused: ${JSON.stringify(errors)}`)
    return data.inboxChanges
  }
  return {
    /** The next result, errors and all. */
    result,
    /** The next event; fails on errors. */
    next,
    /** Every event up to and including the first of this kind. */
    async until(kind: Event['__typename']): Promise<Event[]> {
      const events: Event[] = []
      while (events.at(-1)?.__typename !== kind) events.push(await next())
      return events
    },
    /** Waits for the end of the stream. */
    async ended(): Promise<void> {
      while (!(await results.next()).done);
    },
    leave: async () => void (await leave()),
  }
}

export type Subscriber = ReturnType<typeof reader>

/** Subscribes over a graphql-ws client. */
export function subscribe(client: Client, after?: string): Subscriber {
  const results = client.iterate<{ inboxChanges: Event }>({
    query: SUBSCRIPTION,
    variables: { after },
  }) as AsyncGenerator<Result>
  return reader(results, async () => void (await results.return(undefined)))
}

/** Subscribes over SSE, as `curl -N` would. */
export async function subscribeSse(url: string, token: string, after?: string): Promise<Subscriber> {
  const abort = new AbortController()
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: SUBSCRIPTION, variables: { after } }),
    signal: abort.signal,
  })
  return reader(serverSentEvents(response), () => abort.abort())
}

/** The `next` events of a response. */
async function* serverSentEvents(response: Response): AsyncGenerator<Result> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const [, data] = /^event: next\ndata: (.*)$/s.exec(block) ?? []
      if (data !== undefined) yield JSON.parse(data) as Result
      if (block.startsWith('event: complete')) return
    }
  }
}

/** What the counts of an inbox must be: counted from its items. */
export async function recount(db: Db, user: string): Promise<Counts> {
  const rows = await query<{ msgType: string; appId: string; unread: number; unseen: number }>(
    db,
    sql`
      select msg_type as "msgType", app_id as "appId",
        count(*) filter (where read_at is null)::int as unread, count(*) filter (where seen_at is null)::int as unseen
      from items
      where user_code = ${user} and deleted_at is null and archived_at is null and snoozed_until is null
      group by msg_type, app_id`,
  )
  const sum = (some: { unread: number; unseen: number }[]) => ({
    unread: some.reduce((total, { unread }) => total + unread, 0),
    unseen: some.reduce((total, { unseen }) => total + unseen, 0),
  })
  const by = <Name extends 'msgType' | 'appId'>(name: Name) =>
    [...new Set(rows.map((row) => row[name]))]
      .toSorted()
      .map((one) => ({ [name]: one, ...sum(rows.filter((row) => row[name] === one)) }))
      .filter(({ unread, unseen }) => unread + unseen > 0)
  return { ...sum(rows), byMsgType: by('msgType'), byApp: by('appId') } as Counts
}

/** The counts as the inbox keeps them. */
export async function storedCounts(db: Db, user: string): Promise<Counts | undefined> {
  const state = await stateOf(db, user)
  return state && told(state.counts)
}

/** Counts as GraphQL tells them. */
export function told(counts: InboxState['counts']): Counts {
  const by = (what: 'msgType' | 'appId') =>
    countsBy(what, counts).map(({ name, unread, unseen }) => ({ [what]: name, unread, unseen }))
  const { unread, unseen } = counts
  return { unread, unseen, byMsgType: by('msgType'), byApp: by('appId') } as Counts
}
