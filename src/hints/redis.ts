import { createClient } from '@redis/client'
import type { Driver } from '../db/client.ts'
import { keepLink, type Connection } from '../db/link.ts'
import type { Hearing, Wire } from './hints.ts'

/** Small against the buffer at which Redis cuts a subscriber that is slow (8 MB for a minute). */
const BYTES = 60_000
/** A server that does not take a connection within this is not there. */
const CONNECT_MS = 2_000
/** A Redis that says nothing does not hold up the start. */
const PATIENCE_MS = 500

/**
 * Redis pub/sub, on two connections that live and die together: one that has subscribed may not publish in the older
 * protocol, which every Redis speaks. When one is lost or silent, both are made anew (docs/decisions/0014-hint-bus.md).
 */
export async function openRedis(
  driver: Driver,
  { onText, onUp }: Hearing,
  url: string,
  onNews: (what: string) => void,
): Promise<Wire> {
  const channel = await channelOf(driver)
  // A number of a database would only cost the right to SELECT.
  const address = Object.assign(new URL(url), { pathname: '' }).href
  let publish: ((text: string) => Promise<unknown>) | undefined

  function open(onLost: () => void): Connection {
    const [hearing, telling] = [newClient(address, onLost), newClient(address, onLost)]
    let isReady = false
    async function begin() {
      await Promise.all([hearing.client.connect(), telling.client.connect()])
      await hearing.client.subscribe(channel, onText)
      publish = (text) => telling.client.publish(channel, text)
      isReady = true
    }
    return {
      ask: () => (isReady ? Promise.all([hearing.client.ping(), telling.client.ping()]) : begin()),
      destroy() {
        publish = undefined
        hearing.end()
        telling.end()
      },
    }
  }

  const { isUp, close } = await keepLink({
    open,
    onUp,
    onNews: (why) =>
      onNews(
        why === undefined
          ? 'Redis answers again'
          : `Redis is away (${why}); until it is back, the beat finds what moved`,
      ),
    patienceMs: PATIENCE_MS,
  })
  return {
    bytes: BYTES,
    async send(text) {
      if (publish === undefined) throw new Error('Redis is away')
      await publish(text)
    },
    isUp,
    close,
  }
}

/** Never makes itself anew and keeps nothing for later: the link does the one, the bus the other. */
function newClient(url: string, onLost: () => void) {
  const client = createClient({
    url,
    RESP: 2,
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
    disableOfflineQueue: true,
    disableClientInfo: true,
  })
  // Without a listener an error would end the process; what it says comes out of the calls, too.
  client.on('error', onLost)
  client.on('end', onLost)
  let isThere = false
  let isEnded = false
  const end = () => {
    isEnded = true
    // One that is just being made it would forget and leave open: that one is ended as soon as it is there.
    if (isThere && client.isOpen) client.destroy()
  }
  client.once('connect', () => {
    isThere = true
    if (isEnded) end()
  })
  return { client, end }
}

/** Of this database alone: others may use the same Redis, and the number in its URL keeps no channels apart. */
async function channelOf({ run }: Driver): Promise<string> {
  const { rows } = await run(
    'select oid::text, datname from pg_database where datname = current_database()',
    [],
    'execute',
  )
  const [database] = rows as { oid: string; datname: string }[]
  return `posthouse:hints:${database?.oid}:${database?.datname}`
}
