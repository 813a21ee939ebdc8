/** What failover makes of its members' outcomes, with members that say what they are told to. */
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Callback, CallbackAnswer, Outcome, Parcel } from '../../src/delivery/channel.ts'
import { readChannelUrl } from '../../src/delivery/channel-url.ts'
import { failover } from '../../src/delivery/providers/failover.ts'
import { scripted, type Answer } from '../kit/scripted-provider.ts'

const PARCEL: Parcel = {
  id: '0199c0ffee0070008000000000000001',
  messageId: '0199c0ffee0070008000000000000002',
  address: '+8618660886275',
  content: { content: 'text' },
  attempt: 1,
}
const SECOND = 1_000

type Scripted = ReturnType<typeof scripted>
const said: { fields: Record<string, unknown>; text: string }[] = []
const hear = async () => {}
afterEach(() => {
  vi.useRealTimers()
  said.length = 0
})

/** Failover over these, in this order, as its URL opens it. */
function over(members: Scripted[], { options = '', each = '' } = {}) {
  const providers = members.map(({ provider }) => provider)
  const url = `failover(${providers.map(({ schemes }) => `${schemes[0]}:${each}`).join(', ')})${options}`
  const described = readChannelUrl(url, [failover(providers)], (mistake) => {
    throw new Error(mistake)
  })
  if (described === undefined) throw new Error('is not read')
  const { provider, settings } = described
  const carrier = provider.open(settings, { info: (fields, text) => said.push({ fields, text }) }, hear)
  let number = 0
  return {
    carrier,
    send: (parcel: Partial<Parcel> = {}, signal = new AbortController().signal) =>
      carrier.send({ ...PARCEL, ...parcel }, signal),
    /** Another delivery each time. */
    sendOther: () => carrier.send({ ...PARCEL, id: `${++number}` }, new AbortController().signal),
  }
}

const two = (a: Answer[], b: Answer[] = ['sent'], how = {}) => {
  const [first, second] = [scripted('a', a), scripted('b', b)]
  return { first, second, ...over([first, second], how) }
}

describe('the next member', () => {
  it('is not asked when the one before took it', async () => {
    const { send, second } = two([{ outcome: 'sent', receipt: 'R1' }])
    expect(await send()).toEqual({ outcome: 'sent', receipt: 'R1', via: 'a' })
    expect(second.parcels).toEqual([])
  })

  it.each<Answer>(['throttled', 'temporary', 'unavailable', 'failed'])('is asked after %s', async (answer) => {
    const { send, first, second } = two([answer], [{ outcome: 'sent', receipt: 'R2' }])
    expect(await send()).toEqual({ outcome: 'sent', receipt: 'R2', via: 'b' })
    expect(second.parcels).toEqual(first.parcels)
    expect(second.parcels).toEqual([PARCEL])
  })

  it('is asked in the order of the URL, until one has taken it', async () => {
    const members = [scripted('a', ['failed']), scripted('b', ['temporary']), scripted('c'), scripted('d')]
    expect(await over(members).send()).toEqual({ outcome: 'sent', via: 'c' })
    expect(members.map(({ parcels }) => parcels.length)).toEqual([1, 1, 1, 0])
  })

  it('is told by its number where two have the same scheme', async () => {
    const same = scripted('a', ['failed', 'failed', 'sent', 'temporary'])
    expect(await over([same, same, same]).send()).toEqual({ outcome: 'sent', via: 'a 3' })
    expect(await over([same, same]).send()).toMatchObject({ via: 'a', why: 'a: busy; a 2: busy' })
  })
})

