import { Readable } from 'node:stream'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Context, OpenChannel } from '../../src/context.ts'
import { query } from '../../src/db/client.ts'
import type { CallbackAnswer, Carrier, Receipt } from '../../src/delivery/channel.ts'
import { callback } from '../../src/delivery/callbacks.ts'
import { Refusal } from '../../src/errors.ts'
import { eventually, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { find, putDelivery, states, waiting } from './rows.ts'

const MIB = 1024 * 1024

/** As a gateway does it: a token in the URL proves it, a JSON list tells of deliveries, and it wants to hear `OK`. */
const carrier: Carrier = {
  send: async () => ({ outcome: 'sent' }),
  close: async () => {},
  readReceipts({ method, query, body }): CallbackAnswer {
    if (query.get('token') !== 'right') return { isGenuine: false }
    if (method === 'GET') {
      const receipt = query.get('id')!
      return { isGenuine: true, receipts: [{ receipt, state: 'delivered' }], body: '0', contentType: 'text/html' }
    }
    const said = JSON.parse(body.toString()) as { id: string; ok: boolean }[]
    const receipts = said.map(({ id, ok }): Receipt => ({ receipt: id, state: ok ? 'delivered' : 'undelivered' }))
    return { isGenuine: true, receipts, status: 202, body: 'OK' }
  },
}

describe.each(stores)('callbacks, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  const lines: string[] = []
  beforeAll(async () => {
    posthouse = await run(store)
    const { context } = posthouse
    const channels = context.channels as Map<string, OpenChannel>
    for (const id of ['1007', '1008']) channels.set(id, { ...channels.get('1001')!, id, carrier })
    context.log = pino({ level: 'debug', base: undefined }, { write: (line: string) => void lines.push(line) })
  })
  afterAll(() => posthouse.stop())
  beforeEach(async () => {
    lines.length = 0
    await query(posthouse.context.db, sql`truncate deliveries, receipts`)
  })
  const put = (receipt: string, channelId = '1007') =>
    putDelivery(posthouse.context.db, { state: 'sent', receipt, channelId })
  const call = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${posthouse.url}/callbacks/${path}`, init)
    const { status, headers } = response
    return { status, type: headers.get('content-type'), text: await response.text() }
  }
  const say = (said: unknown, path = '1007?token=right') => call(path, { method: 'POST', body: JSON.stringify(said) })

  it('take receipts by POST, and answer what the provider wants to hear', async () => {
    const [one, two] = [await put('r1'), await put('r2')]
    const said = [
      { id: 'r1', ok: true },
      { id: 'r2', ok: false },
    ]
    expect(await say(said)).toEqual({ status: 202, type: 'text/plain; charset=utf-8', text: 'OK' })
    expect((await find(posthouse.context.db, one)).state).toBe('delivered')
    expect((await find(posthouse.context.db, two)).state).toBe('undelivered')
  })

  it('take receipts by GET', async () => {
    await put('r1')
    expect(await call('1007?token=right&id=r1')).toEqual({ status: 200, type: 'text/html', text: '0' })
    expect(await states(posthouse.context.db)).toEqual({ delivered: 1 })
  })

  it('answer again what comes again', async () => {
    await put('r1')
    for (let times = 0; times < 3; times++) expect((await say([{ id: 'r1', ok: true }])).status).toBe(202)
    expect(await states(posthouse.context.db)).toEqual({ delivered: 1 })
  })

  it('keep what comes before the delivery is noted as sent, and apply it then', { timeout: 20_000 }, async () => {
    expect((await say([{ id: 'r1', ok: false }])).status).toBe(202)
    expect(await waiting(posthouse.context.db)).toBe(1)
    const id = await put('r1')
    await eventually(async () => (await find(posthouse.context.db, id)).state === 'undelivered')
    expect(await waiting(posthouse.context.db)).toBe(0)
  })

  it('speak only of deliveries of their channel', async () => {
    await put('r1', '1008')
    await say([{ id: 'r1', ok: true }])
    expect(await states(posthouse.context.db)).toEqual({ sent: 1 })
  })

  it('are 404 where no receipts are taken, with or without such a channel', async () => {
    const ids = ['1001', '1002', '1003', '9999', '', 'constructor', '1007/', '1007/more', '%31007']
    const answers = await Promise.all(ids.map((id) => say([], `${id}?token=right`)))
    const none = { status: 404, type: 'text/plain; charset=utf-8', text: 'No receipts are taken here' }
    expect(answers).toEqual(ids.map(() => none))
  })

  it('are 405 by another method than POST and GET', async () => {
    expect((await call('1007?token=right', { method: 'PUT', body: '[]' })).status).toBe(405)
  })

  it('are 401 when they are not genuine, and change nothing', async () => {
    await put('r1')
    expect((await say([{ id: 'r1', ok: true }], '1007?token=wrong')).status).toBe(401)
    expect(await states(posthouse.context.db)).toEqual({ sent: 1 })
    expect(lines.join('')).toContain('compare the secrets')
    expect(lines.join('')).not.toContain('wrong')
  })

  it('are 400 when they cannot be read; neither body nor query reaches the log', async () => {
    const answer = await call('1007?token=right', { method: 'POST', body: '+8613800138000 is no JSON' })
    expect(answer).toEqual({ status: 400, type: 'text/plain; charset=utf-8', text: 'Cannot be read' })
    const [line] = lines.map((text) => JSON.parse(text))
    expect(line).toMatchObject({
      level: 40,
      channelId: '1007',
      why: 'SyntaxError',
      at: expect.stringContaining('JSON.parse'),
    })
    expect(lines.join('')).not.toMatch(/138|right/)
  })

  it('are 413 over 1 MiB, told or not', async () => {
    const body = JSON.stringify([{ id: 'x'.repeat(MIB), ok: true }])
    expect((await call('1007?token=right', { method: 'POST', body })).status).toBe(413)
    const parts = [...body.matchAll(/.{1,65536}/gs)].map(([part]) => Buffer.from(part))
    const stream = Readable.toWeb(Readable.from(parts)) as ReadableStream
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit
    expect((await call('1007?token=right', init)).status).toBe(413)
    expect(await waiting(posthouse.context.db)).toBe(0)
  })

  it('are 503 while the database is away, so that the provider sends them again', async () => {
    const { context } = posthouse
    const away: Context = {
      ...context,
      store: { ...context.store, run: () => Promise.reject(new Refusal('UNAVAILABLE')) },
    }
    const body = async () => Buffer.from('[{"id":"r1","ok":true}]')
    const given = { method: 'POST', query: new URLSearchParams('token=right'), headers: {}, body }
    expect(await callback(away, '1007', given)).toMatchObject({ status: 503, contentType: 'text/plain; charset=utf-8' })
    expect(await callback(context, '1007', given)).toMatchObject({ status: 202 })
  })
})

describe('in development', () => {
  it('callbacks come in under any name, as through a tunnel; nothing else does', async () => {
    const posthouse = await run(stores[0]!, { ADMIN_KEY: '', INBOX_JWT_SECRET: '' })
    try {
      const channels = posthouse.context.channels as Map<string, OpenChannel>
      channels.set('1007', { ...channels.get('1001')!, id: '1007', carrier })
      const { request } = await import('node:http')
      const ask = (path: string) =>
        new Promise<number>((resolve, reject) => {
          request(posthouse.url + path, { headers: { host: 'tunnel.example.org' } }, (response) => {
            response.resume()
            resolve(response.statusCode ?? 0)
          })
            .on('error', reject)
            .end()
        })
      expect(await ask('/callbacks/1007?token=right&id=r1')).toBe(200)
      expect(await ask('/graphql')).toBe(403)
      expect(await ask('/metrics')).toBe(403)
    } finally {
      await posthouse.stop()
    }
  })
})
