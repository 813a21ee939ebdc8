/** What a running Posthouse holds, and who is asking. Types only: main.ts makes the one, apps/authenticate.ts tells the other. */
import type { Logger } from 'pino'
import type { App } from './apps/apps.ts'
import type { Config } from './config.ts'
import type { Db, Store } from './db/client.ts'
import type { DeliveryState } from './db/tables.ts'
import type { Carrier, Channel } from './delivery/channel.ts'
import type { Hints } from './hints/hints.ts'
import type { Live } from './inbox/hub.ts'

export type Context = {
  config: Config
  secrets: Secrets
  store: Store
  db: Db
  log: Logger
  hints: Hints
  channels: ReadonlyMap<string, OpenChannel>
  live: Live
  /** Undefined: nobody counts. */
  metrics?: Metrics
}

export type OpenChannel = Channel & { carrier: Carrier }

/** Counts what is done; /metrics tells it (metrics.ts). None of them fails or waits, but for `read`. */
export type Metrics = {
  /** An attempt or a receipt led deliveries (1 unless told) to that state; `queued`: to another attempt. */
  deliverySettled(channelId: string, outcome: DeliveryState, count?: number): void
  receiptsHeard(channelId: string, outcome: 'applied' | 'waiting' | 'ignored', count: number): void
  /** This node leaves the channel alone, or does so no more. */
  circuit(channelId: string, isOpen: boolean): void
  requestDone(door: string, status: number): void
  /** A connection was cut, since the other side took nothing any more. */
  readerCut(): void
  /** All of it, with what can be seen in the database, in Prometheus' text format. */
  read(context: Context): Promise<{ contentType: string; text: string }>
}

export type Secrets = {
  adminKey: string
  inboxJwtSecret: string
  /** The one before, which tokens may still be signed with. */
  previousInboxJwtSecret: string | undefined
  /** True when they were made for development and are kept in DATA_DIR. */
  areMade: boolean
}

/** Who is asking. Each field and call has a rule over this. */
export type Viewer = { kind: 'nobody' } | { kind: 'app'; app: App } | Person | { kind: 'admin' }

/** Somebody with an inbox. `expiresAt` moves on when the token is renewed. */
export type Person = { kind: 'user'; code: string; expiresAt: Date; token: TokenMarks }

/** By what a token is known when it is taken back: its id, when it was issued, and what had been taken back by then. */
export type TokenMarks = { jti: string | undefined; issuedAt: number | undefined; generation: number | undefined }

/** What a single request adds. */
export type Asking = {
  viewer: Viewer
  requestId: string
  /** Who sits behind the admin's key, as the caller says; for the audit log. */
  operator?: string | undefined
}
