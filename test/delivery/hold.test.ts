/** Letting go of what is not wanted: fenced by the lease, and nothing lost when the database fails. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Db, type Store } from '../../src/db/client.ts'
import { holdBack } from '../../src/delivery/hold.ts'
import { stores } from '../kit/stores.ts'
import { claimSome, empty, putMails, row, rows } from './kit.ts'

describe.each(stores)('what is not wanted, on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
  })
  beforeEach(async () => {
    await empty(store.db)
    await query(store.db, sql`truncate preferences`)
    await putMails(store.db, { addresses: ['a@example.org', 'b@example.org'] })
    // The first is somebody who wants none, the second a bare address.
    await query(store.db, sql`update deliveries set user_code = 'A' where address = 'a@example.org'`)
    await query(
      store.db,
      sql`insert into preferences (user_code, switches, changed_by) values ('A', '{"*/1003": false}', 'user')`,
    )
  })
  afterAll(() => store.close())

  const hold = (claimed: Awaited<ReturnType<typeof claimSome>>, db: Db = store.db) => {
    const context = { db, config: { TIME_ZONE: 'UTC' }, log: { info() {} } }
    return holdBack(context as unknown as Context, '1003', claimed)
  }
  const told = async () => (await rows(store.db)).map(({ state, reason, attempts }) => [state, reason, attempts])

  it('is let go of, and the rest is given back to be sent', async () => {
    const wanted = await hold(await claimSome(store, 10))
    expect(wanted.map(({ address }) => address)).toEqual(['b@example.org'])
    expect(await told()).toEqual([
      ['skipped', 'OPTED_OUT', 0],
      ['sending', null, 1],
    ])
  })

  it('is left alone when another worker has it by now', async () => {
    const claimed = await claimSome(store, 10)
    await query(store.db, sql`update deliveries set lease = gen_random_uuid()`)
    expect(await hold(claimed)).toHaveLength(1)
    expect(await told()).toEqual([
      ['sending', null, 1],
      ['sending', null, 1],
    ])
  })

  it.each([
    [false, 'RECALLED'],
    [true, 'MAY_HAVE_GONE_OUT'],
  ])('is cancelled when a recall came meanwhile (tried before: %s)', async (maybeSent, reason) => {
    const claimed = await claimSome(store, 10)
    await query(
      store.db,
      sql`update deliveries set recall_requested = true, maybe_sent = ${maybeSent} where user_code = 'A'`,
    )
    await hold(claimed)
    expect((await told())[0]).toEqual(['cancelled', reason, 0])
  })

  it('is given back with all of the claim when the database fails, and found by the next', async () => {
    const claimed = await claimSome(store, 10)
    let calls = 0
    const failing = new Proxy(store.db, {
      get: (db, name) =>
        name === 'execute' && calls++ === 0 ? () => Promise.reject(new Error('away')) : Reflect.get(db, name, db),
    })
    await expect(hold(claimed, failing)).rejects.toThrow('away')
    expect(await told()).toEqual([
      ['queued', null, 0],
      ['queued', null, 0],
    ])
    expect(await hold(await claimSome(store, 10))).toHaveLength(1)
    expect((await row(store.db)).reason).toBe('OPTED_OUT')
  })
})
