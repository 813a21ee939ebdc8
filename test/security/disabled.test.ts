/** Who is disabled while he is connected. */
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { boot, run, type Running } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { subscribe, subscribeSse } from '../inbox/subscriber.ts'

const ENABLE =
  'mutation ($code: String!, $enabled: Boolean!) { setUserEnabled(code: $code, enabled: $enabled) { isChanged } }'

describe.each(stores)('who is disabled, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  /** Two where a store can carry them, else the same one twice. */
  let nodes: Running[]
  beforeAll(async () => {
    posthouse = await run(store)
    nodes = [posthouse, ...(store.name === 'PGlite' ? [posthouse] : [await boot(posthouse.place.env)])]
  })
  afterAll(async () => {
    for (const node of new Set([...nodes.slice(1), posthouse])) await node.stop()
  })

  const setEnabled = (code: string, enabled: boolean) =>
    posthouse.graphql(posthouse.adminKey, ENABLE, { code, enabled })
  /** A socket on which nothing is asked, and how it will be closed. */
  async function idleSocket(node: Running, user: string): Promise<{ closed: Promise<unknown[]> }> {
    const client = new WebSocket(`${node.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    await once(client, 'open')
    client.send(
      JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${await node.token(user)}` } }),
    )
    await once(client, 'message')
    return { closed: once(client, 'close').then(([code, reason]) => [code, String(reason)]) }
  }

  it('leaves every socket and stream on every node; everybody else stays', async () => {
    const [here, there] = nodes as [Running, Running]
    const other = subscribe(there.socket(await posthouse.token('USER002')))
    await other.until('InboxCaughtUp')
    const idle = [await idleSocket(here, 'USER001'), await idleSocket(there, 'USER001')]
    const stream = await subscribeSse(there.url, await posthouse.token('USER001'))
    const live = subscribe(there.socket(await posthouse.token('USER001')))
    await Promise.all([stream.until('InboxCaughtUp'), live.until('InboxCaughtUp')])
    expect([...there.context.live.guests.users()].toSorted()).toEqual(['USER001', 'USER002'])

    await setEnabled('USER001', false)

    expect(await Promise.all(idle.map(({ closed }) => closed))).toEqual([
      [4403, 'Not good any more'],
      [4403, 'Not good any more'],
    ])
    await expect(live.result()).rejects.toMatchObject({ code: 4403 })
    expect(await stream.result()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] })
    await stream.ended()
    await posthouse.push(['USER002'], '还在')
    expect(await other.next()).toMatchObject({ item: { title: '还在' } })
    expect([...there.context.live.guests.users()]).toEqual(['USER002'])
    await other.leave()
  })

  it('comes in again, and missed nothing that was his, once he is enabled', async () => {
    const token = await posthouse.token('USER003')
    const before = subscribe(nodes[1]!.socket(token))
    const { rev } = (await before.until('InboxCaughtUp')).at(-1)!
    await posthouse.push(['USER003'], '停用前')
    await before.next()
    await setEnabled('USER003', false)
    await expect(before.result()).rejects.toMatchObject({ code: 4403 })
    await expect(subscribe(nodes[1]!.socket(token), rev).result()).rejects.toMatchObject({ code: 4403 })
    await setEnabled('USER003', true)
    const after = subscribe(nodes[1]!.socket(token), rev)
    expect(await after.next()).toMatchObject({ item: { title: '停用前' } })
    await after.leave()
  })
})
