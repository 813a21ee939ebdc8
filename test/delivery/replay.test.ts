/** Replaying what ended without arriving, straight in a store. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/context.ts'
import { query, type Store } from '../../src/db/client.ts'
import { takeBack } from '../../src/delivery/recall.ts'
import { replay } from '../../src/delivery/replay.ts'
import { stores } from '../kit/stores.ts'
import { empty, putMails, rows } from './kit.ts'

const ADDRESSES = Array.from({ length: 5 }, (_, at) => `person${at}@example.org`)

describe.each(stores)('a replay, on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
  })
  beforeEach(() => empty(store.db))
  afterAll(() => store.close())

  const hints = { send() {} } as unknown as Context['hints']
  const replayAll = (state: 'failed' | 'undelivered', most = 100) =>
    replay({ db: store.db, hints }, { filter: { appId: undefined, state } }, undefined, { atOnce: 2, most })
  const putEnded = async (state: 'failed' | 'undelivered') => {
    await putMails(store.db, { addresses: ADDRESSES })
    await query(
      store.db,
      sql`update deliveries set state = ${state}, attempts = 1, settled_at = now() - interval '1 second'`,
    )
  }
  const replays = async () => (await rows(store.db)).map(({ history }) => history.length)

  describe('while the provider refuses all of it again at once', () => {
    beforeAll(async () => {
      await query(
        store.db,
        sql`
          create function refuse() returns trigger language plpgsql as
          'begin new.state = ''failed''; new.settled_at = clock_timestamp(); return new; end'`,
      )
      await query(
        store.db,
        sql`
          create trigger refuse before update on deliveries
          for each row when (old.state = 'failed' and new.state = 'queued') execute function refuse()`,
      )
    })
    afterAll(async () => {
      await query(store.db, sql`drop trigger refuse on deliveries`)
      await query(store.db, sql`drop function refuse`)
    })

    it('takes each once, and then there is no more', async () => {
      await putEnded('failed')
      expect(await replayAll('failed')).toEqual({ replayed: 5, isMore: false })
      expect(await replays()).toEqual([1, 1, 1, 1, 1])
    })
  })

  it('tells that there is more when it ends before all are queued again', async () => {
    await putEnded('failed')
    expect(await replayAll('failed', 4)).toEqual({ replayed: 4, isMore: true })
    expect(await replayAll('failed', 4)).toEqual({ replayed: 1, isMore: false })
    expect(await replays()).toEqual([1, 1, 1, 1, 1])
  })

  it.each([
    ['undelivered', 'MAY_HAVE_GONE_OUT'],
    ['failed', 'RECALLED'],
  ] as const)('of what was %s lets a recall tell it as %s', async (state, reason) => {
    await putEnded(state)
    await replayAll(state)
    const [message] = await query<{ id: string }>(
      store.db,
      sql`update messages set state = 'recalling', recalled_at = now() returning id`,
    )
    await takeBack({ db: store.db, hints }, message!.id)
    expect(new Set((await rows(store.db)).map((one) => `${one.state} ${one.reason}`))).toEqual(
      new Set([`cancelled ${reason}`]),
    )
  })
})
