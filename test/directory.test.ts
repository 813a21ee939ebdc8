import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findApp, findAppByKey, putKey, saveApp } from '../src/apps/apps.ts'
import { hasGrant } from '../src/apps/grants.ts'
import { query, type Store } from '../src/db/client.ts'
import {
  accounts,
  countEveryone,
  everyone,
  specified,
  specifiedFew,
  unknownCodes,
  type Receiver,
} from '../src/directory/audience.ts'
import { people, person, putDepartments, putMemberships, putUsers } from '../src/directory/directory.ts'
import { loadSample } from '../src/sample.ts'
import { publishedTemplate, saveTemplate } from '../src/templates/templates.ts'
import { stores } from './kit/stores.ts'

const ALL = { after: '', limit: 1000 }
const APP = { grants: ['channel:*', 'broadcast:1002', 'preview', 'recall', 'token'] }
/** The receiver of the document's first sample. */
const DOCUMENTED = {
  user: ['USER001', 'USER002'],
  dept: ['DEPT001', 'DEPT002'],
  post: ['POST001', 'POST002'],
  role: ['ROLE001', 'ROLE002'],
}

it('grants by name or by the star of the same kind, and nothing else', () => {
  const asked = [
    'channel:1001',
    'channel:',
    'broadcast:1002',
    'token',
    'broadcast:1001',
    'token:x',
    'chan',
    'channel',
    '*',
  ]
  expect(asked.filter((grant) => hasGrant(APP, grant))).toEqual(['channel:1001', 'channel:', 'broadcast:1002', 'token'])
})