describe('when nobody has taken it', () => {
  it.each<{ answers: Answer[]; cause: string; via: string }>([
    { answers: ['failed', 'temporary'], cause: 'temporary', via: 'b' },
    { answers: ['temporary', 'failed'], cause: 'temporary', via: 'a' },
    { answers: ['unavailable', 'temporary'], cause: 'temporary', via: 'b' },
    { answers: ['throttled', 'temporary'], cause: 'temporary', via: 'b' },
    { answers: ['unavailable', 'throttled'], cause: 'throttled', via: 'b' },
    { answers: ['unavailable', 'failed', 'unavailable'], cause: 'unavailable', via: 'a' },
    { answers: ['temporary', 'ambiguous'], cause: 'ambiguous', via: 'b' },
  ])('and somebody may later, it is tried again with the best cause: $answers', async ({ answers, cause, via }) => {
    const members = answers.map((answer, at) => scripted('abc'[at] ?? '', [answer]))
    expect(await over(members).send()).toMatchObject({ outcome: 'retry', cause, via })
  })

  it('it tells the words of each', async () => {
    const { send } = two(['unavailable'], ['temporary'])
    expect(await send()).toMatchObject({ why: 'a: connection refused; b: busy' })
  })

  it('it keeps some words of each when one says much', async () => {
    const { send } = two([{ outcome: 'retry', cause: 'temporary', why: 'x'.repeat(900) }], ['throttled'])
    expect(await send()).toMatchObject({ why: expect.stringMatching(/^a: x{100,}…; b: slow down$/) })
  })

  it.each<[number | undefined, number | undefined, number | undefined]>([
    [60, 12, 12],
    [60, undefined, undefined],
    [undefined, undefined, undefined],
  ])('it waits until the first of them may: %s and %s give %s', async (a, b, expected) => {
    const throttled = (afterSeconds?: number): Outcome => ({
      outcome: 'retry',
      cause: 'throttled',
      why: 'slow down',
      ...(afterSeconds === undefined ? {} : { afterSeconds }),
    })
    const outcome = await two([throttled(a)], [throttled(b)]).send()
    expect(outcome).toMatchObject({ cause: 'throttled' })
    expect('afterSeconds' in outcome ? outcome.afterSeconds : undefined).toBe(expected)
  })

  it('and nobody ever will, the refusal of the first counts', async () => {
    const blocked: Outcome = { outcome: 'failed', reason: 'BLOCKED', why: 'blacklisted' }
    const { send } = two([blocked], ['failed'])
    const why = 'a: blacklisted; b: no such number'
    expect(await send()).toEqual({ outcome: 'failed', reason: 'BLOCKED', why, via: 'a' })
  })
})

