import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { BY_HAND, fromCode, fromOperations, ROOT } from '../scripts/generated.ts'
import { refusals } from '../src/errors.ts'

/** What is on disk, as git keeps it: a checkout on Windows may have CRLF. */
const onDisk = (path: string) =>
  existsSync(ROOT + path) ? readFileSync(ROOT + path, 'utf8').replaceAll('\r\n', '\n') : undefined

describe('generated files follow the code (npm run generate)', () => {
  it.each([...fromCode()])('%s', (path, text) => {
    expect(onDisk(path), `${path} is out of date: run npm run generate and commit it`).toBe(text)
  })

  it('src/client/generated.ts, from the operations and schema.graphql', async () => {
    for (const [path, text] of await fromOperations()) {
      expect(onDisk(path), `${path} is out of date: run npm run generate and commit it`).toBe(text)
    }
  })
})

describe('docs/errors', () => {
  it.each(Object.keys(refusals))('says when %s happens and what to do', (code) => {
    const [, byHand = ''] = onDisk(`docs/errors/${code}.md`)?.split(BY_HAND) ?? []
    const [, when, whatToDo] = /^\n\n## When\n\n(.+)\n\n## What to do\n\n(.+)\n$/s.exec(byHand) ?? []
    expect(when, `docs/errors/${code}.md has no "## When"`).toMatch(/\w{3}/)
    expect(whatToDo, `docs/errors/${code}.md has no "## What to do"`).toMatch(/\w{3}/)
  })

  it('has no page of a code that is gone', () => {
    const pages = readdirSync(`${ROOT}docs/errors`).filter((name) => name !== 'README.md')
    expect(pages.filter((name) => !(name.replace('.md', '') in refusals))).toEqual([])
  })
})

describe('package-lock.json', () => {
  type Package = {
    dev?: boolean
    devOptional?: boolean
    hasInstallScript?: boolean
    optionalDependencies?: Record<string, string>
  }
  let packages: [string, Package][]
  beforeAll(() => {
    const lock = JSON.parse(readFileSync(`${ROOT}package-lock.json`, 'utf8')) as { packages: Record<string, Package> }
    packages = Object.entries(lock.packages).filter(([path]) => path !== '')
  })

  it('has no install script in what runs in production: npm 12 would block it', () => {
    const runtime = packages.filter(([, { dev, devOptional }]) => !dev && !devOptional)
    expect(runtime.length).toBeGreaterThan(20)
    expect(runtime.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual([])
  })

  it('has an entry for every platform of a package: without one `npm ci` refuses the file', () => {
    const names = new Set(packages.map(([path]) => path.split('node_modules/').at(-1)))
    const wanted = packages.flatMap(([, { optionalDependencies = {} }]) => Object.keys(optionalDependencies))
    expect(wanted.length).toBeGreaterThan(20)
    expect(wanted.filter((name) => !names.has(name))).toEqual([])
  })

  it('decides about every install script of a tool in allowScripts of package.json', () => {
    const { allowScripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as {
      allowScripts: Record<string, boolean>
    }
    const scripted = packages
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => path.split('node_modules/').at(-1) ?? '')
    expect([...new Set(scripted)].toSorted()).toEqual(Object.keys(allowScripts).toSorted())
  })
})
