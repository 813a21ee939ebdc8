/** A real Posthouse for tests, with the sample hospital, and short ways to talk to it as its callers do. */
import { createClient, type Client } from 'graphql-ws'
import WebSocket from 'ws'
import { inboxToken } from '../../src/apps/tokens.ts'
import { loadConfig } from '../../src/config.ts'
import { start } from '../../src/start.ts'
import type { TestStore } from './stores.ts'

export const APP = '102343444'
export const SECRETS = {
  ADMIN_KEY: 'admin-key-of-the-tests-9f3c51e07ab2d846',
  INBOX_JWT_SECRET: 'inbox-token-of-the-tests-58d0e7a1c3f69b24',
}

export type Answer = {
  status: number
  headers: Headers
  body: { code: number; msg: string; msgId?: string; data?: Record<string, unknown> }
}
export type Graphql = {
  data?: Record<string, any>
  errors?: { message: string; extensions?: Record<string, unknown> }[]
}

/** Starts one in this process on a store of its own. `env` adds settings; `stop` also removes the store. */
export async function run(store: TestStore, env: Record<string, string> = {}) {
  const place = await store.place()
  const posthouse = await boot({ ...place.env, ...env })
  return {
    ...posthouse,
    place,
    async stop() {
      await posthouse.stop()
      await place.remove()
    },
  }
}

export type Running = Awaited<ReturnType<typeof boot>>

/** Starts one with these settings, e.g. a second node on the same `place`. */
export async function boot(env: Record<string, string>) {
  const { config, mistakes } = loadConfig({ PORT: '0', LOG_LEVEL: 'silent', ...SECRETS, ...env })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const { url, context, stop } = await start(config, () => {})
  return { url, context, stop, ...talkTo(url) }
}

/** Ways to talk to a Posthouse at `url`, in this process or another, that runs with the secrets of the tests. */
export function talkTo(url: string) {
  const token = async (user: string, seconds = 3600) =>
    (await inboxToken(SECRETS.INBOX_JWT_SECRET, user, seconds)).token

  async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const payload = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: payload as BodyInit,
    })
    return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] }
  }

  async function graphql(
    bearer: string | undefined,
    query: string,
    variables: Record<string, unknown> = {},
  ): Promise<Graphql> {
    const headers = { 'content-type': 'application/json', ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) }
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ query, variables }),
    })
    return (await response.json()) as Graphql
  }

  /** A site message to these users; the rest of the body can be overridden. */
  const push = (users: string[], title: string, more: Record<string, unknown> = {}) =>
    post('/api/openApi/message/push/channel', {
      appId: APP,
      receiverType: 'specified',
      receiverData: { user: users },
      channelData: { '1002': { title, content: title } },
      ...more,
    })

  /** A graphql-ws client as a front end would make it. */
  const socket = (bearer: string): Client =>
    createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${bearer}` },
      retryAttempts: 0,
    })

  return { post, push, graphql, socket, token, adminKey: SECRETS.ADMIN_KEY }
}

/** Waits until `look` gives something truthy; fails after `milliseconds` with what it gave last. */
export async function eventually<Found>(
  look: () => Promise<Found> | Found,
  milliseconds = 10_000,
): Promise<NonNullable<Found>> {
  const until = Date.now() + milliseconds
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > until)
      throw new Error(`Not within ${milliseconds} ms; the last look gave ${JSON.stringify(found)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
