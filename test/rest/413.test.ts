import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody } from './door.ts'

const MIB = 1024 * 1024
/** A body that would succeed, of exactly so many bytes. */
const sized = (bytes: number) => {
  const body = JSON.stringify(channelBody())
  return body + ' '.repeat(bytes - Buffer.byteLength(body))
}
const TOO_LARGE = { code: 400, msg: '参数有误：(body): 超过上限 1 MiB' }

describe.each(stores)('413, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  /** Without Content-Length: in chunks. */
  const chunked = (body: string) =>
    fetch(posthouse.url + CHANNEL, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Readable.toWeb(
        Readable.from([...body.matchAll(/.{1,65536}/gs)].map(([part]) => Buffer.from(part))),
      ) as ReadableStream,
      duplex: 'half',
    } as RequestInit)

  it('accepts a body of exactly 1 MiB', async () => {
    expect((await posthouse.post(CHANNEL, sized(MIB))).status).toBe(200)
    expect((await chunked(sized(MIB))).status).toBe(200)
  })

  it('refuses one byte more', async () => {
    const { status, body } = await posthouse.post(CHANNEL, sized(MIB + 1))
    expect(body).toEqual(TOO_LARGE)
    expect(status).toBe(413)
  })

  it('refuses one byte more without being told the length', async () => {
    const response = await chunked(sized(MIB + 1))
    expect(await response.json()).toEqual(TOO_LARGE)
    expect(response.status).toBe(413)
  })
})
