/** The worker of a node: fans out messages that are due and carries deliveries. Wakes on a hint, and on a beat without one. */
import { randomUUIDv7 } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../context.ts'
import type { Outcome } from './channel.ts'
import { fanOutNext } from './fan-out.ts'
import { after, claim, giveBack, MAX_ATTEMPTS, settle, TOO_OLD, type Claimed, type Settlement } from './queue.ts'

/** How late scheduled work may start when no hint comes. */
const BEAT_MS = 500
/** Attempts under way at once on a node. */
const CONCURRENCY = 10
/** An attempt longer than this counts as unanswered. The lease (queue.ts) leaves time for claiming and settling around it. */
const ATTEMPT_MS = 20_000
/** After trouble with the database. */
const PAUSE_MS = 1_000
/** What has been sent should not be sent again because the database was away for a moment when it was to be noted. */
const SETTLE_TRIES = 3

export type Worker = {
  /** Claims nothing more, lets attempts under way end (none takes longer than ATTEMPT_MS), gives back what was not begun. */
  stop(): Promise<void>
}

/** Starts working; both loops sleep only when nothing is due. An attempt that takes longer than `attemptMs` is given up. */
export function startWorker(context: Context, attemptMs = ATTEMPT_MS): Worker {
  const { log, hints, db } = context
  const stopping = new AbortController()
  const bells = { fanOut: makeBell(), carrying: makeBell() }
  const ring = () => {
    for (const bell of Object.values(bells)) bell.ring()
  }
  hints.on((hint) => {
    if (hint.kind === 'work' || hint.kind === 'gap') ring()
  })

  /** Repeats `step` while it finds work. */
  async function loop(name: string, bell: Bell, step: () => Promise<boolean>) {
    while (!stopping.signal.aborted) {
      try {
        if (!(await step())) await bell.wait(BEAT_MS)
      } catch (error) {
        log.error({ why: whyOf(error) }, `worker: ${name} failed; trying again`)
        // Not cut short by hints: they would make a lasting fault spin.
        await sleep(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  const underWay = new Set<Promise<void>>()
  async function carrySome(): Promise<boolean> {
    // One lease a claim: were it one a worker, a late attempt of its own could pass for the holder.
    const lease = randomUUIDv7()
    const claimed = await claim(db, lease, CONCURRENCY - underWay.size).catch(async (error) => {
      // It may have been made all the same.
      await giveBack(db, lease).catch(() => {})
      throw error
    })
    if (stopping.signal.aborted) {
      await giveBack(db, lease)
      return false
    }
    for (const delivery of claimed) {
      const attempt = carry(context, delivery, attemptMs)
        .catch((error) =>
          log.error({ deliveryId: delivery.id, why: whyOf(error) }, 'worker: not settled; the lease will run out'),
        )
        .finally(() => underWay.delete(attempt))
      underWay.add(attempt)
    }
    if (underWay.size >= CONCURRENCY) await Promise.race(underWay)
    return claimed.length > 0
  }

  const loops = [loop('fan-out', bells.fanOut, () => fanOutNext(context)), loop('carrying', bells.carrying, carrySome)]
  return {
    async stop() {
      stopping.abort()
      ring()
      await Promise.all(loops)
      await Promise.all(underWay)
    },
  }
}

type Bell = ReturnType<typeof makeBell>

/** Waits a while, or until rung; a ring that comes while nobody waits cuts the next wait short. */
function makeBell() {
  let isRung = false
  let wake = () => {}
  return {
    ring() {
      isRung = true
      wake()
    },
    async wait(milliseconds: number) {
      if (!isRung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      isRung = false
    },
  }
}

/** One attempt: send, then settle by its outcome. */
async function carry(context: Context, delivery: Claimed, attemptMs: number): Promise<void> {
  const settlement = await settlementOf(context, delivery, attemptMs)
  const isMine = await settleSurely(context, delivery, settlement)
  const { id: deliveryId, messageId, channelId, attempts } = delivery
  const fields = { deliveryId, messageId, channelId, attempts, state: settlement.state }
  if (!isMine) context.log.warn(fields, 'delivery: settled too late, another worker has it')
  else if (settlement.state === 'sent') context.log.debug(fields, 'delivery: sent')
  else
    context.log.warn(
      { ...fields, reason: settlement.reason, why: hideAddresses(settlement.error ?? '') },
      'delivery: not sent',
    )
}

async function settlementOf(context: Context, delivery: Claimed, attemptMs: number): Promise<Settlement> {
  if (delivery.isTooOld) return TOO_OLD
  // Attempts count from the claim, so that a delivery which kills its worker comes to an end as well.
  if (delivery.attempts > MAX_ATTEMPTS)
    return after({ outcome: 'retry', why: 'no worker survived it' }, delivery.attempts)
  return after(await attempt(context, delivery, attemptMs), delivery.attempts)
}

async function settleSurely({ db }: Context, delivery: Claimed, settlement: Settlement): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      return await settle(db, delivery, settlement)
    } catch (error) {
      if (tries === SETTLE_TRIES) throw error
      await sleep(PAUSE_MS)
    }
  }
}

async function attempt({ channels }: Context, delivery: Claimed, attemptMs: number): Promise<Outcome> {
  const channel = channels.get(delivery.channelId)
  // A channel's settings may have changed since the message was accepted.
  if (channel?.kind !== delivery.kind) {
    const why =
      channel === undefined ? 'is not configured' : `carries ${channel.kind} now, and this is ${delivery.kind}`
    return { outcome: 'failed', reason: 'NO_CHANNEL', why: `channel ${delivery.channelId} ${why}` }
  }
  const deadline = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const noAnswer = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => {
      resolve({ outcome: 'retry', why: `no answer within ${attemptMs} ms` })
      deadline.abort()
    }, attemptMs)
  })
  try {
    return await Promise.race([channel.carrier.send(delivery, deadline.signal), noAnswer])
  } catch (error) {
    return { outcome: 'retry', why: (error as Error).message }
  } finally {
    clearTimeout(timer)
  }
}

/** What went wrong at the root: an error around it may carry the statement with its parameters, addresses among them. */
function whyOf(error: unknown): string {
  const { cause, stack } = error as Error
  return cause instanceof Error ? whyOf(cause) : hideAddresses(stack ?? String(error))
}

/** Providers repeat in their answers whom the delivery was for. */
function hideAddresses(text: string): string {
  return text.replace(/[^\s/]+@[^\s/]+|\+?\d{7,}/g, '[hidden]')
}
