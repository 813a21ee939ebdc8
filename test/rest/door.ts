/** What the REST tests share: further apps, and a look at what was accepted. */
import { randomBytes } from 'node:crypto'
import { saveApp, putKey, type AppRow } from '../../src/apps/apps.ts'
import { bearerKey, sha256 } from '../../src/apps/authenticate.ts'
import { APP, type Answer, type Running } from '../kit/posthouse.ts'

export const CHANNEL = '/api/openApi/message/push/channel'
export const TEMPLATE = '/api/openApi/message/push/template'

/** A further app with a bearer key; `headers` carry it. It may use every channel unless told otherwise. */
export async function makeApp({ context }: Running, row: Partial<AppRow> = {}) {
  const id = row.id ?? `app${randomBytes(6).toString('hex')}`
  await saveApp(context.db, { name: id, grants: ['channel:*', 'broadcast:1002', 'preview', 'recall'], ...row, id })
  const [keyId, secret] = [randomBytes(8).toString('hex'), randomBytes(24).toString('hex')]
  await putKey(context.db, { keyId, appId: id, secretSha256: sha256(secret) })
  const key = bearerKey(keyId, secret)
  return { id, key, headers: { authorization: `Bearer ${key}` } }
}

/** A push of the sample template to USER001 that succeeds; parts can be overridden. */
export const templateBody = (more: Record<string, unknown> = {}) => ({
  appId: APP,
  receiverType: 'specified',
  receiverData: { user: ['USER001'] },
  templateCode: 'MSG1001',
  channelParamData: { code: 'A1', name: '患者001' },
  ...more,
})

/** A push of a site message to USER001 that succeeds; parts can be overridden, `undefined` leaves one out. */
export const channelBody = (more: Record<string, unknown> = {}) => ({
  appId: APP,
  receiverType: 'specified',
  receiverData: { user: ['USER001'] },
  channelData: { '1002': { title: 't', content: 'c' } },
  ...more,
})

/** The message behind an answer, as the admin sees it. */
export async function messageOf(posthouse: Running, answer: Answer): Promise<Record<string, any>> {
  if (answer.body.msgId === undefined) throw new Error(`Not accepted: ${JSON.stringify(answer.body)}`)
  const { data, errors } = await posthouse.graphql(
    posthouse.adminKey,
    `query ($id: ID!) {
      message(id: $id) {
        msgId appId state receiverType receiver unresolved recipientCount businessId msgType priority senderCode senderName
        templateCode dueAt createdAt
        channels { channelId content totals { state count } }
        deliveries(first: 100) { edges { node { channelId recipient state reason } } }
      }
    }`,
    { id: answer.body.msgId },
  )
  if (errors !== undefined) throw new Error(JSON.stringify(errors))
  return data?.['message']
}

/** Deliveries on one channel, `recipient state reason`, in order. */
export function deliveriesOn(message: Record<string, any>, channelId: string): string[] {
  const nodes = (message['deliveries'].edges as { node: Record<string, string> }[]).map(({ node }) => node)
  return nodes
    .filter((node) => node['channelId'] === channelId)
    .map(({ recipient, state, reason }) => [recipient, state, reason].filter(Boolean).join(' '))
    .toSorted()
}

/** How often a message is in a user's inbox. */
export async function timesInInbox(posthouse: Running, user: string, msgId: string | undefined): Promise<number> {
  const { data } = await posthouse.graphql(
    await posthouse.token(user),
    `{ inbox(first: 100) { edges { node { msgId } } } }`,
  )
  return data?.['inbox'].edges.filter(({ node }: { node: { msgId: string } }) => node.msgId === msgId).length
}
