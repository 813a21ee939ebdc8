/** Puts a running Posthouse together and takes it apart. Used by main.ts, and by tests and benches in their own process. */
import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { pino, type Logger } from 'pino'
import { forgetOldNonces } from './apps/signing.ts'
import { forgetEndedRevocations } from './apps/revoke.ts'
import { mayStay } from './apps/tokens.ts'
import type { Config } from './config.ts'
import type { Context, OpenChannel, Secrets } from './context.ts'
import { openStore, query, type Store } from './db/client.ts'
import { migrate } from './db/migrate.ts'
import { makeHear, type Hearing } from './delivery/receipts.ts'
import { watchWaiting } from './delivery/waiting-receipts.ts'
import { startWorker } from './delivery/worker.ts'
import { openHints } from './hints/hints.ts'
import { openLive } from './inbox/hub.ts'
import { forgetOldCharges } from './messages/guard.ts'
import { forgetOldKeys } from './messages/idempotency.ts'
import { makeMetrics } from './metrics.ts'
import { loadSample } from './sample.ts'
import { development, introduce } from './welcome.ts'

/** After the drain began: time for load balancers to notice that `/readyz` says no. */
const DRAIN_MS = 500

const HOUSEKEEPING_MS = 3_600_000

export type Posthouse = {
  url: string
  context: Context
  /** Stops in the reverse order of the start. `drain`: others still send requests here, and are to find out first. */
  stop(how?: { drain: boolean }): Promise<void>
}

