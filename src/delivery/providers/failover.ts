import { attempt } from '../attempt.ts'
import { makeBreaker, type Breaker } from '../breaker.ts'
import { provider, type Carrier, type CarrierLog, type Outcome, type Parcel, type Provider } from '../channel.ts'
import type { ContentKind } from '../content.ts'
import { failoverLimits, failoverSettings, type FailoverSettings, type Member } from './failover-settings.ts'
import { verdict, type Said } from './failover-verdict.ts'

/** Attempts without an answer in a row after which a member is passed over, and for how long. */
const CIRCUIT = { failures: 5, openSeconds: 30, longestSeconds: 300 }
/** Deliveries of which is remembered who may have taken them. The oldest are forgotten: a channel in order has a handful. */
const REMEMBERED = 10_000

/** What a member without a limit of its own says of any content. */
const UNMEASURED = { bytes: 0, limit: Number.POSITIVE_INFINITY }

type OpenMember = Member & { carrier: Carrier; breaker: Breaker }

/**
 * Several providers behind one channel, each of which steps in where the one before is known not to have taken a delivery.
 * That is: it refused it, it cannot take it now, nobody got through to it, or it is passed over because it did not answer
 * the last ones. A refusal counts as well: a number that one vendor has blocked, or a template that it has not approved,
 * may pass with another.
 *
 * Who may have taken a delivery keeps it: the next attempt asks the same one again, which drops the repeat by its dedupe
 * key, and only its refusal sets the delivery free. `ambiguous=next` puts arriving before arriving once.
 */
export function failover(providers: readonly Provider[]): Provider {
  const kinds = [...new Set(providers.flatMap(({ kinds }) => kinds))].filter((kind) => kind !== 'site')
  return provider<FailoverSettings>({
    schemes: ['failover'],
    summary:
      'Several channels behind one id, asked in order: `failover(first, second, …)`. The next one is asked when the one before is ' +
      'known not to have taken the delivery: it refused it, cannot take it now, could not be reached, does not send this form of SMS, or ' +
      'is passed over. Passed over is one that left 5 attempts in a row without an answer, for 30 seconds at first and for 5 minutes at most. ' +
      'One that may have taken the delivery (it was sent, and no answer came) is asked again at the next attempt, and nobody else is; with ' +
      '`#ambiguous=next` the next one is asked at once, and people may get the message twice. All members carry the same kind and get the ' +
      'same content. A push has to be as the first one takes it, in its form of SMS and within its size; as every vendor has its own template ids, behind one that sends ' +
      'templates goes one that sends `content`. A member may have a `#timeout=` of its own; the other limits stand behind the closing ' +
      "parenthesis. Unless given they are the strictest of the members', with the sum of their timeouts, at most 120 seconds. Receipts of all " +
      'come to the address of this channel, each with a key of its own. Write `%2C` for a comma inside of a member that a URL follows.',
    example:
      'failover(aliyun://ACCESS_KEY_ID:SECRET@default?sign=东华医为#timeout=8, ' +
      'https://user:password@gateway.example.org/send?posthouse.ok=code=0)',
    kinds: kinds as [ContentKind, ...ContentKind[]],
    takes: ({ members: [first] }) => first?.provider.takes?.(first.settings),
    measure: (content, { members: [first] }) => first?.provider.measure?.(content, first.settings) ?? UNMEASURED,
    settings: failoverSettings(providers),
    composed: ({ members, kinds }) => ({ kinds, limits: failoverLimits(members) }),
    open({ members, goesOn }, log, hear, given) {
      const all = members.map((member): OpenMember => {
        const { name, provider, settings } = member
        const itsLog: CarrierLog = { info: (fields, text) => log.info({ ...fields, member: name }, text) }
        return { ...member, carrier: provider.open(settings, itsLog, hear, given), breaker: makeBreaker(CIRCUIT) }
      })
      const keepers = rememberKeepers()
      const byName = (name: string | undefined) => all.find((member) => member.name === name)

      async function send(parcel: Parcel, signal: AbortSignal): Promise<Outcome> {
        // Where this failover itself was cut off the queue names it, and who was being asked then only this node knows.
        const holder = byName(parcel.maybeVia) ?? byName(keepers.get(parcel.id))
        const keeper = goesOn ? undefined : holder
        const inOrder = keeper === undefined ? all : [keeper, ...all.filter((member) => member !== keeper)]
        const said: Said[] = []
        for (const member of inOrder) {
          const outcome = await ask(member, parcel, signal, log)
          const isKept = outcome.outcome === 'retry' && (outcome.cause === 'ambiguous' || member === keeper)
          said.push({ name: member.name, outcome, isKept })
          if (member === keeper && !isKept) keepers.delete(parcel.id)
          if (isKept && !goesOn) {
            keepers.set(parcel.id, member.name)
            break
          }
          if (outcome.outcome === 'sent') break
        }
        const isAnyones = parcel.maybeAnyone === true || (parcel.maybeVia !== undefined && holder === undefined)
        return verdict(said, isAnyones)
      }

      const readers = all.flatMap(({ carrier: { readReceipts } }) => readReceipts ?? [])
      return {
        send,
        ...(readers.length === 0 ? {} : { readReceipts: firstGenuine(readers) }),
        wake() {
          for (const { carrier } of all) carrier.wake?.()
        },
        async close() {
          await Promise.all(all.map(({ carrier }) => carrier.close()))
        },
      }
    },
  })
}

