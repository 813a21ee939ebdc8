/** How an admin keeps apps: each act is one statement that also writes what it changed into the audit log. */
import { randomBytes } from 'node:crypto'
import { asc, eq, gt, sql } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { codePoints } from '../check.ts'
import { json, query, type Db } from '../db/client.ts'
import { appKeys, apps, type Compat, type Guard, type RateLimit } from '../db/tables.ts'
import { badInput, Refusal } from '../errors.ts'
import { isRange } from '../ranges.ts'
import { believeNoMore, findApp, type App } from './apps.ts'
import { bearerKey, sha256 } from './authenticate.ts'
import { readGrants } from './grants.ts'

export type AppKey = Omit<typeof appKeys.$inferSelect, 'secretSha256'>
/** A key with its secret: told once, when it is made. */
export type MadeKey = { keyId: string; kind: KeyKind; secret: string; bearer: string }
export type KeyKind = AppKey['kind']

/** What can be said of an app. Absent stays as it is; null takes it away. */
export type AppWords = {
  name?: string | undefined
  grants?: string[] | undefined
  compat?: Compat | undefined
  legacyFrom?: string[] | null | undefined
  rateLimit?: RateLimit | null | undefined
  guard?: Guard | null | undefined
}

const APP_ID = /^[\w.-]{1,64}$/
const NAME_LIMIT = 200
const MAX_RANGES = 100
const MAX_RATE = 100_000
const MAX_GUARDED = 1_000_000_000

/** An app as the audit log shows it; keys are noted by their ids alone. */
const told = sql`jsonb_build_object(
  'name', name, 'enabled', enabled, 'grants', grants, 'compat', compat, 'legacyFrom', legacy_from, 'rateLimit', rate_limit,
  'guard', guard
)`

/** Makes an app with its first key. Refuses an id that is taken, whoever has it. */
export async function createApp(
  db: Db,
  by: By,
  id: string,
  words: AppWords & { name: string; grants: string[] },
  kind: KeyKind = 'bearer',
): Promise<MadeKey> {
  if (!APP_ID.test(id))
    throw badInput('id', '应为 1 到 64 个字母、数字或 . _ -', 'must be 1 to 64 letters, digits or . _ -')
  const { name, grants, compat, legacyFrom, rateLimit, guard } = readWords(words)
  const key = makeKey(kind)
  const created = await query(
    db,
    sql`
    with created as (
      insert into apps (id, name, grants, compat, legacy_from, rate_limit, guard)
      values (
        ${id}, ${name}, ${json(grants)}::jsonb, ${json(compat ?? {})}::jsonb, ${orNull(legacyFrom)}::jsonb,
        ${orNull(rateLimit)}::jsonb, ${orNull(guard)}::jsonb
      )
      on conflict (id) do nothing
      returning *
    ),
    key as (
      insert into app_keys (key_id, app_id, secret_sha256, kind, slot)
      select ${key.keyId}, id, ${key.secretSha256}, ${kind}, 1 from created
    ),
    audited as (${auditing(by, 'app.create', sql`select id as subject, null::jsonb as before, ${told} as after from created`)})
    select id from created`,
  )
  if (created.length === 0) throw badInput('id', `应用 ${id} 已存在`, `is taken: there is an app ${id}`)
  believeNoMore(db)
  return key.made
}

/** Changes what is given and nothing else. */
export async function updateApp(db: Db, by: By, id: string, words: AppWords): Promise<App> {
  return change(db, by, 'app.update', id, readWords(words))
}

/** Lets an app in, or keeps it out: a disabled one is refused everywhere within a second. Its messages go on. */
export async function setAppEnabled(db: Db, by: By, id: string, enabled: boolean): Promise<App> {
  return change(db, by, enabled ? 'app.enable' : 'app.disable', id, { enabled })
}

async function change(db: Db, by: By, act: string, id: string, given: AppWords & { enabled?: boolean }): Promise<App> {
  const [found] = await query(
    db,
    sql`
    with given as (select ${json(given)}::jsonb as words),
    old as (select *, ${told} as before from apps where id = ${id} for update),
    changed as (
      update apps
      set name = coalesce(words ->> 'name', old.name),
        enabled = coalesce((words ->> 'enabled')::boolean, old.enabled),
        grants = coalesce(words -> 'grants', old.grants),
        compat = coalesce(words -> 'compat', old.compat),
        legacy_from = case when words ? 'legacyFrom' then nullif(words -> 'legacyFrom', 'null') else old.legacy_from end,
        rate_limit = case when words ? 'rateLimit' then nullif(words -> 'rateLimit', 'null') else old.rate_limit end,
        guard = case when words ? 'guard' then nullif(words -> 'guard', 'null') else old.guard end
      from old, given
      where apps.id = old.id
      returning apps.*, old.before
    ),
    audited as (${auditing(by, act, sql`select id as subject, before, ${told} as after from changed where before <> ${told}`)})
    select id from changed`,
  )
  if (found === undefined) throw noApp(id)
  believeNoMore(db)
  const app = await findApp(db, id)
  if (app === undefined) throw noApp(id)
  return app
}

