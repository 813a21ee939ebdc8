/** Who follows which inbox on this node, and what all of them share: the bells, the beat, the reading, the line at the start. */
import type { Logger } from 'pino'
import type { Store } from '../db/client.ts'
import type { Hints } from '../hints/hints.ts'
import { openAdmission, type Admission } from './admission.ts'
import { startBeat } from './beat.ts'
import { openReads, type Reads } from './reads.ts'

/** The doorbells of this node's connected users. */
export type Live = {
  watch(user: string): Bell
  /** Users with at least one subscriber here. */
  connected(): number
  /** Through here passes whoever begins. */
  starts: Admission
  /** Through here reads whoever follows, all of them together. */
  reads: Reads
  close(): void
}

/** Rings when the user's inbox may have moved. Rings that nobody waited for are remembered as one. */
export type Bell = {
  /** The rev its subscriber has got to: the beat rings it when the inbox stands elsewhere. */
  reached: number
  /** Waits for a ring, for the closing, or for so long. */
  rung(milliseconds?: number): Promise<void>
  /** Instead of waiting: acts at every ring and at the closing, and at once if it has rung. Undefined: no more. */
  onRing(act: (() => void) | undefined): void
  ring(): void
  close(): void
  /** Set by `close` alone. No getter: with one V8 keeps every bell as a hash table, a third of a KiB more. */
  closed: boolean
}

/** Hears the hint bus and, at a slow beat, the database itself, and rings the bells of those who moved. */
export function openLive({ store, hints, log }: { store: Store; hints: Hints; log: Logger }): Live {
  const bells = new Map<string, Bell[]>()
  const ring = (user: string) => {
    for (const bell of bells.get(user) ?? []) bell.ring()
  }
  const beat = startBeat({
    db: store.db,
    log,
    /** Once for each rev at which somebody stands. */
    *people() {
      for (const [user, some] of bells)
        for (const after of new Set(some.map(({ reached }) => reached))) yield { user, after }
    },
    ring,
  })
  hints.on((hint) => {
    if (hint.kind === 'broadcast') void beat.look('broadcast')
    else if (hint.kind === 'gap') void beat.look('anything')
    else if (hint.kind === 'inbox') for (const user of hint.users) ring(user)
  })

  return {
    watch(user) {
      const bell = newBell(() => {
        const others = bells.get(user)?.filter((one) => one !== bell) ?? []
        if (others.length > 0) bells.set(user, others)
        else bells.delete(user)
      })
      bells.set(user, [...(bells.get(user) ?? []), bell])
      return bell
    },
    connected: () => bells.size,
    starts: openAdmission(),
    reads: openReads(store),
    close: beat.stop,
  }
}

function newBell(onClose: () => void): Bell {
  let hasRung = false
  let isHeard = false
  let wake = () => {}
  const bell: Bell = {
    reached: 0,
    closed: false,
    async rung(milliseconds) {
      if (!hasRung && !bell.closed) {
        await new Promise<void>((resolve) => {
          const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      hasRung = false
    },
    onRing(act) {
      wake = act ?? (() => {})
      isHeard = act !== undefined
      if (hasRung || bell.closed) act?.()
      hasRung = false
    },
    ring() {
      hasRung = !isHeard
      wake()
    },
    close() {
      if (bell.closed) return
      bell.closed = true
      onClose()
      wake()
    },
  }
  return bell
}
