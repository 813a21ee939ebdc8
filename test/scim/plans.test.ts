/** How PostgreSQL finds whom an identity provider looks for, one request for each person it knows: not by reading everybody. */
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/pg-proxy'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, type Db, type Store } from '../../src/db/client.ts'
import { findGroups } from '../../src/directory/scim/find-groups.ts'
import { findUsers } from '../../src/directory/scim/find-users.ts'
import { parseFilter } from '../../src/directory/scim/filter.ts'
import { stores } from '../kit/stores.ts'

const PEOPLE = 20_000

describe.each(stores)('among many people, on $name', ({ open }) => {
  let store: Store
  const plans: string[] = []
  let explained: Db

  beforeAll(async () => {
    store = await open()
    await query(
      store.patient,
      sql`
      with people as (
        insert into users (code, name, phone, email, external_id)
        select 'P' || n, 'N' || n, '+86186' || (10000000 + n), 'p' || n || '@example.org', 'e' || n
        from generate_series(1, ${PEOPLE}::integer) as n returning code
      ), role as (insert into roles (code, name) values ('R1', 'R1'), ('R2', 'R2'))
      insert into memberships (kind, group_code, user_code)
      select 'role', case when code < 'P3' then 'R1' else 'R2' end, code from people`,
    )
    await query(store.db, sql`analyze`)
    explained = drizzle(async (text, params, mode) => {
      const { rows } = await store.run(`explain ${text}`, params, 'all')
      plans.push(rows.flat().join('\n'))
      return store.run(text, params, mode as 'all' | 'execute')
    })
  }, 120_000)
  afterAll(() => store.close())

  const wish = (filter: string) => ({ filter: parseFilter(filter), startIndex: 1, count: 100 })

  it.each([
    'id eq "P77"',
    'userName eq "p77"',
    'userName eq "P77" and active eq true',
    'externalId eq "e77"',
    'emails.value eq "P77@example.org"',
    'emails[type eq "work"].value eq "p77@example.org"',
    'phoneNumbers.value eq "+8618610000077"',
    'externalId eq "e77" or userName eq "P77"',
    'groups.value eq "role:R2" and id eq "P77"',
  ])('%s finds one without reading all', async (filter) => {
    plans.length = 0
    const { total, found } = await findUsers(explained, wish(filter), true)
    expect([total, found.map(({ code }) => code)]).toEqual([1, ['P77']])
    expect(plans.filter((plan) => /Seq Scan on users\b/.test(plan))).toEqual([])
  })

  it('finds whether somebody is in a group without reading who else is', async () => {
    plans.length = 0
    const { found } = await findGroups(explained, wish('id eq "role:R1" and members eq "P1"'), false)
    expect(found.map(({ code, memberCount }) => [code, memberCount > 1_000])).toEqual([['R1', true]])
    expect(plans.filter((plan) => plan.includes('Seq Scan on memberships') && !plan.includes('Aggregate'))).toEqual([])
  })
})
