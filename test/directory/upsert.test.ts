import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query, type Store } from '../../src/db/client.ts'
import { specified, unknownCodes, type Receiver } from '../../src/directory/audience.ts'
import { person } from '../../src/directory/directory.ts'
import { BATCH_ROWS, upsert } from '../../src/directory/upsert.ts'
import { loadSample } from '../../src/sample.ts'
import { stores } from '../kit/stores.ts'

const BY = { actor: 'admin', operator: '王护士长', requestId: 'request-1' }

describe.each(stores)('putting users and groups on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
    await loadSample(store)
  }, 60_000)
  afterAll(() => store.close(), 30_000)

  const put = (rows: Parameters<typeof upsert<'user'>>[3], how = {}) => upsert(store.db, BY, 'user', rows, how)
  const entries = (subject: string) =>
    query<{ act: string; before: Record<string, unknown> | null; after: Record<string, unknown> }>(
      store.db,
      sql`select act, before, after from audit_entries where subject = ${subject} order by seq`,
    )
  const groups = async (user: string) =>
    (
      await query<{ code: string }>(
        store.db,
        sql`select group_code as code from memberships where user_code = ${user} order by kind, group_code`,
      )
    ).map(({ code }) => code)
  const reach = async (receiver: Receiver) =>
    (await specified(store.db, receiver, { after: '', limit: 1000, descendants: true })).map(({ code }) => code)

  it('creates who is new, changes who is there, and counts both', async () => {
    expect(
      await put([
        { code: ' N001 ', name: '新来', phone: '０１８６ 6088-1111'.replace('０', ''), email: 'N1@Example.ORG' },
        { code: 'USER003', name: '张三丰' },
        { code: 'USER004', name: '赵丽' },
      ]),
    ).toEqual({ created: 1, changed: 1, unchanged: 1, refused: 0, isKept: true, problems: [] })
    expect(await person(store.db, 'N001')).toMatchObject({
      name: '新来',
      phone: '+8618660881111',
      email: 'N1@example.org',
      enabled: true,
    })
    // What the row does not say stays.
    expect(await person(store.db, 'USER003')).toMatchObject({ name: '张三丰', phone: '+8619900000003' })
  })

  it('notes what changed, before and after, and nothing where nothing did', async () => {
    await put([{ code: 'N002', name: '甲', locale: 'zh-cn', timeZone: 'Asia/Urumqi', depts: ['DEPT001'] }])
    await put([{ code: 'N002', name: '甲', depts: ['DEPT001'] }])
    await put([{ code: 'N002', name: '甲', locale: '', depts: ['DEPT002', 'DEPT011', 'DEPT002'] }])
    const both = { name: '甲', phone: null, email: null, timeZone: 'Asia/Urumqi', enabled: true, externalId: null }
    expect(await entries('N002')).toEqual([
      { act: 'user.upsert', before: null, after: { ...both, locale: 'zh-CN', depts: ['DEPT001'] } },
      {
        act: 'user.upsert',
        before: { ...both, locale: 'zh-CN', depts: ['DEPT001'] },
        after: { ...both, locale: null, depts: ['DEPT002', 'DEPT011'] },
      },
    ])
  })

  it("replaces a person's groups kind by kind, and leaves alone the kinds that a row does not list", async () => {
    await put([{ code: 'N003', name: '乙', depts: ['DEPT001'], posts: ['POST001', 'POST003'], roles: ['ROLE001'] }])
    await put([{ code: 'N003', name: '乙', depts: ['DEPT100'], posts: [] }])
    expect(await groups('N003')).toEqual(['DEPT100', 'ROLE001'])
    expect(await reach({ dept: ['DEPT100'] })).toContain('N003')
    expect(await reach({ dept: ['DEPT001'] })).not.toContain('N003')
  })

  it('says of every row that is wrong what and where, in both languages, and keeps the others', async () => {
    const { problems, ...counts } = await put([
      { code: 'N010', name: '好' },
      { code: '', name: '无码' },
      { code: 'N012', name: '  ' },
      { code: 'N013', name: '丙', phone: '123' },
      { code: 'N014', name: '丙', email: 'a@b' },
      { code: 'N015', name: '丙', timeZone: '+08:00' },
      { code: 'N016', name: '丙', locale: 'no such' },
      { code: 'N017', name: '丙', depts: ['DEPT001', 'NOWHERE'] },
      { code: 'N010', name: '又来' },
      { code: 'x'.repeat(65), name: '丙' },
      { code: 'N\u0000', name: '丙' },
      { code: 'N019', name: '丙', phome: '18660886275' } as never,
      'N020' as never,
      null as never,
    ])
    expect(counts).toEqual({ created: 1, changed: 0, unchanged: 0, refused: 13, isKept: true })
    expect(problems.map(({ line, code, path, en }) => [line, code, path, en])).toEqual([
      [2, '', 'code', 'must not be empty'],
      [3, 'N012', 'name', 'must not be empty'],
      [4, 'N013', 'phone', expect.stringContaining('is no mobile number')],
      [5, 'N014', 'email', expect.stringContaining('is no mail address')],
      [6, 'N015', 'timeZone', expect.stringContaining('is no time zone')],
      [7, 'N016', 'locale', expect.stringContaining('is no language tag')],
      [8, 'N017', 'depts', 'NOWHERE does not exist: put it first'],
      [9, 'N010', 'code', 'is the same code as on line 1'],
      [10, '', 'code', 'has more than 64 characters'],
      [11, '', 'code', 'contains a NUL character'],
      [12, 'N019', '', 'has unknown fields: phome'],
      [13, '', '', 'must be an object'],
      [14, '', '', 'must be an object'],
    ])
    expect(problems.every(({ isRefused, zh }) => isRefused && /\p{Script=Han}/u.test(zh))).toBe(true)
    expect((await person(store.db, 'N010'))?.name).toBe('好')
  })

  it('keeps none of them when asked for all or none', async () => {
    const rows = [
      { code: 'N030', name: '丁' },
      { code: 'N031', name: '' },
    ]
    expect(await put(rows, { allOrNothing: true })).toMatchObject({ isKept: false, created: 0, refused: 1 })
    expect(await person(store.db, 'N030')).toBeUndefined()
    expect(await put([{ code: 'N030', name: '丁' }], { allOrNothing: true })).toMatchObject({
      isKept: true,
      created: 1,
    })
  })

  it('allows a phone that others have, and says whose it is', async () => {
    const phone = '18660880040'
    const { problems, refused } = await put([
      { code: 'N040', name: '戊', phone },
      { code: 'N041', name: '己', phone: `0086${phone}` },
      { code: 'N042', name: '庚', phone: '19900000005' },
    ])
    expect(refused).toBe(0)
    expect(problems.map(({ code, isRefused, en }) => [code, isRefused, en])).toEqual([
      ['N040', false, 'is also the phone of N041'],
      ['N041', false, 'is also the phone of N040'],
      ['N042', false, 'is also the phone of USER005'],
    ])
  })

  it('gives an external id to one person only', async () => {
    await put([{ code: 'N050', name: '辛', externalId: 'idp-50' }])
    const { problems } = await put([
      { code: 'N051', name: '壬', externalId: 'idp-50' },
      { code: 'N052', name: '癸', externalId: 'idp-52' },
      { code: 'N053', name: '子', externalId: 'idp-52' },
    ])
    expect(problems.map(({ code, en }) => [code, en])).toEqual([
      ['N051', 'belongs to N050 already'],
      ['N053', 'is the same external id as on line 2'],
    ])
  })

  it('compares codes exactly', async () => {
    expect(await put([{ code: 'user001', name: '另一位' }])).toMatchObject({ created: 1 })
    expect((await person(store.db, 'USER001'))?.name).toBe('李伟')
  })

  it('keeps departments a tree: a circle is refused with its way, a parent comes first or along', async () => {
    const { problems, created } = await upsert(store.db, BY, 'dept', [
      { code: 'D3', name: '三', parentCode: 'D2' },
      { code: 'D2', name: '二', parentCode: 'D1' },
      { code: 'D1', name: '一', parentCode: 'HOSP001' },
      { code: 'DEPT001', name: '内科', parentCode: 'DEPT011' },
      { code: 'D4', name: '四', parentCode: 'NOWHERE' },
      { code: 'D5', name: '五', parentCode: 'D4' },
      { code: 'D6', name: '六', parentCode: 'D6' },
    ])
    expect(created).toBe(3)
    expect(problems.map(({ code, en }) => [code, en])).toEqual([
      ['DEPT001', 'makes a circle: DEPT001 → DEPT011 → DEPT001'],
      ['D4', expect.stringContaining('there is no department NOWHERE')],
      ['D5', expect.stringContaining('there is no department D4')],
      ['D6', 'makes a circle: D6 → D6'],
    ])
    await put([{ code: 'N060', name: '丑', depts: ['D3'] }])
    expect(await reach({ dept: ['D1'] })).toEqual(['N060'])
  })

  it('reaches nobody by a group that is disabled, nor by what is above it, and takes it for unknown', async () => {
    await upsert(store.db, BY, 'dept', [
      { code: 'E1', name: '一', parentCode: 'HOSP001' },
      { code: 'E2', name: '二', parentCode: 'E1' },
      { code: 'E3', name: '三', parentCode: 'E2' },
    ])
    await upsert(store.db, BY, 'post', [{ code: 'P1', name: '岗' }])
    await put([
      { code: 'N070', name: '寅', depts: ['E1'], posts: ['P1'] },
      { code: 'N071', name: '卯', depts: ['E3'] },
    ])
    await upsert(store.db, BY, 'dept', [{ code: 'E2', name: '二', enabled: false }])
    await upsert(store.db, BY, 'post', [{ code: 'P1', name: '岗', enabled: false }])
    expect(await reach({ dept: ['E1'] })).toEqual(['N070'])
    expect(await reach({ post: ['P1'] })).toEqual([])
    expect(await unknownCodes(store.db, { dept: ['E1', 'E2'], post: ['P1'] })).toEqual({ dept: ['E2'], post: ['P1'] })
  })

  it('takes ten thousand rows in one call and refuses more', { timeout: 60_000 }, async () => {
    const rows = Array.from({ length: BATCH_ROWS }, (_, n) => ({ code: `B${n}`, name: `批 ${n}`, depts: ['DEPT001'] }))
    expect(await put(rows)).toMatchObject({ created: BATCH_ROWS, problems: [] })
    expect(await put(rows)).toMatchObject({ created: 0, changed: 0, unchanged: BATCH_ROWS })
    await expect(put([...rows, { code: 'one more', name: '多' }])).rejects.toThrow('has more than 10000 rows')
  })
})
