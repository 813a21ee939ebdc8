/** What every act of an admin owes: an example in GraphiQL that works on the sample hospital, and an entry in the audit log. */
import { type GraphQLObjectType, parse, type FieldNode, type OperationDefinitionNode } from 'graphql'
import { describe, expect, it } from 'vitest'
import { examples } from '../../src/graphiql/examples.ts'
import { schema } from '../../src/schema.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

/** Mutations that an admin may make; those of a person alone are none of these. */
const acts = Object.values((schema.getMutationType() as GraphQLObjectType).getFields())
  .filter((field) => (field.extensions['pothosOptions'] as { authScopes: { admin?: boolean } }).authScopes.admin)
  .map(({ name }) => name)
const fieldsOf = (text: string) =>
  (parse(text).definitions as OperationDefinitionNode[]).flatMap(({ selectionSet }) =>
    (selectionSet.selections as FieldNode[]).map(({ name }) => name.value),
  )
const isMutation = (text: string) => text.startsWith('mutation')
/** The acts for which something must be put in first: what an earlier answer named. */
const PUT_IN: Record<string, string> = { revokeAppKey: 'keyId', recallMessage: 'id' }

it('has an example of every act of an admin', () => {
  const shown = new Set(examples.flatMap(({ query }) => fieldsOf(query)))
  expect(acts.filter((name) => !shown.has(name))).toEqual([])
})

describe.each(stores)('the examples of an admin, on $name', (store) => {
  it('work one after the other on the sample hospital, and each act leaves an entry', async () => {
    const posthouse = await run(store)
    const asAdmin = async (query: string, variables: Record<string, unknown> = {}) => {
      const { data, errors } = await posthouse.graphql(posthouse.adminKey, query, variables)
      expect([query, errors]).toEqual([query, undefined])
      return data as Record<string, any>
    }
    const newest = async () =>
      (await asAdmin('{ auditEntries(first: 1) { edges { cursor } } }'))['auditEntries'].edges[0]?.cursor as string
    // Something to try again, and something to take back.
    await posthouse.push(['USER001'], '再试', { channelData: { '1001': { content: '测试' } } })
    await posthouse.context.store.run("update deliveries set state = 'dead', settled_at = now()", [], 'all')
    const { body } = await posthouse.push(['USER001'], '撤回')
    const { createApp } = await asAdmin(
      'mutation { createApp(input: { id: "old", name: "old", grants: [] }) { keyId } }',
    )
    const given: Record<string, string> = { revokeAppKey: createApp.keyId, recallMessage: body.msgId! }

    const silent: string[] = []
    for (const { query, viewer, variables } of examples) {
      const names = isMutation(query) && viewer !== 'user' ? fieldsOf(query).filter((name) => acts.includes(name)) : []
      if (viewer !== 'admin' && names.length === 0) continue
      const before = await newest()
      const put = names.filter((name) => name in PUT_IN).map((name) => [PUT_IN[name], given[name]])
      await asAdmin(query, { ...variables, ...Object.fromEntries(put) })
      if (names.length > 0 && (await newest()) === before) silent.push(...names)
    }
    expect(silent).toEqual([])
    await posthouse.stop()
  })
})
