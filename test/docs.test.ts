/** What people read is tried here: the READMEs' commands, the links, and the walk through the code. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { boot, eventually, run } from './kit/posthouse.ts'
import { stores } from './kit/stores.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const READMES = ['README.md', 'README.zh-CN.md'] as const
const IN_README = '127.0.0.1:4000'
/** The eleventh file is where somebody who traces a push gives up. */
const MOST_FILES = 11

/** The READMEs are about a first start, so the store of a first start is enough. */
const [firstStore] = stores as [(typeof stores)[number]]

const sh = async (script: string) => (await promisify(execFile)('sh', ['-c', script])).stdout.trim()
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8').replaceAll('\r\n', '\n')

function blocks(path: string, language: string): string[] {
  return [...text(path).matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code = '']) => code)
}

function blockWith(path: string, language: string, part: string): string {
  const found = blocks(path, language).filter((block) => block.includes(part))
  if (found.length !== 1) throw new Error(`${path} has ${found.length} ${language} blocks with ${part}: one is wanted`)
  return found[0] ?? ''
}

/** Headings as GitHub makes anchors of them. */
function anchors(path: string): string[] {
  const headings = [...text(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading)
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe.each(READMES)('%s', (readme) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(firstStore)
  })
  afterAll(() => posthouse.stop())
  const here = (code: string) => code.replaceAll(IN_README, new URL(posthouse.url).host)

  it('has a first push that is answered as it says', async () => {
    const answer = JSON.parse(await sh(here(blockWith(readme, 'sh', '/message/push/channel'))))
    const promised = JSON.parse(blockWith(readme, 'json', 'msgId'))
    expect(answer).toEqual({ ...promised, msgId: expect.stringMatching(/^[0-9a-f]{32}$/) })
    expect(Object.keys(answer)).toEqual(Object.keys(promised))
  })

  it('has a token call and an SSE command that show the inbox', async () => {
    const [token = '', watch = ''] = here(blockWith(readme, 'sh', 'text/event-stream')).split(/(?<=\n)(?=curl -N)/)
    const stream = await sh(
      `${token}${watch.trimEnd().replace('curl -N', 'curl -s --max-time 2 -N')} || test $? -eq 28`,
    )
    expect(stream).toContain('"__typename":"InboxSnapshot"')
    expect(stream).toContain('"__typename":"InboxCaughtUp"')
  })

  it('says the same commands as the other, comments aside', () => {
    const plain = (path: string) =>
      ['sh', 'js', 'json'].map((language) => blocks(path, language).map((code) => code.replaceAll(/ +\/\/ .*$/gm, '')))
    for (const other of READMES) expect(plain(readme)).toEqual(plain(other))
  })

  it('names only npm scripts that exist', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> }
    const named = [...text(readme).matchAll(/npm (?:run )?([a-z:]+)/g)]
      .map(([, name = '']) => name)
      .filter((name) => name !== 'ci')
    expect(named).toContain('start')
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})

describe('docs/rest.md', () => {
  it('has commands that are answered 200, each on what a first push left', async () => {
    const posthouse = await run(firstStore)
    try {
      const { body } = await posthouse.push(['USER001'], 'first', { businessId: 'report-1001' })
      const commands = blocks('docs/rest.md', 'sh').map((code) =>
        code.replaceAll(IN_README, new URL(posthouse.url).host),
      )
      expect(commands.length).toBeGreaterThan(2)
      for (const command of commands) {
        const answer = JSON.parse(
          await sh(command.replace(/msgId=\w+/, `msgId=${body.msgId}`).replace('curl', 'curl -s')),
        )
        expect(answer, `answer to ${command}`).toMatchObject({ code: 200, msg: '操作成功' })
      }
    } finally {
      await posthouse.stop()
    }
  })
})

describe("the README's WebSocket client", () => {
  it('gets each item once when Posthouse stops and starts again meanwhile', async () => {
    const place = await firstStore.place()
    let posthouse = await boot(place.env)
    const { host, port } = new URL(posthouse.url)
    // Beside the packages, so that its import is found.
    const file = join(ROOT, `node_modules/.cache/posthouse/readme-${process.pid}.mjs`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, blockWith('README.md', 'js', 'graphql-ws').replaceAll(IN_README, host))
    const client = spawn(process.execPath, [file], { env: { ...process.env, TOKEN: await posthouse.token('USER001') } })
    let heard = ''
    for (const stream of [client.stdout, client.stderr])
      stream.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    const times = (title: string) => heard.split(`"item":{"title":"${title}"}`).length - 1
    try {
      await eventually(() => heard.includes('InboxCaughtUp'))
      await posthouse.push(['USER001'], 'before')
      await eventually(() => times('before'))
      await posthouse.stop()
      posthouse = await boot({ ...place.env, PORT: port })
      await posthouse.push(['USER001'], 'meanwhile')
      await eventually(() => times('meanwhile'), 30_000)
      await posthouse.push(['USER001'], 'after')
      await eventually(() => times('after'))
      expect([times('before'), times('meanwhile'), times('after')], `heard: ${heard}`).toEqual([1, 1, 1])
      expect(heard.match(/InboxSnapshot/g), 'it resumed and did not start anew').toHaveLength(1)
    } finally {
      client.kill()
      rmSync(file)
      await posthouse.stop()
      await place.remove()
    }
  })
})

describe('docs/life-of-a-push.md', () => {
  const page = 'docs/life-of-a-push.md'
  const stops = text(page)
    .split(/^## \d+\. /m)
    .slice(1)

  it(`opens at most ${MOST_FILES} files, which exist`, () => {
    const named = [...new Set(text(page).match(/src\/[\w./-]+\.ts/g))]
    expect(named.length).toBeGreaterThan(5)
    expect(named.length).toBeLessThanOrEqual(MOST_FILES)
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })

  it('names at every stop only functions of the file it stands in', () => {
    const wrong = stops.flatMap((stop) => {
      const path = /^`(src\/[^`]+)`/.exec(stop)?.[1] ?? ''
      const code = text(path)
      const functions = [...stop.matchAll(/`(\w+)\(\)`/g)].map(([, name = '']) => name)
      return functions
        .filter((name) => !new RegExp(`function\\*? ${name}\\b|^\\s*(?:const )?${name}\\b.*=>`, 'm').test(code))
        .map((name) => `${name}() in ${path}`)
    })
    expect(stops.join('').match(/`\w+\(\)`/g)?.length).toBeGreaterThan(10)
    expect(wrong).toEqual([])
  })

  it('says at every stop what is promised and what a crash there leaves', () => {
    for (const stop of stops) expect(stop).toMatch(/\*Promise:\*.*\*Dies here:\*/s)
  })
})

describe('links', () => {
  const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).map((path) => path.replaceAll('\\', '/'))

  it.each(pages)('of %s lead somewhere', (page) => {
    const prose = text(page).replaceAll(/^```.*?^```$/gms, '')
    const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^\w+:/.test(target))
    const broken = targets.filter((target) => {
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      if (!existsSync(join(ROOT, file))) return true
      return anchor !== undefined && (statSync(join(ROOT, file)).isDirectory() || !anchors(file).includes(anchor))
    })
    expect(broken).toEqual([])
  })

  it('to footnotes have their footnote', () => {
    for (const readme of READMES) {
      const named = new Set([...text(readme).matchAll(/\[\^([\w-]+)\](?!:)/g)].map(([, name]) => name))
      const given = new Set([...text(readme).matchAll(/^\[\^([\w-]+)\]:/gm)].map(([, name]) => name))
      expect(named.size).toBeGreaterThan(3)
      expect(given).toEqual(named)
    }
  })
})
