/**
 * Every setting, read once. `loadConfig` is pure and reports all mistakes together; `.env.example` and
 * docs/configuration.md are generated from the list below (npm run generate).
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { readChannelUrl } from './delivery/channel-url.ts'
import type { Channel } from './delivery/channel.ts'
import { providers } from './delivery/providers/index.ts'
import { guessableAmong } from './guessable.ts'
import { isRange } from './ranges.ts'

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

const yesNo = z.enum(['yes', 'no'], 'is neither yes nor no').transform((word) => word === 'yes')
const secret = (what: string) =>
  z.string().min(32, `is too short for ${what}: use at least 32 characters, e.g. from \`openssl rand -hex 32\``)

/** What is separated by commas; nothing at all is an empty list. */
const list = (isGood: (entry: string) => boolean, mistake: string) =>
  z
    .string()
    .transform((text) => text.split(',').flatMap((entry) => entry.trim() || []))
    .refine((entries) => entries.every(isGood), mistake)

/** One row a setting: what it accepts, what holds without it, and what to tell people. */
export const settings = {
  HOST: {
    read: z.string().min(1),
    default: '127.0.0.1',
    about: 'Address to listen on. Other than loopback it needs ADMIN_KEY and INBOX_JWT_SECRET to be set.',
  },
  PORT: {
    read: z
      .string()
      .regex(/^\d{1,5}$/, 'is not a port number (0–65535)')
      .transform(Number)
      .refine((port) => port <= 65_535, 'is not a port number (0–65535)'),
    default: '4000',
    about: 'Port to listen on; 0 takes any free one.',
  },
  DATABASE_URL: {
    read: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'is not a PostgreSQL address: write postgres://user:password@host:5432/database'),
    about: 'PostgreSQL 14 or later. Without it: an embedded PGlite under DATA_DIR, for one process.',
    secret: true,
  },
  REDIS_URL: {
    read: z
      .string()
      .regex(/^rediss?:\/\/[^/]/, 'is not a Redis address: write redis://user:password@host:6379, or rediss:// for TLS')
      .refine(
        isRedisUrl,
        'is not a Redis address: only a number may follow the host, and what is special in the password is %-encoded',
      ),
    about:
      'Redis for the hints between nodes, instead of NOTIFY; of use only with DATABASE_URL. It may be away: then news takes up to 2 s.',
    secret: true,
  },
  PUBLIC_URL: {
    read: z
      .string()
      .refine(
        isPublicUrl,
        'is not an https address without anything behind its path: write e.g. https://posthouse.example.org',
      )
      .transform((url) => url.replace(/\/+$/, '')),
    about:
      'The https address at which people outside reach this house. With it, each mail to a user has a link for one-click unsubscribe; see docs/preferences.md.',
  },
  TRUSTED_PROXIES: {
    read: list(isRange, 'has an entry that is no address or range: write e.g. 10.1.0.0/16,fd00::/8'),
    default: '',
    about:
      'Addresses of the reverse proxies in front, single ones or CIDR, separated by commas. Only what these say in X-Forwarded-For of a caller is believed; they must set or append it themselves.',
  },
  ALLOWED_ORIGINS: {
    read: list(isOrigin, 'has an entry that is no origin: write e.g. https://his.example.org,http://10.1.2.3:8080'),
    default: '',
    about:
      'Origins of web pages that may call /graphql from browsers, by HTTP (CORS) and WebSocket, separated by commas. Pages that come from the same host as /graphql always may.',
  },
  DATA_DIR: {
    read: z.string().min(1),
    default: './data',
    about: 'Where the embedded database and the development secrets live.',
  },
  ADMIN_KEY: {
    read: secret('a key'),
    about: 'Bearer key of the admin. Without it, on loopback only: one is made and kept in DATA_DIR.',
    secret: true,
  },
  INBOX_JWT_SECRET: {
    read: secret('HS256'),
    about:
      'Signs inbox tokens (HS256). All nodes share it. Without it, on loopback only: one is made and kept in DATA_DIR.',
    secret: true,
  },
  INBOX_JWT_SECRET_PREVIOUS: {
    read: secret('HS256'),
    about: 'The secret before INBOX_JWT_SECRET, still taken in tokens while a change of secrets is under way.',
    secret: true,
  },
  INBOX_JWKS_URL: {
    read: z
      .string()
      .refine(
        isKeySetUrl,
        'is not an address of a key set: write https://id.example.org/.well-known/jwks.json (http only for this machine)',
      ),
    about:
      'The key set (JWKS) of another issuer, whose tokens are taken as inbox tokens too: RS256, ES256 or EdDSA. Needs INBOX_JWT_ISSUER. Kept for ten minutes, and looked at again for a key that is not known.',
  },
  INBOX_JWT_ISSUER: {
    read: z.string().min(1).max(500),
    about: 'The `iss` that tokens under INBOX_JWKS_URL must have.',
  },
  INBOX_JWT_AUDIENCE: {
    read: z.string().min(1).max(500),
    default: 'posthouse-inbox',
    about: 'The `aud` that tokens under INBOX_JWKS_URL must have.',
  },
  INBOX_JWT_USER_CLAIM: {
    read: z.string().regex(/^[\w:/.-]{1,100}$/, 'is not the name of a claim such as sub'),
    default: 'sub',
    about: "The claim of tokens under INBOX_JWKS_URL that holds the user's code.",
  },
  TIME_ZONE: {
    read: z.string().refine(isTimeZone, 'is not a time zone name such as Asia/Shanghai'),
    default: 'Asia/Shanghai',
    about: 'IANA zone in which a `sendTime` without offset is read.',
  },
  MSG_TYPES: {
    read: z
      .string()
      .transform((list) => list.split(',').map((type) => type.trim()))
      .refine((types) => types.includes('notice'), 'must contain notice, the type of a message that names none')
      .refine(
        (types) => types.every((type) => /^[\w-]{1,32}$/.test(type)),
        'is no list of words such as notice,reminder',
      ),
    default: 'notice,reminder',
    about: 'The message types that a push may name, separated by commas. The document knows notice and reminder.',
  },
  SYNC_GUARD_PERCENT: {
    read: z
      .string()
      .regex(/^\d{1,3}$/, 'is not a share in per cent (0–100)')
      .transform(Number)
      .refine((percent) => percent <= 100, 'is not a share in per cent (0–100)'),
    default: '10',
    about:
      'A full sync of the directory that would disable a larger share of the enabled users, or of the groups of one kind, is refused unless it is confirmed. In per cent.',
  },
  GRAPHIQL: {
    read: yesNo,
    about:
      'Whether /graphql shows GraphiQL to browsers and answers introspection. Without it: on a loopback HOST only. It hands out no tokens but to this machine in development.',
  },
  LOG_LEVEL: {
    read: z.enum(
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      'is none of trace, debug, info, warn, error, fatal, silent',
    ),
    default: 'info',
    about: 'How much is logged, as JSON lines on standard error: trace, debug, info, warn, error, fatal or silent.',
  },
  SAMPLE_DATA: {
    read: yesNo,
    default: 'yes',
    about:
      'Whether an empty database gets the sample hospital. Only ever on a loopback HOST; say `no` behind a reverse proxy.',
  },
  ALLOW_LOSSY_DATABASE: {
    read: yesNo,
    default: 'no',
    about: 'Start even if PostgreSQL runs with fsync=off or synchronous_commit=off, where 200 no longer means durable.',
  },
} satisfies Record<string, Setting>

