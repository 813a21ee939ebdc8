import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody } from './door.ts'

describe.each(stores)('415, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it.each([
    'text/plain',
    'text/plain; x=application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'application/xml',
    'application/json; charset=gbk',
    'application/json; charset=utf-16',
  ])('refuses Content-Type %s', async (type) => {
    const { status, body } = await posthouse.post(CHANNEL, channelBody(), { 'content-type': type })
    expect(body).toEqual({ code: 400, msg: '参数有误：Content-Type: 应为 application/json; charset=utf-8' })
    expect(status).toBe(415)
  })

  it('refuses a body without Content-Type', async () => {
    const response = await fetch(posthouse.url + CHANNEL, {
      method: 'POST',
      body: Buffer.from(JSON.stringify(channelBody())),
    })
    expect(await response.json()).toMatchObject({ code: 400 })
    expect(response.status).toBe(415)
  })

  it('refuses a compressed body', async () => {
    const gzipped = gzipSync(JSON.stringify(channelBody()))
    for (const encoding of ['gzip', 'br', 'GZIP']) {
      const { status, body } = await posthouse.post(CHANNEL, gzipped, { 'content-encoding': encoding })
      expect(body).toEqual({ code: 400, msg: expect.stringContaining('Content-Encoding: 不支持压缩') })
      expect(status).toBe(415)
    }
  })
})
