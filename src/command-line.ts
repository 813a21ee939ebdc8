/** `node src/main.ts import users people.csv`: what an administrator does without a running Posthouse, or beside it on PostgreSQL. */
import { randomUUIDv7 } from 'node:crypto'
import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import type { Config } from './config.ts'
import { openStore, type Db } from './db/client.ts'
import { migrate } from './db/migrate.ts'
import type { TableKind } from './directory/csv-columns.ts'
import { readTable } from './directory/csv.ts'
import { readEncoding, type Encoding } from './directory/csv-encoding.ts'
import { beginImport, importTable, type ImportHow } from './directory/import.ts'
import { fileSource } from './directory/upload.ts'
import { Refusal } from './errors.ts'

const KINDS = new Map<string, TableKind>([
  ['users', 'user'],
  ['departments', 'dept'],
  ['posts', 'post'],
  ['roles', 'role'],
])
const USAGE = `Usage: node src/main.ts import <users|departments|posts|roles> <file.csv> [--full] [--confirm] [--encoding gb18030]

  --full      who is not in the file is disabled (refused if that is more than SYNC_GUARD_PERCENT)
  --confirm   also if it is more than that
  --encoding  utf-8, gb18030 or utf-16le; without it the file tells

The settings are those of the server: DATABASE_URL, or DATA_DIR while no server runs on it.`
/** So many wrong lines are told one by one. */
const TOLD = 100

type Say = (line: string) => void

/** Does what the arguments ask for and gives the exit code: 0 done, 1 some lines were wrong or it failed, 2 not understood. */
export async function commandLine(config: Config, args: readonly string[], say: Say): Promise<number> {
  const asked = readArguments(args)
  if (asked === undefined) {
    say(USAGE)
    return 2
  }
  if (!existsSync(asked.file)) {
    say(`There is no file ${asked.file}.`)
    return 2
  }
  const store = await openStore({ databaseUrl: config.DATABASE_URL, dataDir: config.DATA_DIR, onNews: say })
  try {
    await migrate(store)
    return await importFile(store.patient, asked, config.SYNC_GUARD_PERCENT, say)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    say(`${error.message} · ${error.zh}`)
    return 1
  } finally {
    await store.close()
  }
}

type Asked = { kind: TableKind; file: string; full: boolean; confirm: boolean; encoding: Encoding | undefined }

function readArguments(args: readonly string[]): Asked | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { full: { type: 'boolean' }, confirm: { type: 'boolean' }, encoding: { type: 'string' } },
    })
    const [act, what = '', file, ...more] = positionals
    const kind = KINDS.get(what)
    const encoding = values.encoding === undefined ? undefined : readEncoding(values.encoding)
    if (act !== 'import' || kind === undefined || file === undefined || more.length > 0) return undefined
    if (values.encoding !== undefined && encoding === undefined) return undefined
    return { kind, file, full: values.full ?? false, confirm: values.confirm ?? false, encoding }
  } catch {
    return undefined
  }
}

async function importFile(db: Db, { kind, file, full, confirm, encoding }: Asked, guardPercent: number, say: Say) {
  const table = await readTable(kind, fileSource(file), encoding)
  say(`${file}: ${table.count} rows, ${table.encoding}`)
  if (table.ignored.length > 0) say(`Left out, since their names say nothing here: ${table.ignored.join(', ')}`)
  const run = randomUUIDv7()
  const by = { actor: 'command-line', operator: userInfo().username, requestId: run }
  let done = 0
  let told = 0
  const how: ImportHow = {
    kind,
    run,
    isFull: full,
    confirm,
    guardPercent,
    onPart(upserted) {
      for (const { line, code, path, en, zh } of upserted.problems)
        if (++told <= TOLD) say(`  line ${line} ${code} ${path}: ${en} · ${zh}`)
      done += upserted.created + upserted.changed + upserted.unchanged + upserted.refused
      say(`${done} of ${table.count}`)
    },
  }
  await beginImport(db, by, table, how)
  const ended = await importTable(db, by, table, how)
  const { created, changed, unchanged, refused, disabled } = ended
  if (told > TOLD) say(`  and ${told - TOLD} lines more`)
  say(`${created} created, ${changed} changed, ${unchanged} unchanged, ${refused} refused, ${disabled} disabled`)
  return refused === 0 ? 0 : 1
}
