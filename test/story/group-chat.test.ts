import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveTemplate } from '../../src/templates/templates.ts'
import { eventually, run, type Answer } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, deliveriesOn, makeApp, messageOf, TEMPLATE, templateBody } from '../rest/door.ts'

const CHAT = { '1004': { content: '今晚停电' } }

describe.each(stores)('a message for a group chat, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store, {
      CHANNEL_1004: 'log:chat',
      CHANNEL_1005: 'wecom://KEY@default?endpoint=http://127.0.0.1:9',
    })
  })
  afterAll(() => posthouse.stop())

  const push = (more: Record<string, unknown>) => posthouse.post(CHANNEL, channelBody({ channelData: CHAT, ...more }))
  const sent = (answer: Answer) =>
    eventually(async () => {
      const message = await messageOf(posthouse, answer)
      return JSON.stringify(message['deliveries']).match(/QUEUED|SENDING/) ? undefined : message
    })

  it('is posted once, whoever is named', async () => {
    for (const receiverData of [{ user: ['USER001', 'USER002'] }, { dept: ['HOSP001'] }]) {
      const answer = await push({ receiverData })
      expect(answer.body.code).toBe(200)
      expect(answer.headers.get('x-posthouse-warning')).toBeNull()
      const message = await sent(answer)
      expect(deliveriesOn(message, '1004')).toEqual(['* SENT'])
      expect(message['recipientCount']).toBe(1)
    }
  })

  it('names codes that nobody has, beside the post and alone', async () => {
    const receiverData = { user: ['USER001', 'nobody'] }
    for (const channelData of [CHAT, { ...CHAT, '1002': { content: 'c' } }, { ...CHAT, '1001': { content: 'c' } }]) {
      const answer = await push({ receiverData, channelData })
      expect(answer.headers.get('x-posthouse-warning')).toBe('unresolved=1')
      expect(await messageOf(posthouse, answer)).toMatchObject({ unresolved: { user: ['nobody'] } })
      const refused = await push({ receiverData: { user: ['nobody', '*'] }, channelData })
      expect(refused.body).toMatchObject({ code: 400, msg: expect.stringContaining('nobody, *') })
    }
  })

  it('is accepted where nobody can be reached otherwise, since the chat is', async () => {
    // USER042 has no phone.
    const receiverData = { user: ['USER042'] }
    expect((await push({ receiverData, channelData: { '1001': { content: 'c' } } })).body.code).toBe(400)
    const message = await sent(await push({ receiverData, channelData: { ...CHAT, '1001': { content: 'c' } } }))
    expect(deliveriesOn(message, '1001')).toEqual(['USER042 SKIPPED NO_ADDRESS'])
    expect(deliveriesOn(message, '1004')).toEqual(['* SENT'])
  })

  it('to custom accounts is wanted where its channel is listed, with whatever account', async () => {
    const custom = { receiverType: 'custom', channelData: { ...CHAT, '1002': { content: 'c' } } }
    const wanted = await sent(await push({ ...custom, receiverData: { '1002': ['NOBODY'], '1004': ['群', '*'] } }))
    expect(deliveriesOn(wanted, '1004')).toEqual(['* SENT'])
    expect(wanted['unresolved']).toEqual({ '1002': ['NOBODY'] })
    const idle = await push({ ...custom, receiverData: { '1002': ['USER001'] } })
    expect(idle.headers.get('x-posthouse-warning')).toBe('no-accounts=1004')
    const silent = await push({
      ...custom,
      channelData: { '1002': { content: 'c' } },
      receiverData: { '1004': ['群'] },
    })
    expect(silent.body).toMatchObject({ code: 400, msg: expect.stringContaining('receiverData.1004') })
  })

  it('to all needs the grant of its channel', async () => {
    const toAll = { receiverType: 'all', receiverData: undefined }
    const as = async (grants: string[]) => {
      const { id, headers } = await makeApp(posthouse, { grants })
      return posthouse.post(CHANNEL, channelBody({ channelData: CHAT, ...toAll, appId: id }), headers)
    }
    expect((await as(['channel:*', 'broadcast:1002'])).body.msg).toContain('broadcast:1004')
    const message = await sent(await as(['channel:*', 'broadcast:1004']))
    expect(message['recipientCount']).toBe(1)
    expect(deliveriesOn(message, '1004')).toEqual(['* SENT'])
  })

  it('is refused when it is longer than its robot takes, with its title, from a caller and from a template', async () => {
    const long = { '1005': { title: '通知', content: '字'.repeat(1_365) } }
    const { status, body } = await push({ channelData: long })
    expect({ status, msg: body.msg }).toEqual({
      status: 400,
      msg: expect.stringMatching(/channelData\.1005\.content: 连同标题等共 4106 字节，超过渠道 1005 的上限 4096/),
    })
    const contents = { '1005': { content: '{{ name }}', atMobiles: ['{{ phone }}'] } }
    await saveTemplate(posthouse.context.db, { code: 'POST', name: 'post', msgType: 'notice', contents })
    const render = (name: string, phone: string) =>
      posthouse.post(TEMPLATE, templateBody({ templateCode: 'POST', channelParamData: { name, phone } }))
    expect((await render('a'.repeat(2_049), '18660886275')).body.msg).toContain('上限 2048')
    expect((await render('a'.repeat(2_049), '')).body.code).toBe(200)
    expect((await render('a', 'x')).body.msg).toContain('templateCode.1005.atMobiles.0')
  })
})
