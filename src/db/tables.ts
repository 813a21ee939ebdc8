/**
 * Every table, in reading order: who asks, who receives and what of, what is said, what was accepted, how it is carried, what is shown,
 * who changed what.
 * Each table has one writer, named above it; anybody may read. Times are `timestamptz` by the database's clock.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  date,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

import type { TemplateBody } from '../templates/draft.ts'
import type { Variable } from '../templates/variables.ts'

const time = (name: string) => timestamp(name, { withTimezone: true })
/** Text that sorts by its bytes: the same on every database, and compared several times as fast as in a language's order. */
const inByteOrder = customType<{ data: string }>({ dataType: () => 'text collate "C"' })
const createdAt = () => time('created_at').notNull().defaultNow()
/** What those who provision users and groups from elsewhere need to know of each. */
const provisioned = () => ({
  /** Its id at an identity provider; nobody else of the kind has the same. */
  externalId: text('external_id'),
  /** When anything about it changed, a user's memberships included. */
  changedAt: time('changed_at').notNull().defaultNow(),
  /** Set while it is disabled because a sync did not find it: the next one that does enables it again. */
  vanishedAt: time('vanished_at'),
})

// ── Who asks. Writer: apps ──────────────────────────────────────────────────────────────────────────────────────────

/** An app is a backend system that pushes. `id` is the documented `appId`. */
export const apps = pgTable('apps', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  enabled: boolean('enabled').notNull().default(true),
  /** What it may do, e.g. `channel:*`, `channel:1002`, `broadcast:1002`, `token`. */
  grants: jsonb('grants').$type<string[]>().notNull(),
  /** How it wants the documented calls read and answered; see docs/rest.md. */
  compat: jsonb('compat').$type<Compat>().notNull().default({}),
  /** Addresses from which `appId` alone is enough (legacy mode). Null: never. */
  legacyFrom: jsonb('legacy_from').$type<string[]>(),
  /** How many pushes it may make. Null: any number. */
  rateLimit: jsonb('rate_limit').$type<RateLimit>(),
  /** When a push needs a confirmation. Null: never. */
  guard: jsonb('guard').$type<Guard>(),
  createdAt: createdAt(),
})

/** `perSecond` pushes a second on average, and `burst` at once. */
export type RateLimit = { perSecond: number; burst: number }

/** Above so many recipients, or so many SMS segments a day, a push needs a confirmation; null: no such limit. */
export type Guard = { recipients: number | null; smsSegmentsPerDay: number | null }

/** Switches per app for callers built on other readings of the document. */
export type Compat = {
  /** `always200`: every answer has HTTP status 200, the truth is in the body's `code`. */
  httpStatus?: 'mirror' | 'always200'
  /** The body's `code` as a string, as the document's table says. */
  codeAsString?: boolean
  /** The body's `code` for bad input: 400, or 404 as in the document's failure sample. */
  paramErrorCode?: 400 | 404
  /** How a template push reads `priority`: `012` (2 high, 1 normal, 0 low; the default) or `123` (as a plain push). */
  templatePriority?: '012' | '123'
  /** Whether naming a dept reaches its sub-departments (default true). */
  deptIncludesDescendants?: boolean
}

/** Bearer keys. The secret is shown once and kept only as SHA-256; two may live at once, for rotation. */
export const appKeys = pgTable(
  'app_keys',
  {
    keyId: text('key_id').primaryKey(),
    appId: text('app_id')
      .notNull()
      .references(() => apps.id),
    secretSha256: text('secret_sha256').notNull(),
    /** What it is good for, and nothing else. Of a signing key `secret_sha256` is the HMAC key itself. */
    kind: text('kind', { enum: ['bearer', 'signing'] })
      .notNull()
      .default('bearer'),
    /** 1 or 2: an app has two live ones at most. Null: one that development made for itself. */
    slot: smallint('slot'),
    createdAt: createdAt(),
    /** To the hour. Null: never. */
    lastUsedAt: time('last_used_at'),
    revokedAt: time('revoked_at'),
  },
  (t) => [
    index('app_keys_app').on(t.appId),
    uniqueIndex('app_keys_slot')
      .on(t.appId, t.slot)
      .where(sql`revoked_at is null`),
  ],
)