describe.each(stores)('the directory on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
    await loadSample(store)
  }, 60_000)
  afterAll(() => store.close(), 30_000)

  const reach = async (receiver: Receiver, descendants = true) =>
    (await specified(store.db, receiver, { ...ALL, descendants })).map(({ code }) => code)

  describe('specified', () => {
    it('reaches a user by code, with name and addresses', async () => {
      expect(await specified(store.db, { user: ['USER001'] }, { ...ALL, descendants: true })).toEqual([
        { code: 'USER001', name: '李伟', phone: '+8618660886275', email: 'liwei@example.org', locale: null },
      ])
    })

    it('reaches the union of all lists, each person once, in order of code', async () => {
      const alone = await Promise.all(Object.entries(DOCUMENTED).map(([list, codes]) => reach({ [list]: codes })))
      const together = await reach(DOCUMENTED)
      expect(alone.every((codes) => codes.length > 1)).toBe(true)
      expect(alone.flat().length).toBeGreaterThan(together.length)
      expect(together).toEqual([...new Set(alone.flat())].toSorted())
    })

    it('includes sub-departments at any depth', async () => {
      const numbers = ['01', '09', '10', '11', '12', '13', '14', '15', '16', '17', '18']
      expect(await reach({ dept: ['DEPT001'] })).toEqual(numbers.map((number) => `USER0${number}`))
      expect(await reach({ dept: ['HOSP001'] })).toHaveLength(43)
    })

    it('leaves sub-departments out when the switch is off', async () => {
      expect(await reach({ dept: ['DEPT001'] }, false)).toEqual(['USER009', 'USER010'])
      expect(await reach({ dept: ['HOSP001'] }, false)).toEqual([])
    })

    it('leaves disabled people out, by name and by group', async () => {
      expect(await reach({ user: ['USER044'], role: ['ROLE001'], dept: ['DEPT002'] })).not.toContain('USER044')
    })

    it('compares codes exactly', async () => {
      const near = { user: ['user001', 'USER001 ', 'USER00_', 'USER%'], dept: ['dept001'], post: ['POST001,POST002'] }
      expect(await reach(near)).toEqual([])
    })

    it('gives the same people page by page as in one call', async () => {
      const whole = await specified(store.db, DOCUMENTED, { ...ALL, descendants: true })
      const paged = []
      for (let after = '', more = true; more; after = paged.at(-1)!.code) {
        const page = await specified(store.db, DOCUMENTED, { descendants: true, after, limit: 3 })
        paged.push(...page)
        more = page.length === 3
      }
      expect(paged).toEqual(whole)
    })

    it('reaches nobody when nothing is named', async () => {
      expect(await reach({})).toEqual([])
    })

    it('gives of several receivers at once whom each of them reaches alone, in their order', async () => {
      const receivers: Receiver[] = [
        DOCUMENTED,
        { user: ['USER002', 'USER001', 'nobody'] },
        { dept: ['DEPT001'] },
        {},
        { user: ['USER044'] },
        { post: DOCUMENTED.post!, user: ['USER001'] },
        { dept: ['DEPT001', 'HOSP001'] },
        { user: ['USER003'] },
      ]
      for (const descendants of [true, false]) {
        const asked = receivers.map((receiver) => ({ receiver, descendants }))
        const alone = receivers.map((receiver) => specified(store.db, receiver, { ...ALL, descendants }))
        expect(await specifiedFew(store.db, asked, 1_000)).toEqual(await Promise.all(alone))
      }
    })

    it('gives of several receivers at once only those that are small', async () => {
      const receivers: Receiver[] = [{ dept: ['HOSP001'] }, { user: ['USER001'] }, { user: ['USER001', 'USER002'] }]
      const asked = receivers.map((receiver) => ({ receiver, descendants: true }))
      const found = await specifiedFew(store.db, asked, 1)
      expect(found).toEqual([undefined, [expect.objectContaining({ code: 'USER001' })], undefined])
    })
  })

  describe('unknown codes', () => {
    it('are none in the document’s sample', async () => {
      expect(await unknownCodes(store.db, DOCUMENTED)).toEqual({})
    })

    it('are named by list, in the order given, disabled people among them', async () => {
      const user = ['NO2', 'USER001', 'NO1', 'user002', 'USER044']
      const receiver = { user, dept: ['DEPT001', 'POST001'], post: [], role: ['USER001'] }
      expect(await unknownCodes(store.db, receiver)).toEqual({
        user: ['NO2', 'NO1', 'user002', 'USER044'],
        dept: ['POST001'],
        role: ['USER001'],
      })
    })
  })

  describe('everyone', () => {
    it('is every enabled user, page by page, as many as are counted', async () => {
      const codes: string[] = []
      for (let after = '', more = true; more; after = codes.at(-1)!) {
        const page = await everyone(store.db, { after, limit: 10 })
        codes.push(...page.map(({ code }) => code))
        more = page.length > 0
      }
      expect(codes).toEqual((await everyone(store.db, ALL)).map(({ code }) => code))
      expect(codes).not.toContain('USER044')
      expect([codes.length, await countEveryone(store.db)]).toEqual([43, 43])
    })
  })

  describe('custom accounts', () => {
    it('read the document’s user codes on SMS as those people’s phones', async () => {
      expect(await accounts(store.db, 'sms', ['USER001', 'USER002'])).toEqual({
        resolved: [
          { account: 'USER001', userCode: 'USER001', address: '+8618660886275', name: '李伟', locale: null },
          { account: 'USER002', userCode: 'USER002', address: '+8618660886834', name: '陈静', locale: null },
        ],
        invalid: [],
      })
    })

    it('read the document’s phones on the site channel as the people who have them', async () => {
      expect(await accounts(store.db, 'site', ['18660886275', '18660886834'])).toEqual({
        resolved: [
          { account: '18660886275', userCode: 'USER001', address: null, name: '李伟', locale: null },
          { account: '18660886834', userCode: 'USER002', address: null, name: '陈静', locale: null },
        ],
        invalid: [],
      })
    })

    it('read the document’s mail addresses, one with a trailing blank, as one', async () => {
      expect(await accounts(store.db, 'mail', ['zhaoli@126.com', 'zhaoli@126.com '])).toEqual({
        resolved: [{ account: 'zhaoli@126.com', userCode: null, address: 'zhaoli@126.com', name: null, locale: null }],
        invalid: [],
      })
    })

    it('count once when they come to the same address or user, the first of them', async () => {
      const sms = await accounts(store.db, 'sms', ['186 6088 6275', 'USER001', '+8618660886275', 'USER002'])
      expect(sms.resolved).toEqual([
        { account: '186 6088 6275', userCode: null, address: '+8618660886275', name: null, locale: null },
        { account: 'USER002', userCode: 'USER002', address: '+8618660886834', name: '陈静', locale: null },
      ])
      const site = await accounts(store.db, 'site', ['USER001', '18660886275'])
      expect(site).toEqual({
        resolved: [{ account: 'USER001', userCode: 'USER001', address: null, name: '李伟', locale: null }],
        invalid: [],
      })
    })

    it('are invalid when they mean nobody, a disabled person, or a person without such an address', async () => {
      expect(
        (await accounts(store.db, 'sms', ['USER042', 'USER044', 'nobody', 'zhaoli@126.com'])).invalid,
      ).toHaveLength(4)
      expect((await accounts(store.db, 'mail', ['USER043', 'USER044', 'nobody', '18660886275'])).invalid).toHaveLength(
        4,
      )
      expect(
        (await accounts(store.db, 'site', ['user001', 'USER044', '19900000044', '19912345678'])).invalid,
      ).toHaveLength(4)
      expect((await accounts(store.db, 'mail', ['USER042', 'x'])).resolved).toHaveLength(1)
      expect((await accounts(store.db, 'site', ['USER042', 'nobody'])).invalid).toEqual(['nobody'])
    })

    it('are invalid on the site channel when two enabled people share the phone, valid when one of them has left', async () => {
      const shared = { name: '同号', phone: '19912340000' }
      await putUsers(store.db, [
        { ...shared, code: 'SHARE1' },
        { ...shared, code: 'SHARE2' },
      ])
      expect((await accounts(store.db, 'site', ['19912340000'])).invalid).toEqual(['19912340000'])
      await putUsers(store.db, [{ ...shared, code: 'SHARE2', enabled: false }])
      expect((await accounts(store.db, 'site', ['19912340000'])).resolved[0]?.userCode).toBe('SHARE1')
      await putUsers(store.db, [{ ...shared, code: 'SHARE1', enabled: false }])
    })

    it('may be none', async () => {
      expect(await accounts(store.db, 'sms', [])).toEqual({ resolved: [], invalid: [] })
    })
  })

  describe('writing', () => {
    it('gives a person back as put, the last of two rows with one code', async () => {
      await putUsers(store.db, [
        { code: 'W1', name: '旧名', enabled: false },
        { code: 'W1', name: '新名', phone: '0086 199 1111 2222', email: 'W1@EXAMPLE.org', enabled: false },
      ])
      expect(await person(store.db, 'W1')).toMatchObject({
        name: '新名',
        phone: '+8619911112222',
        email: 'W1@example.org',
        enabled: false,
        createdAt: expect.any(Date),
      })
      expect(await person(store.db, 'w1')).toBeUndefined()
      expect([...(await people(store.db, ['W1', 'USER001', 'nobody'])).keys()].toSorted()).toEqual(['USER001', 'W1'])
    })

    it('refuses an address that is none, naming the row', async () => {
      const rows = [
        { code: 'W2', name: '好' },
        { code: 'W3', name: '坏', phone: '12345' },
      ]
      await expect(putUsers(store.db, rows)).rejects.toMatchObject({ code: 'BAD_INPUT', path: 'users.1.phone' })
      const bad = [{ code: 'W3', name: '坏', email: '12345' }]
      await expect(putUsers(store.db, bad)).rejects.toMatchObject({ path: 'users.0.email' })
      expect(await person(store.db, 'W2')).toBeUndefined()
    })

    it('adds no membership at all when a user or group is missing, and names both', async () => {
      const good = { kind: 'role', groupCode: 'ROLE004', userCode: 'USER001' } as const
      const adding = putMemberships(store.db, [good, { ...good, userCode: 'GHOST' }, { ...good, groupCode: 'NOROLE' }])
      await expect(adding).rejects.toThrow('role NOROLE, user GHOST')
      expect(await reach({ role: ['ROLE004'] })).not.toContain('USER001')
      await putMemberships(store.db, [good, good])
      await putMemberships(store.db, [good])
      expect(await reach({ role: ['ROLE004'] })).toContain('USER001')
    })

    it('ends on a cycle in the tree', async () => {
      await putDepartments(store.db, [
        { code: 'RING1', name: '甲', parentCode: 'RING3' },
        { code: 'RING2', name: '乙', parentCode: 'RING1' },
        { code: 'RING3', name: '丙', parentCode: 'RING2' },
        { code: 'SELF', name: '己', parentCode: 'SELF' },
      ])
      await putMemberships(store.db, [
        { kind: 'dept', groupCode: 'RING1', userCode: 'USER001' },
        { kind: 'dept', groupCode: 'RING3', userCode: 'USER002' },
        { kind: 'dept', groupCode: 'SELF', userCode: 'USER003' },
      ])
      expect(await reach({ dept: ['RING2', 'SELF'] })).toEqual(['USER001', 'USER002', 'USER003'])
    })

    it('orders codes by bytes, so that a cursor passes nobody whatever the letters', async () => {
      const codes = ['a', 'B', '_', 'Z9', 'é', '中', '𠀀', '～']
      await putUsers(
        store.db,
        codes.map((code) => ({ code, name: code })),
      )
      const seen: string[] = []
      for (let after = ''; ; after = seen.at(-1)!) {
        const [next] = await specified(store.db, { user: codes }, { descendants: true, after, limit: 1 })
        if (next === undefined) break
        seen.push(next.code)
      }
      expect(seen).toEqual(codes.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))))
      await putUsers(
        store.db,
        codes.map((code) => ({ code, name: code, enabled: false })),
      )
    })

    it('takes ten thousand accounts in one call', async () => {
      const list = Array.from({ length: 10_000 }, (_, at) => `X${at}`)
      const { resolved, invalid } = await accounts(store.db, 'site', [...list.slice(1), 'USER001'])
      expect([resolved.length, invalid.length]).toEqual([1, 9_999])
      expect((await unknownCodes(store.db, { user: list }))['user']).toHaveLength(10_000)
    })
  })

  describe('the sample hospital', () => {
    it('loads once: an app that is there is left alone with everything else', async () => {
      await putUsers(store.db, [{ code: 'USER003', name: '改名', email: 'zhangsan@example.org' }])
      expect(await loadSample(store)).toBe(false)
      expect((await person(store.db, 'USER003'))?.name).toBe('改名')
    })

    it('begins again when it was cut short before the app, without a second version of the template', async () => {
      await query(store.db, sql`delete from apps`)
      expect(await loadSample(store)).toBe(true)
      expect((await person(store.db, 'USER003'))?.name).toBe('张三')
      expect((await publishedTemplate(store.db, 'MSG1001'))?.version).toBe(1)
    })

    it('has the document’s app, with its grants, for callers on the same machine', async () => {
      expect(await findApp(store.db, '102343444')).toMatchObject({
        ...APP,
        enabled: true,
        legacyFrom: ['127.0.0.1/32', '::1/128'],
      })
    })

    it('has the document’s template for all three channels', async () => {
      const template = await publishedTemplate(store.db, 'MSG1001')
      expect(template).toMatchObject({ msgType: 'notice', enabled: true })
      expect(Object.keys(template!.contents)).toEqual(['1001', '1002', '1003'])
    })
  })

  it('publishes each saving of a template as the next version', async () => {
    const template = { code: 'T1', name: '一', msgType: 'notice' }
    const contents = { '1002': { content: '新' } }
    expect(await saveTemplate(store.db, { ...template, contents: { '1002': { content: '旧' } } })).toBe(1)
    expect(await saveTemplate(store.db, { ...template, name: '二', contents })).toBe(2)
    const published = { ...template, name: '二', enabled: true, version: 2, contents, locales: {}, variables: [] }
    expect(await publishedTemplate(store.db, 'T1')).toEqual(published)
    expect(await publishedTemplate(store.db, 't1')).toBeUndefined()
  })

  it('finds an app by a live key only', async () => {
    await saveApp(store.db, { id: 'keyed', name: '有钥匙', grants: [], compat: { codeAsString: true } })
    await putKey(store.db, { keyId: 'k1', appId: 'keyed', secretSha256: 'aa' })
    expect(await findAppByKey(store.db, 'k1')).toMatchObject({
      app: { id: 'keyed', compat: { codeAsString: true }, legacyFrom: null },
      secretSha256: 'aa',
    })
    await query(store.db, sql`update app_keys set revoked_at = now() where key_id = 'k1'`)
    expect(await findAppByKey(store.db, 'k1')).toBeUndefined()
    await putKey(store.db, { keyId: 'k1', appId: 'keyed', secretSha256: 'bb' })
    expect((await findAppByKey(store.db, 'k1'))?.secretSha256).toBe('bb')
  })
})
