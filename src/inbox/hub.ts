/** Who follows which inbox on this node, and what all of them share: the bells, the beat, the reading, the line at the start. */
import type { Logger } from 'pino'
import type { Person } from '../context.ts'
import type { Store } from '../db/client.ts'
import type { Hints } from '../hints/hints.ts'
import { openAdmission, type Admission } from './admission.ts'
import { startBeat } from './beat.ts'
import { Bell, type Bells } from './bell.ts'
import { openGuests, type Guests } from './guests.ts'
import { openReads, type Reads } from './reads.ts'

/** The doorbells of this node's connected users. */
export type Live = {
  watch(user: string): Bell
  /** Users with at least one subscriber here. */
  connected(): number
  /** Who has a socket or a stream open here, and leaves when he may not stay. */
  guests: Guests
  /** Through here passes whoever begins. */
  starts: Admission
  /** Through here reads whoever follows, all of them together. */
  reads: Reads
  close(): void
}

/** Hears the hint bus and, at a slow beat, the database itself, and rings the bells of those who moved. */
export function openLive({
  store,
  hints,
  log,
  mayStay,
}: {
  store: Store
  hints: Hints
  log: Logger
  mayStay: (person: Person) => Promise<boolean>
}): Live {
  const bells: Bells = new Map()
  const ring = (user: string) => {
    // One that closes when it is rung leaves the line.
    for (let bell = bells.get(user), next = bell?.next; bell !== undefined; bell = next, next = bell?.next) bell.ring()
  }
  const guests = openGuests(mayStay)
  const beat = startBeat({
    db: store.db,
    log,
    /** Once for each rev at which somebody stands; once who is only in. */
    *people() {
      for (const [user, first] of bells) {
        const revs = new Set<number>()
        for (let bell: Bell | undefined = first; bell !== undefined; bell = bell.next) revs.add(bell.reached)
        for (const after of revs) yield { user, after }
      }
      for (const user of guests.users()) if (!bells.has(user)) yield { user, after: null }
    },
    ring,
    doubt: guests.ask,
  })
  hints.on((hint) => {
    if (hint.kind === 'broadcast') void beat.look('broadcast')
    else if (hint.kind === 'gap') void beat.look('anything')
    else if (hint.kind === 'inbox') for (const user of hint.users) ring(user)
  })

  return {
    watch: (user) => new Bell(bells, user),
    connected: () => bells.size,
    guests,
    starts: openAdmission(),
    reads: openReads(store),
    close: beat.stop,
  }
}
