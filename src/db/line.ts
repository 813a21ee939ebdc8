import { unavailable } from './generation.ts'

/** Under load: who has waited this long for a place is told to come back. */
const WAIT_MS = 2_500
/** While the database is away it may be back any moment, but a caller is to have an answer within 3 s. */
const WAIT_FOR_RETURN_MS = 700

export type Line = {
  /** Waits for a place and gives the way out of it; refuses as UNAVAILABLE who has waited too long. */
  enter(): Promise<() => void>
  /** Lets nobody in until `open`: the database is away, and may be back before the wait is over. */
  hold(): void
  open(): void
}

type Waiter = { go: () => void; refuse: () => void; since: number; timer: NodeJS.Timeout | undefined }

/** A line with `places` inside at once; the others wait in the order they came. */
export function waitingLine(places: number): Line {
  const waiting = new Set<Waiter>()
  let isHeld = false

  function admit() {
    for (const waiter of waiting) {
      if (isHeld || places === 0) return
      waiting.delete(waiter)
      clearTimeout(waiter.timer)
      places--
      waiter.go()
    }
  }
  function leave() {
    places++
    admit()
  }
  /** Refuses the waiter when it will have waited so long. */
  function limit(waiter: Waiter, milliseconds: number) {
    clearTimeout(waiter.timer)
    waiter.timer = setTimeout(
      () => {
        waiting.delete(waiter)
        waiter.refuse()
      },
      waiter.since + milliseconds - performance.now(),
    )
  }
  return {
    enter() {
      if (!isHeld && places > 0) {
        places--
        return Promise.resolve(leave)
      }
      return new Promise((resolve, reject) => {
        const refuse = () => reject(unavailable(isHeld ? 'away' : `no free connection within ${WAIT_MS} ms`))
        const waiter: Waiter = { go: () => resolve(leave), refuse, since: performance.now(), timer: undefined }
        limit(waiter, isHeld ? WAIT_FOR_RETURN_MS : WAIT_MS)
        waiting.add(waiter)
      })
    },
    hold() {
      isHeld = true
      for (const waiter of waiting) limit(waiter, WAIT_FOR_RETURN_MS)
    },
    open() {
      isHeld = false
      admit()
    },
  }
}
