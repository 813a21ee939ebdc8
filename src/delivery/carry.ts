/**
 * Carrying a channel's deliveries on this node: claim as many as there are free slots, hand each to the provider, settle
 * what comes of it. Every channel has slots, lanes, a rate and a circuit of its own, so that none holds up another.
 */
import { randomUUIDv7 } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context, OpenChannel } from '../context.ts'
import type { DeliveryState } from '../db/tables.ts'
import { attempt } from './attempt.ts'
import { makeBell, type Bell } from './bell.ts'
import { alone, callsOf, parcelOf, type UnderWay } from './calls.ts'
import type { Outcome } from './channel.ts'
import { watchProvider } from './health.ts'
import { holdBack } from './hold.ts'
import { makeLanes } from './lanes.ts'
import { giveBack } from './leases.ts'
import { claim, claimAlike, LEASE_SECONDS, type Claimed } from './queue.ts'
import { makeTokens } from './rate.ts'
import { after, TOO_OLD, type Settlement } from './retries.ts'
import { makeSayings, sayingKey, type Saying } from './sayings.ts'
import { makeSettler, type Settling } from './settle.ts'
import { makeLinks } from './unsubscribe-links.ts'
import { whyOf, withoutAddresses } from './words.ts'

/** How late due work may start when no hint comes. */
const BEAT_MS = 500
/** After trouble with the database. */
const PAUSE_MS = 1_000
/** Claimed in one statement: more would hold locks for long, fewer would cost a round trip each. */
const CLAIM_AT_MOST = 1_000
/** A call is not begun later than this after its claim: the lease could be over. */
const FRESH_MS = (LEASE_SECONDS - 5) * 1_000
/** A suspect row (queue.ts) is looked for this often when there was none. */
const SUSPECT_BEAT_MS = 2_000

export type Carrying = {
  /** Works until `stopping`, then claims nothing more. */
  loop(): Promise<void>
  /** What is with the provider now. */
  held(): Pick<Claimed, 'id' | 'lease'>[]
  /** These have gone to another worker: whatever can still be stopped is. */
  lost(ids: ReadonlySet<string>): void
  /** Resolves when nothing is under way any more. */
  ended(): Promise<void>
  abort(): void
  /** Whether the provider is left alone, since it does not answer. */
  isOpen(): boolean
}

/** Of mails, by delivery id. */
type Links = ReadonlyMap<string, string>
type Attempted = Settling & { delivery: Claimed }

