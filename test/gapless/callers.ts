/** Those who push, recall and act on inboxes: each asks until a node has answered, so that what was done is known. */
import { APP, talkTo } from '../kit/posthouse.ts'
import type { Act, Sweep } from './model.ts'
import { persistently, type Nodes } from './nodes.ts'

let pushes = 0

/** Pushes to these users, or to everybody, once; gives the message's id. */
export async function push(nodes: Nodes, random: () => number, users: readonly string[] | 'all'): Promise<string> {
  const key = `gapless-${process.pid}-${++pushes}`
  const to =
    users === 'all' ? { receiverType: 'all' } : { receiverType: 'specified', receiverData: { user: [...users] } }
  const body = { appId: APP, ...to, channelData: { '1002': { title: key, content: key } } }
  return persistently(nodes, random, async (url, signal) => {
    const answer = await call(`${url}/api/openApi/message/push/channel`, body, { 'idempotency-key': key }, signal)
    return answer && (answer['msgId'] as string)
  })
}

/** Recalls a message, until all of it is taken back. */
export async function recall(nodes: Nodes, random: () => number, msgId: string): Promise<void> {
  await persistently(nodes, random, async (url, signal) => {
    const answer = await call(`${url}/api/openApi/message/recall`, { appId: APP, msgId }, {}, signal)
    const [message] = (answer?.['data'] as { messages: { state: string }[] } | undefined)?.messages ?? []
    return message?.state === 'recalled' || undefined
  })
}

/** Does something to named items of a person. */
export async function act(nodes: Nodes, random: () => number, user: string, name: Act, ids: readonly string[]) {
  const until = name === 'snoozeItems' ? `, until: "${new Date(Date.now() + 86_400_000).toISOString()}"` : ''
  const mutation = `mutation ($ids: [ID!]!) { ${name}(ids: $ids${until}) { rev } }`
  await mutate(nodes, random, user, mutation, () => ({ ids }))
}

/** Lets an item sleep for so long. */
export async function nap(nodes: Nodes, random: () => number, user: string, msgId: string, milliseconds: number) {
  const mutation = 'mutation ($ids: [ID!]!, $until: DateTime!) { snoozeItems(ids: $ids, until: $until) { rev } }'
  const until = () => new Date(Date.now() + milliseconds).toISOString()
  await mutate(nodes, random, user, mutation, () => ({ ids: [msgId], until: until() }))
}

/** Does something to all items that were there at a rev. */
export async function sweep(nodes: Nodes, random: () => number, user: string, name: Sweep, upTo: string) {
  await mutate(nodes, random, user, `mutation ($upTo: Rev!) { ${name}(upTo: $upTo) { rev } }`, () => ({ upTo }))
}

/** The rev at which a person's inbox stands. */
export async function revNow(nodes: Nodes, random: () => number, user: string): Promise<string> {
  const ask = '{ inboxChanges { ... on InboxCaughtUp { rev } } }'
  const data = await mutate(nodes, random, user, ask, () => ({}))
  return (data['inboxChanges'] as { rev?: string }[]).at(-1)?.rev ?? ''
}

/** `variables` are made anew each time it asks. */
function mutate(
  nodes: Nodes,
  random: () => number,
  user: string,
  query: string,
  variables: () => Record<string, unknown>,
) {
  return persistently(nodes, random, async (url, signal) => {
    const token = await talkTo(url).token(user)
    const answer = await call(
      `${url}/graphql`,
      { query, variables: variables() },
      { authorization: `Bearer ${token}` },
      signal,
    )
    if (answer === undefined) return undefined
    // A busy machine took longer than the nap was to last: nothing was changed, and the next time is a later one.
    if (JSON.stringify(answer['errors'] ?? '').includes('until: is not in the future')) return undefined
    if (answer['errors'] !== undefined) throw new Error(`${query} of ${user}: ${JSON.stringify(answer['errors'])}`)
    return answer['data'] as Record<string, unknown>
  })
}

/** Undefined: not there now, ask again. */
async function call(url: string, body: unknown, headers: Record<string, string>, signal: AbortSignal) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal,
  })
  const answer = (await response.json()) as Record<string, unknown>
  if (response.status === 503) return undefined
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${JSON.stringify(answer)}`)
  return answer
}
