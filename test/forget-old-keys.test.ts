import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { query } from '../src/db/client.ts'
import { forgetOldKeys } from '../src/messages/idempotency.ts'
import { stores } from './kit/stores.ts'

describe.each(stores)('idempotency keys, on $name', ({ open }) => {
  it('are forgotten after 72 hours, however many there are, and not before', async () => {
    const store = await open()
    await query(
      store.db,
      sql`
      insert into idempotency_keys (app_id, key, body_sha256, message_id, warnings, created_at)
      select 'app', 'old-' || n, '', gen_random_uuid(), '[]'::jsonb, now() - interval '72 hours 1 minute' from generate_series(1, 12000) as n
      union all
      select 'app', 'young-' || n, '', gen_random_uuid(), '[]'::jsonb, now() - interval '71 hours 59 minutes' from generate_series(1, 3) as n`,
    )
    expect(await forgetOldKeys(store.db)).toBe(12_000)
    const left = await query<{ key: string }>(store.db, sql`select key from idempotency_keys order by key`)
    expect(left.map(({ key }) => key)).toEqual(['young-1', 'young-2', 'young-3'])
    expect(await forgetOldKeys(store.db)).toBe(0)
    await store.close()
  })
})
