/**
 * The rules of the house, as data: who may import whom, where SQL may stand, who writes which table, how large a file may
 * grow. A rule that is broken fails with a sentence. Each is also shown a planted violation, so that none goes green blind.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** Path → text. */
type Files = Map<string, string>
/** Gives a sentence for everything that breaks the rule. */
type Rule = (files: Files) => string[]

/** What every unit but `client` may import: no domain in here. */
const KIT = ['audit', 'check', 'context', 'db', 'errors', 'graphql', 'hints', 'json']
const SLICES = ['apps', 'delivery', 'directory', 'inbox', 'messages', 'preferences', 'templates']

/**
 * What a unit may import besides itself and the kit: units, or single files of one (`*`: whatever follows). A unit is a folder of src or a file
 * there without a folder. `import type` is free: it is gone when the code runs.
 */
const MAY_IMPORT: Record<string, string[]> = {
  // From the top down: what starts a Posthouse, then its doors.
  main: ['command-line', 'config', 'load-faster', 'start'],
  'load-faster': [],
  start: ['apps', 'config', 'delivery', 'inbox', 'messages', 'metrics', 'sample', 'server', 'welcome'],
  'command-line': ['directory'],
  welcome: ['apps', 'directory'],
  sample: ['apps', 'directory', 'templates'],
  server: [
    'apps/authenticate.ts',
    'delivery/callbacks.ts',
    'directory/rest.ts',
    'directory/scim/rest.ts',
    'graphiql',
    'preferences/unsubscribe*',
    'request',
    'rest',
    'schema',
  ],
  request: ['ranges'],
  ranges: [],
  metrics: ['delivery/depth.ts'],
  schema: SLICES.map((slice) => `${slice}/graphql*`),
  rest: [...SLICES.map((slice) => `${slice}/rest.ts`), 'apps', 'messages/input.ts'],
  graphiql: [],
  // A channel's URL is a setting: delivery knows how it is written, and its provider checks it.
  config: ['delivery/channel-url.ts', 'delivery/providers', 'guessable', 'ranges'],
  guessable: [],

  // The slices, in the order in which a message travels: messages → delivery → inbox.
  // A push goes through delivery; only an app that says "he has read it" reaches the inbox directly.
  messages: ['apps', 'delivery', 'directory', 'inbox/broadcast.ts', 'inbox/mark.ts', 'preferences', 'templates'],
  // Whom a message speaks to in which words is decided with its recipients.
  delivery: ['directory', 'inbox', 'preferences', 'templates/locale.ts', 'templates/render.ts'],
  inbox: [],
  // A token's person must exist.
  apps: ['directory', 'ranges'],
  // A template says, for each channel, a content that it carries; an app sees those of its channels.
  templates: [
    'apps/grants.ts',
    'delivery/content.ts',
    'delivery/fit.ts',
    'delivery/sanitise.ts',
    'delivery/sms-length.ts',
    'directory/address.ts',
    'directory/directory.ts',
  ],
  directory: [],
  preferences: [],

  // Runs in browsers: its generated types only.
  client: [],
  ...Object.fromEntries(KIT.map((unit) => [unit, []])),
}

/** Tables that another unit also changes, and why. */
const SECOND_WRITERS: Record<string, string> = {
  'messages by delivery/fan-out.ts': 'after acceptance it moves state, cursor and lease',
  'messages by delivery/due.ts': 'takes those that are due, and hands the larger ones over to fan-out.ts',
  'messages by delivery/recall.ts': 'a recall that messages began it alone ends, or leaves to a worker',
}

/** Tests may be longer: much of them are cases, one a line. */
const MAX_LINES = { code: 300, test: 450 }
/** Files that may be longer, and why. */
const LONG_FILES: Record<string, string> = {
  'src/client/generated.ts': 'generated',
  'src/db/tables.ts': 'the ledger of all tables, read as one page',
}