/** Makes a second key beside the first, so that the app can change over; two live ones are the most. */
export async function createAppKey(db: Db, by: By, appId: string, kind: KeyKind = 'bearer'): Promise<MadeKey> {
  const key = makeKey(kind)
  const [made] = await query<{ isThere: boolean; isMade: boolean }>(
    db,
    sql`
    with app as (select id from apps where id = ${appId}),
    free as (
      select app.id, slot from app, (values (1), (2)) as slots (slot)
      where not exists (
        select from app_keys where app_id = app.id and app_keys.slot = slots.slot and revoked_at is null
      )
      order by slot limit 1
    ),
    made as (
      insert into app_keys (key_id, app_id, secret_sha256, kind, slot)
      select ${key.keyId}, id, ${key.secretSha256}, ${kind}, slot from free
      on conflict do nothing
      returning app_id, key_id, kind
    ),
    audited as (${auditing(
      by,
      'app.createKey',
      sql`select app_id as subject, null::jsonb as before, jsonb_build_object('keyId', key_id, 'kind', kind) as after from made`,
    )})
    select exists (select from app) as "isThere", exists (select from made) as "isMade"`,
  )
  if (!made?.isThere) throw noApp(appId)
  if (!made.isMade)
    throw badInput('id', '已有两个有效密钥，请先吊销一个', 'has two live keys already: revoke one of them first')
  return key.made
}

/** Ends a key, within a second on every node, and gives whose it was. One that has ended stays so. */
export async function revokeAppKey(db: Db, by: By, keyId: string): Promise<string> {
  const [key] = await query<{ appId: string | null }>(
    db,
    sql`
    with revoked as (
      update app_keys set revoked_at = now() where key_id = ${keyId} and revoked_at is null returning app_id, key_id
    ),
    audited as (${auditing(
      by,
      'app.revokeKey',
      sql`select app_id as subject, jsonb_build_object('keyId', key_id) as before, null::jsonb as after from revoked`,
    )})
    select app_id as "appId" from app_keys where key_id = ${keyId}`,
  )
  if (key?.appId == null) throw badInput('keyId', `没有密钥 ${keyId}`, `is no key: there is none called ${keyId}`)
  believeNoMore(db)
  return key.appId
}

/** Notes that an admin let somebody into a person's inbox. */
export async function noteToken(db: Db, by: By, user: string, expiresAt: Date): Promise<void> {
  const after = json({ expiresAt })
  await query(
    db,
    auditing(by, 'user.token', sql`select ${user}::text as subject, null::jsonb as before, ${after}::jsonb as after`),
  )
}

/** Apps by id, those after `after`. */
export function listApps(db: Db, after: string | undefined, limit: number): Promise<App[]> {
  return db
    .select()
    .from(apps)
    .where(after === undefined ? undefined : gt(apps.id, after))
    .orderBy(asc(apps.id))
    .limit(limit)
}

/** An app's keys, the live ones first, at most so many; never their secrets. */
export async function keysOf(db: Db, appId: string, limit: number): Promise<AppKey[]> {
  const { keyId, slot, createdAt, lastUsedAt, revokedAt } = appKeys
  return db
    .select({ keyId, kind: appKeys.kind, appId: appKeys.appId, slot, createdAt, lastUsedAt, revokedAt })
    .from(appKeys)
    .where(eq(appKeys.appId, appId))
    .orderBy(sql`${revokedAt} desc nulls first, ${createdAt} desc`)
    .limit(limit)
}

function makeKey(kind: KeyKind) {
  const [keyId, secret] = [randomBytes(8).toString('hex'), randomBytes(32).toString('base64url')]
  return { keyId, secretSha256: sha256(secret), made: { keyId, kind, secret, bearer: bearerKey(keyId, secret) } }
}

function orNull(value: unknown): string | null {
  return value === undefined || value === null ? null : json(value)
}

function noApp(id: string): Refusal {
  return new Refusal('NOT_FOUND', { path: 'id', zh: `没有应用 ${id}`, en: `there is no app ${id}` })
}

function readWords<Words extends AppWords>(words: Words): Words {
  const { name, grants, legacyFrom, rateLimit, guard } = words
  if (name !== undefined && (name.trim() === '' || codePoints(name) > NAME_LIMIT))
    throw badInput('name', `应为 1 到 ${NAME_LIMIT} 个字符`, `must be 1 to ${NAME_LIMIT} characters`)
  if (legacyFrom != null) checkRanges(legacyFrom)
  if (rateLimit != null) checkRate(rateLimit)
  if (guard != null) checkGuard(guard)
  return grants === undefined ? words : { ...words, grants: readGrants(grants, 'grants') }
}

function checkRanges(ranges: readonly string[]): void {
  if (ranges.length === 0 || ranges.length > MAX_RANGES)
    throw badInput(
      'legacyFrom',
      `应有 1 到 ${MAX_RANGES} 项，或为 null`,
      `must have 1 to ${MAX_RANGES} entries, or be null`,
    )
  for (const [at, range] of ranges.entries()) {
    if (isRange(range)) continue
    throw badInput(
      `legacyFrom.${at}`,
      `“${range}”不是 IP 地址或网段，请写成 10.1.0.0/16 的形式`,
      `"${range}" is no address or range: write one such as 10.1.0.0/16 or fd00::/8`,
    )
  }
}

function checkRate({ perSecond, burst }: RateLimit): void {
  if (!(perSecond > 0 && perSecond <= MAX_RATE))
    throw badInput('rateLimit.perSecond', `应大于 0，不超过 ${MAX_RATE}`, `must be over 0 and at most ${MAX_RATE}`)
  if (!(burst >= 1 && burst <= MAX_RATE))
    throw badInput('rateLimit.burst', `应为 1 到 ${MAX_RATE}`, `must be 1 to ${MAX_RATE}`)
}

function checkGuard(guard: Guard): void {
  for (const [name, value] of Object.entries(guard)) {
    if (value === null || (value >= 0 && value <= MAX_GUARDED)) continue
    throw badInput(`guard.${name}`, `应为 0 到 ${MAX_GUARDED}`, `must be 0 to ${MAX_GUARDED}`)
  }
}