/** How much of its rate an app has used, shared by all nodes; see apps/rate.ts. */
export const appRates = pgTable('app_rates', {
  appId: text('app_id').primaryKey(),
  /** When the next push would be due if all came evenly: it may lie ahead by as much as the burst allows. */
  nextAt: time('next_at').notNull(),
})

/** Nonces of signatures that were taken, until those are too old to be taken anyway: none is good twice on any node. */
export const signingNonces = pgTable(
  'signing_nonces',
  { keyId: text('key_id').notNull(), nonce: text('nonce').notNull(), expiresAt: time('expires_at').notNull() },
  (t) => [primaryKey({ columns: [t.keyId, t.nonce] }), index('signing_nonces_expired').on(t.expiresAt)],
)

/**
 * Inbox tokens that are taken back before they end: one by its `jti`, or with `*` all that a person had. `generation` only
 * grows: tokens of ours carry the one that they were made under, so that no clock decides whether one is older.
 */
export const tokenRevocations = pgTable(
  'token_revocations',
  {
    userCode: text('user_code').notNull(),
    jti: text('jti').notNull(),
    revokedAt: time('revoked_at').notNull().defaultNow(),
    generation: bigint('generation', { mode: 'number' }).notNull().default(0),
    /** When the token ends by itself, and this row with it. Null: stays. */
    expiresAt: time('expires_at'),
  },
  (t) => [
    primaryKey({ columns: [t.userCode, t.jti] }),
    index('token_revocations_expired')
      .on(t.expiresAt)
      .where(sql`expires_at is not null`),
  ],
)

// ── Who receives. Writer: directory ─────────────────────────────────────────────────────────────────────────────────

export const users = pgTable(
  'users',
  {
    code: text('code').primaryKey(),
    name: text('name').notNull(),
    phone: text('phone'),
    email: text('email'),
    /** BCP 47, e.g. `zh-CN`. Null: what a template says by default. */
    locale: text('locale'),
    /** IANA, e.g. `Asia/Shanghai`. Null: TIME_ZONE. */
    timeZone: text('time_zone'),
    /** Null: no identity provider has said it. */
    providedName: jsonb('provided_name').$type<ProvidedName>(),
    enabled: boolean('enabled').notNull().default(true),
    ...provisioned(),
    createdAt: createdAt(),
  },
  (t) => [
    index('users_phone').on(t.phone),
    uniqueIndex('users_external')
      .on(t.externalId)
      .where(sql`external_id is not null`),
    // How identity providers find somebody: without regard to case.
    index('users_folded').on(sql`lower(code)`),
    index('users_folded_email')
      .on(sql`lower(email)`)
      .where(sql`email is not null`),
    // What everybody is paged by: byte order, the same on every database.
    index('users_page')
      .on(sql`code collate "C"`)
      .where(sql`enabled`),
  ],
)

/** A name as an identity provider splits it, which is shown to it again; `name` is what everybody else sees. */
export type ProvidedName = { displayName?: string; formatted?: string; givenName?: string; familyName?: string }

/**
 * Groups are what a receiver can name instead of people: depts (a tree), posts and roles. A disabled one reaches nobody, nor
 * does what is below it by its name. They are never removed, so that what named one once still means it.
 */
export const departments = pgTable(
  'departments',
  {
    code: text('code').primaryKey(),
    name: text('name').notNull(),
    parentCode: text('parent_code'),
    enabled: boolean('enabled').notNull().default(true),
    ...provisioned(),
  },
  (t) => [
    uniqueIndex('departments_external')
      .on(t.externalId)
      .where(sql`external_id is not null`),
  ],
)

export const posts = pgTable(
  'posts',
  {
    code: text('code').primaryKey(),
    name: text('name').notNull(),
    enabled: boolean('enabled').notNull().default(true),
    ...provisioned(),
  },
  (t) => [
    uniqueIndex('posts_external')
      .on(t.externalId)
      .where(sql`external_id is not null`),
  ],
)

export const roles = pgTable(
  'roles',
  {
    code: text('code').primaryKey(),
    name: text('name').notNull(),
    enabled: boolean('enabled').notNull().default(true),
    ...provisioned(),
  },
  (t) => [
    uniqueIndex('roles_external')
      .on(t.externalId)
      .where(sql`external_id is not null`),
  ],
)

