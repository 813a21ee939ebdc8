/** What messages say on a channel, kept while their deliveries go out. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { json, query, type Store } from '../../src/db/client.ts'
import { makeSayings } from '../../src/delivery/sayings.ts'
import { stores } from '../kit/stores.ts'
import { empty, putMails } from './kit.ts'

const CHANNEL = '1003'

const toAll = (ids: string[]) => ids.map((messageId) => ({ messageId, variant: null }))

describe.each(stores)('what messages say on a channel, on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
  })
  beforeEach(() => empty(store.db))
  afterAll(() => store.close())

  /** Puts so many messages with a text of that length; gives their ids. */
  async function put(count: number, length: number): Promise<string[]> {
    for (let at = 0; at < count; at++) await putMails(store.db, { addresses: ['one@example.org'] })
    const content = json({ title: 'title', text: 'x'.repeat(length) })
    const rows = await query<{ id: string }>(
      store.db,
      sql`update contents set content = ${content}::jsonb returning message_id as id`,
    )
    return rows.map(({ id }) => id)
  }

  /** Which of them are still told, in order, when the database has them no more. */
  async function keptOf(ids: string[], sayings: ReturnType<typeof makeSayings>): Promise<string[]> {
    await query(store.db, sql`delete from contents`)
    return [...(await sayings(toAll(ids))).keys()]
  }

  it('is told of each, however often it is asked for and however many name it', async () => {
    const [one = '', two = ''] = await put(2, 10)
    const sayings = makeSayings(store.db, CHANNEL)
    for (const ids of [[one, one], [two, one, two], []]) {
      const said = await sayings(toAll(ids))
      expect(new Set(said.keys())).toEqual(new Set(ids))
      for (const saying of said.values())
        expect(saying).toMatchObject({ kind: 'mail', content: { text: 'x'.repeat(10) } })
    }
  })

  it('is kept of the latest fifty', async () => {
    const ids = await put(60, 10)
    const sayings = makeSayings(store.db, CHANNEL)
    for (const id of ids) await sayings(toAll([id]))
    expect(await keptOf(ids, sayings)).toEqual(ids.slice(10))
  })

  it('is kept of fewer where they are large: four megabytes of it', async () => {
    const ids = await put(6, 1_500_000)
    const sayings = makeSayings(store.db, CHANNEL)
    for (const id of ids) await sayings(toAll([id]))
    expect(await keptOf(ids, sayings)).toEqual(ids.slice(4))
  })

  it('is told whole of more than is kept, and room is made as large ones go', async () => {
    const large = await put(4, 1_500_000)
    const sayings = makeSayings(store.db, CHANNEL)
    expect([...(await sayings(toAll(large))).keys()].toSorted()).toEqual(large.toSorted())
    const small = (await put(30, 10)).filter((id) => !large.includes(id))
    await sayings(toAll(small))
    expect((await keptOf(small, sayings)).toSorted()).toEqual(small.toSorted())
  })
})
