/** A web page that calls /graphql from a browser: its own users' inbox in a system's page, or somebody else's page. */
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const CHROMIUM = '/usr/bin/chromium'
const SECONDS = 90
const OURS = 'https://his.example.org'
const QUERY = '{"query":"{ inboxCounts { unread } }"}'

/** A host that serves an empty page: what runs in it has its origin. */
async function pageHost(): Promise<{ origin: string; server: Server }> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>HIS</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

describe('a page of another origin', () => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let his: Awaited<ReturnType<typeof pageHost>>
  let evil: Awaited<ReturnType<typeof pageHost>>
  beforeAll(async () => {
    ;[his, evil] = [await pageHost(), await pageHost()]
    posthouse = await run(stores[0]!, { ALLOWED_ORIGINS: `${OURS}, ${his.origin}` })
  })
  afterAll(async () => {
    await posthouse.stop()
    his.server.close()
    evil.server.close()
  })

  const ask = async (origin: string, init: RequestInit = { method: 'POST', body: QUERY }) => {
    const response = await fetch(`${posthouse.url}/graphql`, {
      ...init,
      headers: { origin, 'content-type': 'application/json', ...(init.headers as Record<string, string>) },
    })
    await response.body?.cancel()
    return response.headers
  }

  it('may read answers if it is one of ALLOWED_ORIGINS, those that refuse too', async () => {
    const headers = await ask(OURS, { method: 'POST', body: QUERY, headers: { authorization: 'Bearer nonsense' } })
    expect(headers.get('access-control-allow-origin')).toBe(OURS)
    expect(headers.get('access-control-expose-headers')).toBe('retry-after, x-request-id')
  })

  it('is told beforehand what it may send, and never to send what the browser keeps', async () => {
    const headers = await ask(OURS, { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } })
    expect(Object.fromEntries(headers)).toMatchObject({
      'access-control-allow-origin': OURS,
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': expect.stringContaining('authorization, content-type'),
      'access-control-max-age': '7200',
    })
    expect(headers.has('access-control-allow-credentials')).toBe(false)
  })

  it.each(['https://evil.example', 'null', `${OURS}.evil.example`, `${OURS}:8443`, 'http://his.example.org', '*'])(
    'gets no leave as %s',
    async (origin) => {
      for (const method of ['OPTIONS', 'POST']) {
        const headers = await ask(origin, { method, ...(method === 'POST' ? { body: QUERY } : {}) })
        expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([])
      }
    },
  )

  it('opens a socket if it is one of ALLOWED_ORIGINS, else none', async () => {
    const opened = (origin: string) =>
      new Promise((resolve) => {
        const client = new WebSocket(`${posthouse.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
          origin,
        })
        client
          .on('open', () => (client.terminate(), resolve(101)))
          .on('unexpected-response', (_request, response) => resolve(response.statusCode))
          .on('error', () => {})
      })
    expect(await opened(OURS)).toBe(101)
    expect(await opened(`${OURS}.evil.example`)).toBe(403)
    expect(await opened('https://evil.example')).toBe(403)
  })

  it('gets no leave on the documented calls, which backends make', async () => {
    const response = await fetch(`${posthouse.url}/api/openApi/message/push/channel`, {
      method: 'POST',
      headers: { origin: OURS, 'content-type': 'application/json' },
      body: '{}',
    })
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([])
    await response.body?.cancel()
  })

  describe.skipIf(!existsSync(CHROMIUM))(
    `in a browser (skipped without ${CHROMIUM}: apt-get install chromium)`,
    { timeout: SECONDS * 1_000 },
    () => {
      let browser: Browser
      beforeAll(async () => {
        browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
      }, SECONDS * 1_000)
      afterAll(() => browser.close())

      /** What a page there gets by query, by stream and by socket. */
      async function gets(origin: string): Promise<Record<string, string>> {
        const page = await browser.newPage()
        await page.goto(origin)
        const found = await page.evaluate(
          async ({ url, token, query }) => {
            const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
            const text = (accept: string, body: string) =>
              fetch(`${url}/graphql`, { method: 'POST', headers: { ...headers, accept }, body }).then(
                async ({ body: stream }) => new TextDecoder().decode((await stream?.getReader().read())?.value),
                (error: Error) => error.name,
              )
            const socket = () =>
              new Promise<string>((resolve) => {
                const client = new globalThis.WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
                client.addEventListener('open', () =>
                  client.send(JSON.stringify({ type: 'connection_init', payload: headers })),
                )
                client.addEventListener('message', ({ data }) => resolve(JSON.parse(data).type))
                client.addEventListener('error', () => resolve('error'))
              })
            return {
              query: await text('application/json', query),
              stream: await text('text/event-stream', '{"query":"subscription { inboxChanges { __typename } }"}'),
              socket: await socket(),
            }
          },
          { url: posthouse.url, token: await posthouse.token('USER001'), query: QUERY },
        )
        await page.close()
        return found
      }

      it('reads its inbox, follows it as a stream and on a socket', async () => {
        expect(await gets(his.origin)).toEqual({
          query: '{"data":{"inboxCounts":{"unread":0}}}',
          stream: expect.any(String),
          socket: 'connection_ack',
        })
      })

      it('gets nothing at all where it is not allowed, though it holds a token', async () => {
        expect(await gets(evil.origin)).toEqual({ query: 'TypeError', stream: 'TypeError', socket: 'error' })
      })
    },
  )
})
