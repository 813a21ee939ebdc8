import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp, TEMPLATE, templateBody, timesInInbox } from '../rest/door.ts'

describe.each(stores)('Idempotency-Key, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const messagesWith = async (businessId: string): Promise<number> => {
    const { data } = await posthouse.graphql(
      posthouse.adminKey,
      `query ($id: String) { messages(first: 100, businessId: $id) { edges { node { msgId } } } }`,
      { id: businessId },
    )
    return data?.['messages'].edges.length
  }

  const receiverData = { user: ['USER001', 'NOBODY'] }
  const inAnHour = new Date(Date.now() + 3_600_000).toISOString()
  it.each([
    ['a plain push', 'I1', CHANNEL, channelBody({ businessId: 'I1', receiverData })],
    ['a template push', 'I2', TEMPLATE, templateBody({ businessId: 'I2', receiverData })],
    ['a scheduled push', 'I3', CHANNEL, channelBody({ businessId: 'I3', receiverData, sendTime: inAnHour })],
  ])('gives the first answer to %s again, warnings included, and says so', async (_what, businessId, path, body) => {
    const headers = { 'idempotency-key': `again ${businessId}` }
    const first = await posthouse.post(path, body, headers)
    const second = await posthouse.post(path, body, headers)
    expect(first.body.code).toBe(200)
    expect(second.status).toBe(200)
    expect(second.body).toEqual(first.body)
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(second.headers.get('x-posthouse-warning')).toBe('unresolved=1')
    expect(await messagesWith(businessId)).toBe(1)
  })

  it('makes one message of twenty requests at once', async () => {
    const body = channelBody({ businessId: 'I4' })
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => posthouse.post(CHANNEL, body, { 'idempotency-key': 'at once' })),
    )
    expect(new Set(answers.map((answer) => JSON.stringify([answer.status, answer.body]))).size).toBe(1)
    expect(answers[0]?.body.code).toBe(200)
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === null)).toHaveLength(1)
    expect(await messagesWith('I4')).toBe(1)
    expect(await timesInInbox(posthouse, 'USER001', answers[0]?.body.msgId)).toBe(1)
  })

  it('does not remember a refusal', async () => {
    const headers = { 'idempotency-key': 'refused first' }
    expect((await posthouse.post(CHANNEL, channelBody({ priority: 'x' }), headers)).status).toBe(400)
    expect((await posthouse.post(CHANNEL, channelBody(), headers)).status).toBe(200)
  })

  it('is each app its own', async () => {
    const { id, headers } = await makeApp(posthouse)
    const key = { 'idempotency-key': 'shared' }
    const ours = await posthouse.post(CHANNEL, channelBody(), key)
    const theirs = await posthouse.post(CHANNEL, channelBody({ appId: id }), { ...headers, ...key })
    expect(theirs.body.code).toBe(200)
    expect(theirs.headers.get('idempotency-replayed')).toBeNull()
    expect(theirs.body.msgId).not.toBe(ours.body.msgId)
  })

  it('is not businessId, which may come twice', async () => {
    await posthouse.push(['USER001'], 't', { businessId: 'I5' })
    await posthouse.push(['USER001'], 't', { businessId: 'I5' })
    expect(await messagesWith('I5')).toBe(2)
  })
})
