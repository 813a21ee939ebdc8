import type { Client } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { putKey } from '../../src/apps/apps.ts'
import { bearerKey, sha256 } from '../../src/apps/authenticate.ts'
import {
  InboxChangesDocument,
  InboxCountsDocument,
  InboxPageDocument,
  MarkItemsReadDocument,
  MessageStatusDocument,
  PushChannelMessageDocument,
  PushTemplateMessageDocument,
  type TypedDocumentString,
} from '../../src/client/generated.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const KEY_SECRET = 'key-of-the-typed-client-0123456789'

/** All results of an operation over graphql-ws, in the types that were generated for it. */
async function* results<Result extends Record<string, unknown>, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentString<Result, Variables>,
  variables: Variables,
): AsyncGenerator<Result> {
  const query = document.toString()
  for await (const { data, errors } of client.iterate<Result>({ query, variables })) {
    if (errors !== undefined || data == null) throw new Error(JSON.stringify(errors))
    yield data
  }
}

/** The one result of a query or mutation. */
async function ask<Result extends Record<string, unknown>, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentString<Result, Variables>,
  variables: Variables,
): Promise<Result> {
  for await (const result of results(client, document, variables)) return result
  throw new Error('The operation ended without a result')
}

describe.each(stores)('the generated operations, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let app: Client
  let person: Client
  beforeAll(async () => {
    posthouse = await run(store)
    await putKey(posthouse.context.db, { keyId: 'typed', appId: APP, secretSha256: sha256(KEY_SECRET) })
    app = posthouse.socket(bearerKey('typed', KEY_SECRET))
    person = posthouse.socket(await posthouse.token('USER001'))
  })
  afterAll(async () => {
    await app.dispose()
    await person.dispose()
    await posthouse.stop()
  })

  it('push a message, watch it arrive, read it, and tell the sender', async () => {
    const changes = results(person, InboxChangesDocument, {})
    const next = async () => (await changes.next()).value?.inboxChanges
    expect(await next()).toMatchObject({ __typename: 'InboxSnapshot', items: [], hasMore: false })
    expect(await next()).toMatchObject({ __typename: 'InboxCaughtUp' })

    const { pushChannelMessage } = await ask(app, PushChannelMessageDocument, {
      input: {
        receiver: { specified: { users: ['USER001'] } },
        channels: [{ channelId: '1002', site: { title: '发工资了', content: '<b>请查收</b>' } }],
        priority: 'HIGH',
      },
    })
    expect(pushChannelMessage).toMatchObject({ warnings: [], isReplay: false })
    const { msgId } = pushChannelMessage

    const arrived = await next()
    if (arrived?.__typename !== 'ItemChanged') throw new Error(`Got ${arrived?.__typename} instead of the item`)
    expect(arrived).toMatchObject({
      change: 'NEW',
      counts: { unread: 1, unseen: 1 },
      item: { msgId, title: '发工资了', text: '请查收', priority: 3 },
    })

    const { markItemsRead } = await ask(person, MarkItemsReadDocument, { ids: [arrived.item.id] })
    expect(markItemsRead).toMatchObject({ counts: { unread: 0, unseen: 0 }, items: [{ msgId }] })
    expect(await next()).toMatchObject({ change: 'READ', rev: markItemsRead.rev, item: { readAt: expect.any(String) } })

    const { message } = await ask(app, MessageStatusDocument, { id: msgId })
    expect(message).toMatchObject({
      msgId,
      state: 'FANNED_OUT',
      recipientCount: 1,
      channels: [{ channelId: '1002', kind: 'SITE' }],
    })
    await changes.return(undefined)
  })

  it('push a template, and page through the inbox', async () => {
    const { pushTemplateMessage } = await ask(app, PushTemplateMessageDocument, {
      input: {
        receiver: { specified: { users: ['USER001'] } },
        templateCode: 'MSG1001',
        variables: [
          { name: 'code', value: 'R-7' },
          { name: 'name', value: '李四' },
        ],
      },
    })
    const { inbox } = await ask(person, InboxPageDocument, { first: 1 })
    expect(inbox.edges.map((edge) => edge?.node.msgId)).toEqual([pushTemplateMessage.msgId])
    expect(inbox.pageInfo).toEqual({ hasNextPage: true, endCursor: expect.any(String) })
    const older = await ask(person, InboxPageDocument, { first: 5, after: inbox.pageInfo.endCursor })
    expect(older.inbox.edges.map((edge) => edge?.node.title)).toEqual(['发工资了'])
    expect(older.inbox.pageInfo.hasNextPage).toBe(false)
    expect(await ask(person, InboxCountsDocument, {})).toMatchObject({
      inboxCounts: { unread: 1, unseen: 1, byApp: [{ unread: 1, unseen: 1 }] },
    })
  })
})
