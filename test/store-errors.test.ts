import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { query } from '../src/db/client.ts'
import { users } from '../src/db/tables.ts'
import { stores } from './kit/stores.ts'

describe.each(stores)('an error of the store, on $name', ({ open }) => {
  it('comes out as it went in, without the parameters of the statement', async () => {
    const store = await open()
    const secret = '18660886275'
    const statements = [
      () => query(store.db, sql`select 1 / (length(${secret}) - 11)`),
      () =>
        store.db
          .select()
          .from(users)
          .where(sql`${users.phone} = ${secret} and exists (select from nowhere)`),
      () => store.db.insert(users).values({ code: secret, name: sql`nothing` }),
    ]
    for (const statement of statements) {
      const error = await Promise.resolve(statement()).then(
        () => undefined,
        (thrown: Error) => thrown,
      )
      expect(error).toBeInstanceOf(Error)
      expect(error?.name).not.toBe('DrizzleQueryError')
      expect(error?.message).not.toContain(secret)
    }
    await store.close()
  })
})
