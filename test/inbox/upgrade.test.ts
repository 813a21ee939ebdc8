import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import { stores } from '../kit/stores.ts'

const FOLDER = fileURLToPath(new URL('../../drizzle/', import.meta.url))
const scripts = globSync('*.sql', { cwd: FOLDER }).toSorted()

describe.each(stores)('an inbox from before there were counts by type and app, on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
    await run('drop schema public cascade; create schema public')
    for (const script of scripts.filter((name) => name < '0002')) await run(readFileSync(FOLDER + script, 'utf8'))
  })
  afterAll(() => store.close())

  const run = (text: string) => store.exclusively((script) => script(text))

  it('gets them from its items, and has none where nothing counts', async () => {
    await run(`
      insert into inboxes (user_code, rev, unread, unseen) values ('A', 6, 3, 2), ('B', 1, 0, 0), ('C', 0, 0, 0);
      insert into items (user_code, message_id, rev, created_rev, app_id, msg_type, seen_at, read_at, archived_at, deleted_at)
      values
        ('A', gen_random_uuid(), 1, 1, 'his', 'notice', null, null, null, null),
        ('A', gen_random_uuid(), 2, 2, 'his', 'notice', now(), null, null, null),
        ('A', gen_random_uuid(), 3, 3, 'a/b', 'reminder', null, null, null, null),
        ('A', gen_random_uuid(), 4, 4, 'his', 'notice', now(), now(), null, null),
        ('A', gen_random_uuid(), 5, 5, 'his', 'notice', null, null, now(), null),
        ('A', gen_random_uuid(), 6, 6, 'his', 'notice', null, null, null, now()),
        ('B', gen_random_uuid(), 1, 1, 'his', 'notice', now(), now(), null, null)`)
    for (const script of scripts.filter((name) => name > '0002')) await run(readFileSync(FOLDER + script, 'utf8'))
    expect(await query(store.db, sql`select user_code, facets from inboxes order by user_code`)).toEqual([
      {
        user_code: 'A',
        facets: { 'u/notice/his': 2, 's/notice/his': 1, 'u/reminder/a/b': 1, 's/reminder/a/b': 1 },
      },
      { user_code: 'B', facets: {} },
      { user_code: 'C', facets: {} },
    ])
  })
})