export const memberships = pgTable(
  'memberships',
  {
    kind: text('kind').$type<GroupKind>().notNull(),
    groupCode: text('group_code').notNull(),
    userCode: text('user_code')
      .notNull()
      .references(() => users.code),
  },
  (t) => [primaryKey({ columns: [t.kind, t.groupCode, t.userCode] }), index('memberships_user').on(t.userCode)],
)

export type GroupKind = 'dept' | 'post' | 'role'

/**
 * A full sync, or the import of a file. States: `open` takes batches; `finishing` takes none, while what was not named is
 * disabled; `finished`, `abandoned` and `failed` are final. At most one full sync is not.
 */
export const directoryRuns = pgTable(
  'directory_runs',
  {
    id: text('id').primaryKey(),
    state: text('state').$type<DirectoryRunState>().notNull(),
    /** What is missing at the end is disabled. */
    isFull: boolean('is_full').notNull(),
    /** `user`, `dept`, `post`, `role`: what it names. */
    covers: jsonb('covers').$type<DirectoryKind[]>().notNull(),
    batches: integer('batches').notNull().default(0),
    created: integer('created').notNull().default(0),
    changed: integer('changed').notNull().default(0),
    unchanged: integer('unchanged').notNull().default(0),
    refused: integer('refused').notNull().default(0),
    disabled: integer('disabled').notNull().default(0),
    /** The first 1,000 of what was wrong. */
    problems: jsonb('problems').$type<RowProblem[]>().notNull().default([]),
    /** How many rows are to come, where that is known. */
    expected: integer('expected'),
    /** Why it failed. */
    failure: text('failure'),
    startedAt: time('started_at').notNull().defaultNow(),
    touchedAt: time('touched_at').notNull().defaultNow(),
    finishedAt: time('finished_at'),
  },
  (t) => [
    uniqueIndex('directory_runs_open')
      .on(t.isFull)
      .where(sql`is_full and state in ('open', 'finishing')`),
    index('directory_runs_started').on(t.startedAt.desc().nullsFirst(), t.id),
  ],
)

export type DirectoryRunState = 'open' | 'finishing' | 'finished' | 'abandoned' | 'failed'
export type DirectoryKind = 'user' | GroupKind
/** What a row was refused for, or warned of. `line`: counted from 1, of a file its line. */
export type RowProblem = { line: number; code: string; isRefused: boolean; path: string; zh: string; en: string }

/** Whom an unfinished sync has named. Emptied of it when it ends. */
export const directoryNamed = pgTable(
  'directory_named',
  {
    runId: text('run_id').notNull(),
    kind: text('kind').$type<DirectoryKind>().notNull(),
    code: text('code').notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.kind, t.code] })],
)

// ── What each of them wants. Writer: preferences ─────────────────────────────────────────────────────────────────────

/** One row a user who has said anything; nobody else has any. */
export const preferences = pgTable('preferences', {
  userCode: text('user_code').primaryKey(),
  /** `<msgType>/<channelId>` → on or off, where `*` is all of them; see preferences/switches.ts. */
  switches: jsonb('switches').$type<Record<string, boolean>>().notNull().default({}),
  /** When SMS and e-mail wait, by the clock of the user's own zone. */
  quietHours: jsonb('quiet_hours').$type<QuietHours[]>().notNull().default([]),
  changedAt: time('changed_at').notNull().defaultNow(),
  /** Who changed it last: the person, an admin, or whoever followed the link of a mail. */
  changedBy: text('changed_by').$type<'user' | 'admin' | 'link'>().notNull(),
})

/** From one time of the day to another, `HH:MM`; to the next day where that is not later. `days`: on which it begins, 1 is Monday. */
export type QuietHours = { from: string; to: string; days: number[] }

/** What is said of a message type beyond that it exists (MSG_TYPES). */
export const msgTypes = pgTable('msg_types', {
  code: text('code').primaryKey(),
  /** What people are told it is. Null: its code. */
  name: text('name'),
  /** Nobody can switch it off. */
  isMandatory: boolean('is_mandatory').notNull().default(false),
})

// ── What can be said. Writer: templates ─────────────────────────────────────────────────────────────────────────────

