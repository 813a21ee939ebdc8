/**
 * After `npm ci`: makes the empty databases that let a first start take two seconds instead of eight, and sets up the
 * commit hook. JavaScript, since it also runs where the tools were left out (`npm ci --omit=dev`) and Node may be older
 * than 24: whatever it cannot do it leaves undone, and Posthouse starts without.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)

if (process.features.typescript) {
  const { EMPTY_DIRECTORY, EMPTY_IMAGE } = await import('../src/db/pglite.ts')
  if (!existsSync(EMPTY_DIRECTORY) || !existsSync(EMPTY_IMAGE)) await makeEmpty(EMPTY_DIRECTORY, EMPTY_IMAGE)
}

const lefthook = new URL('node_modules/.bin/lefthook', root)
if (existsSync(new URL('.git', root)) && existsSync(lefthook) && !process.env.CI) {
  spawnSync('lefthook', ['install'], { cwd: root, stdio: 'ignore', shell: process.platform === 'win32' })
}

/** The same empty database as a directory and as an image; killed half-way it leaves neither half made. */
async function makeEmpty(directory, image) {
  const { PGlite } = await import('@electric-sql/pglite')
  const { openStore } = await import('../src/db/client.ts')
  const { migrate } = await import('../src/db/migrate.ts')
  const folder = `${fileURLToPath(directory)}.making`
  const making = `${folder}/pglite`
  rmSync(folder, { recursive: true, force: true })
  const store = await openStore({ dataDir: folder })
  await migrate(store)
  await store.close()
  const pglite = await PGlite.create({ dataDir: making })
  const dump = await pglite.dumpDataDir('gzip')
  await pglite.close()
  writeFileSync(`${making}.tgz`, Buffer.from(await dump.arrayBuffer()))
  renameSync(`${making}.tgz`, image)
  rmSync(directory, { recursive: true, force: true })
  renameSync(making, directory)
  rmSync(folder, { recursive: true })
}
