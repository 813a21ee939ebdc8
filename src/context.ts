/** What a running Posthouse holds, and who is asking. Types only: main.ts makes the one, apps/authenticate.ts tells the other. */
import type { Logger } from 'pino'
import type { App } from './apps/apps.ts'
import type { Config } from './config.ts'
import type { Db, Store } from './db/client.ts'
import type { Carrier, Channel } from './delivery/channel.ts'
import type { Hints } from './hints.ts'
import type { Live } from './inbox/live.ts'

export type Context = {
  config: Config
  secrets: Secrets
  store: Store
  db: Db
  log: Logger
  hints: Hints
  channels: ReadonlyMap<string, OpenChannel>
  live: Live
}

export type OpenChannel = Channel & { carrier: Carrier }

export type Secrets = {
  adminKey: string
  inboxJwtSecret: string
  /** True when they were made for development and are kept in DATA_DIR. */
  areMade: boolean
}

/** Who is asking. Each field and call has a rule over this. */
export type Viewer =
  | { kind: 'nobody' }
  | { kind: 'app'; app: App }
  | { kind: 'user'; code: string; expiresAt: Date }
  | { kind: 'admin' }

/** What a single request adds. */
export type Asking = { viewer: Viewer; requestId: string }
