import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually, run, type Answer } from '../kit/posthouse.ts'
import { samples } from '../kit/samples.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, deliveriesOn, messageOf, TEMPLATE, timesInInbox } from '../rest/door.ts'

const OK = { code: 200, msg: '操作成功', msgId: expect.stringMatching(/^[0-9a-f]{32}$/) }
const user = (number: number) => `USER${String(number).padStart(3, '0')}`
const everybody = Array.from({ length: 44 }, (_, at) => user(at + 1))
/** In the sample hospital: those named, DEPT001 with its two sub-departments, DEPT002, both posts and both roles. */
const meant = [
  1, 2, 4, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 31, 33, 35, 38, 41,
].map(user)

describe.each(stores)("the document's own samples, on $name", (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  /** The message once nothing of it waits any more. */
  const settled = (answer: Answer) =>
    eventually(async () => {
      const message = await messageOf(posthouse, answer)
      const isDone = !['1001', '1003'].some((channel) =>
        deliveriesOn(message, channel).some((line) => /QUEUED|SENDING/.test(line)),
      )
      return isDone ? message : undefined
    })

  /** Who has it in the inbox; fails when somebody has it twice. */
  async function holders(answer: Answer): Promise<string[]> {
    const found: string[] = []
    // The last one has left and cannot look.
    for (const code of everybody.slice(0, 43)) {
      const times = await timesInInbox(posthouse, code, answer.body.msgId)
      expect(times, `times in the inbox of ${code}`).toBeLessThanOrEqual(1)
      if (times === 1) found.push(code)
    }
    return found
  }

  it('示例1 goes to everybody named by user, dept, post and role, once on each channel', async () => {
    const answer = await posthouse.post(CHANNEL, samples.specified)
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: OK })
    expect(answer.headers.get('x-posthouse-warning')).toBeNull()
    expect(await holders(answer)).toEqual(meant)
    const message = await settled(answer)
    expect(message).toMatchObject({
      state: 'FANNED_OUT',
      receiverType: 'specified',
      recipientCount: meant.length,
      unresolved: {},
      businessId: 'xxxxxx',
      priority: 2,
      senderName: '张三',
    })
    for (const channel of ['1001', '1003'])
      expect(deliveriesOn(message, channel)).toEqual(meant.map((code) => `${code} SENT`))
    const said = Object.fromEntries(message['channels'].map(({ channelId, content }: any) => [channelId, content]))
    expect(said['1001']).toEqual({
      sign: '东华医为',
      templateData: { templateId: 'T100101', paramData: { code: '1001', time: '5' } },
      content: '这是我的第一条短信消息',
    })
    expect(said['1002']).toMatchObject({
      title: '发工资了',
      text: '你好，您的工资已发，请及时查收！',
      website: 'http://xxxx',
    })
    expect(said['1003']).toMatchObject({ title: '邮件标题', text: '邮件内容' })
  })

  it('示例2 goes to its accounts, each resolved through the directory and taken once', async () => {
    const answer = await posthouse.post(CHANNEL, samples.custom)
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: OK })
    expect(answer.headers.get('x-posthouse-warning')).toBeNull()
    expect(await holders(answer)).toEqual(['USER001', 'USER002'])
    const message = await settled(answer)
    expect(deliveriesOn(message, '1001')).toEqual(['USER001 SENT', 'USER002 SENT'])
    expect(deliveriesOn(message, '1003')).toEqual(['zhaoli@126.com SENT'])
  })

  it('the template sample is refused for its full-width comma, with line and column', async () => {
    const lines = samples.template.slice(0, samples.template.indexOf('，')).split('\n')
    const { status, body } = await posthouse.post(TEMPLATE, samples.template)
    expect({ status, body }).toEqual({
      status: 400,
      body: {
        code: 400,
        msg: `参数有误：(body): 第 ${lines.length} 行第 ${(lines.at(-1)?.length ?? 0) + 1} 列：全角“，”，应为半角“,”`,
      },
    })
  })

  it('the template sample succeeds once that comma is mended', async () => {
    const answer = await posthouse.post(TEMPLATE, samples.template.replace('，', ','))
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: OK })
    expect(await holders(answer)).toEqual(meant)
    const message = await settled(answer)
    expect(message).toMatchObject({
      templateCode: 'MSG1001',
      recipientCount: meant.length,
      msgType: 'notice',
      priority: 3,
    })
    const said = Object.fromEntries(message['channels'].map(({ channelId, content }: any) => [channelId, content]))
    expect(said['1001'].content).toBe('患者001的检验报告（编号 Meidcal1001）已审核，请登录系统查看。')
    expect(said['1002']).toMatchObject({ title: '检验报告已出：患者001', website: '/reports' })
    expect(said['1002'].content).toContain('<b>患者001</b>')
    expect(deliveriesOn(message, '1003')).toEqual(meant.map((code) => `${code} SENT`))
  })
})
