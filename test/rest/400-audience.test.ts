import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { putDepartments, putMemberships, putUsers } from '../../src/directory/directory.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody } from './door.ts'

const SMS = { '1001': { content: 'c' } }
const MAIL = { '1003': { content: 'c' } }
const many = Array.from({ length: 1_200 }, (_, at) => `PATIENT${String(at).padStart(4, '0')}`)

/** Who is meant, on which channels, and how the answer begins. */
const audiences: [string, Record<string, unknown>, string][] = [
  ['only unknown codes', { receiverData: { user: ['NOBODY'], dept: ['NOWHERE'] } }, '没有找到 NOBODY, NOWHERE'],
  ['a code in other letters', { receiverData: { user: ['user001'] } }, '没有找到 user001'],
  ['somebody who has left', { receiverData: { user: ['USER044'] } }, '没有找到 USER044'],
  ['a user code as a dept', { receiverData: { dept: ['USER001'] } }, '没有找到 USER001'],
  ['an empty department', { receiverData: { dept: ['EMPTY'] } }, '没有人能在所选渠道上收到'],
  ['nobody with a phone', { receiverData: { user: ['USER042'] }, channelData: SMS }, '没有人能在所选渠道上收到'],
  [
    'nobody with a mail address',
    { receiverData: { user: ['USER043'] }, channelData: MAIL },
    '没有人能在所选渠道上收到',
  ],
  [
    '1,200 people without a phone',
    { receiverData: { dept: ['PATIENTS'] }, channelData: SMS },
    '没有人能在所选渠道上收到',
  ],
  [
    'only accounts that mean nobody',
    { receiverType: 'custom', receiverData: { '1001': ['12345', 'NOBODY'] }, channelData: SMS },
    '账号均无效：12345, NOBODY',
  ],
  [
    '1,200 accounts that mean nobody',
    { receiverType: 'custom', receiverData: { '1001': many }, channelData: SMS },
    '账号均无效：PATIENT0000, PATIENT0001',
  ],
  [
    'accounts for a channel without content',
    { receiverType: 'custom', receiverData: { '1001': ['18660886275'], '1003': ['a@example.org'] }, channelData: SMS },
    'receiverData.1003: 该渠道没有内容',
  ],
]

describe.each(stores)('400 for an audience, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
    const { db } = posthouse.context
    await putDepartments(db, [
      { code: 'EMPTY', name: '空' },
      { code: 'PATIENTS', name: '患者' },
    ])
    await putUsers(
      db,
      many.map((code) => ({ code, name: code })),
    )
    await putMemberships(
      db,
      many.map((userCode) => ({ kind: 'dept' as const, groupCode: 'PATIENTS', userCode })),
    )
  })
  afterAll(() => posthouse.stop())

  it.each(audiences)('refuses %s', async (_what, more, text) => {
    const { status, body } = await posthouse.post(CHANNEL, channelBody(more))
    expect(body).toEqual({ code: 400, msg: expect.stringContaining(text) })
    expect(status).toBe(400)
  })
})