/** Folders that may hold a single file, and why. */
const LONELY_FOLDERS: Record<string, string> = { 'test/fixtures': 'material that tests read, not code' }

const IMPORT =
  /^(?:import\s+(?:(type)\s)?\s*(?:[\w$*{][^'";]*?\sfrom\s*)?|export\s+(?:(type)\s)?\s*(?:\*[^'";]*?|\{[^}]*\})\s*from\s*)['"]([^'"]+)['"]/gm
const DYNAMIC_IMPORT = /(?<!typeof )\bimport\(\s*['"]([^'"]+)['"]/g

/** What a file imports when it runs: packages by name, files of src by their path in it. */
function imports(path: string, text: string): string[] {
  const statically = [...text.matchAll(IMPORT)]
    .filter(([, type, exported]) => !type && !exported)
    .map((match) => match[3] ?? '')
  const dynamically = [...text.matchAll(DYNAMIC_IMPORT)].map((match) => match[1] ?? '')
  return [...statically, ...dynamically].map((name) =>
    name.startsWith('.') ? posix.join(dirname(path), name).replace(/^src\//, '') : name,
  )
}

/** `inbox/live.ts` → `inbox`, `graphiql.ts` and `graphiql/examples.ts` → `graphiql`. */
function unitOf(pathInSrc: string): string {
  return pathInSrc.replace(/[/.].*$/s, '')
}

function inSrc(files: Files): { path: string; text: string; unit: string }[] {
  return [...files]
    .filter(([path]) => path.startsWith('src/') && path.endsWith('.ts'))
    .map(([path, text]) => ({ path: path.slice('src/'.length), text, unit: unitOf(path.slice('src/'.length)) }))
}

function isDoor(pathInSrc: string): boolean {
  return /(^|\/)(rest|graphql(-\w+)?)\.ts$/.test(pathInSrc) || ['main.ts', 'server.ts', 'schema.ts'].includes(pathInSrc)
}

function withoutComments(text: string): string {
  return text.replace(/\/\*.*?\*\//gs, '').replace(/^\s*\/\/.*$/gm, '')
}

function lines(text: string): number {
  return text.split('\n').length - 1
}

const importsPointDownwards: Rule = (files) =>
  inSrc(files).flatMap(({ path, text, unit }) => {
    const allowed = MAY_IMPORT[unit]
    if (allowed === undefined) return [`src/${path} is of no unit that MAY_IMPORT knows: say there what it may import`]
    const kit = unit === 'client' ? [] : KIT
    return imports(`src/${path}`, text)
      .filter((target) => /\.(ts|html)$/.test(target) && unitOf(target) !== unit)
      .filter(
        (target) =>
          ![...allowed, ...kit].some(
            (one) =>
              target === one ||
              unitOf(target) === one ||
              target.startsWith(`${one}/`) ||
              (one.endsWith('*') && target.startsWith(one.slice(0, -1))),
          ),
      )
      .map(
        (target) =>
          `src/${path} imports ${target}, but ${unit} may import only ${[...allowed, ...kit].join(', ') || 'itself'}`,
      )
  })

const clientHasNoPackages: Rule = (files) =>
  inSrc(files)
    .filter(({ unit }) => unit === 'client')
    .flatMap(({ path, text }) =>
      imports(`src/${path}`, text)
        .filter((target) => !target.startsWith('client/'))
        .map((target) => `src/${path} imports ${target}, but the client runs in a browser as it stands`),
    )

const environmentIsReadOnce: Rule = (files) =>
  inSrc(files)
    .filter(
      ({ path, text }) => !['main.ts', 'config.ts'].includes(path) && withoutComments(text).includes('process.env'),
    )
    .map(({ path }) => `src/${path} reads process.env: only main.ts and config.ts may; add a setting to config.ts`)

const doorsHoldNoSql: Rule = (files) =>
  inSrc(files)
    .filter(
      ({ path, text }) =>
        isDoor(path) && imports(`src/${path}`, text).some((name) => /^(drizzle-orm|postgres$|@electric)/.test(name)),
    )
    .map(
      ({ path }) =>
        `src/${path} is a door and holds SQL: put the statement into a function of the slice that owns the question`,
    )

const everyActIsOneStatement: Rule = (files) =>
  inSrc(files)
    .filter(
      ({ path, text }) => path !== 'db/migrate.ts' && /\.(transaction|begin|savepoint)\(/.test(withoutComments(text)),
    )
    .map(({ path }) => `src/${path} opens a transaction: an act is one statement (docs/decisions/0002)`)

const tablesHaveOneWriter: Rule = (files) => {
  const writers = new Map<string, string>()
  let writer = ''
  for (const [, named, table] of (files.get('src/db/tables.ts') ?? '').matchAll(/Writer: (\w+)|pgTable\(\s*'(\w+)'/g)) {
    if (named) writer = named
    if (table) writers.set(table, writer)
  }
  return inSrc(files).flatMap(({ path, text, unit }) =>
    [...withoutComments(text).matchAll(/\b(?:insert\s+into|update|delete\s+from)\s+(\w+)/gi)]
      .map(([, table = '']) => table.toLowerCase())
      .filter(
        (table) => writers.has(table) && writers.get(table) !== unit && !(`${table} by ${path}` in SECOND_WRITERS),
      )
      .map((table) => `src/${path} writes ${table}, whose one writer is ${writers.get(table)} (src/db/tables.ts)`),
  )
}

const noBarrels: Rule = (files) =>
  inSrc(files)
    .filter(
      ({ path, text }) =>
        path !== 'client/generated.ts' && /^export\s+(type\s+)?(\*|\{[^}]*\})[^\n]*from\s/m.test(text),
    )
    .map(({ path }) => `src/${path} re-exports: import from the file that has it`)

const foldersAreEarned: Rule = (files) => {
  const entries = new Map<string, Set<string>>()
  for (const path of files.keys()) {
    for (let child = path; child.includes('/'); child = dirname(child)) {
      entries.set(dirname(child), (entries.get(dirname(child)) ?? new Set()).add(child))
    }
  }
  return [...entries]
    .filter(([folder, children]) => folder !== '.' && children.size === 1 && !(folder in LONELY_FOLDERS))
    .map(([folder, [child]]) => `${folder}/ holds only ${child}: a folder is earned by a second file`)
}

const filesAreShort: Rule = (files) =>
  [...files]
    .map(([path, text]) => ({
      path,
      lines: lines(text),
      limit: path.endsWith('.test.ts') ? MAX_LINES.test : MAX_LINES.code,
    }))
    .filter(({ path, lines, limit }) => path.endsWith('.ts') && lines > limit && !(path in LONG_FILES))
    .map(
      ({ path, lines, limit }) =>
        `${path} has ${lines} lines: split it, or give the reason in LONG_FILES (limit ${limit})`,
    )

const noPageNeedsTheInternet: Rule = (files) =>
  [...files]
    .filter(
      ([path, text]) =>
        path.startsWith('src/') && /\b(unpkg|jsdelivr|cdnjs|skypack|jspm|esm\.sh|googleapis|gstatic|cdn\.)/i.test(text),
    )
    .map(([path]) => `${path} names a CDN: hospitals have no internet, so everything is served from here`)

/** Each rule with a file that breaks it, and the sentence it must get. */
const rules: [name: string, rule: Rule, planted: [path: string, text: string], sentence: RegExp][] = [
  [
    'imports point the way a message travels',
    importsPointDownwards,
    ['src/inbox/planted.ts', `import {\n  pushChannelMessage,\n  type Accepted,\n} from '../messages/push.ts'\n`],
    /^src\/inbox\/planted\.ts imports messages\/push\.ts, but inbox may import only audit, /,
  ],
  [
    'a new unit says what it may import',
    importsPointDownwards,
    ['src/helpers.ts', ''],
    /^src\/helpers\.ts is of no unit/,
  ],
  [
    'the client needs nothing but itself',
    clientHasNoPackages,
    ['src/client/planted.ts', `import { z } from 'zod'\n`],
    /^src\/client\/planted\.ts imports zod/,
  ],
  [
    'the environment is read in one place',
    environmentIsReadOnce,
    ['src/inbox/planted.ts', `const port = process.env['PORT']\n`],
    /^src\/inbox\/planted\.ts reads process\.env/,
  ],
  [
    'doors hold no SQL',
    doorsHoldNoSql,
    ['src/inbox/graphql-planted.ts', `import { sql } from 'drizzle-orm'\n`],
    /^src\/inbox\/graphql-planted\.ts is a door and holds SQL/,
  ],
  [
    'every act is one statement',
    everyActIsOneStatement,
    ['src/inbox/planted.ts', `await db.transaction(async (tx) => {})\n`],
    /^src\/inbox\/planted\.ts opens a transaction/,
  ],
  [
    'each table has one writer',
    tablesHaveOneWriter,
    ['src/messages/planted.ts', 'await query(db, sql`\n  update\n    items set read_at = now()`)\n'],
    /^src\/messages\/planted\.ts writes items, whose one writer is inbox/,
  ],
  [
    'nothing is re-exported',
    noBarrels,
    ['src/inbox/index.ts', `export {\n  put,\n} from './inbox.ts'\n`],
    /^src\/inbox\/index\.ts re-exports/,
  ],
  [
    'a folder is earned by a second file',
    foldersAreEarned,
    ['src/inbox/deep/one.ts', ''],
    /^src\/inbox\/deep\/ holds only/,
  ],
  [
    'no file is long without a reason',
    filesAreShort,
    ['src/inbox/planted.ts', '\n'.repeat(301)],
    /^src\/inbox\/planted\.ts has 301 lines/,
  ],
  [
    'no page loads anything from elsewhere',
    noPageNeedsTheInternet,
    ['src/graphiql/planted.html', '<script src="https://unpkg.com/graphiql"></script>'],
    /^src\/graphiql\/planted\.html names a CDN/,
  ],
]

const root = fileURLToPath(new URL('..', import.meta.url))
const house: Files = new Map(
  globSync('{src,test,scripts,bench}/**/*.*', { cwd: root }).map((path) => [
    path.replaceAll('\\', '/'),
    readFileSync(root + path, 'utf8'),
  ]),
)

describe('the house', () => {
  it.each(rules)('%s', (_name, rule) => {
    expect(rule(house)).toEqual([])
  })

  it.each(rules)('%s: a planted violation is seen', (_name, rule, planted, sentence) => {
    const broken = rule(new Map([...house, planted])).filter((found) => !rule(house).includes(found))
    expect(broken).toEqual([expect.stringMatching(sentence)])
  })

  it('is read whole: every file of src that is loaded is seen as imported', () => {
    const seen = new Set(inSrc(house).flatMap(({ path, text }) => imports(`src/${path}`, text)))
    expect(seen).toContain('messages/push.ts')
    expect(seen).toContain('graphiql.ts')
    expect(seen).toContain('drizzle-orm/pg-core')
    expect(inSrc(house).length).toBeGreaterThan(40)
  })

  it('has no reason left over for a file or an exception that is gone', () => {
    const long = Object.keys(LONG_FILES).filter((path) => lines(house.get(path) ?? '') <= MAX_LINES.code)
    const lonely = Object.keys(LONELY_FOLDERS).filter(
      (folder) => ![...house.keys()].some((path) => path.startsWith(`${folder}/`)),
    )
    const second = Object.keys(SECOND_WRITERS).filter((one) => !house.has(`src/${one.split(' by ')[1]}`))
    expect([...long, ...lonely, ...second]).toEqual([])
  })
})
