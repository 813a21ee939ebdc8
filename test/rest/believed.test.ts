import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appLately, saveApp } from '../../src/apps/apps.ts'
import { query } from '../../src/db/client.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp } from './door.ts'

/** docs/rest.md promises it. */
const BELIEVED_MS = 1_000

describe.each(stores)('What is known of an app, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const push = async ({ id, headers }: { id: string; headers: Record<string, string> }) =>
    (await posthouse.post(CHANNEL, channelBody({ appId: id }), headers)).status

  it('is read once for pushes that follow each other', async () => {
    const { db } = posthouse.context
    const first = await appLately(db, APP)
    expect(first?.id).toBe(APP)
    expect(await appLately(db, APP)).toBe(first)
  })

  // Straight in the database, as another node does it.
  it.each([
    ['an app that is disabled', (id: string) => sql`update apps set enabled = false where id = ${id}`],
    ['a key that is revoked', (id: string) => sql`update app_keys set revoked_at = now() where app_id = ${id}`],
  ])('%s pushes for a second more at the most', async (_what, change) => {
    const app = await makeApp(posthouse)
    expect(await push(app)).toBe(200)
    await query(posthouse.context.db, change(app.id))
    const changedAt = performance.now()
    while (performance.now() - changedAt < BELIEVED_MS) {
      expect([200, 401]).toContain(await push(app))
      await sleep(100)
    }
    expect(await push(app)).toBe(401)
  })

  it('changes at once where it is changed', async () => {
    const { id, headers } = await makeApp(posthouse)
    expect(await push({ id, headers })).toBe(200)
    await saveApp(posthouse.context.db, { id, name: id, grants: ['channel:*'], enabled: false })
    expect(await push({ id, headers })).toBe(401)
  })

  it('is not kept of what is not there', async () => {
    const { db } = posthouse.context
    expect(await appLately(db, 'comes later')).toBeUndefined()
    await query(db, sql`insert into apps (id, name, grants) values ('comes later', 'x', '[]')`)
    expect((await appLately(db, 'comes later'))?.name).toBe('x')
  })
})
