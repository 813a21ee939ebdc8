/** Whose address it is that a call comes from: what proxies say of it, and what callers say themselves. */
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveApp } from '../../src/apps/apps.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const APP = { id: 'his', name: 'HIS', grants: ['channel:*'], legacyFrom: ['203.0.113.7', '2001:db8::/32'] }
const BODY = JSON.stringify({
  appId: APP.id,
  receiverType: 'specified',
  receiverData: { user: ['USER001'] },
  channelData: { '1002': { title: '到', content: '到' } },
})

/** The status of a push in legacy mode from this machine, with these headers. */
function push(url: string, headers: Record<string, string | string[]>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const made = request(
      `${url}/api/openApi/message/push/channel`,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      (response) => resolve((response.resume(), response.statusCode)),
    )
    made.on('error', reject).end(BODY)
  })
}

describe('behind a proxy of TRUSTED_PROXIES', () => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(stores[0]!, { TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8, fd00::/8' })
    await saveApp(posthouse.context.db, APP)
  })
  afterAll(() => posthouse.stop())

  it.each<[string, string | string[]]>([
    ['the caller of the one proxy', '203.0.113.7'],
    ['with its port', '203.0.113.7:4711'],
    ['by IPv6', '2001:db8::9'],
    ['by IPv6 with its port', '[2001:db8::9]:4711'],
    ['as IPv4 mapped into IPv6', '::ffff:203.0.113.7'],
    ['through several proxies of ours', '203.0.113.7, 10.1.2.3, fd00::1'],
    ['behind whatever it wrote itself', 'nonsense, 198.51.100.1, 203.0.113.7'],
    ['in several headers', ['198.51.100.1', '203.0.113.7']],
  ])('lets in %s', async (_what, forwarded) => {
    expect(await push(posthouse.url, { 'x-forwarded-for': forwarded })).toBe(200)
  })

  it.each<[string, string | string[]]>([
    ['writes the right address before its own', '203.0.113.7, 198.51.100.1'],
    ['writes it before an address of a proxy of ours that it made up', '203.0.113.7, 198.51.100.1, 10.1.2.3'],
    ['writes it in a header of its own', ['203.0.113.7', '198.51.100.1']],
    ['hides behind what is no address', '203.0.113.7, unknown'],
    ['hides behind nothing', '203.0.113.7,'],
    ['says a range', '203.0.113.0/24'],
    ['says an address with a zone', '2001:db8::9%eth0'],
    ['says it twice in one', '203.0.113.7 203.0.113.7'],
    ['is a proxy of ours itself', '10.1.2.3'],
    ['says nothing', ''],
  ])('refuses who %s', async (_what, forwarded) => {
    expect(await push(posthouse.url, { 'x-forwarded-for': forwarded })).toBe(401)
  })

  it('refuses whom the proxy says nothing of, for it would be the proxy that is let in', async () => {
    await saveApp(posthouse.context.db, { ...APP, id: 'near', legacyFrom: ['127.0.0.1'] })
    expect(await push(posthouse.url, {})).toBe(401)
    expect(await push(posthouse.url, { forwarded: 'for=203.0.113.7' })).toBe(401)
    expect(await push(posthouse.url, { 'x-real-ip': '203.0.113.7' })).toBe(401)
  })
})

describe('without TRUSTED_PROXIES', () => {
  it('refuses who says that he calls for somebody', async () => {
    const posthouse = await run(stores[0]!, {})
    await saveApp(posthouse.context.db, APP)
    expect(await push(posthouse.url, { 'x-forwarded-for': '203.0.113.7' })).toBe(401)
    expect(await push(posthouse.url, { forwarded: 'for=203.0.113.7' })).toBe(401)
    await posthouse.stop()
  })
})
