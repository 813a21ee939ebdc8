import { fileURLToPath } from 'node:url'
import { migrate as pending } from 'drizzle-orm/pg-proxy/migrator'
import type { Store } from './client.ts'

const FOLDER = fileURLToPath(new URL('../../drizzle', import.meta.url))

/**
 * Brings the schema up to date. Nodes that start together take turns (advisory lock); what is missing is applied as one
 * transaction, so that a migration that fails changes nothing.
 */
export async function migrate(store: Store): Promise<void> {
  await store.exclusively(async (script) => {
    await pending(store.db, async (statements) => script(statements.join(';\n')), { migrationsFolder: FOLDER })
  })
}
