/** The load of bench:live: many subscribers in this process, as light as they can be, that count what they are told. */
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

/** What a front end shows of a new item, in a list and on a badge. */
const QUERY = `subscription ($after: Rev) {
  inboxChanges(after: $after) {
    __typename
    ... on InboxSnapshot { rev counts { unread unseen } items { id title text createdAt readAt } }
    ... on ItemChanged { rev change counts { unread unseen } item { id title text createdAt readAt } }
    ... on ItemsChanged { rev change counts { unread unseen } itemIds marks { seenAt readAt archivedAt } }
    ... on ItemGone { rev counts { unread unseen } itemId }
    ... on InboxLagged { rev lagReason }
    ... on InboxCaughtUp { rev }
  }
}`
/** Handshakes under way at once. */
const AT_ONCE = 100
const PATIENCE_MS = 60_000

export type Sockets = Awaited<ReturnType<typeof openSockets>>

/**
 * How they come. `isGreeted`: the server begins with what was before, after the revs in `after`, up to `InboxCaughtUp`.
 * Handshakes are under way `atOnce`; each waits `spreadMs` before its own.
 */
type Coming = {
  isGreeted: boolean
  atOnce?: number
  after?: readonly string[] | undefined
  spreadMs?: ((index: number) => number) | undefined
}

/** Subscribes each of these; ready when all are. */
export async function openSockets(
  url: string,
  people: { user: string; token: string }[],
  { isGreeted, atOnce = AT_ONCE, after, spreadMs }: Coming,
) {
  const subscribe = (index: number) =>
    JSON.stringify({ id: '1', type: 'subscribe', payload: { query: QUERY, variables: { after: after?.[index] } } })
  const revs: string[] = []
  let greetedAt = 0
  const told = new Uint32Array(people.length)
  const caughtUp = Promise.withResolvers<void>()
  let left = people.length
  let missing = 0
  let all = Promise.withResolvers<void>()
  let onEvent: (index: number) => void = () => {}
  let sample = ''

  function hear(index: number, data: Buffer) {
    if (data.includes('"InboxCaughtUp"')) {
      revs[index] = JSON.parse(data.toString()).payload.data.inboxChanges.rev
      if (--left > 0) return
      greetedAt = performance.now()
      caughtUp.resolve()
      return
    }
    if (!data.includes('"ItemChanged"')) return
    if (sample === '') sample = data.toString()
    told[index] = (told[index] ?? 0) + 1
    onEvent(index)
    if (--missing === 0) all.resolve()
  }

  async function open(index: number): Promise<WebSocket> {
    const { user, token } = people[index] ?? { user: '', token: '' }
    if (spreadMs !== undefined) await sleep(spreadMs(index))
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    })
    const acknowledged = Promise.withResolvers<void>()
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}`, user } })),
    )
    socket.on('message', (data: Buffer) => {
      if (data.includes('"connection_ack"')) acknowledged.resolve()
      else if (data.includes('"type":"error"')) caughtUp.reject(new Error(`Refused: ${data.toString()}`))
      else if (data.includes('"type":"ping"')) socket.send('{"type":"pong"}')
      else hear(index, data)
    })
    socket.on('error', acknowledged.reject)
    socket.on('close', (code) => acknowledged.reject(new Error(`closed with ${code}`)))
    await acknowledged.promise
    socket.send(subscribe(index))
    return socket
  }

  const late = (what: () => string) =>
    sleep(PATIENCE_MS, undefined, { ref: false }).then(() => {
      throw new Error(what())
    })
  const sockets: WebSocket[] = []
  for (let from = 0; from < people.length; from += atOnce) {
    const some = people.slice(from, from + atOnce).map((_person, at) => open(from + at))
    sockets.push(...(await Promise.race([Promise.all(some), late(() => 'Not everybody was let in')])))
  }
  if (isGreeted) await Promise.race([caughtUp.promise, late(() => `${left} were not told what was before`)])
  else greetedAt = performance.now()
  // A floor says nothing when a subscription stands.
  await sleep(1_000)

  return {
    /** Waits until everybody, or so many, were told one thing more since `act` began. Fails if somebody was told twice. */
    async allHear(act: () => unknown, { times = people.length }: { times?: number } = {}): Promise<void> {
      missing = times
      all = Promise.withResolvers()
      told.fill(0)
      await act()
      await Promise.race([all.promise, late(() => `${missing} of ${times} events did not come`)])
      if (times === people.length && told.some((count) => count !== 1)) throw new Error('Not everybody was told once')
    },
    /** Told of each event, and whose it is. */
    onEvent(listener: (index: number) => void) {
      onEvent = listener
    },
    /** The rev up to which each was told at first. */
    revs,
    /** When the last of them was told all that was before. */
    greetedAt: () => greetedAt,
    /** One message as it came, with all that surrounds the event. */
    sample: () => sample,
    close() {
      for (const socket of sockets) socket.terminate()
    },
  }
}
