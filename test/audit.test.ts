import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { auditing, type By } from '../src/audit/audit.ts'
import { json, query } from '../src/db/client.ts'
import { run } from './kit/posthouse.ts'
import { stores } from './kit/stores.ts'

const BY: By = { actor: 'admin', operator: '王护士长', requestId: 'request-1' }

describe.each(stores)('the audit log on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
    for (const n of [1, 2, 3]) await note('room.paint', `ROOM${n}`, { colour: `white ${n}` })
    await note('room.close', 'ROOM1', { open: false })
  })
  afterAll(() => posthouse.stop())

  const note = (act: string, subject: string, after: object) =>
    query(
      posthouse.context.db,
      auditing(BY, act, sql`select ${subject}::text as subject, null::jsonb as before, ${json(after)}::jsonb as after`),
    )
  const entries = async (args: string) => {
    const { data, errors } = await posthouse.graphql(
      posthouse.adminKey,
      `{ auditEntries(${args}) { edges { cursor node { at actor operator act subject before after requestId } } pageInfo { hasNextPage } } }`,
    )
    expect(errors).toBeUndefined()
    return data?.['auditEntries']
  }

  it('tells who changed what, before and after, newest first', async () => {
    const { edges } = await entries('first: 1, filter: { subject: "ROOM1" }')
    expect(edges.map(({ node }: { node: object }) => node)).toEqual([
      {
        at: expect.any(String),
        ...BY,
        act: 'room.close',
        subject: 'ROOM1',
        before: null,
        after: { open: false },
      },
    ])
  })

  it('pages without leaving out or repeating', async () => {
    const first = await entries('first: 2, filter: { act: "room.paint" }')
    expect(first.pageInfo.hasNextPage).toBe(true)
    const second = await entries(`first: 2, after: "${first.edges[1].cursor}", filter: { act: "room.paint" }`)
    expect(second.pageInfo.hasNextPage).toBe(false)
    const subjects = [...first.edges, ...second.edges].map(({ node }) => node.subject)
    expect(subjects).toEqual(['ROOM3', 'ROOM2', 'ROOM1'])
  })

  it('finds by actor and time, and nothing where nothing is', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    const found = await entries(`filter: { actor: "admin", until: "${tomorrow}", act: "room.close" }`)
    expect(found.edges).toHaveLength(1)
    expect((await entries(`filter: { since: "${tomorrow}" }`)).edges).toEqual([])
    expect((await entries('filter: { actor: "app:nobody" }')).edges).toEqual([])
  })

  it.each(['update audit_entries set actor = $$nobody$$', 'delete from audit_entries', 'truncate audit_entries'])(
    'refuses to forget: %s',
    async (statement) => {
      await expect(query(posthouse.context.db, sql.raw(statement))).rejects.toThrow(/append-only/)
    },
  )

  it('refuses a cursor of another list, and an operator that is no text', async () => {
    const { errors } = await posthouse.graphql(posthouse.adminKey, '{ auditEntries(after: "x") { edges { cursor } } }')
    expect(errors?.[0]?.extensions?.['code']).toBe('BAD_CURSOR')
    const response = await fetch(`${posthouse.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${posthouse.adminKey}`,
        'x-posthouse-operator': '%ZZ',
      },
      body: JSON.stringify({ query: '{ __typename }' }),
    })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('X-Posthouse-Operator: must be percent-encoded text')
  })
})
