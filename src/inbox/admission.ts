/**
 * Who begins to follow an inbox asks more of the database than everything after: where it stands, what of broadcasts is
 * missing, a snapshot or what was missed. After a restart everybody begins at once; so few ask at a time, in the order
 * in which they came, and pushes and queries find room between them.
 */

/** Of the ten connections to the database the others stay free for pushes, deliveries and queries. */
const AT_ONCE = 4

export type Admission = {
  /** Runs `act` when its turn has come and gives what it gives; undefined, without running it, for one who has left by then. */
  admit<Found>(act: () => Promise<Found>, hasLeft?: () => boolean): Promise<Found | undefined>
  /** How many wait for their turn. */
  waiting(): number
}

export function openAdmission(atOnce = AT_ONCE): Admission {
  let inside = 0
  const line = new Set<() => void>()

  function admitNext() {
    for (const go of line) {
      if (inside === atOnce) return
      inside++
      line.delete(go)
      go()
    }
  }

  return {
    async admit(act, hasLeft = () => false) {
      await new Promise<void>((resolve) => {
        line.add(resolve)
        admitNext()
      })
      try {
        return hasLeft() ? undefined : await act()
      } finally {
        inside--
        // The embedded database answers without a turn of the event loop: what else came in is to be heard in between.
        setImmediate(admitNext)
      }
    },
    waiting: () => line.size,
  }
}