/** Starts everything, telling its progress to `say`. Rejects with a sentence when it cannot. */
export async function start(config: Config, say: (line: string) => void): Promise<Posthouse> {
  const log = makeLog(config.LOG_LEVEL)
  const startedAt = performance.now()
  const where = config.DATABASE_URL === undefined ? `the embedded database in ${config.DATA_DIR}` : 'PostgreSQL'
  say(`Posthouse 驿站: opening ${where} …`)
  // The doors are most of the code: they load while the database opens.
  const loading = import('./server.ts')
  loading.catch(() => {})
  const store = await openStore({
    databaseUrl: config.DATABASE_URL,
    dataDir: config.DATA_DIR,
    onNews: (what) => log.warn(`database: ${what}`),
  })
  try {
    if (store.kind === 'postgres') await checkPostgres(store, config)
    say('Bringing the schema up to date …')
    await migrate(store)
    const secrets = readSecrets(config)
    if (config.SAMPLE_DATA && config.isLoopback) {
      // Nodes that start together take turns, so that it is loaded once.
      await store.exclusively(async () => {
        if (await loadSample(store)) say('Loaded the sample hospital.')
      })
    }

    const hints = await openHints(store, { redisUrl: config.REDIS_URL, log })
    const live = openLive({ store, hints, log, mayStay: (person) => mayStay(store.db, person) })
    const metrics = makeMetrics()
    const channels = openChannels(config, { store, log, metrics })
    const context: Context = { config, secrets, store, db: store.db, log, hints, channels, live, metrics }
    const viewers = await development(context)
    const { startServer } = await loading
    const server = await startServer(context, viewers).catch((error) => {
      throw cannotListen(config, error)
    })
    const worker = startWorker(context)
    const waitingReceipts = watchWaiting(context)
    const housekeeping = setInterval(() => {
      forgetOldKeys(store.db).catch((error: Error) =>
        log.warn({ why: error.name }, 'old idempotency keys stay for now'),
      )
      forgetOldCharges(store.db).catch((error: Error) =>
        log.warn({ why: error.name }, 'old confirmations stay for now'),
      )
      forgetOldNonces(store.db).catch((error: Error) => log.warn({ why: error.name }, 'old nonces stay for now'))
      forgetEndedRevocations(store.db).catch((error: Error) =>
        log.warn({ why: error.name }, 'revocations of ended tokens stay for now'),
      )
    }, HOUSEKEEPING_MS)
    introduce(context, server.url, viewers, say)
    say(`Ready in ${((performance.now() - startedAt) / 1000).toFixed(1)} s. Ctrl-C stops.`)

    return {
      url: server.url,
      context,
      async stop({ drain } = { drain: false }) {
        clearInterval(housekeeping)
        server.drain()
        if (drain) await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
        await worker.stop()
        await server.close()
        live.close()
        await hints.close()
        for (const { carrier } of channels.values()) await carrier.close()
        await waitingReceipts.stop()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Keeps out of the log what it must not hold: tokens, and where people are reached. */
function makeLog(level: Config['LOG_LEVEL']): Logger {
  const redact = {
    paths: ['*.authorization', 'authorization', 'token', '*.token', 'address', '*.address', 'phone', 'email'],
    censor: '[hidden]',
  }
  return pino(
    { level, redact, base: undefined, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: false }),
  )
}

/** What a PostgreSQL must be: new enough, able to store any text, and waiting for its disk before it says committed. */
async function checkPostgres(store: Store, config: Config): Promise<void> {
  const rows = await query<{ name: string; setting: string }>(
    store.db,
    sql`
      select name, setting from pg_settings
      where name in ('server_version', 'server_version_num', 'server_encoding', 'fsync', 'synchronous_commit')`,
  )
  const is = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
  if (Number(is['server_version_num']) < 140_000) {
    throw new Error(`PostgreSQL ${is['server_version']} is too old. Use 14 or later in DATABASE_URL.`)
  }
  if (is['server_encoding'] !== 'UTF8') {
    throw new Error(
      `the database in DATABASE_URL is encoded in ${is['server_encoding']}. Create one with: createdb -E UTF8 -T template0 …`,
    )
  }
  const lossy = ['fsync', 'synchronous_commit'].find((name) => is[name] === 'off')
  if (lossy === undefined || config.ALLOW_LOSSY_DATABASE) return
  throw new Error(
    `PostgreSQL runs with ${lossy}=off, so what was answered 200 could be lost. Turn it on, or set ALLOW_LOSSY_DATABASE=yes.`,
  )
}

/** Why HOST and PORT cannot be listened on, as a sentence where we know one. */
function cannotListen({ HOST, PORT }: Config, error: NodeJS.ErrnoException): Error {
  const sentences: Record<string, string> = {
    EADDRINUSE: `PORT ${PORT} on ${HOST} is taken by another program. Stop that, or set PORT to another one (0: any free one).`,
    EACCES: `this user may not listen on PORT ${PORT}. Set PORT to one above 1023.`,
    EADDRNOTAVAIL: `HOST ${HOST} is not an address of this machine. Set HOST to 127.0.0.1, 0.0.0.0 or one that is.`,
    ENOTFOUND: `HOST ${HOST} is not known here. Set HOST to an address of this machine.`,
  }
  const sentence = sentences[error.code ?? '']
  return sentence === undefined ? error : new Error(sentence, { cause: error })
}

/** The secrets from the settings; on loopback, ones made at the first start and kept in DATA_DIR. */
function readSecrets(config: Config): Secrets {
  const { ADMIN_KEY, INBOX_JWT_SECRET, INBOX_JWT_SECRET_PREVIOUS: previousInboxJwtSecret, DATA_DIR } = config
  if (ADMIN_KEY !== undefined && INBOX_JWT_SECRET !== undefined) {
    return { adminKey: ADMIN_KEY, inboxJwtSecret: INBOX_JWT_SECRET, previousInboxJwtSecret, areMade: false }
  }
  const made = readMadeSecrets(DATA_DIR)
  return {
    adminKey: ADMIN_KEY ?? made.adminKey,
    inboxJwtSecret: INBOX_JWT_SECRET ?? made.inboxJwtSecret,
    previousInboxJwtSecret,
    areMade: true,
  }
}

/** Of nodes that start together in one directory, all use what the first one made; the file is never there in part. */
function readMadeSecrets(dataDir: string): { adminKey: string; inboxJwtSecret: string } {
  const file = join(dataDir, 'development.json')
  mkdirSync(dataDir, { recursive: true })
  if (!existsSync(file)) {
    const make = () => randomBytes(32).toString('hex')
    const mine = `${file}.${process.pid}`
    writeFileSync(mine, JSON.stringify({ adminKey: make(), inboxJwtSecret: make() }), { mode: 0o600 })
    try {
      linkSync(mine, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      rmSync(mine)
    }
  }
  return JSON.parse(readFileSync(file, 'utf8'))
}

/** Receipts that a carrier hears over its own connection can be stored from here on. */
function openChannels(config: Config, hearing: Hearing): Map<string, OpenChannel> {
  return new Map(
    [...config.channels].map(([id, channel]) => {
      const log = hearing.log.child({ channelId: id })
      const { provider, settings, limits } = channel
      return [id, { ...channel, carrier: provider.open(settings, log, makeHear(hearing, id), limits) }]
    }),
  )
}
