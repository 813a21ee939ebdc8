/** A file on its way in: kept in a temporary one, since a table is read twice, and gone when it is done with. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Refusal } from '../errors.ts'
import type { Source } from './csv-encoding.ts'

/** Some ten million people. What is larger is not what its sender thinks. */
const UPLOAD_BYTES = 1024 * 1024 * 1024

export type Upload = { source: Source; remove(): Promise<void> }

/** Takes the bytes to the disk, a piece at a time. Refuses more than 1 GiB; leaves nothing behind when it fails. */
export async function keepUpload(bytes: AsyncIterable<Uint8Array>): Promise<Upload> {
  const folder = await mkdtemp(join(tmpdir(), 'posthouse-import-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  const path = join(folder, 'table')
  try {
    await pipeline(atMost(bytes), createWriteStream(path, { mode: 0o600 }))
    return { source: fileSource(path), remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** A file as often as it is wanted. */
export function fileSource(path: string): Source {
  return () => createReadStream(path)
}

async function* atMost(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let count = 0
  for await (const piece of bytes) {
    count += piece.byteLength
    if (count > UPLOAD_BYTES)
      throw new Refusal('TOO_LARGE', { path: '(body)', zh: '超过上限 1 GiB', en: 'is over the limit of 1 GiB' })
    yield piece
  }
}