export function carry(context: Context, channel: OpenChannel, bell: Bell, stopping: AbortSignal): Carrying {
  const { store, db, log, metrics } = context
  const { limits, carrier } = channel
  const lanes = makeLanes(limits.concurrency)
  const health = watchProvider((isOpen) => metrics?.circuit(channel.id, isOpen))
  const tokens = limits.rate === undefined ? undefined : makeTokens(store, channel.id, limits.rate)
  const sayings = makeSayings(db, channel.id)
  const links = makeLinks(context, channel)
  const settle = makeSettler(store, () => stopping.aborted)
  const freed = makeBell()
  const underWay = new Set<UnderWay>()
  let suspect: UnderWay | undefined
  let suspectsAt = 0

  /** One round: true when there may be more to do at once. */
  async function step(): Promise<boolean> {
    const allowed = health.allows()
    const isProbe = allowed === 'probe'
    if (allowed === 'no') return false
    if (!isProbe) await takeSuspect().catch(suspectsMissed)
    const room = Math.min(lanes.free(), CLAIM_AT_MOST)
    if (room === 0) {
      await freed.wait(BEAT_MS)
      return true
    }
    const slots = isProbe ? 1 : room
    const perCall = isProbe ? 1 : (carrier.batch?.most ?? 1)
    const drawn = await tokens?.draw(slots * perCall)
    if (drawn?.tokens === 0) {
      await freed.wait(Math.min(drawn.waitMs, BEAT_MS))
      return true
    }
    const total = Math.min(slots, drawn?.tokens ?? slots)
    const claimedAt = performance.now()
    const claimed = await take(total, false, perCall, drawn?.tokens)
    const wanted = await holdBack(context, channel.id, claimed)
    await begin(callsOf(wanted, perCall), claimedAt)
    const unused = (drawn?.tokens ?? 0) - wanted.length
    if (tokens !== undefined && unused > 0) await tokens.putBack(unused)
    // When only kept slots are left, their lanes had nothing due: a hint or a free slot wakes.
    return claimed.length > 0 && !lanes.isFull()
  }

  /** Claims; with a batching provider also more of the same messages, as far as `most` in all goes. */
  async function take(
    slots: number,
    isSuspect: boolean,
    perCall = 1,
    most = Number.POSITIVE_INFINITY,
  ): Promise<Claimed[]> {
    // One lease a claim: were it one a worker, a late attempt of its own could pass for the holder.
    const lease = randomUUIDv7()
    const unknown = async (why: unknown): Promise<never> => {
      // It may have been made all the same.
      await giveBack(db, lease).catch(() => {})
      throw why
    }
    const claimed = await claim(store, channel.id, lanes.plan(slots), lease, isSuspect).catch(unknown)
    const first = perCall === 1 ? [] : claimed.filter(({ isUntried }) => isUntried)
    const more = Math.floor(Math.min(perCall - 1, (most - claimed.length) / Math.max(1, first.length)))
    if (first.length > 0 && more > 0) {
      claimed.push(...(await claimAlike(store, channel.id, first, more, lease).catch(unknown)))
    }
    if (!stopping.aborted) return claimed
    await giveBack(db, lease)
    return []
  }

  /** A row that has lost two workers goes out alone: if it ends this process too, nothing else has gone wrong with it. */
  async function takeSuspect(): Promise<void> {
    if (suspect !== undefined || Date.now() < suspectsAt || lanes.free() === 0) return
    suspectsAt = Date.now() + SUSPECT_BEAT_MS
    if ((await tokens?.draw(1))?.tokens === 0) return
    const claimedAt = performance.now()
    const [wanted] = await holdBack(context, channel.id, await take(1, true))
    if (wanted === undefined) return void (await tokens?.putBack(1))
    suspectsAt = 0
    suspect = alone(wanted)
    await begin([suspect], claimedAt)
  }

  /** What hinders the search for suspects must not hold up the others. */
  function suspectsMissed(error: unknown): void {
    suspectsAt = Date.now() + SUSPECT_BEAT_MS
    log.warn({ channelId: channel.id, why: whyOf(error) }, 'worker: suspects not looked for; trying again')
  }

  async function begin(calls: UnderWay[], claimedAt: number): Promise<void> {
    if (calls.length === 0) return
    const firsts = calls.map(({ first }) => first)
    lanes.took(firsts)
    for (const one of calls) underWay.add(one)
    const [said, linked] = await Promise.all([
      sayings(firsts),
      links(calls.flatMap(({ claimed }) => claimed.map(({ id }) => id))),
    ]).catch(async (error) => {
      for (const one of calls) leave(one)
      for (const lease of new Set(firsts.map(({ lease }) => lease))) await giveBack(db, lease).catch(() => {})
      throw error
    })
    // The process was stopped in between, perhaps: others may have the rows by now.
    if (performance.now() - claimedAt > FRESH_MS) {
      log.warn({ channelId: channel.id }, 'delivery: claimed too long ago to begin with; the leases will run out')
      for (const one of calls) leave(one)
    } else for (const one of calls) void make(one, said.get(sayingKey(one.first)), linked)
  }

  function leave(one: UnderWay): void {
    underWay.delete(one)
    // The loop may have gone to sleep with work due, since that lane had no slot left.
    if (lanes.isFull()) bell.ring()
    lanes.left(one.first.priority)
    if (one === suspect) {
      suspect = undefined
      bell.ring()
    }
    freed.ring()
  }

  /** One call: what need not be sent is over at once, the rest when the provider has answered. */
  async function make(one: UnderWay, saying: Saying | undefined, linked: Links): Promise<void> {
    try {
      const over = withoutSending(one.first, saying)
      const attempted =
        over === undefined
          ? outcomesOf(one, await call(one, saying, linked))
          : one.claimed.map((delivery) => ({ delivery, to: over, via: undefined }))
      note(attempted, await settle(attempted))
    } catch (error) {
      log.error({ channelId: channel.id, why: whyOf(error) }, 'delivery: not settled; the lease will run out')
    } finally {
      leave(one)
    }
  }

  function call(one: UnderWay, saying: Saying | undefined, linked: Links): Promise<Outcome[]> {
    const content = saying?.content ?? {}
    health.calls()
    one.call = attempt(
      carrier,
      one.claimed.map((delivery) => parcelOf(delivery, content, linked.get(delivery.id))),
      limits.timeoutSeconds * 1_000,
    )
    return one.call.outcomes
  }

  function outcomesOf(one: UnderWay, outcomes: readonly Outcome[]): Attempted[] {
    // Over: a thousand that wait to be settled need not keep what their calls were made of.
    delete one.call
    health.saw(outcomes)
    return one.claimed.map((delivery, at) => {
      const outcome = outcomes[at]
      if (outcome === undefined) throw new Error('an outcome is missing')
      const to = after(outcome, delivery.attempts, limits.attempts)
      return { delivery, to, via: outcome.via ?? channel.provider.schemes[0] }
    })
  }

  function withoutSending(delivery: Claimed, saying: Saying | undefined): Settlement | undefined {
    if (delivery.isTooOld) return TOO_OLD
    // A channel's settings may have changed since the message was accepted.
    if (saying?.kind !== channel.kind) return ofAnotherKind(delivery, saying)
    // Attempts count from the claim, so that a delivery which kills its worker comes to an end as well.
    if (delivery.attempts > limits.attempts) {
      const outcome: Outcome =
        delivery.losses > 0
          ? { outcome: 'retry', cause: 'ambiguous', why: 'no worker survived it' }
          : { outcome: 'retry', cause: 'temporary', why: 'the channel allows fewer attempts now' }
      return after(outcome, delivery.attempts, limits.attempts)
    }
    return undefined
  }

  /** Other nodes may have the channel as it was, or as it will be here once this node is deployed. */
  function ofAnotherKind({ isNew, attempts }: Claimed, saying: Saying | undefined): Settlement {
    const why = `channel ${channel.id} carries ${channel.kind} now, and this is ${saying?.kind ?? 'nothing'}`
    const outcome: Outcome = isNew
      ? { outcome: 'retry', cause: 'unavailable', why }
      : { outcome: 'failed', reason: 'NO_CHANNEL', why }
    // Without a limit: nothing was tried, and its age is the end of it.
    return after(outcome, attempts, Number.POSITIVE_INFINITY)
  }

  /** What they came to, for those who watch. */
  function note(attempted: readonly Attempted[], states: readonly (DeliveryState | undefined)[]): void {
    for (const [at, { delivery, to }] of attempted.entries()) {
      const state = states[at]
      if (state !== undefined) metrics?.deliverySettled(channel.id, state)
      if (state === 'sent') continue
      const { id: deliveryId, messageId, attempts } = delivery
      const fields = { deliveryId, messageId, channelId: channel.id, attempts, state, reason: to.reason }
      if (state === undefined) log.warn(fields, 'delivery: settled too late, another word counts')
      else log.warn({ ...fields, why: withoutAddresses(to.error ?? '') }, 'delivery: not sent')
    }
  }

  return {
    async loop() {
      while (!stopping.aborted) {
        try {
          if (!(await step())) await bell.wait(BEAT_MS)
        } catch (error) {
          log.error({ channelId: channel.id, why: whyOf(error) }, 'worker: carrying failed; trying again')
          // Not cut short by hints: they would make a lasting fault spin.
          await sleep(PAUSE_MS, undefined, { signal: stopping }).catch(() => {})
        }
      }
    },
    held: () => [...underWay].flatMap(({ claimed }) => claimed.map(({ id, lease }) => ({ id, lease }))),
    lost(ids) {
      for (const { claimed, call } of underWay) if (claimed.every(({ id }) => ids.has(id))) call?.abort()
    },
    async ended() {
      while (underWay.size > 0) await freed.wait(BEAT_MS)
    },
    abort() {
      for (const { call } of underWay) call?.abort()
    },
    isOpen: health.isOpen,
  }
}
