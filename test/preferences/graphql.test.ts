/** What people say they want: by themselves, or the admin for them. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { preferencesOf } from './kit.ts'

const READ = `query ($user: String) {
  preferences(user: $user) {
    user timeZone quietUntil changedBy changedAt
    switches { msgType channelId isOn } quietHours { from to days } channels { msgType channelId isOn canChange }
  }
}`
const SET = `mutation ($user: String, $msgType: String, $channelId: String, $isOn: Boolean) {
  setPreference(user: $user, msgType: $msgType, channelId: $channelId, isOn: $isOn) {
    channels { msgType channelId isOn canChange }
  }
}`
const QUIET = `mutation ($user: String, $quietHours: [QuietHoursInput!]!) {
  setQuietHours(user: $user, quietHours: $quietHours) { quietHours { from to days } }
}`
const AUDIT = `query ($subject: String) {
  auditEntries(filter: { subject: $subject }) { edges { node { act before after actor } } }
}`

describe.each(stores)('preferences, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  let to: ReturnType<typeof preferencesOf>
  let me: string
  beforeAll(async () => {
    posthouse = await run(store)
    to = preferencesOf(posthouse)
    me = await posthouse.token('USER001')
  })
  beforeEach(() => to.forget())
  afterAll(() => posthouse.stop())

  const read = async (bearer: string, user?: string) => (await to.must(bearer, READ, { user }))['preferences']
  const refusal = async (bearer: string, text: string, variables: Record<string, unknown>) => {
    const { errors } = await posthouse.graphql(bearer, text, variables)
    return [errors?.[0]?.extensions?.['code'], errors?.[0]?.extensions?.['field'], errors?.[0]?.message]
  }
  const audit = async (subject: string) =>
    (await to.must(posthouse.adminKey, AUDIT, { subject }))['auditEntries'].edges.map(({ node }: any) => node)

  it('of somebody who has said nothing: everything comes, in the zone of the house', async () => {
    const mine = await read(me)
    expect(mine).toMatchObject({
      user: 'USER001',
      timeZone: 'Asia/Shanghai',
      quietUntil: null,
      changedBy: null,
      changedAt: null,
      switches: [],
      quietHours: [],
    })
    const on = (msgType: string, channelId: string, canChange: boolean) => ({
      msgType,
      channelId,
      isOn: true,
      canChange,
    })
    expect(mine.channels).toEqual(
      ['notice', 'reminder'].flatMap((type) => [
        on(type, '1001', true),
        on(type, '1002', false),
        on(type, '1003', true),
      ]),
    )
  })

  it('tell what was said and what comes of it', async () => {
    await to.as('USER001', { channelId: '1001', isOn: false })
    await to.as('USER001', { msgType: 'reminder', channelId: '1001', isOn: true })
    await to.as('USER001', { msgType: 'notice', isOn: false })
    await to.quiet('USER001', [{ from: '22:00', to: '07:00', days: ['SUNDAY', 'MONDAY'] }])
    await to.mandatory('notice', true)
    const mine = await read(me)
    expect(mine).toMatchObject({
      changedBy: 'USER',
      quietHours: [{ from: '22:00', to: '07:00', days: ['MONDAY', 'SUNDAY'] }],
      switches: [
        { msgType: null, channelId: '1001', isOn: false },
        { msgType: 'notice', channelId: null, isOn: false },
        { msgType: 'reminder', channelId: '1001', isOn: true },
      ],
    })
    expect(mine.channels.map(({ isOn, canChange }: any) => [isOn, canChange])).toEqual([
      [true, false],
      [true, false],
      [true, false],
      [true, true],
      [true, false],
      [true, true],
    ])
    expect(await read(posthouse.adminKey, 'USER001')).toEqual(mine)
  })

  it.each([
    ['the inbox', { channelId: '1002', isOn: false }, 'channelId', 'is the inbox, which is always on'],
    [
      'a channel that is not there',
      { channelId: '9', isOn: false },
      'channelId',
      'must be one of 1001, 1003, or left out',
    ],
    [
      'a channel of another name',
      { channelId: '*', msgType: 'x/y', isOn: true },
      'msgType',
      'must be one of notice, reminder',
    ],
    ['a type that is not there', { msgType: 'advert', isOn: false }, 'msgType', 'must be one of notice, reminder'],
    ['somebody else', { user: 'USER002', isOn: false }, 'user', 'must be yourself'],
  ])('refuse to switch %s', async (_name, wanted, field, words) => {
    expect(await refusal(me, SET, wanted)).toEqual(['BAD_INPUT', field, expect.stringContaining(words)])
    expect((await read(me)).switches).toEqual([])
  })

  it('refuse to switch a mandatory type off, and let it be switched on', async () => {
    await to.mandatory('notice', true)
    expect(await refusal(me, SET, { msgType: 'notice', isOn: false })).toEqual([
      'BAD_INPUT',
      'msgType',
      expect.stringContaining('notice is mandatory'),
    ])
    expect((await read(me)).switches).toEqual([])
    await to.as('USER001', { msgType: 'notice', isOn: true })
    await to.as('USER001', { msgType: 'reminder', isOn: false })
    expect((await read(me)).switches).toHaveLength(2)
  })

  it('take away a switch whose type or channel is gone', async () => {
    await posthouse.context.store.run(
      `insert into preferences (user_code, switches, changed_by) values ('USER001', '{"advert/1009": false}', 'user')`,
      [],
      'all',
    )
    expect((await read(me)).switches).toEqual([{ msgType: 'advert', channelId: '1009', isOn: false }])
    await to.as('USER001', { msgType: 'advert', channelId: '1009', isOn: null })
    expect((await read(me)).switches).toEqual([])
  })

  it('refuse hours that are none, and keep those that were', async () => {
    await to.quiet('USER001', [{ from: '22:00', to: '07:00' }])
    const wrong = [{ from: '22:00', to: '25:00' }]
    expect((await refusal(me, QUIET, { quietHours: wrong })).slice(0, 2)).toEqual(['BAD_INPUT', 'quietHours.0.to'])
    expect((await read(me)).quietHours).toHaveLength(1)
    await to.quiet('USER001', [])
    expect((await read(me)).quietHours).toEqual([])
  })

  it('changed by an admin are in the audit log, before and after, once for each change', async () => {
    const set = (isOn: boolean | null) =>
      to.must(posthouse.adminKey, SET, { user: 'USER003', msgType: 'notice', channelId: '1001', isOn })
    for (const isOn of [false, false, true, null, null]) await set(isOn)
    await to.must(posthouse.adminKey, QUIET, { user: 'USER003', quietHours: [{ from: '22:00', to: '07:00' }] })
    const hours = [{ from: '22:00', to: '07:00', days: [1, 2, 3, 4, 5, 6, 7] }]
    expect(await audit('USER003')).toEqual([
      { actor: 'admin', act: 'preferences.quiet', before: { quietHours: [] }, after: { quietHours: hours } },
      { actor: 'admin', act: 'preferences.switch', before: { 'notice/1001': true }, after: { 'notice/1001': null } },
      { actor: 'admin', act: 'preferences.switch', before: { 'notice/1001': false }, after: { 'notice/1001': true } },
      { actor: 'admin', act: 'preferences.switch', before: null, after: { 'notice/1001': false } },
    ])
    expect(await read(posthouse.adminKey, 'USER003')).toMatchObject({ changedBy: 'ADMIN' })
    await to.as('USER003', { isOn: false })
    expect(await audit('USER003')).toHaveLength(4)
  })

  it('are of people who are there, whom an admin has to name', async () => {
    expect(await refusal(posthouse.adminKey, READ, { user: 'NOBODY' })).toEqual([
      'NOT_FOUND',
      'user',
      expect.any(String),
    ])
    expect((await refusal(posthouse.adminKey, SET, { user: 'NOBODY', isOn: false }))[0]).toBe('NOT_FOUND')
    expect((await refusal(posthouse.adminKey, SET, { isOn: false })).slice(0, 2)).toEqual(['BAD_INPUT', 'user'])
    expect((await refusal(me, READ, { user: 'USER002' })).slice(0, 2)).toEqual(['BAD_INPUT', 'user'])
  })

  it('are changed by many at once without losing any', async () => {
    const both = ['1001', '1003'].flatMap((channelId) =>
      ['notice', 'reminder'].map((msgType) => ({ msgType, channelId })),
    )
    await Promise.all(both.map((one) => to.as('USER004', { ...one, isOn: false })))
    expect((await read(posthouse.adminKey, 'USER004')).switches).toHaveLength(4)
  })

  it('of types: their names, and which are mandatory, with an entry for each change', async () => {
    const set = `mutation { setMsgType(code: "reminder", name: "预约提醒", isMandatory: true) { code name isMandatory } }`
    expect(await to.must(posthouse.adminKey, set, {})).toEqual({
      setMsgType: { code: 'reminder', name: '预约提醒', isMandatory: true },
    })
    await to.must(posthouse.adminKey, set, {})
    expect(await to.must(me, '{ msgTypes { code name isMandatory } }', {})).toEqual({
      msgTypes: [
        { code: 'notice', name: null, isMandatory: false },
        { code: 'reminder', name: '预约提醒', isMandatory: true },
      ],
    })
    expect((await audit('reminder')).map(({ before, after }: any) => [before, after])).toEqual([
      [null, { name: '预约提醒', isMandatory: true }],
    ])
    const bad = (code: string, name: string) =>
      refusal(
        posthouse.adminKey,
        'mutation ($code: String!, $name: String) { setMsgType(code: $code, name: $name, isMandatory: false) { code } }',
        { code, name },
      )
    expect((await bad('advert', 'x')).slice(0, 2)).toEqual(['BAD_INPUT', 'code'])
    expect((await bad('notice', '很'.repeat(61))).slice(0, 2)).toEqual(['BAD_INPUT', 'name'])
    expect((await bad('notice', ' ')).slice(0, 2)).toEqual(['BAD_INPUT', 'name'])
  })
})