export const templates = pgTable('templates', {
  code: text('code').primaryKey(),
  name: text('name').notNull(),
  msgType: text('msg_type').notNull(),
  enabled: boolean('enabled').notNull().default(true),
  /** The version that pushes use now. 0: none has been published yet. */
  version: integer('version').notNull(),
  /** What an author has saved and not published. */
  draft: jsonb('draft').$type<TemplateBody & { basedOn: number }>(),
  /** Raised by every change of the draft or the version, so that two authors do not overwrite each other. */
  revision: integer('revision').notNull().default(1),
})

/** Immutable: an accepted message names the version it was rendered from. */
export const templateVersions = pgTable(
  'template_versions',
  {
    templateCode: text('template_code')
      .notNull()
      .references(() => templates.code),
    version: integer('version').notNull(),
    /** Its name and type then. Null: those of the template; the version is older than this column. */
    name: text('name'),
    msgType: text('msg_type'),
    /** Channel id → content whose strings are Liquid. */
    contents: jsonb('contents').$type<Record<string, unknown>>().notNull(),
    /** Locale → the same, for people of that language. */
    locales: jsonb('locales').$type<Record<string, Record<string, unknown>>>().notNull().default({}),
    /** What a push must or may give. Null: all that the contents name, as text; the version is older than this column. */
    variables: jsonb('variables').$type<Variable[]>(),
    /** The version that a roll-back made this one of. */
    restoredFrom: integer('restored_from'),
    createdAt: createdAt(),
  },
  (t) => [primaryKey({ columns: [t.templateCode, t.version] })],
)

// ── What was accepted. Writer: messages ─────────────────────────────────────────────────────────────────────────────

/** One row a push. States: see delivery/fan-out.ts, which with due.ts moves `state`, `cursor` and the lease after acceptance. */
export const messages = pgTable(
  'messages',
  {
    id: uuid('id').primaryKey(),
    appId: text('app_id')
      .notNull()
      .references(() => apps.id),
    templateCode: text('template_code'),
    templateVersion: integer('template_version'),
    receiverType: text('receiver_type').$type<'all' | 'specified' | 'custom'>().notNull(),
    /** The audience as the caller wrote it, cleaned: what fan-out resolves when the message is due. */
    receiver: jsonb('receiver').$type<Record<string, string[]>>().notNull(),
    /** Codes and accounts that meant nobody when the message was accepted, by list. */
    unresolved: jsonb('unresolved').$type<Record<string, string[]>>().notNull(),
    businessId: text('business_id'),
    msgType: text('msg_type').notNull(),
    /** 3 high, 2 normal, 1 low. */
    priority: smallint('priority').notNull(),
    senderCode: text('sender_code'),
    senderName: text('sender_name'),
    dueAt: time('due_at').notNull(),
    /** From then on nobody is to get it or to see it. Null: it stays. */
    expiresAt: time('expires_at'),
    state: text('state').$type<MessageState>().notNull(),
    /** Fan-out has reached everybody up to and including this user code or address; a recall after its end sets it beyond all. */
    cursor: text('cursor').notNull().default(''),
    leaseUntil: time('lease_until'),
    /** Recipients so far: people and bare addresses, each once. For a broadcast: null, it is nobody's and everybody's. */
    recipients: integer('recipients').notNull().default(0),
    /** How often in a row its fan-out has failed. */
    failures: smallint('failures').notNull().default(0),
    /** Set by a recall, which stops the fan-out; the rows are taken back chunk by chunk. */
    recalledAt: time('recalled_at'),
    recalledBy: text('recalled_by'),
    recallReason: text('recall_reason'),
    /** The values of its template's variables, of one that says each person's name: fan-out renders it. Null: it says it to all. */
    templateValues: jsonb('template_values').$type<Record<string, string | number | boolean>>(),
    requestId: text('request_id').notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    index('messages_app').on(t.appId, t.createdAt.desc().nullsFirst(), t.id.desc().nullsFirst()),
    index('messages_business')
      .on(t.appId, t.businessId)
      .where(sql`business_id is not null`),
    index('messages_due')
      .on(t.dueAt)
      .where(sql`state in ('scheduled', 'fanning_out', 'recalling')`),
  ],
)

export type MessageState = 'scheduled' | 'fanning_out' | 'fanned_out' | 'recalling' | 'recalled' | 'failed'

