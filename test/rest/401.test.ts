import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearerKey } from '../../src/apps/authenticate.ts'
import { restCalls } from '../../src/rest.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp } from './door.ts'

const DENIED = { code: 401, msg: '身份验证失败' }
const EXTRA = { '1001': { content: 'c' }, '1003': { content: 'c' } }

describe.each(stores)('401, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let app: Awaited<ReturnType<typeof makeApp>>
  beforeAll(async () => {
    posthouse = await run(store)
    app = await makeApp(posthouse)
  })
  afterAll(() => posthouse.stop())

  const raw = async (body: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(posthouse.url + CHANNEL, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    return { status: response.status, text: await response.text() }
  }

  it('says the same, byte for byte, whatever is wrong with who is asking', async () => {
    const other = await makeApp(posthouse)
    const disabled = await makeApp(posthouse, { enabled: false })
    const always200 = await makeApp(posthouse, { compat: { httpStatus: 'always200', codeAsString: true } })
    const user = await posthouse.token('USER001')
    const as = (id: string, authorization?: string) =>
      raw(channelBody({ appId: id }), authorization ? { authorization } : {})
    const unknown = await as('no-such-app')
    expect(unknown).toEqual({ status: 401, text: JSON.stringify(DENIED) })
    const wrong = {
      'another unknown app': await as('__proto__'),
      'no key where one is needed': await as(app.id),
      'a wrong secret': await as(app.id, `Bearer ${app.key.slice(0, -4)}0000`),
      'a key that does not exist': await as(app.id, `Bearer ${bearerKey('nokey', 'x'.repeat(32))}`),
      'the key of another app': await as(app.id, `Bearer ${other.key}`),
      'a disabled app': await as(disabled.id, `Bearer ${disabled.key}`),
      'a key of another scheme': await as(app.id, `Basic ${app.key}`),
      "a user's token": await as(app.id, `Bearer ${user}`),
      "the admin's key": await as(app.id, `Bearer ${posthouse.adminKey}`),
      'a wrong key of an app in legacy mode': await as(APP, 'Bearer nonsense'),
      'a wrong key of an app with compat settings': await as(always200.id, 'Bearer nonsense'),
    }
    for (const [what, answer] of Object.entries(wrong)) expect({ what, ...answer }).toEqual({ what, ...unknown })
  })

  it('takes appId alone from this machine only, and not from behind a proxy', async () => {
    expect((await raw(channelBody())).status).toBe(200)
    for (const header of ['x-forwarded-for', 'forwarded']) {
      expect(await raw(channelBody(), { [header]: '127.0.0.1' })).toEqual({ status: 401, text: JSON.stringify(DENIED) })
    }
    const elsewhere = await makeApp(posthouse, { legacyFrom: ['10.0.0.0/8'] })
    expect((await raw(channelBody({ appId: elsewhere.id }))).status).toBe(401)
    expect((await raw(channelBody({ appId: elsewhere.id }), elsewhere.headers)).status).toBe(200)
  })

  it.each([
    ['1001', { receiverType: 'all', receiverData: undefined, channelData: EXTRA }],
    ['1003', { receiverType: 'all', receiverData: undefined, channelData: { '1003': { content: 'c' } } }],
  ])('names the grant that a broadcast on %s lacks', async (channel, more) => {
    const { status, body } = await posthouse.post(CHANNEL, channelBody(more))
    expect(body).toEqual({ code: 401, msg: expect.stringContaining(`broadcast:${channel}`) })
    expect(status).toBe(401)
  })

  it('lets an app with the grants broadcast on SMS and mail', async () => {
    const { id, headers } = await makeApp(posthouse, { grants: ['channel:*', 'broadcast:*'] })
    const { body } = await posthouse.post(
      CHANNEL,
      channelBody({ appId: id, receiverType: 'all', receiverData: null, channelData: EXTRA }),
      headers,
    )
    expect(body.code).toBe(200)
  })

  it('refuses a broadcast of an app that may only write to people it names', async () => {
    const { id, headers } = await makeApp(posthouse, { grants: ['channel:1002'] })
    const { body } = await posthouse.post(
      CHANNEL,
      channelBody({ appId: id, receiverType: 'all', receiverData: null }),
      headers,
    )
    expect(body).toEqual({ code: 401, msg: expect.stringContaining('broadcast:1002') })
  })

  describe.each(restCalls)('$method $path', ({ method, path, rule }) => {
    const call = async (appId: string, headers: Record<string, string> = {}) => {
      const url = new URL(posthouse.url + path)
      if (method === 'GET') url.searchParams.set('appId', appId)
      const body = method === 'POST' ? JSON.stringify({ appId }) : null
      const response = await fetch(url, { method, headers: { 'content-type': 'application/json', ...headers }, body })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }

    it('has a rule that lets nobody in who has not proved who he is', async () => {
      expect(rule === 'app' || rule.grant.length > 0).toBe(true)
      for (const id of [app.id, 'no-such-app']) expect(await call(id)).toEqual({ status: 401, body: DENIED })
      expect(await call(app.id, { authorization: 'Bearer nonsense' })).toEqual({ status: 401, body: DENIED })
    })

    it('asks for its grant, if it has one, before it looks at anything else', async () => {
      const { id, headers } = await makeApp(posthouse, { grants: [] })
      const { status, body } = await call(id, headers)
      if (rule === 'app') expect(status).toBe(400)
      else
        expect({ status, body }).toEqual({
          status: 401,
          body: { code: 401, msg: expect.stringContaining(`应用缺少授权 ${rule.grant}`) },
        })
    })
  })
})
