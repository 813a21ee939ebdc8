/** Puts a running Posthouse together and takes it apart. Used by main.ts, and by tests and benches in their own process. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { pino, type Logger } from 'pino'
import type { Config } from './config.ts'
import type { Context, OpenChannel, Secrets } from './context.ts'
import { openStore, query, type Store } from './db/client.ts'
import { migrate } from './db/migrate.ts'
import { startWorker } from './delivery/worker.ts'
import { openHints } from './hints.ts'
import { openLive } from './inbox/live.ts'
import { loadSample } from './sample.ts'
import { startServer } from './server.ts'
import { development, introduce } from './welcome.ts'

/** After the drain began: time for load balancers to notice that `/readyz` says no. */
const DRAIN_MS = 500

export type Posthouse = { url: string; context: Context; stop(): Promise<void> }

/** Starts everything, telling its progress to `say`. Rejects with a sentence when it cannot. */
export async function start(config: Config, say: (line: string) => void): Promise<Posthouse> {
  const log = makeLog(config.LOG_LEVEL)
  const startedAt = performance.now()
  const where = config.DATABASE_URL === undefined ? `the embedded database in ${config.DATA_DIR}` : 'PostgreSQL'
  say(`Posthouse 驿站: opening ${where} …`)
  const store = await openStore({
    databaseUrl: config.DATABASE_URL,
    dataDir: config.DATA_DIR,
    onTrouble: (what) => log.warn({ what }, 'database: starting afresh'),
  })
  try {
    await checkDurability(store, config)
    say('Bringing the schema up to date …')
    await migrate(store)
    const secrets = readSecrets(config)
    if (config.SAMPLE_DATA && config.isLoopback && (await loadSample(store))) say('Loaded the sample hospital.')

    const hints = await openHints(store)
    const live = openLive({ db: store.db, hints, log })
    const channels = openChannels(config, log)
    const context: Context = { config, secrets, store, db: store.db, log, hints, channels, live }
    const viewers = await development(context)
    const server = await startServer(context, viewers)
    const worker = startWorker(context)
    introduce(context, server.url, viewers, say)
    say(`Ready in ${((performance.now() - startedAt) / 1000).toFixed(1)} s. Ctrl-C stops.`)

    return {
      url: server.url,
      context,
      async stop() {
        server.drain()
        if (!config.isLoopback) await new Promise((resolve) => setTimeout(resolve, DRAIN_MS))
        await worker.stop()
        await server.close()
        live.close()
        await hints.close()
        for (const { carrier } of channels.values()) await carrier.close()
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
  const redact = { paths: ['*.authorization', 'authorization', 'token', '*.token', 'address', '*.address', 'phone', 'email'], censor: '[hidden]' }
  return pino({ level, redact, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: false }))
}

/** 200 means durable only when PostgreSQL waits for its disk. */
async function checkDurability(store: Store, config: Config): Promise<void> {
  if (store.kind === 'pglite' || config.ALLOW_LOSSY_DATABASE) return
  for (const name of ['fsync', 'synchronous_commit']) {
    const [row] = await query<{ value: string }>(store.db, sql`select current_setting(${name}) as value`)
    if (row?.value !== 'off') continue
    throw new Error(`PostgreSQL runs with ${name}=off, so what was answered 200 could be lost. Turn it on, or set ALLOW_LOSSY_DATABASE=yes.`)
  }
}

/** The secrets from the settings; on loopback, ones made at the first start and kept in DATA_DIR. */
function readSecrets(config: Config): Secrets {
  const { ADMIN_KEY, INBOX_JWT_SECRET, DATA_DIR } = config
  if (ADMIN_KEY !== undefined && INBOX_JWT_SECRET !== undefined) {
    return { adminKey: ADMIN_KEY, inboxJwtSecret: INBOX_JWT_SECRET, areMade: false }
  }
  const file = join(DATA_DIR, 'development.json')
  mkdirSync(DATA_DIR, { recursive: true })
  if (!existsSync(file)) {
    const make = () => randomBytes(32).toString('hex')
    writeFileSync(file, JSON.stringify({ adminKey: make(), inboxJwtSecret: make() }), { mode: 0o600 })
  }
  const made = JSON.parse(readFileSync(file, 'utf8')) as Omit<Secrets, 'areMade'>
  return { adminKey: ADMIN_KEY ?? made.adminKey, inboxJwtSecret: INBOX_JWT_SECRET ?? made.inboxJwtSecret, areMade: true }
}

function openChannels(config: Config, log: Logger): Map<string, OpenChannel> {
  return new Map(
    [...config.channels].map(([id, channel]) => [
      id,
      { ...channel, carrier: channel.provider.open(channel.settings, log.child({ channelId: id })) },
    ]),
  )
}