type Setting = { read: z.ZodType; default?: string; about: string; secret?: boolean }

/** Channels without any setting: SMS and e-mail only into the log. */
export const DEFAULT_CHANNELS: Record<string, string> = { '1001': 'log:', '1002': 'inbox:', '1003': 'log:' }
/** What a channel carries whose provider could carry several kinds. */
const KIND_BY_ID: Record<string, Channel['kind']> = { '1001': 'sms', '1003': 'mail' }

export type Config = {
  [Name in keyof typeof settings]: (typeof settings)[Name] extends { default: string }
    ? z.output<(typeof settings)[Name]['read']>
    : z.output<(typeof settings)[Name]['read']> | undefined
} & { isLoopback: boolean; channels: ReadonlyMap<string, Channel> }

/** Reads the environment, or gives every mistake at once, each naming its setting and the fix. */
export function loadConfig(
  env: NodeJS.ProcessEnv,
): { config: Config; mistakes: [] } | { config?: undefined; mistakes: string[] } {
  const mistakes: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries<Setting>(settings)) {
    const raw = valueOf(env, name, mistakes) ?? setting.default
    if (raw === undefined) continue
    const result = setting.read.safeParse(raw)
    if (result.success) values[name] = result.data
    else mistakes.push(`${name} ${result.error.issues[0]?.message}${setting.secret ? '' : ` (it is "${raw}")`}`)
  }
  const isLoopback = LOOPBACK.has(String(values['HOST']))
  for (const name of ['ADMIN_KEY', 'INBOX_JWT_SECRET'] as const) {
    if (!isLoopback && !env[name] && !env[`${name}_FILE`])
      mistakes.push(`${name} must be set when HOST is not loopback: use \`openssl rand -hex 32\``)
  }
  if (!isLoopback) mistakes.push(...guessableAmong(values))
  if (values['INBOX_JWKS_URL'] !== undefined && values['INBOX_JWT_ISSUER'] === undefined)
    mistakes.push('INBOX_JWT_ISSUER must be set with INBOX_JWKS_URL: the `iss` of its tokens, as they have it')
  const channels = readChannels(env, mistakes)
  if (mistakes.length > 0) return { mistakes }
  return { config: { ...values, isLoopback, channels } as unknown as Config, mistakes: [] }
}