describe('a delivery that a member may have taken', () => {
  const thrown = () => Promise.reject(new Error('socket hang up'))

  it.each<[string, Answer]>([
    ['when no answer came', 'ambiguous'],
    ['when it throws', thrown],
  ])('is not sent elsewhere %s', async (_when, answer) => {
    const { send, second } = two([answer])
    expect(await send()).toMatchObject({ outcome: 'retry', cause: 'ambiguous', via: 'a', why: /^a: / })
    expect(second.parcels).toEqual([])
  })

  it('is offered to the same one first again', async () => {
    const { send, first, second } = two(['unavailable', 'sent'], ['ambiguous', 'sent'])
    expect(await send()).toMatchObject({ cause: 'ambiguous', via: 'b' })
    expect(await send({ attempt: 2 })).toEqual({ outcome: 'sent', via: 'b' })
    expect([first.parcels.length, second.parcels.length]).toEqual([1, 2])
    // What it did with this one is over.
    expect(await send({ id: '2' })).toEqual({ outcome: 'sent', via: 'a' })
  })

  it.each<Answer>(['throttled', 'temporary', 'unavailable'])(
    'stays with it when that says %s, and does not make the channel rest',
    async (answer) => {
      const { send, second } = two(['ambiguous', answer, 'ambiguous'])
      await send()
      expect(await send({ attempt: 2 })).toMatchObject({ outcome: 'retry', cause: 'temporary', via: 'a' })
      expect(await send({ attempt: 3 })).toMatchObject({ outcome: 'retry', cause: 'ambiguous', via: 'a' })
      expect(second.parcels).toEqual([])
    },
  )

  it('goes on when that one refuses it', async () => {
    const { send, first } = two(['ambiguous', 'failed', 'temporary'], ['temporary', 'sent'])
    await send()
    expect(await send({ attempt: 2 })).toMatchObject({ outcome: 'retry', cause: 'temporary', via: 'b' })
    expect(await send({ attempt: 3 })).toEqual({ outcome: 'sent', via: 'b' })
    expect(first.parcels).toHaveLength(3)
  })

  it('is known to another node by what the queue tells', async () => {
    const { send, first, second } = two(['sent'], ['unavailable', 'sent'])
    expect(await send({ attempt: 2, maybeVia: 'b' })).toMatchObject({ cause: 'temporary', via: 'b' })
    expect(await send({ attempt: 3, maybeVia: 'b' })).toEqual({ outcome: 'sent', via: 'b' })
    expect(first.parcels).toEqual([])
    expect(second.parcels).toHaveLength(2)
    // Of a member that is configured no more nobody can ask.
    expect(await send({ attempt: 4, maybeVia: 'gone' })).toMatchObject({ via: 'a' })
  })

  it.each<[string, Partial<Parcel>]>([
    ['a worker died at it', { maybeAnyone: true }],
    ['that member is configured no more', { maybeVia: 'gone' }],
  ])('of which nobody knows is sent all the same, and the words tell of it, since %s', async (_why, parcel) => {
    const { send } = two(['temporary'])
    const why = 'may have been sent through another member as well'
    expect(await send({ attempt: 2, ...parcel })).toEqual({ outcome: 'sent', via: 'b', why })
  })

  it('is known to this node where the queue tells only that the whole was cut off', async () => {
    const { send, second } = two(['ambiguous', 'sent'])
    await send()
    expect(await send({ attempt: 2, maybeVia: 'failover' })).toMatchObject({ outcome: 'sent', via: 'a' })
    expect(second.parcels).toEqual([])
  })

  it('stays with it when an attempt had no time to ask', async () => {
    const { send, second } = two(['ambiguous', 'sent'])
    await send()
    expect(await send({}, AbortSignal.abort())).toMatchObject({ outcome: 'retry', cause: 'temporary', via: 'a' })
    expect(await send()).toMatchObject({ outcome: 'sent', via: 'a' })
    expect(second.parcels).toEqual([])
  })

  it('is never with two of them, whatever they say', async () => {
    const answers = fc.constantFrom<Answer[]>(
      ...(['sent', 'failed', 'throttled', 'temporary', 'unavailable', 'ambiguous'] as const).map((one): Answer[] => [
        one,
      ]),
    )
    const attempts = fc.array(fc.tuple(answers, answers, answers), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(attempts, async (attempts) => {
        /** Who has it, or may have. */
        const holders = new Set<string>()
        const member = (name: string, at: number) =>
          scripted(
            name,
            attempts.map((all) => all[at]?.[0] ?? 'sent'),
          )
        const members = [member('a', 0), member('b', 1), member('c', 2)]
        const { send } = over(members)
        for (const [at] of attempts.entries()) {
          const before = members.map(({ parcels }) => parcels.length)
          const outcome = await send({ attempt: at + 1 })
          for (const [which, { parcels, provider }] of members.entries()) {
            if (parcels.length === before[which]) continue
            const answer = attempts[parcels.length - 1]?.[which]?.[0]
            const name = provider.schemes[0] ?? ''
            if (answer === 'sent' || answer === 'ambiguous') holders.add(name)
            if (answer === 'failed') holders.delete(name)
          }
          expect(holders.size).toBeLessThanOrEqual(1)
          if (outcome.outcome !== 'retry') return
        }
      }),
    )
  })
})

describe('with ambiguous=next', () => {
  const options = '#ambiguous=next'

  it('the next one is asked, and the words say that it may arrive twice', async () => {
    const { send } = two(['ambiguous'], ['sent'], { options })
    expect(await send()).toEqual({ outcome: 'sent', via: 'b', why: 'may have been sent through a as well' })
  })

  it.each<Answer>(['failed', 'unavailable', 'temporary'])(
    'it stays ambiguous when the next says %s',
    async (answer) => {
      const { send } = two(['ambiguous'], [answer], { options })
      expect(await send()).toMatchObject({ outcome: 'retry', cause: 'ambiguous', via: 'a', why: /^a: no answer; b: / })
    },
  )
})

