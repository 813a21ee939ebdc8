/** The Redis that tests use where there is one: TEST_REDIS_URL, or a local one without a password. */
import { createClient } from '@redis/client'

const LOCAL = 'redis://127.0.0.1:6379'
const CONNECT_MS = 2_000
/** What the name of a part says that is left out without it; test/reporter.ts prints it. */
export const NO_REDIS = 'no Redis answered (TEST_REDIS_URL, or 127.0.0.1:6379 without a password)'

/** Undefined where there is none. With TEST_REDIS_URL its absence is a fault. */
export const redisUrl = await findRedis()

async function findRedis(): Promise<string | undefined> {
  const wanted = process.env['TEST_REDIS_URL'] || undefined
  const url = wanted ?? LOCAL
  const client = createClient({ url, RESP: 2, socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false } })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.ping()
    return url
  } catch (error) {
    if (wanted !== undefined) throw new Error('No Redis answers at TEST_REDIS_URL', { cause: error })
    return undefined
  } finally {
    if (client.isOpen) client.destroy()
  }
}
