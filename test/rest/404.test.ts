import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { channelBody, TEMPLATE, templateBody } from './door.ts'

describe.each(stores)('404, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it.each([
    '/api/openApi/message/push',
    '/api/openApi/message/push/channel/',
    '/api/openapi/message/push/channel',
    '/constructor',
    '/nothing',
  ])('answers in the envelope at %s', async (path) => {
    const { status, body } = await posthouse.post(path, channelBody())
    expect(body).toEqual({ code: 404, msg: '请求资源不存在' })
    expect(status).toBe(404)
  })

  it.each(['NOPE', 'msg1001', '__proto__', '模板'])(
    'names the template %s that does not exist',
    async (templateCode) => {
      const { status, body } = await posthouse.post(TEMPLATE, templateBody({ templateCode }))
      expect(body).toEqual({ code: 404, msg: `参数有误：模板 ${templateCode} 不存在` })
      expect(status).toBe(404)
    },
  )
})
