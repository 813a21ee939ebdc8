/** Pushes that come at once share statements: each is answered, put and told as if it had come alone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accept, type Push } from '../../src/messages/accept.ts'
import { APP, run, type Answer } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody } from '../rest/door.ts'

const AT_ONCE = 40
const NOBODY_KNOWN = { code: 400, msg: '参数有误：receiverData: 没有找到 NOBODY' }

describe.each(stores)('Pushes at once, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const all = <Of>(act: (at: number) => Promise<Of>) => Promise.all(Array.from({ length: AT_ONCE }, (_, at) => act(at)))
  const inbox = async (user: string) => {
    const { data } = await posthouse.graphql(
      await posthouse.token(user),
      '{ inbox(first: 100) { edges { node { title } } } counts: inboxCounts { unread unseen } }',
    )
    return data as { inbox: { edges: { node: { title: string } }[] }; counts: { unread: number; unseen: number } }
  }
  const titlesOf = ({ inbox: { edges } }: Awaited<ReturnType<typeof inbox>>) => edges.map(({ node }) => node.title)

  it('to one person are an item each, counted exactly, with a rev of its own', async () => {
    const answers = await all((at) => posthouse.push(['USER002'], `one ${at}`))
    expect(new Set(answers.map(({ body }) => body.msgId)).size).toBe(AT_ONCE)
    const found = await inbox('USER002')
    expect(titlesOf(found).toSorted()).toEqual(Array.from({ length: AT_ONCE }, (_, at) => `one ${at}`).toSorted())
    expect(found.counts).toEqual({ unread: AT_ONCE, unseen: AT_ONCE })
  })

  it('of every sort reach whom they mean, and one that is refused says why', async () => {
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString()
    const sorts: ((title: string) => Promise<Answer>)[] = [
      (title) => posthouse.push(['USER003', 'USER004'], title),
      (title) => posthouse.push(['USER004', 'NOBODY'], title),
      (title) => posthouse.push(['NOBODY'], title),
      (title) => posthouse.push(['USER003'], title, { sendTime: inAnHour }),
      (title) => posthouse.push([], title, { receiverData: { user: ['USER005'], role: ['ROLE002'] } }),
    ]
    const answers = await all((at) => sorts[at % sorts.length]!(`sort ${at}`))
    const of = (sort: number) => answers.filter((_, at) => at % sorts.length === sort)
    expect(of(2).map(({ body }) => body)).toEqual(of(2).map(() => NOBODY_KNOWN))
    expect(of(1).map(({ headers }) => headers.get('x-posthouse-warning'))).toEqual(of(1).map(() => 'unresolved=1'))
    const meant = (...which: number[]) =>
      answers.flatMap((_, at) => (which.includes(at % sorts.length) ? [`sort ${at}`] : [])).toSorted()
    const got = async (user: string) =>
      titlesOf(await inbox(user))
        .filter((title) => title.startsWith('sort'))
        .toSorted()
    expect(await got('USER003')).toEqual(meant(0))
    expect(await got('USER004')).toEqual(expect.arrayContaining(meant(0, 1)))
    expect(await got('USER005')).toEqual(expect.arrayContaining(meant(4)))
  })

  it('under few keys are as many messages as there are keys', async () => {
    const answers = await all((at) =>
      posthouse.post(CHANNEL, channelBody({ receiverData: { user: ['USER006'] }, businessId: `key ${at % 4}` }), {
        'idempotency-key': `together ${at % 4}`,
      }),
    )
    const ids = answers.map(({ body }) => body.msgId)
    expect(new Set(ids).size).toBe(4)
    expect(ids).toEqual(ids.map((_, at) => ids[at % 4]))
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === null)).toHaveLength(4)
    expect((await inbox('USER006')).counts.unread).toBe(4)
  })

  it('fail alone: one that the database refuses leaves its neighbours accepted', async () => {
    const push = (appId: string, at: number): Push => ({
      appId,
      templateCode: undefined,
      templateVersion: undefined,
      receiverType: 'specified',
      receiver: { user: ['USER007'] },
      unresolved: {},
      businessId: undefined,
      msgType: 'notice',
      priority: 2,
      senderCode: undefined,
      senderName: undefined,
      dueAt: undefined,
      expiresAt: undefined,
      contents: [{ channelId: '1002', kind: 'site', content: { title: `${at}`, content: 'c', text: 'c' } }],
      requestId: 'r',
    })
    const chunk = {
      people: ['USER007'],
      deliveries: [],
      broadcast: false,
      cursor: '',
      isLast: true,
      reachesSomebody: true,
    }
    const settled = await Promise.allSettled(
      Array.from({ length: AT_ONCE }, (_, at) =>
        accept(posthouse.context, push(at === 20 ? 'no such app' : APP, at), chunk, [], undefined),
      ),
    )
    expect(settled.flatMap(({ status }, at) => (status === 'rejected' ? [at] : []))).toEqual([20])
    expect((await inbox('USER007')).counts.unread).toBe(AT_ONCE - 1)
  })
})