describe('a member that does not answer', () => {
  /** Until its circuit is open. */
  async function silence(send: () => Promise<Outcome>, times = 5) {
    for (let count = 0; count < times; count++) await send()
  }

  it.each<Answer>(['unavailable', 'ambiguous'])(
    'is passed over after five times %s, and asked once after 30 seconds',
    async (unanswered) => {
      vi.useFakeTimers({ toFake: ['performance'] })
      const { sendOther, first, second } = two([unanswered])
      await silence(sendOther)
      second.parcels.length = 0
      expect(await sendOther()).toEqual({ outcome: 'sent', via: 'b' })
      expect(first.parcels).toHaveLength(5)

      vi.advanceTimersByTime(30 * SECOND)
      const answer = Promise.withResolvers<Outcome>()
      first.say(() => answer.promise)
      const probe = sendOther()
      // Those beside the probe do not wait for what comes of it.
      expect(await Promise.all([sendOther(), sendOther()])).toMatchObject([{ via: 'b' }, { via: 'b' }])
      expect(first.parcels).toHaveLength(6)
      answer.resolve({ outcome: 'sent' })
      expect(await probe).toMatchObject({ outcome: 'sent', via: 'a' })
      first.say('sent')
      expect(await sendOther()).toMatchObject({ outcome: 'sent', via: 'a' })
      expect(said).toEqual([
        { fields: { member: 'a' }, text: expect.stringContaining('does not answer') },
        { fields: { member: 'a' }, text: expect.stringContaining('answers again') },
      ])
    },
  )

  it('is asked as long as it does answer, whatever it says', async () => {
    const { sendOther, first } = two(['failed', 'temporary', 'throttled'])
    await silence(sendOther, 20)
    expect(first.parcels).toHaveLength(20)
  })

  it('makes the channel wait for the first to be asked again when it is all of them', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { sendOther, first, second } = two(['unavailable'], ['unavailable'])
    await silence(sendOther)
    vi.advanceTimersByTime(10 * SECOND)
    expect(await sendOther()).toMatchObject({ outcome: 'retry', cause: 'unavailable', afterSeconds: 20 })
    expect([first.parcels.length, second.parcels.length]).toEqual([5, 5])
  })

  it('keeps what it may have taken, and the channel goes on', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { send, sendOther, first, second } = two(['ambiguous'])
    await send()
    await silence(sendOther)
    const outcome = await send({ attempt: 2 })
    expect(outcome).toMatchObject({ outcome: 'retry', cause: 'temporary', via: 'a', afterSeconds: 30 })
    expect(first.parcels).toHaveLength(5)
    expect(second.parcels.filter(({ id }) => id === PARCEL.id)).toEqual([])
  })
})

describe('time', () => {
  it('is bounded for each: its signal aborts, and the next one has its own', async () => {
    const untilAborted: Answer = (_parcel, signal) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () =>
          resolve({ outcome: 'retry', cause: 'unavailable', why: 'no connection' }),
        ),
      )
    const { send, second } = two([untilAborted], ['sent'], { each: '#timeout=1' })
    const startedAt = Date.now()
    expect(await send()).toMatchObject({ outcome: 'sent', via: 'b' })
    expect(Date.now() - startedAt).toBeLessThan(1_200)
    expect(second.parcels).toHaveLength(1)
  })

  it('is over for a member that pays no attention', async () => {
    const { send } = two([() => new Promise(() => {})], ['sent'], { each: '#timeout=1' })
    expect(await send()).toMatchObject({ outcome: 'retry', cause: 'ambiguous', via: 'a', why: /^a: no answer within/ })
  })

  it('of the channel ends that of its members, and nobody is asked after it', async () => {
    const ending = new AbortController()
    const whenAborted: Answer = async (_parcel, signal) => {
      await Promise.resolve()
      ending.abort()
      return { outcome: 'retry', cause: 'unavailable', why: signal.aborted ? 'cut off' : 'goes on' }
    }
    const { send, second } = two([whenAborted])
    const why = 'a: cut off; b: not asked, since no time was left'
    expect(await send({}, ending.signal)).toMatchObject({ outcome: 'retry', cause: 'temporary', why })
    expect(second.parcels).toEqual([])
  })
})