/** What a message says on one channel: stored once, never per recipient. What it says to some only: `variants`. */
export const contents = pgTable(
  'contents',
  {
    messageId: uuid('message_id')
      .notNull()
      .references(() => messages.id),
    channelId: text('channel_id').notNull(),
    /** What shape it has: `site`, `sms`, `mail` or `chat`; fixed here, since a channel's settings may change later. */
    kind: text('kind').$type<'site' | 'sms' | 'mail' | 'chat'>().notNull(),
    /** What everybody gets who has no variant. */
    content: jsonb('content').$type<Record<string, unknown>>().notNull(),
    /** The languages besides. Null: it says the same to people of any. */
    locales: jsonb('locales').$type<string[]>(),
    /** Whether it names the person it speaks to, in any language. */
    isPersonal: boolean('is_personal').notNull().default(false),
  },
  (t) => [primaryKey({ columns: [t.messageId, t.channelId] })],
)

/** The answer given under an `Idempotency-Key`; written by the statement that accepted the push. Kept 72 hours at least. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    appId: text('app_id').notNull(),
    key: text('key').notNull(),
    bodySha256: text('body_sha256').notNull(),
    messageId: uuid('message_id').notNull(),
    /** Codes and accounts that the first answer warned of. */
    warnings: jsonb('warnings').$type<string[]>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [primaryKey({ columns: [t.appId, t.key] }), index('idempotency_keys_age').on(t.createdAt)],
)

/** SMS segments that a guarded app's pushes come to, by the day they fall on; written by the statement that accepts them. */
export const appBudgets = pgTable(
  'app_budgets',
  {
    appId: text('app_id').notNull(),
    day: date('day').notNull(),
    segments: bigint('segments', { mode: 'number' }).notNull(),
  },
  (t) => [primaryKey({ columns: [t.appId, t.day] })],
)

/** Confirmations that pushes have used up: each is good for one. */
export const usedConfirmations = pgTable(
  'used_confirmations',
  { id: text('id').primaryKey(), usedAt: time('used_at').notNull().defaultNow() },
  (t) => [index('used_confirmations_age').on(t.usedAt)],
)

// ── How it is carried. Writer: delivery ─────────────────────────────────────────────────────────────────────────────

/**
 * What a message says on one channel to some of its recipients only: to those of a language, stored once for all of them,
 * or to a single person whom it names. Items and deliveries tell which is theirs; nearly all have none.
 */
export const variants = pgTable(
  'variants',
  {
    messageId: uuid('message_id').notNull(),
    channelId: text('channel_id').notNull(),
    /** A language (`en`), or a language if any and a person: `en@USER001`, `@USER001`. */
    variant: text('variant').notNull(),
    content: jsonb('content').$type<Record<string, unknown>>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.messageId, t.channelId, t.variant] })],
)

/**
 * One recipient on one outbound channel. The row is the job: see delivery/queue.ts for its states. A claim changes no
 * indexed column, so that it rewrites the row within its page (HOT); drizzle/0001 leaves room there.
 */
export const deliveries = pgTable(
  'deliveries',
  {
    id: uuid('id').primaryKey(),
    messageId: uuid('message_id').notNull(),
    /** The message's, here so that apps take turns. */
    appId: text('app_id').notNull(),
    channelId: text('channel_id').notNull(),
    /** The user's code, or for a custom account the account as the caller wrote it. */
    recipient: inByteOrder('recipient').notNull(),
    userCode: text('user_code'),
    address: text('address'),
    /** Which of the message's `variants` it says. Null: its content. */
    variant: text('variant'),
    state: text('state').$type<DeliveryState>().notNull(),
    /** Why it is in that state, as a code: `NO_ADDRESS`, `INVALID_ACCOUNT`, … */
    reason: text('reason'),
    /** The provider's own words on the last attempt. */
    lastError: text('last_error'),
    /** Its lane: 3 high, 2 normal, 1 low. */
    priority: smallint('priority').notNull(),
    dueAt: time('due_at').notNull(),
    /** Nobody wants it any more after this: a day after it was put, or when the message expires. */
    expiresAt: time('expires_at').notNull(),
    attempts: integer('attempts').notNull().default(0),
    /** While it lies ahead, a worker has this row. */
    leaseUntil: time('lease_until'),
    /** Fencing token: only the worker that holds it may settle the row. */
    lease: uuid('lease'),
    /** Workers lost in a row while they had it. */
    losses: smallint('losses').notNull().default(0),
    /** An attempt ended without an answer, so the provider may have taken it. */
    maybeSent: boolean('maybe_sent').notNull().default(false),
    /** A recall came while a worker had it: it is not tried again. */
    recallRequested: boolean('recall_requested').notNull().default(false),
    /** The provider's id for what it took, at the last attempt. */
    receipt: text('receipt'),
    /** What happened to it, in order; only ever appended to. */
    history: jsonb('history').$type<DeliveryEvent[]>().notNull().default([]),
    createdAt: createdAt(),
    settledAt: time('settled_at'),
  },
  (t) => [
    unique('deliveries_recipient').on(t.messageId, t.channelId, t.recipient),
    index('deliveries_due')
      .on(t.channelId, t.priority, t.appId, t.dueAt)
      .where(sql`state = 'queued'`),
    // There is hardly ever any, and it is looked for every other second, however much is queued.
    index('deliveries_suspect')
      .on(t.channelId, t.dueAt)
      .where(sql`state = 'queued' and losses >= 2`),
    index('deliveries_receipt')
      .on(t.receipt)
      .where(sql`receipt is not null`),
    // What somebody may want to look at or to replay.
    index('deliveries_ended')
      .on(t.state, t.settledAt.desc().nullsFirst(), t.id.desc().nullsFirst())
      .where(sql`state in ('dead', 'failed', 'expired', 'undelivered')`),
  ],
)

