import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import { begin, finish } from '../../src/directory/sync.ts'
import { onPostgres } from '../kit/stores.ts'

const PEOPLE = 30_000
const BY = { actor: 'admin', requestId: 'test' }
/** Person by person beside everybody who was named it takes many times as long. */
const SOON_MS = 10_000

describe.skipIf(!onPostgres)('a full sync of many people', () => {
  let store: Store
  beforeAll(async () => {
    store = await onPostgres!.open()
    await query(
      store.db,
      sql`
        insert into users (code, name, created_at)
        select 'U' || lpad(n::text, 5, '0'), n, now() - interval '1 day' from generate_series(1, ${PEOPLE}::int) as n`,
    )
  })
  afterAll(() => store.close())

  it('ends soon, though the database still takes the last one for over and nobody for named', async () => {
    await query(store.db, sql`insert into directory_named select 'old', 'user', code from users`)
    await query(store.db, sql`delete from directory_named`)
    await query(store.db, sql`analyze`)
    await begin(store.patient, BY, { run: 'new', covers: ['user'], isFull: true })
    await query(store.db, sql`insert into directory_named select 'new', 'user', code from users where code <> 'U00007'`)
    const startedAt = performance.now()
    const ended = await finish(store.patient, BY, 'new', { guardPercent: 10 })
    expect(performance.now() - startedAt).toBeLessThan(SOON_MS)
    expect(ended).toMatchObject({ state: 'finished', disabled: 1 })
  })
})
