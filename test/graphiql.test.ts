import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSchema, createYoga } from 'graphql-yoga'
import { type Browser, type Page, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { graphiqlPage, type GraphiqlViewer } from '../src/graphiql.ts'
import { exampleAreas, examples, type Example } from '../src/graphiql/examples.ts'

const CHROMIUM = '/usr/bin/chromium'
/** The page is 9 MB of script, and the machine may be busy. */
const SECONDS = 90
/** Ends a script, starts a comment, breaks JSON, and is still a legal header. */
const HOSTILE = `ph_"'</script><!--\\`

const nameOf = ({ query }: Example): string => query.match(/(?:query|mutation|subscription) (\w+)/)?.[1] ?? ''

const viewersAt = (start: number): GraphiqlViewer[] => [
  { name: 'app', label: '应用 App', token: `${HOSTILE}app${start}` },
  { name: 'user', label: '用户 User', token: `user-token-${start}` },
  { name: 'admin', label: '管理员 Admin', token: `admin-token-${start}` },
]

describe('the GraphiQL page', () => {
  it('keeps a token that ends scripts inside its own', () => {
    const token = '</script>\u2028\u2029<!--'
    const page = graphiqlPage({ viewers: [{ name: 'app', label: 'App', token }], defaultViewer: 'app' })
    // Booleans: a failure should not print 9 MB.
    expect(page.includes('</script>\u2028')).toBe(false)
    expect(page.includes('\\u003c/script>\\u2028\\u2029\\u003c!--')).toBe(true)
  })

  it('has one example with a name of its own a tab', () => {
    const names = examples.map(({ query }) => query.match(/(?:query|mutation|subscription) (\w+)/g))
    expect(names.every((found) => found?.length === 1)).toBe(true)
    expect(new Set(names.flat()).size).toBe(examples.length)
  })
})

const title = `GraphiQL in a browser (skipped without ${CHROMIUM}: apt-get install chromium)`
describe.skipIf(!existsSync(CHROMIUM))(title, { timeout: SECONDS * 1_000 }, () => {
  let browser: Browser
  let server: Server
  let origin: string
  let viewers = viewersAt(1)
  /** What each request came with, oldest first. */
  let heard: string[] = []
  let streams = 0

  beforeAll(async () => {
    type Context = { request: Request }
    const hear = (name: string, { request }: Context) => heard.push(`${name} ${request.headers.get('authorization')}`)
    const yoga = createYoga({
      schema: createSchema<Context>({
        typeDefs: 'type Query { ask: Int } type Subscription { tick: Int }',
        resolvers: {
          Query: { ask: (_root, _args, context) => hear('ask', context) },
          Subscription: {
            tick: {
              async *subscribe(_root, _args, context) {
                hear('tick', context)
                streams++
                try {
                  for (let tick = 1; ; tick++) {
                    yield { tick }
                    await new Promise((resolve) => setTimeout(resolve, 50))
                  }
                } finally {
                  streams--
                }
              },
            },
          },
        },
      }),
      logging: false,
      graphiql: {},
      renderGraphiQL: () => graphiqlPage({ viewers, defaultViewer: 'user' }),
    })
    server = createServer(yoga).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await chromium.launch({ executablePath: CHROMIUM })
    shared = await open()
  }, SECONDS * 1_000)

  afterAll(async () => {
    await browser?.close()
    server?.closeAllConnections()
    server?.close()
  })

  type Open = { page: Page; requested: string[]; complaints: string[] }
  let shared: Open

  async function open(): Promise<Open> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    const requested: string[] = []
    const complaints: string[] = []
    page.on('request', (request) => requested.push(request.url()))
    page.on('websocket', (socket) => requested.push(socket.url()))
    page.on('console', (line) => ['error', 'warning'].includes(line.type()) && complaints.push(line.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(`${origin}/graphql`)
    await ready(page)
    return { page, requested, complaints }
  }
  const ready = (page: Page) => page.locator('.graphiql-execute-button').waitFor()
  const eventually = <T>(probe: () => T | Promise<T>) => expect.poll(probe, { timeout: 15_000 })
  const tabs = (page: Page) => page.locator('.graphiql-tab-button')
  /** Opens a tab. GraphiQL loses clicks while its tabs slide in, so this one insists. */
  const openTab = (page: Page, title: string) =>
    eventually(async () => {
      await tabs(page).filter({ hasText: title }).click()
      return await page.locator('.graphiql-tab[aria-selected=true] .graphiql-tab-button').textContent()
    }).toBe(title)
  const viewer = (page: Page) => page.locator('#viewer-switch [aria-pressed=true]').textContent()
  const click = (page: Page) => page.click('.graphiql-execute-button')
  /** Runs `query` in the open tab, or without one what stands there. Insists, since GraphiQL reads a new text a moment late. */
  async function run(page: Page, query?: string) {
    heard = []
    if (query !== undefined) await editor(page, 'operation.graphql', query)
    for (let tries = 0; tries < 10 && heard.length === 0; tries++) {
      await page.waitForTimeout(300)
      await click(page)
      await page.waitForTimeout(1_000)
    }
  }
  /** The text of one of GraphiQL's editors; with `text`, after writing it. */
  const editor = (page: Page, name: string, text?: string) =>
    page.evaluate(
      ([name, text]) => {
        type Model = { uri: { path: string }; getValue(): string; setValue(text: string): void }
        const { monaco } = globalThis as unknown as { monaco: { editor: { getModels(): Model[] } } }
        const model = monaco.editor.getModels().find(({ uri }) => uri.path.endsWith(name ?? ''))
        if (text !== undefined) model?.setValue(text)
        return model?.getValue() ?? ''
      },
      [name, text],
    )
  const storedTab = async (page: Page, title: string) => {
    type State = { tabs: { title: string; query: string; headers: string }[] }
    const state = await page.evaluate(() => sessionStorage.getItem('graphiql:tabState'))
    return (JSON.parse(state ?? '{"tabs":[]}') as State).tabs.find((tab) => tab.title === title)
  }
  const stored = (page: Page) => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))

  it('opens a tab an example of a first visit, each with the viewer it is for', async () => {
    const { page } = shared
    const first = exampleAreas.filter(({ inTabs }) => inTabs).flatMap((area) => area.examples)
    const names = first.map(nameOf)
    expect(await tabs(page).allTextContents()).toEqual(names)
    for (const [index, example] of first.entries()) {
      await openTab(page, names[index] ?? '')
      expect(await viewer(page)).toBe(viewers.find(({ name }) => name === example.viewer)?.label)
      expect(await editor(page, 'operation.graphql')).toContain(example.query)
      expect(await editor(page, 'variables.json')).toBe(
        example.variables ? JSON.stringify(example.variables, null, 2) : '',
      )
    }
  })

  it('has every example in its menu, and opens the chosen one in a tab of its own', async () => {
    const { page } = await open()
    const menu = page.locator('#example-menu')
    const values = await menu.locator('option').evaluateAll((all) => all.map((one) => one.getAttribute('value')))
    expect(values).toEqual(['', ...examples.map(nameOf)])
    const chosen = exampleAreas.find(({ name }) => name.includes('Apps'))!.examples.find((one) => one.variables)!
    const before = await tabs(page).count()
    await menu.selectOption(nameOf(chosen))
    await eventually(() => editor(page, 'operation.graphql')).toContain(chosen.query)
    await eventually(() => editor(page, 'variables.json')).toBe(JSON.stringify(chosen.variables, null, 2))
    await eventually(() => viewer(page)).toBe('管理员 Admin')
    await eventually(() => tabs(page).allTextContents()).toHaveLength(before + 1)
    await eventually(async () => (await tabs(page).allTextContents()).at(-1)).toBe(nameOf(chosen))
    await openTab(page, 'PushToPerson')
    expect(await editor(page, 'operation.graphql')).toContain('mutation PushToPerson')
    await page.close()
  })

  it('sends the chosen viewer with the next run and leaves the other tabs alone', async () => {
    const { page } = shared
    await openTab(page, 'PushToPerson')
    await run(page, 'query PushToPerson { ask }')
    expect(heard).toEqual([`ask Bearer ${viewers[0]?.token}`])
    await editor(page, 'request-headers.json', '{ "X-Trace": "7" }')
    expect(await page.locator('#viewer-note').textContent()).toContain('Custom')
    await page.getByRole('button', { name: 'Admin' }).click()
    expect(JSON.parse(await editor(page, 'request-headers.json'))).toEqual({
      'X-Trace': '7',
      Authorization: 'Bearer admin-token-1',
    })
    await run(page)
    expect(heard).toEqual(['ask Bearer admin-token-1'])
    await openTab(page, 'ReadInbox')
    expect(await viewer(page)).toBe('用户 User')
    await openTab(page, 'PushToPerson')
    expect(await viewer(page)).toBe('管理员 Admin')
  })

  it('streams a subscription as the viewer and stops it', async () => {
    const { page } = shared
    await openTab(page, 'WatchInbox')
    await run(page, 'subscription WatchInbox { tick }')
    expect(heard).toEqual(['tick Bearer user-token-1'])
    const tick = async () => JSON.parse((await editor(page, 'response.json')) || '{}').data?.tick ?? 0
    await eventually(tick).toBeGreaterThan(3)
    await click(page)
    await eventually(() => streams).toBe(0)
  })

  it('keeps edits over a reload, with fresh tokens, and stores none', async () => {
    const { page } = shared
    await openTab(page, 'ReadInbox')
    await run(page, 'query ReadInbox { ask }')
    await page.getByRole('button', { name: 'Admin' }).click()
    await eventually(() => storedTab(page, 'ReadInbox')).toMatchObject({
      query: 'query ReadInbox { ask }',
      headers: 'admin',
    })
    expect(await stored(page)).not.toMatch(/token-1|ph_/)
    viewers = viewersAt(2)
    await page.reload()
    await ready(page)
    expect(await tabs(page).count()).toBe(exampleAreas.filter(({ inTabs }) => inTabs).flatMap((a) => a.examples).length)
    expect(await viewer(page)).toBe('管理员 Admin')
    await run(page)
    expect(heard).toEqual(['ask Bearer admin-token-2'])
    await openTab(page, 'PushByTemplate')
    expect(JSON.parse(await editor(page, 'request-headers.json')).Authorization).toBe(`Bearer ${viewers[0]?.token}`)
  })

  it('fits a phone: everything in view, the answer below the editor', async () => {
    const { page } = shared
    await page.setViewportSize({ width: 390, height: 844 })
    const box = async (selector: string) =>
      (await page.locator(selector).first().boundingBox()) ?? expect.fail(`${selector} is not shown`)
    const query = await box('.graphiql-editors')
    const answer = await box('.graphiql-response')
    const button = await box('.graphiql-execute-button')
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    expect(query.width).toBeGreaterThan(280)
    expect(answer.width).toBeGreaterThan(280)
    expect(answer.y).toBeGreaterThanOrEqual(query.y + query.height)
    expect(answer.y + answer.height).toBeLessThanOrEqual(844)
    expect(button.x + button.width).toBeLessThanOrEqual(390)
  })

  it('has by now loaded nothing from elsewhere, put nothing in an address, and complained of nothing', () => {
    const { requested, complaints } = shared
    expect(requested).toContain(`${origin}/graphql`)
    expect(requested.filter((url) => url !== `${origin}/graphql` && !url.startsWith(`blob:${origin}/`))).toEqual([])
    expect(complaints).toEqual([])
  })

  it('takes a token of one’s own where there are no viewers, for the session only', async () => {
    viewers = []
    const { page, complaints } = await open()
    await run(page, 'query PushToPerson { ask }')
    expect(heard).toEqual(['ask null'])
    const field = page.locator('#viewer-token input')
    expect(await field.getAttribute('type')).toBe('password')
    await field.fill('Bearer own-secret')
    await page.getByRole('button', { name: 'Use' }).click()
    expect(await field.inputValue()).toBe('')
    await run(page)
    expect(heard).toEqual(['ask Bearer own-secret'])
    expect(await page.evaluate(() => JSON.stringify({ ...localStorage }))).toBe('{}')
    await page.reload()
    await ready(page)
    await run(page)
    expect(heard).toEqual(['ask Bearer own-secret'])
    await page.getByRole('button', { name: 'Forget' }).click()
    await run(page)
    expect(heard).toEqual(['ask null'])
    expect(await stored(page)).not.toContain('own-secret')
    expect(complaints).toEqual([])
  })
})
