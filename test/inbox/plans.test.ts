/** How PostgreSQL finds what an inbox shows: what nobody looks at is not read, however much there is. */
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, type Db, type Store } from '../../src/db/client.ts'
import { item, page, stateOf } from '../../src/inbox/inbox.ts'
import { mark } from '../../src/inbox/mark.ts'
import { since } from '../../src/inbox/since.ts'
import { stores } from '../kit/stores.ts'

const BUSY = 3_000
const OTHERS = 300
const PAGE = 20
/** A few joined rows, an extra one that tells whether there are more: far from all. */
const READ_AT_MOST = 3 * PAGE

/** The PostgreSQL in PGlite is a later one, which walks the person's items: thousands take it a millisecond. */
const MARK_READS = { PostgreSQL: 1, PGlite: BUSY }

type Node = { 'Actual Rows': number; 'Actual Loops': number; Plans?: Node[] }

describe.each(stores)('in an inbox of thousands among many, on $name', ({ name, open }) => {
  let store: Store
  /** The most rows that a step of any statement since the last look has read. */
  let most = 0
  let explained: Pick<Store, 'run'>
  let db: Db

  beforeAll(async () => {
    store = await open()
    explained = explaining(store, (rows) => {
      most = Math.max(most, rows)
    })
    db = drizzle((text, params, mode) => explained.run(text, params, mode as 'all' | 'execute'))
    await query(store.db, sql`insert into apps (id, name, grants) values ('lab', 'lab', '[]')`)
    await query(
      store.db,
      sql`
        with message as (
          insert into messages (id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id)
          select gen_random_uuid(), 'lab', 'specified', jsonb_build_object('n', n), '{}', 'notice', 2, now(), 'fanned_out', 'test'
          from generate_series(1, ${BUSY}::int) as n
          returning id, (receiver->>'n')::int as n
        ), said as (
          insert into contents (message_id, channel_id, kind, content)
          select id, '1002', 'site', '{"title": "t", "content": "c", "text": "c"}' from message
        ), people as (
          insert into users (code, name) select 'P' || n, 'P' || n from generate_series(0, ${OTHERS}::int) as n
        ), inbox as (
          insert into inboxes (user_code, rev)
          select 'P' || n, ${BUSY}::int from generate_series(0, ${OTHERS}::int) as n
        )
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type)
        select 'P' || who, id, n, n, 'lab', 'notice' from message, generate_series(0, ${OTHERS}::int) as who
        where who = 0 or n % 300 = who % 300`,
    )
    await query(store.db, sql`analyze`)
  })
  afterAll(() => store.close())

  const reads = async (look: () => Promise<unknown>) => {
    most = 0
    await look()
    return most
  }

  it('a page reads what it shows, the first, one far behind and one from the end', async () => {
    const limit = PAGE
    expect(await reads(() => page(db, 'P0', { limit }))).toBeLessThan(READ_AT_MOST)
    expect(await reads(() => page(db, 'P0', { limit, after: BUSY / 2 }))).toBeLessThan(READ_AT_MOST)
    expect(await reads(() => page(db, 'P0', { limit, fromEnd: true }))).toBeLessThan(READ_AT_MOST)
    expect((await page(db, 'P0', { limit }))?.items).toHaveLength(PAGE)
  })

  it('what happened after a rev reads what happened', async () => {
    expect(await reads(() => since(explained, 'P0', BUSY - PAGE, 100))).toBeLessThan(READ_AT_MOST)
    expect((await since(explained, 'P0', BUSY - PAGE, 100))?.items).toHaveLength(PAGE)
    expect(await reads(() => since(explained, 'P0', 0, PAGE))).toBeLessThan(READ_AT_MOST)
  })

  it('the counts and one item are found by their keys', async () => {
    const [one] = (await page(db, 'P0', { limit: 1 }))?.items ?? []
    expect(await reads(() => stateOf(db, 'P0'))).toBe(1)
    expect(await reads(() => item(db, 'P0', one!.messageId))).toBe(1)
  })

  it('marking one reads one', async () => {
    const [one] = (await page(db, 'P0', { limit: 1 }))?.items ?? []
    const read = await reads(() => mark(db, 'P0', 'read', { messageIds: [one!.messageId] }))
    expect(read).toBeLessThanOrEqual(MARK_READS[name])
  })
})

/** Runs every statement as its own explanation first, and tells of the largest number of rows that a step of it has read. */
function explaining(store: Store, tell: (rows: number) => void): Pick<Store, 'run'> {
  return {
    async run(text, params, mode) {
      const { rows } = await store.run(`explain (analyze, format json) ${text}`, params, 'all')
      const [[[{ Plan }]]] = rows as [[[{ Plan: Node }]]]
      tell(mostRows(Plan))
      return store.run(text, params, mode)
    },
  }
}

function mostRows(node: Node): number {
  return Math.max(node['Actual Rows'] * node['Actual Loops'], ...(node.Plans ?? []).map(mostRows))
}
