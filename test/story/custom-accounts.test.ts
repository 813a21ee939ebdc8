import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { putUsers } from '../../src/directory/directory.ts'
import { eventually, run, type Answer } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, deliveriesOn, messageOf, TEMPLATE, templateBody, timesInInbox } from '../rest/door.ts'

const SAID = { '1001': { content: 'c' }, '1002': { content: 'c' }, '1003': { content: 'c' } }

describe.each(stores)('custom accounts, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
    await putUsers(
      posthouse.context.db,
      ['TWIN1', 'TWIN2'].map((code) => ({ code, name: code, phone: '18800000001' })),
    )
  })
  afterAll(() => posthouse.stop())

  const push = (receiverData: Record<string, string[]>, channelIds = Object.keys(receiverData)) =>
    posthouse.post(
      CHANNEL,
      channelBody({
        receiverType: 'custom',
        receiverData,
        channelData: Object.fromEntries(Object.entries(SAID).filter(([id]) => channelIds.includes(id))),
      }),
    )
  const settled = (answer: Answer) =>
    eventually(async () => {
      const message = await messageOf(posthouse, answer)
      return JSON.stringify(message['deliveries']).match(/QUEUED|SENDING/) ? undefined : message
    })

  it.each([
    [
      '1001',
      ['18660886275', '+8613900000001', '１３９００００００２２'],
      ['+8613900000001 SENT', '18660886275 SENT', '１３９００００００２２ SENT'],
    ],
    ['1001', ['USER001', '18660886275', '+86 186 6088 6275'], ['USER001 SENT']],
    [
      '1001',
      ['USER042', 'NOBODY', '12345', 'a@example.org', 'USER003'],
      [
        '12345 FAILED INVALID_ACCOUNT',
        'NOBODY FAILED INVALID_ACCOUNT',
        'USER003 SENT',
        'USER042 FAILED INVALID_ACCOUNT',
        'a@example.org FAILED INVALID_ACCOUNT',
      ],
    ],
    ['1003', ['zhaoli@126.com', 'zhaoli@126.COM', ' zhaoli@126.com '], ['zhaoli@126.com SENT']],
    [
      '1003',
      ['USER004', 'USER043', '18660886275', 'x@y', '张三 <z@example.org>'],
      [
        '18660886275 FAILED INVALID_ACCOUNT',
        'USER004 SENT',
        'USER043 FAILED INVALID_ACCOUNT',
        'x@y FAILED INVALID_ACCOUNT',
        '张三 <z@example.org> FAILED INVALID_ACCOUNT',
      ],
    ],
  ])('on %s, takes %j for what they mean', async (channel, accounts, expected) => {
    const message = await settled(await push({ [channel]: accounts }))
    expect(deliveriesOn(message, channel)).toEqual(expected.toSorted())
  })

  it('finds the one person behind a phone on the site channel, and nobody where two share it or have left', async () => {
    const answer = await push({
      '1002': ['18660886275', 'USER001', 'USER002', '18800000001', 'USER044', '19900000044', 'liwei@example.org'],
    })
    expect(answer.headers.get('x-posthouse-warning')).toBe('unresolved=4')
    expect(await timesInInbox(posthouse, 'USER001', answer.body.msgId)).toBe(1)
    expect(await timesInInbox(posthouse, 'USER002', answer.body.msgId)).toBe(1)
    expect(await timesInInbox(posthouse, 'TWIN1', answer.body.msgId)).toBe(0)
    const message = await settled(answer)
    const invalid = ['18800000001', 'USER044', '19900000044', 'liwei@example.org']
    expect(message['unresolved']).toEqual({ '1002': invalid })
    expect(deliveriesOn(message, '1002')).toEqual(
      invalid.map((account) => `${account} FAILED INVALID_ACCOUNT`).toSorted(),
    )
    expect(message['channels'][0].totals).toEqual([
      { state: 'failed', count: 4 },
      { state: 'unread', count: 2 },
    ])
  })

  it('leaves out a content without accounts, and warns of it', async () => {
    const answer = await push({ '1002': ['USER001'], '1003': [] }, ['1001', '1002', '1003'])
    expect(answer.body.code).toBe(200)
    expect(answer.headers.get('x-posthouse-warning')).toBe('no-accounts=1001; no-accounts=1003')
    const message = await messageOf(posthouse, answer)
    expect(message['channels'].map(({ channelId }: { channelId: string }) => channelId)).toEqual(['1002'])
  })

  it('sends only where there is anybody left, and says so of the rest', async () => {
    const message = await settled(await push({ '1001': ['NOBODY'], '1002': ['USER001'] }))
    expect(deliveriesOn(message, '1001')).toEqual(['NOBODY FAILED INVALID_ACCOUNT'])
    expect(message).toMatchObject({ state: 'FANNED_OUT', unresolved: { '1001': ['NOBODY'] } })
  })

  it('works with a template, on the channels that have accounts', async () => {
    const body = templateBody({ receiverType: 'custom', receiverData: { '1001': ['USER001'] } })
    const answer = await posthouse.post(TEMPLATE, body)
    expect(answer.headers.get('x-posthouse-warning')).toBe('no-accounts=1002; no-accounts=1003')
    expect(deliveriesOn(await settled(answer), '1001')).toEqual(['USER001 SENT'])
  })
})
