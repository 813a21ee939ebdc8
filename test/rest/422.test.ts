import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, TEMPLATE, templateBody } from './door.ts'

const CONFLICT = { code: 400, msg: '参数有误：Idempotency-Key: 已用于另一个请求，请换一个' }

describe.each(stores)('422, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it.each([
    ['another body', 'a', CHANNEL, channelBody({ businessId: 'other' })],
    ['a body that would be refused', 'b', CHANNEL, channelBody({ receiverType: 'ALL' })],
    ['another call', 'c', TEMPLATE, channelBody()],
    ['a template push', 'd', TEMPLATE, templateBody()],
  ])('refuses %s under a key that was used', async (_what, key, path, body) => {
    const headers = { 'idempotency-key': key }
    expect((await posthouse.post(CHANNEL, channelBody(), headers)).status).toBe(200)
    const answer = await posthouse.post(path, body, headers)
    expect(answer.body).toEqual(CONFLICT)
    expect(answer.status).toBe(422)
  })
})
