/** After `npm ci`: makes the empty database image that lets a first start take one second instead of six. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { EMPTY_IMAGE } from '../src/db/pglite.ts'

if (!existsSync(EMPTY_IMAGE)) {
  const pglite = await PGlite.create()
  const image = await pglite.dumpDataDir('gzip')
  await pglite.close()
  mkdirSync(new URL('.', EMPTY_IMAGE), { recursive: true })
  writeFileSync(EMPTY_IMAGE, Buffer.from(await image.arrayBuffer()))
}
