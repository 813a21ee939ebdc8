import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { boot, eventually, run, type Running } from '../kit/posthouse.ts'
import { onPostgres, stores } from '../kit/stores.ts'

/** Late by the database's clock, for each item of these messages. */
function lateness({ context }: Running, businessId: string) {
  return query<{ seconds: number; user: string }>(
    context.db,
    sql`
      select extract(epoch from items.created_at - messages.due_at)::float8 as seconds, items.user_code as user
      from items join messages on messages.id = items.message_id
      where messages.business_id = ${businessId}`,
  )
}

describe.skipIf(!onPostgres)('three nodes on one PostgreSQL', () => {
  let nodes: Running[]
  let first: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    first = await run(onPostgres!)
    nodes = [first, await boot(first.place.env), await boot(first.place.env)]
  })
  afterAll(async () => {
    for (const node of nodes.slice(1)) await node.stop()
    await first.stop()
  })

  it('fire each scheduled message once, never early and at most a second late', async () => {
    const due = Date.now() + 2_500
    const sendTime = new Date(due).toISOString()
    await Promise.all(
      Array.from({ length: 30 }, (_, at) =>
        nodes[at % 3]!.push([`USER0${10 + at}`, 'USER001'], `scheduled ${at}`, { sendTime, businessId: 'once' }),
      ),
    )
    const found = await eventually(async () => {
      const rows = await lateness(first, 'once')
      return rows.length >= 60 ? rows : undefined
    })
    // Some time for a node that would fire it again.
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect((await lateness(first, 'once')).length).toBe(60)
    expect(Math.min(...found.map(({ seconds }) => seconds))).toBeGreaterThanOrEqual(0)
    expect(Math.max(...found.map(({ seconds }) => seconds))).toBeLessThan(1)
  })
})

describe.each(stores)('messages that fell due while nobody was up, on $name', (store) => {
  it('go out at the start, the oldest first', async () => {
    const place = await store.place()
    const before = await boot(place.env)
    const startedAt = Date.now()
    const push = (title: string, inMs: number) =>
      before.push(['USER001'], title, {
        sendTime: new Date(startedAt + inMs).toISOString(),
        businessId: 'down',
      })
    await push('second', 1_500)
    await push('first', 1_000)
    await before.stop()
    await new Promise((resolve) => setTimeout(resolve, 1_500))

    const after = await boot(place.env)
    const titles = await eventually(async () => {
      const rows = await query<{ title: string }>(
        after.context.db,
        sql`
          select contents.content->>'title' as title
          from items
          join messages on messages.id = items.message_id and messages.business_id = 'down'
          join contents on contents.message_id = items.message_id
          order by items.rev`,
      )
      return rows.length === 2 && rows.map(({ title }) => title)
    })
    expect(titles).toEqual(['first', 'second'])
    await after.stop()
    await place.remove()
  })
})
