/** Keeps who may push: apps with their grants, and their keys. */
import { and, eq, isNull, sql } from 'drizzle-orm'
import { json, query, type Db } from '../db/client.ts'
import { appKeys, apps, type Compat } from '../db/tables.ts'

export type App = typeof apps.$inferSelect
export type AppRow = {
  id: string
  name: string
  grants: string[]
  enabled?: boolean
  compat?: Compat
  /** Addresses from which `appId` alone is enough, as CIDR. None: never. */
  legacyFrom?: string[] | null
}

/** Writes an app. Of one that is there everything is overwritten except its keys. */
export async function saveApp(db: Db, row: AppRow): Promise<void> {
  const { id, name, grants, enabled = true, compat = {}, legacyFrom = null } = row
  const legacy = legacyFrom === null ? null : json(legacyFrom)
  await query(
    db,
    sql`
    insert into apps (id, name, enabled, grants, compat, legacy_from)
    values (${id}, ${name}, ${enabled}::boolean, ${json(grants)}::jsonb, ${json(compat)}::jsonb, ${legacy}::jsonb)
    on conflict (id) do update
    set name = excluded.name, enabled = excluded.enabled, grants = excluded.grants, compat = excluded.compat,
      legacy_from = excluded.legacy_from`,
  )
}

/** The app of that id, disabled ones too: the door decides, and must not tell a caller which it was. */
export async function findApp(db: Db, id: string): Promise<App | undefined> {
  const [app] = await db.select().from(apps).where(eq(apps.id, id))
  return app
}

/** The app that holds this key, with the SHA-256 that the secret must have. A revoked key is no key. */
export async function findAppByKey(db: Db, keyId: string): Promise<{ app: App; secretSha256: string } | undefined> {
  const [found] = await db
    .select({ app: apps, secretSha256: appKeys.secretSha256 })
    .from(appKeys)
    .innerJoin(apps, eq(apps.id, appKeys.appId))
    .where(and(eq(appKeys.keyId, keyId), isNull(appKeys.revokedAt)))
  return found
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
}

/** Whether the app may do that: by the grant itself (`channel:1002`, `token`) or by the one for all (`channel:*`). */
export function hasGrant(app: Pick<App, 'grants'>, grant: string): boolean {
  const colon = grant.indexOf(':')
  return app.grants.includes(grant) || (colon > 0 && app.grants.includes(`${grant.slice(0, colon)}:*`))
}
