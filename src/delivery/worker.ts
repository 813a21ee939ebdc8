/** The worker of a node: fans out messages that are due and carries deliveries. Wakes on a hint, and on a beat without one. */
import { randomUUIDv7 } from 'node:crypto'
import type { Context } from '../context.ts'
import type { Outcome } from './channel.ts'
import { fanOutNext } from './fan-out.ts'
import { after, claim, giveBack, MAX_ATTEMPTS, settle, type Claimed } from './queue.ts'

/** How late scheduled work may start when no hint comes. */
const BEAT_MS = 500
/** Attempts under way at once on a node. */
const CONCURRENCY = 10
/** An attempt longer than this counts as unanswered; below the lease (queue.ts). */
const ATTEMPT_MS = 25_000
/** After trouble with the database. */
const PAUSE_MS = 1_000

export type Worker = {
  /** Claims nothing more, lets attempts under way end, gives back what was not begun. */
  stop(): Promise<void>
}

/** Starts working; both loops sleep only when nothing is due. */
export function startWorker(context: Context): Worker {
  const { log, hints, db } = context
  const lease = randomUUIDv7()
  let stopping = false
  const sleepers = new Set<() => void>()
  const wake = () => {
    for (const sleeper of sleepers) sleeper()
  }
  const sleep = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer)
        sleepers.delete(done)
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      sleepers.add(done)
    })
  hints.on((hint) => {
    if (hint.kind === 'work' || hint.kind === 'gap') wake()
  })

  /** Repeats `step` while it finds work. */
  async function loop(name: string, step: () => Promise<boolean>) {
    while (!stopping) {
      try {
        if (!(await step())) await sleep(BEAT_MS)
      } catch (error) {
        log.error({ err: error }, `worker: ${name} failed; trying again`)
        await sleep(PAUSE_MS)
      }
    }
  }

  const underWay = new Set<Promise<void>>()
  async function carrySome(): Promise<boolean> {
    const claimed = await claim(db, lease, CONCURRENCY - underWay.size)
    for (const delivery of claimed) {
      const attempt = carry(context, delivery)
        .catch((error) => log.error({ err: error, deliveryId: delivery.id }, 'worker: a delivery could not be settled; its lease will run out'))
        .finally(() => underWay.delete(attempt))
      underWay.add(attempt)
    }
    if (underWay.size >= CONCURRENCY) await Promise.race(underWay)
    return claimed.length > 0
  }

  const loops = [loop('fan-out', () => fanOutNext(context)), loop('carrying', carrySome)]
  return {
    async stop() {
      stopping = true
      wake()
      await Promise.all(loops)
      await Promise.all(underWay)
      await giveBack(db, lease).catch(() => {})
    },
  }
}

/** One attempt: send, then settle by its outcome. */
async function carry(context: Context, delivery: Claimed): Promise<void> {
  // Attempts count from the claim, so that a delivery which kills its worker comes to an end as well.
  const isPoison = delivery.attempts > MAX_ATTEMPTS
  const outcome: Outcome = isPoison ? { outcome: 'retry', why: 'no worker survived it' } : await attempt(context, delivery)
  const settlement = after(outcome, delivery.attempts)
  const mine = await settle(context.db, delivery, settlement)
  const fields = { deliveryId: delivery.id, messageId: delivery.messageId, channelId: delivery.channelId, attempts: delivery.attempts }
  if (!mine) context.log.warn(fields, 'delivery: settled too late, another worker has it')
  else if (settlement.state === 'sent') context.log.debug(fields, 'delivery: sent')
  else context.log.warn({ ...fields, state: settlement.state, why: settlement.error }, 'delivery: not sent')
}

async function attempt({ channels }: Context, delivery: Claimed): Promise<Outcome> {
  const channel = channels.get(delivery.channelId)
  if (channel === undefined) return { outcome: 'failed', reason: 'NO_CHANNEL', why: `channel ${delivery.channelId} is not configured` }
  let timer: NodeJS.Timeout | undefined
  const noAnswer = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => resolve({ outcome: 'retry', why: `no answer within ${ATTEMPT_MS} ms` }), ATTEMPT_MS)
  })
  try {
    return await Promise.race([channel.carrier.send(delivery), noAnswer])
  } catch (error) {
    return { outcome: 'retry', why: (error as Error).message }
  } finally {
    clearTimeout(timer)
  }
}