/** As stored; a `queued` one that a worker has is told as `sending` (delivery/states.ts). */
export type DeliveryState =
  | 'queued'
  | 'sent'
  | 'delivered'
  | 'undelivered'
  | 'failed'
  | 'dead'
  | 'skipped'
  | 'cancelled'
  | 'expired'

/** One step of a delivery: an attempt, a receipt, a recall, a replay. */
export type DeliveryEvent = {
  /** ISO 8601, by the database's clock. */
  at: string
  /** Where it led. */
  state: DeliveryState
  attempt: number
  /** Who carried it: the channel's provider, or of a failover the one that was asked. */
  provider?: string
  reason?: string
  /** The provider's words. */
  why?: string
}

/** How fast a channel may send, shared by all nodes: a token bucket. See delivery/rate.ts. */
export const gates = pgTable('gates', {
  channelId: text('channel_id').primaryKey(),
  /** Deliveries that may go out at once, as of `refilledAt`. */
  tokens: doublePrecision('tokens').notNull(),
  refilledAt: time('refilled_at').notNull().defaultNow(),
})

/** Receipts that came before the delivery they speak of was noted as sent. */
export const receipts = pgTable(
  'receipts',
  {
    id: uuid('id').primaryKey(),
    channelId: text('channel_id').notNull(),
    /** Of which delivery: by the provider's id, and perhaps the address. One that names our own id never waits. */
    receipt: text('receipt').notNull(),
    address: text('address'),
    state: text('state').$type<'delivered' | 'undelivered'>().notNull(),
    why: text('why'),
    at: time('at'),
    createdAt: createdAt(),
  },
  (t) => [index('receipts_age').on(t.createdAt)],
)

/**
 * What providers called earlier attempts of deliveries: a replay takes it out of the row, and an attempt that another
 * overtook never gets into it. Grows by these alone. Without a foreign key, which every settlement would have to heed.
 */
export const earlierReceipts = pgTable(
  'earlier_receipts',
  {
    receipt: text('receipt').notNull(),
    deliveryId: uuid('delivery_id').notNull(),
  },
  (t) => [primaryKey({ columns: [t.receipt, t.deliveryId] })],
)

// ── What is shown. Writer: inbox ────────────────────────────────────────────────────────────────────────────────────

/** One row a user. Every change to the user's items happens under this row's lock and raises `rev`. */
export const inboxes = pgTable('inboxes', {
  userCode: text('user_code').primaryKey(),
  /** Part of every cursor handed out, so that one of another inbox or another database is recognised. */
  id: uuid('id')
    .notNull()
    .default(sql`gen_random_uuid()`),
  rev: bigint('rev', { mode: 'number' }).notNull().default(0),
  unread: integer('unread').notNull().default(0),
  unseen: integer('unseen').notNull().default(0),
  /** The same by type and app: `u/<msgType>/<appId>` and `s/<msgType>/<appId>` → how many; 0 is as good as none. */
  facets: jsonb('facets').$type<Record<string, number>>().notNull().default({}),
  /** The last broadcast that has become an item here. Null: none yet, and the first is the one after the user's creation. */
  broadcastCursor: bigint('broadcast_cursor', { mode: 'number' }),
})