describe('the form of an SMS', () => {
  const forms = () => [
    scripted('a', ['failed'], { takes: () => 'templateData' }),
    scripted('b', ['sent'], { takes: () => 'content' }),
    scripted('c', ['sent']),
  ]

  it('is what the first member sends', () => {
    const members = forms()
    const providers = members.map(({ provider }) => provider)
    const takes = (url: string) => {
      const described = readChannelUrl(url, [failover(providers)], () => {})
      return described?.provider.takes?.(described.settings)
    }
    expect(takes('failover(a:, b:)')).toBe('templateData')
    expect(takes('failover(b:, a:)')).toBe('content')
    expect(takes('failover(c:, a:)')).toBeUndefined()
  })

  it('decides who is asked', async () => {
    const [a, b, c] = forms() as [Scripted, Scripted, Scripted]
    expect(await over([a, b, c]).send({ content: { templateData: {} } })).toMatchObject({ outcome: 'sent', via: 'c' })
    expect(b.parcels).toEqual([])
    const outcome = await over([a, b]).send({ content: { templateData: {} } })
    const why = 'a: no such number; b: not asked, since it sends content and there is none'
    expect(outcome).toEqual({ outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why, via: 'a' })
  })
})

it('measures a content as the first member does, which the others may refuse when it comes to that', () => {
  const providers = [
    scripted('a', [], { measure: () => ({ bytes: 9, limit: 5 }) }),
    scripted('b', [], { measure: () => ({ bytes: 9, limit: 20 }) }),
    scripted('c'),
  ].map(({ provider }) => provider)
  const measure = (url: string) => {
    const described = readChannelUrl(url, [failover(providers)], () => {})
    return described?.provider.measure?.({}, described.settings)
  }
  expect(measure('failover(a:, b:)')).toEqual({ bytes: 9, limit: 5 })
  expect(measure('failover(b:, a:)')).toEqual({ bytes: 9, limit: 20 })
  expect(measure('failover(c:, a:)')).toMatchObject({ bytes: 0 })
})

describe('receipts', () => {
  const call: Callback = { method: 'POST', query: new URLSearchParams(), headers: {}, body: Buffer.from('x') }
  const genuine = (body: string): CallbackAnswer => ({ isGenuine: true, receipts: [], body })
  const reading = (name: string, read: () => CallbackAnswer) => scripted(name, [], { readReceipts: read })
  const foreign = reading('a', () => ({ isGenuine: false }))
  const unreadable = reading('b', () => {
    throw new Error('is no JSON')
  })
  const own = reading('c', () => genuine('c'))

  it('are read by the first that finds them genuine', async () => {
    const { carrier } = over([scripted('x'), foreign, unreadable, own, reading('d', () => genuine('d'))])
    expect(await carrier.readReceipts?.(call)).toEqual(genuine('c'))
  })

  it('that nobody finds genuine are not, and what one could not read is told', async () => {
    expect(await over([foreign, scripted('x')]).carrier.readReceipts?.(call)).toEqual({ isGenuine: false })
    await expect(over([foreign, unreadable]).carrier.readReceipts?.(call)).rejects.toThrow('is no JSON')
  })

  it('are not taken where no member has any', () => {
    expect(over([scripted('a'), scripted('b')]).carrier.readReceipts).toBeUndefined()
  })

  it('that come another way are heard from each', () => {
    const members = [scripted('a'), scripted('b')]
    over(members)
    for (const { heard } of members) expect(heard).toEqual([hear])
  })
})

it('closes all its members', async () => {
  const members = [scripted('a'), scripted('b')]
  await over(members).carrier.close()
  expect(members.map(({ closed }) => closed())).toEqual([1, 1])
})
