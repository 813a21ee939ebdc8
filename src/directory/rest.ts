/**
 * The directory for the admin over plain HTTP, in the documented envelope: rows in JSON, a full sync, and tables as files.
 * Who asks has been made sure of by the server.
 */
import { randomUUIDv7 } from 'node:crypto'
import { z } from 'zod'
import type { By } from '../audit/audit.ts'
import { check, checkText } from '../check.ts'
import type { Context } from '../context.ts'
import type { DirectoryKind } from '../db/tables.ts'
import { badInput, Refusal } from '../errors.ts'
import { readJson } from '../json.ts'
import { readTable } from './csv.ts'
import { readEncoding } from './csv-encoding.ts'
import { beginImport, importTable } from './import.ts'
import { abandon, begin, findRun, finish } from './sync.ts'
import { keepUpload } from './upload.ts'
import { upsert, type InputOf } from './upsert.ts'

export const DIRECTORY_PATH = '/api/admin/directory/'

const KINDS = new Map<string, DirectoryKind>([
  ['users', 'user'],
  ['departments', 'dept'],
  ['posts', 'post'],
  ['roles', 'role'],
])

export type DirectoryRequest = {
  method: string
  /** What follows `DIRECTORY_PATH`. */
  path: string
  query: URLSearchParams
  /** Of the body, in lower case and without parameters. */
  mediaType: string
  /** Reads a body of JSON; refuses one that is too large. */
  body(): Promise<Uint8Array>
  /** The body as it comes in. */
  stream: AsyncIterable<Uint8Array>
  by: By
}

export type DirectoryAnswer = { status: number; data: unknown }

/** Imports that go on after their answer; `close` ends them between two parts, as failed. */
export type Imports = { signal: AbortSignal; start(work: Promise<unknown>): void; close(): Promise<void> }

export function openImports(): Imports {
  const ending = new AbortController()
  const running = new Set<Promise<unknown>>()
  return {
    signal: ending.signal,
    start(work) {
      const done = work.catch(() => {}).finally(() => running.delete(done))
      running.add(done)
    },
    async close() {
      ending.abort()
      await Promise.all(running)
    },
  }
}

type Act = (context: Context, request: DirectoryRequest, name: string, imports: Imports) => Promise<DirectoryAnswer>

/** Every call: its method, its path, where `*` stands for a name, and what it does. */
const calls: [method: string, path: RegExp, act: Act][] = [
  ['POST', /^(users|departments|posts|roles)$/, putRows],
  ['POST', /^sync\/(begin|finish|abandon)$/, sync],
  ['POST', /^import\/(users|departments|posts|roles)$/, importFile],
  ['GET', /^runs\/([^/]+)$/, tellRun],
]

/** Answers a call under `DIRECTORY_PATH`; throws refusals. */
export async function directoryCall(
  context: Context,
  request: DirectoryRequest,
  imports: Imports,
): Promise<DirectoryAnswer> {
  const there = calls.filter(([, path]) => path.test(request.path))
  const [first] = there
  if (first === undefined) throw new Refusal('NOT_FOUND')
  const call = there.find(([method]) => method === request.method)
  if (call === undefined) throw new Refusal('METHOD_NOT_ALLOWED', { zh: `请使用 ${first[0]}`, en: `use ${first[0]}` })
  const [, path, act] = call
  return act(context, request, path.exec(request.path)?.[1] ?? '', imports)
}

const rowsInput = z.object({
  rows: z.array(z.unknown()),
  allOrNothing: z.boolean().nullish(),
  run: z.string().nullish(),
})

async function putRows({ store }: Context, request: DirectoryRequest, name: string): Promise<DirectoryAnswer> {
  const { rows, allOrNothing, run } = check(rowsInput, await readBody(request), '')
  const kind = KINDS.get(name) ?? 'user'
  const how = { allOrNothing, ...(run == null ? {} : { run }) }
  return { status: 200, data: await upsert(store.patient, request.by, kind, rows as InputOf[DirectoryKind][], how) }
}

const syncInput = z.object({
  run: z.string(),
  covers: z.array(z.enum(['user', 'dept', 'post', 'role'])).nullish(),
  expected: z.int().min(0).nullish(),
  confirm: z.boolean().nullish(),
})

async function sync({ store, config }: Context, request: DirectoryRequest, name: string): Promise<DirectoryAnswer> {
  const { run, covers, expected, confirm } = check(syncInput, await readBody(request), '')
  const guardPercent = config.SYNC_GUARD_PERCENT
  const acts: Record<string, () => Promise<unknown>> = {
    begin: () => begin(store.patient, request.by, { run, covers, isFull: true, expected: expected ?? undefined }),
    finish: () => finish(store.patient, request.by, run, { confirm, guardPercent }),
    abandon: () => abandon(store.patient, request.by, run),
  }
  return { status: 200, data: await acts[name]?.() }
}

/** The file is taken in whole and looked at before the answer, which names the run; the rows follow afterwards. */
async function importFile(
  context: Context,
  { query, mediaType, stream, by }: DirectoryRequest,
  name: string,
  imports: Imports,
): Promise<DirectoryAnswer> {
  if (mediaType !== 'text/csv')
    throw new Refusal('UNSUPPORTED_MEDIA_TYPE', { path: 'Content-Type', zh: '应为 text/csv', en: 'must be text/csv' })
  const kind = KINDS.get(name) ?? 'user'
  const [isFull, confirm] = [readYes(query, 'full'), readYes(query, 'confirm')]
  const wanted = query.get('encoding')
  const encoding = wanted === null ? undefined : readEncoding(wanted)
  if (wanted !== null && encoding === undefined)
    throw badInput('encoding', '只能是 utf-8、gb18030、utf-16le', 'must be utf-8, gb18030 or utf-16le')
  const upload = await keepUpload(stream)
  try {
    const table = await readTable(kind, upload.source, encoding)
    const run = randomUUIDv7()
    const { store, config, log } = context
    const how = { kind, run, isFull, confirm, guardPercent: config.SYNC_GUARD_PERCENT, signal: imports.signal }
    await beginImport(store.patient, by, table, how)
    const work = importTable(store.patient, by, table, how)
    imports.start(
      work
        .catch((error: Error) => {
          if (!(error instanceof Refusal)) log.error({ err: error, run }, 'import: failed')
        })
        .finally(upload.remove),
    )
    return { status: 202, data: { run, expected: table.count } }
  } catch (error) {
    await upload.remove()
    throw error
  }
}

async function tellRun({ db }: Context, _request: DirectoryRequest, name: string): Promise<DirectoryAnswer> {
  const run = decodeURIComponent(name)
  checkText(run, 'run')
  const found = await findRun(db, run)
  if (found === undefined)
    throw new Refusal('NOT_FOUND', { path: 'run', zh: `没有 ${run}`, en: `there is no run ${run}` })
  return { status: 200, data: found }
}

async function readBody({ mediaType, body }: DirectoryRequest): Promise<unknown> {
  if (mediaType === 'application/json') return readJson(await body())
  throw new Refusal('UNSUPPORTED_MEDIA_TYPE', {
    path: 'Content-Type',
    zh: '应为 application/json',
    en: 'must be application/json',
  })
}

function readYes(query: URLSearchParams, name: string): boolean {
  const value = query.get(name)
  if (value === null || value === 'false') return false
  if (value === 'true') return true
  throw badInput(name, '只能是 true 或 false', 'must be true or false')
}
