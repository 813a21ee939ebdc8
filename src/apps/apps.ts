/** Knows who may push: apps with their grants, and their keys. How an admin changes them: keep.ts. */
import { and, eq, isNull, sql } from 'drizzle-orm'
import { json, query, type Db } from '../db/client.ts'
import { appKeys, apps, type Compat, type Guard, type RateLimit } from '../db/tables.ts'

export type App = typeof apps.$inferSelect
export type AppRow = {
  id: string
  name: string
  grants: string[]
  enabled?: boolean
  compat?: Compat
  /** Addresses from which `appId` alone is enough, as CIDR. None: never. */
  legacyFrom?: string[] | null
  rateLimit?: RateLimit | null
  guard?: Guard | null
}

/** Writes an app. Of one that is there everything is overwritten except its keys. */
export async function saveApp(db: Db, row: AppRow): Promise<void> {
  const { id, name, grants, enabled = true, compat = {}, legacyFrom = null, rateLimit = null, guard = null } = row
  const [legacy, rate, guarded] = [legacyFrom, rateLimit, guard].map((value) => (value === null ? null : json(value)))
  await query(
    db,
    sql`
    insert into apps (id, name, enabled, grants, compat, legacy_from, rate_limit, guard)
    values (
      ${id}, ${name}, ${enabled}::boolean, ${json(grants)}::jsonb, ${json(compat)}::jsonb, ${legacy}::jsonb, ${rate}::jsonb,
      ${guarded}::jsonb
    )
    on conflict (id) do update
    set name = excluded.name, enabled = excluded.enabled, grants = excluded.grants, compat = excluded.compat,
      legacy_from = excluded.legacy_from, rate_limit = excluded.rate_limit,
      guard = excluded.guard`,
  )
  believeNoMore(db)
}

/** The app of that id, disabled ones too: the door decides, and must not tell a caller which it was. */
export async function findApp(db: Db, id: string): Promise<App | undefined> {
  const [app] = await db.select().from(apps).where(eq(apps.id, id))
  return app
}

type FoundKey = { app: App; keyId: string; kind: 'bearer' | 'signing'; secretSha256: string; lastUsedAt: Date | null }

/** The app that holds this key, with the SHA-256 that the secret must have. A revoked key is no key. */
export async function findAppByKey(db: Db, keyId: string): Promise<FoundKey | undefined> {
  const [found] = await db
    .select({
      app: apps,
      keyId: appKeys.keyId,
      kind: appKeys.kind,
      secretSha256: appKeys.secretSha256,
      lastUsedAt: appKeys.lastUsedAt,
    })
    .from(appKeys)
    .innerJoin(apps, eq(apps.id, appKeys.appId))
    .where(and(eq(appKeys.keyId, keyId), isNull(appKeys.revokedAt)))
  return found
}

/** Notes, to the hour, that a key was used. Nothing depends on it, so nobody waits for it. */
export function noteUse(db: Db, key: FoundKey): void {
  if (key.lastUsedAt !== null && Date.now() - key.lastUsedAt.getTime() < HOUR_MS) return
  // What was read is believed for a second: the others in it need not note it again.
  key.lastUsedAt = new Date()
  const noted = query(
    db,
    sql`update app_keys set last_used_at = date_trunc('hour', now()) where key_id = ${key.keyId} and revoked_at is null`,
  )
  noted.catch(() => {})
}

/** Writes a key of an app; it is live from then on, even if it was revoked. */
export async function putKey(
  db: Db,
  { keyId, appId, secretSha256 }: { keyId: string; appId: string; secretSha256: string },
): Promise<void> {
  await query(
    db,
    sql`
    insert into app_keys (key_id, app_id, secret_sha256)
    values (${keyId}, ${appId}, ${secretSha256})
    on conflict (key_id) do update
    set app_id = excluded.app_id, secret_sha256 = excluded.secret_sha256, revoked_at = null`,
  )
  believeNoMore(db)
}

/**
 * What was read of apps and keys is believed for so long, since a caller that pushes hundreds a second is one and the same
 * app (docs/decisions/0020). A change that this process makes counts at once, one that is made elsewhere after this long.
 */
const BELIEVED_MS = 1_000
const HOUR_MS = 3_600_000

/** What was read is believed no longer: a change was made here. */
export function believeNoMore(db: Db): void {
  believed.delete(db)
}

type Believed = { until: number; found: Promise<unknown> }
const believed = new WeakMap<Db, Map<string, Believed>>()

/** `findApp` as it was at most a second ago. */
export function appLately(db: Db, id: string): ReturnType<typeof findApp> {
  return lately(db, `app ${id}`, () => findApp(db, id))
}

/** `findAppByKey` as it was at most a second ago. */
export function appByKeyLately(db: Db, keyId: string): ReturnType<typeof findAppByKey> {
  return lately(db, `key ${keyId}`, () => findAppByKey(db, keyId))
}

/** The second counts from before the read, so that whoever comes a second after a change meets it. */
function lately<Found>(db: Db, name: string, read: () => Promise<Found | undefined>): Promise<Found | undefined> {
  const all = believed.get(db) ?? new Map<string, Believed>()
  believed.set(db, all)
  const known = all.get(name)
  if (known !== undefined && known.until > performance.now()) return known.found as Promise<Found | undefined>
  const until = performance.now() + BELIEVED_MS
  const found = read()
  const here: Believed = { until, found }
  all.set(name, here)
  // Of what is not there nothing is kept: strangers could name any number.
  const forget = () => void (all.get(name) === here && all.delete(name))
  found.then((one) => one ?? forget(), forget)
  return found
}
