/**
 * The worker of a node: fans out messages that are due and carries deliveries, each channel in a loop of its own. The
 * loops wake on a hint, and on a slow beat without one; they sleep only when nothing is due.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../context.ts'
import { makeBell, type Bell } from './bell.ts'
import { carry } from './carry.ts'
import { moveOn } from '../inbox/clock.ts'
import { fireDue } from './due.ts'
import { fanOutNext } from './fan-out.ts'
import { renew } from './leases.ts'
import { LEASE_SECONDS } from './queue.ts'
import { takeBackNext } from './recall.ts'
import { tidy } from './tidy.ts'
import { whyOf } from './words.ts'

/** How soon messages are found that another node took on: this node's own, and what it knew of before, start in time. */
const BEAT_MS = 500
/** Between two looks for messages of which the first found nothing: every push with a delivery rings, hundreds a second. */
const LOOK_GAP_MS = 20
/** Nothing more to do, until rung. */
const NO_BEAT_MS = 3_600_000
/** After trouble with the database. */
const PAUSE_MS = 1_000
const RENEW_MS = (LEASE_SECONDS * 1_000) / 3
const TIDY_MS = 2_000
/** How late an item may wake or go, and a little more. */
const CLOCK_MS = 500
/** At a stop, attempts under way get so long to end before they are cut off. */
const DRAIN_MS = 10_000

export type Worker = {
  /** Claims nothing more, and lets attempts under way end or cuts them off after 10 s; what was not begun is given back. */
  stop(): Promise<void>
  /** Channels whose provider is left alone for a while, because it did not answer. */
  openCircuits(): string[]
}

export function startWorker(context: Context): Worker {
  const { db, log, hints, channels } = context
  const stopping = new AbortController()
  const bells: Bell[] = []
  const newBell = () => {
    const bell = makeBell()
    bells.push(bell)
    return bell
  }
  const ring = () => {
    for (const bell of bells) bell.ring()
  }
  hints.on((hint) => {
    if (hint.kind === 'work' || hint.kind === 'gap') ring()
  })

  /** Repeats `step`; between two it waits for the bell, or as long as the step said. */
  async function loop(name: string, bell: Bell, step: () => Promise<number>) {
    while (!stopping.signal.aborted) {
      try {
        const waitMs = await step()
        if (waitMs > 0) await bell.wait(waitMs)
      } catch (error) {
        log.error({ why: whyOf(error) }, `worker: ${name} failed; trying again`)
        // Not cut short by hints: they would make a lasting fault spin.
        await sleep(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  // What the inbox shows is put there by fan-out itself.
  const outbound = [...channels.values()].filter(({ kind }) => kind !== 'site')
  for (const { carrier } of outbound) carrier.wake?.()
  const carrying = outbound.map((channel) => ({
    id: channel.id,
    ...carry(context, channel, newBell(), stopping.signal),
  }))

  /** A process that was stopped for a while finds here that others have taken its rows. */
  async function renewLeases(): Promise<void> {
    const mine = carrying.flatMap(({ held }) => held())
    if (mine.length === 0) return
    const still = await renew(db, mine)
    const gone = new Set(mine.map(({ id }) => id).filter((id) => !still.has(id)))
    for (const { lost } of carrying) lost(gone)
  }

  /** While a slow database is at one, the next would only wait for the same rows. */
  let isRenewing = false
  async function beat(): Promise<void> {
    if (isRenewing) return
    isRenewing = true
    await renewLeases().catch((error) => log.warn({ why: whyOf(error) }, 'worker: leases not renewed; trying again'))
    isRenewing = false
  }

  const configured = outbound.map(({ id }) => id)
  const clock = makeBell()
  // Rung by the look, and only when there is something.
  const large = makeBell()
  const recalls = makeBell()

  async function lookAtClock(): Promise<number> {
    const users = await moveOn(db)
    if (users.length > 0) hints.send({ kind: 'inbox', users })
    return users.length > 0 ? 0 : CLOCK_MS
  }

  /** One look tells the three loops that move messages what there is, so that idle they cost the database no more than one. */
  let emptyLookAt = -Infinity
  async function fire(): Promise<number> {
    const gapMs = emptyLookAt + LOOK_GAP_MS - performance.now()
    if (gapMs > 0) await sleep(gapMs)
    const { foundAny, hasLarge, hasRecall, nextInSeconds = Infinity } = await fireDue(context)
    if (hasLarge) large.ring()
    if (hasRecall) recalls.ring()
    if (!foundAny) emptyLookAt = performance.now()
    return foundAny ? 0 : Math.min(BEAT_MS, Math.ceil(nextInSeconds * 1_000))
  }

  const loops = [
    loop('due messages', newBell(), fire),
    loop('fan-out', large, async () => ((await fanOutNext(context)) ? 0 : NO_BEAT_MS)),
    loop('recalls', recalls, async () => ((await takeBackNext(context)) ? 0 : NO_BEAT_MS)),
    loop('tidying', newBell(), async () => ((await tidy(db, configured)) > 0 ? 0 : TIDY_MS)),
    // No hint tells of it: rung only at the stop, so that work elsewhere costs nothing here.
    loop('clock', clock, lookAtClock),
    ...carrying.map((one) => one.loop()),
  ]
  const renewing = setInterval(() => void beat(), RENEW_MS)

  return {
    async stop() {
      stopping.abort()
      ring()
      for (const bell of [clock, large, recalls]) bell.ring()
      await Promise.all(loops)
      const cutOff = setTimeout(() => {
        for (const one of carrying) one.abort()
      }, DRAIN_MS)
      await Promise.all(carrying.map((one) => one.ended()))
      clearTimeout(cutOff)
      clearInterval(renewing)
    },
    openCircuits: () => carrying.filter((one) => one.isOpen()).map(({ id }) => id),
  }
}