/** One member's answer, or why it was not asked. */
async function ask(member: OpenMember, parcel: Parcel, signal: AbortSignal, log: CarrierLog): Promise<Outcome> {
  const { name, provider, settings, carrier, breaker, limits } = member
  if (signal.aborted) return { outcome: 'retry', cause: 'temporary', why: 'not asked, since no time was left' }
  const form = provider.takes?.(settings)
  if (form !== undefined && !(form in parcel.content))
    return { outcome: 'failed', reason: 'INVALID_CONTENT', why: `not asked, since it sends ${form} and there is none` }
  const now = performance.now()
  const allowed = breaker.allows(now)
  if (allowed === 'no') {
    const afterSeconds = Math.max(1, Math.ceil(breaker.waitSeconds(now)))
    return {
      outcome: 'retry',
      cause: 'unavailable',
      why: 'not asked, since it did not answer the last ones',
      afterSeconds,
    }
  }
  if (allowed === 'probe') breaker.takeProbe(now)

  const { outcomes, abort } = attempt(carrier, [parcel], limits.timeoutSeconds * 1_000)
  signal.addEventListener('abort', abort, { once: true })
  const [outcome = NOTHING_SAID] = await outcomes
  signal.removeEventListener('abort', abort)
  learn(breaker, outcome, (news) => log.info({ member: name }, `failover: ${news}`))
  return outcome
}

const NOTHING_SAID: Outcome = { outcome: 'retry', cause: 'ambiguous', why: 'said nothing' }

function learn(breaker: Breaker, outcome: Outcome, say: (news: string) => void): void {
  const now = performance.now()
  const isSilent = outcome.outcome === 'retry' && (outcome.cause === 'unavailable' || outcome.cause === 'ambiguous')
  const before = breaker.allows(now)
  breaker.saw(!isSilent, now)
  const after = breaker.allows(now)
  if (before === 'yes' && after !== 'yes') say('it does not answer, and is passed over for a while')
  if (before !== 'yes' && after === 'yes') say('it answers again')
}

/** Which member may have taken a delivery, as far as this node knows; a parcel's `maybeVia` knows it of all nodes. */
function rememberKeepers() {
  const names = new Map<string, string>()
  return {
    get: (id: string) => names.get(id),
    delete: (id: string) => names.delete(id),
    set(id: string, name: string) {
      names.delete(id)
      names.set(id, name)
      const [oldest] = names.keys()
      if (names.size > REMEMBERED && oldest !== undefined) names.delete(oldest)
    },
  }
}

type ReadReceipts = NonNullable<Carrier['readReceipts']>

/** All members are called at the same address. What one cannot read may be for another; nobody's is what none can. */
function firstGenuine(readers: readonly ReadReceipts[]): ReadReceipts {
  return async (call) => {
    const unreadable: unknown[] = []
    for (const read of readers) {
      try {
        const answer = await read(call)
        if (answer.isGenuine) return answer
      } catch (error) {
        unreadable.push(error)
      }
    }
    if (unreadable.length > 0) throw unreadable[0]
    return { isGenuine: false }
  }
}