/** One message in one user's inbox. Small and without content; also the site channel's delivery record. */
export const items = pgTable(
  'items',
  {
    userCode: text('user_code').notNull(),
    messageId: uuid('message_id').notNull(),
    /** The inbox's rev when this item last changed: what a subscriber resumes by. Items that one act changed share it. */
    rev: bigint('rev', { mode: 'number' }).notNull(),
    /** The inbox's rev when this item came: no other item's. */
    createdRev: bigint('created_rev', { mode: 'number' }).notNull(),
    /** What the last change was. */
    change: text('change').$type<ItemChange>().notNull().default('new'),
    /** When that was. Null: when it came. */
    changedAt: time('changed_at'),
    appId: text('app_id').notNull(),
    msgType: text('msg_type').notNull(),
    /** Which of the message's `variants` it says. Null: its content. */
    variant: text('variant'),
    createdAt: createdAt(),
    seenAt: time('seen_at'),
    readAt: time('read_at'),
    archivedAt: time('archived_at'),
    /** While it is set the item sleeps, unless it is gone. An archived one never does. */
    snoozedUntil: time('snoozed_until'),
    /** The message's. */
    expiresAt: time('expires_at'),
    /** Set when the person deleted it, the app recalled it or its time was over: a tombstone, so that other devices learn of it. */
    deletedAt: time('deleted_at'),
  },
  (t) => [
    primaryKey({ columns: [t.userCode, t.messageId] }),
    index('items_rev').on(t.userCode, t.rev),
    index('items_page')
      .on(t.userCode, t.createdRev.desc().nullsFirst())
      .where(sql`deleted_at is null`),
    index('items_message').on(t.messageId),
    // Whom to wake.
    index('items_snoozed')
      .on(t.snoozedUntil)
      .where(sql`snoozed_until is not null and deleted_at is null`),
    // Whose time will be over.
    index('items_expiring')
      .on(t.expiresAt)
      .where(sql`expires_at is not null and deleted_at is null`),
  ],
)

export type ItemChange =
  | 'new'
  | 'seen'
  | 'read'
  | 'unread'
  | 'archived'
  | 'unarchived'
  | 'snoozed'
  | 'woken'
  | 'deleted'
  | 'recalled'
  | 'expired'

/** One row a push to all on the site channel. `seq` follows commit order, so that a cursor on it skips nothing. */
export const broadcasts = pgTable(
  'broadcasts',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    messageId: uuid('message_id').notNull().unique(),
    appId: text('app_id').notNull(),
    msgType: text('msg_type').notNull(),
    /** A recalled one is copied to nobody any more. */
    recalledAt: time('recalled_at'),
    /** The message's: it is copied to nobody any more from then on. */
    expiresAt: time('expires_at'),
    /** Which variant people of which language get (templates/locale.ts). Null: it says the same in all. */
    choices: jsonb('choices').$type<Record<string, string>>(),
    createdAt: createdAt(),
  },
  (t) => [index('broadcasts_created').on(t.createdAt)],
)

// ── Who changed what. Writer: audit ─────────────────────────────────────────────────────────────────────────────────

/** One row a change by an admin; a trigger refuses to change or to remove any. Secrets are never in it. */
export const auditEntries = pgTable(
  'audit_entries',
  {
    seq: bigint('seq', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    at: time('at').notNull().defaultNow(),
    /** `admin`, `app:<id>`, `user:<code>` or `command-line`. */
    actor: text('actor').notNull(),
    /** Who sat there, as the caller says. */
    operator: text('operator'),
    /** `<area>.<verb>`, e.g. `template.publish`. */
    act: text('act').notNull(),
    /** The code or id of what was changed. */
    subject: text('subject').notNull(),
    /** How it stood. Null: it was not there. */
    before: jsonb('before').$type<Record<string, unknown>>(),
    /** How it stands. Null: it is gone. */
    after: jsonb('after').$type<Record<string, unknown>>(),
    requestId: text('request_id').notNull(),
  },
  (t) => [index('audit_entries_subject').on(t.subject, t.seq.desc().nullsFirst())],
)
