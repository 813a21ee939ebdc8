/** Several nodes on one PostgreSQL: what is said at one holds at the others at once, and each delivery is held back once. */
import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { boot, eventually } from '../kit/posthouse.ts'
import { onPostgres } from '../kit/stores.ts'
import { aroundNow, preferencesOf } from './kit.ts'

const PEOPLE = 300

describe.skipIf(!onPostgres)('two nodes', () => {
  it('hold back every delivery once, by what was said at either, and send the others once', async () => {
    const place = await onPostgres!.place()
    const env = { ...place.env, TIME_ZONE: 'UTC' }
    const [one, other] = [await boot(env), await boot({ ...env, SAMPLE_DATA: 'no' })]
    const [to, there] = [preferencesOf(one), preferencesOf(other)]
    const users = Array.from({ length: PEOPLE }, (_, at) => `N${String(at).padStart(3, '0')}`)
    await query(
      one.context.db,
      sql`
        insert into users (code, name, phone)
        select code, code, '+86139' || lpad((row_number() over ())::text, 8, '0')
        from jsonb_array_elements_text(${JSON.stringify(users)}::jsonb) as code`,
    )
    const [off, quiet] = [users.slice(0, 20), users.slice(20, 40)]
    await Promise.all(off.map((user) => to.as(user, { channelId: '1001', isOn: false })))
    await Promise.all(quiet.map((user) => there.quiet(user, [aroundNow()])))
    const msgId = await there.send(users)
    await eventually(async () => {
      const rows = await to.rows(msgId)
      return rows.every(({ state, reason }) => state !== 'queued' || reason === 'QUIET_HOURS')
    }, 30_000)
    const rows = await to.rows(msgId)
    expect(rows.map(({ state }) => state)).toEqual(
      users.map((_, at) => (at < 20 ? 'skipped' : at < 40 ? 'queued' : 'sent')),
    )
    expect(rows.map(({ history }) => history.length)).toEqual(users.map(() => 1))
    // Whoever has said at one node that he wants nothing gets nothing from the other, which is the one that is left.
    await one.stop()
    await Promise.all(quiet.map((user) => there.as(user, { isOn: false })))
    await there.hurry()
    await eventually(async () => (await there.rows(msgId)).every(({ state }) => state !== 'queued'), 30_000)
    expect((await there.rows(msgId)).filter(({ state }) => state === 'sent')).toHaveLength(PEOPLE - 40)
    await other.stop()
    await place.remove()
  }, 120_000)
})