/** A setting's text; `NAME_FILE` names a file that holds it. Empty counts as not set. */
function valueOf(env: NodeJS.ProcessEnv, name: string, mistakes: string[]): string | undefined {
  const file = env[`${name}_FILE`]
  if (file) {
    if (env[name]) mistakes.push(`${name} and ${name}_FILE are both set: keep one`)
    try {
      return readFileSync(file, 'utf8').trim()
    } catch (error) {
      mistakes.push(`${name}_FILE cannot be read: ${(error as Error).message}`)
    }
  }
  return env[name] || undefined
}

function readChannels(env: NodeJS.ProcessEnv, mistakes: string[]): Map<string, Channel> {
  const urls: Record<string, string> = { ...DEFAULT_CHANNELS }
  for (const key of Object.keys(env)) {
    const name = key.replace(/_FILE$/, '')
    if (!name.startsWith('CHANNEL_')) continue
    const id = name.slice('CHANNEL_'.length)
    const url = valueOf(env, name, mistakes)
    if (!/^\d{1,10}$/.test(id)) mistakes.push(`${name} is not a channel: ids are digits, as in CHANNEL_1001`)
    else if (url === 'off') delete urls[id]
    else if (url !== undefined) urls[id] = url
  }
  const channels = new Map<string, Channel>()
  for (const [id, text] of Object.entries(urls).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const channel = readChannel(id, text, (why) => mistakes.push(`CHANNEL_${id} ${why}`))
    if (channel !== undefined) channels.set(id, channel)
  }
  const inboxes = [...channels.values()].filter((channel) => channel.kind === 'site')
  if (inboxes.length > 1) mistakes.push(`CHANNEL_${inboxes[1]?.id} is a second inbox: only one channel may be inbox:`)
  return channels
}

function readChannel(id: string, text: string, mistake: (why: string) => void): Channel | undefined {
  const described = readChannelUrl(text, providers, mistake)
  if (described === undefined) return undefined
  const { provider, settings, kinds, limits } = described
  const kind = kinds.find((kind) => kind === KIND_BY_ID[id]) ?? kinds[0]
  return kind && { id, kind, provider, settings, limits }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** It stands in a header of mails, in front of a path: plain characters, and short enough for what follows. */
function isPublicUrl(text: string): boolean {
  return /^https:\/\/[^/@][!-;=?-z|~]{0,200}$/i.test(text) && !/[?#@]/.test(text) && URL.canParse(text)
}

/** Keys that come over plain HTTP are anybody's who sits between, but for this machine. */
function isKeySetUrl(text: string): boolean {
  const url = URL.parse(text)
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.has(url.hostname.replace(/^\[|\]$/g, '')))
}

/** As browsers send it: `*` would be no list, and a path or an upper-case letter would match nothing. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.origin === text
}

function isRedisUrl(text: string): boolean {
  const url = URL.parse(text)
  try {
    return (
      url !== null && /^(\/\d*)?$/.test(url.pathname) && decodeURIComponent(url.username + url.password) !== undefined
    )
  } catch {
    return false
  }
}
