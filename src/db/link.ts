/** One connection that is kept: made anew whenever it is lost or falls silent. LISTEN and Redis stand on it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { wordsOf, type DatabaseError } from './generation.ts'

/** How often the connection is asked whether it is there. */
const BEAT_MS = 1_000
/** Without an answer for this long it is taken for dead, also when its socket says nothing (half-open peer). */
const SILENCE_MS = 3_000
/** Before it is made anew. */
const PAUSE_MS = 300

export type Link = {
  /** Whether it answered when it was last asked. */
  isUp(): boolean
  close(): Promise<void>
}

type Kept = {
  /** Begins a connection, which may call `onLost` when it knows that it ended. Does not wait. */
  open(onLost: () => void): Connection
  /** It answers: for the first time, or anew after what came in between was missed. */
  onUp(): void
  /** It is lost, with why; or back, without. Said once each. */
  onNews(why?: string): void
  /** How long the start waits for the first answer or refusal; without it, until there is one. */
  patienceMs?: number
}
export type Connection = {
  /** Resolves when the peer answers; the first time, when it is ready for use. Asked again at every beat. */
  ask(): PromiseLike<unknown>
  /** Ends it at once, whatever is in flight. */
  destroy(): void
}

/** Keeps a connection for as long as it is not closed. Returns after the first try, or when the patience is over. */
export async function keepLink({ open, onUp, onNews, patienceMs }: Kept): Promise<Link> {
  const stop = new AbortController()
  const firstTry = Promise.withResolvers<void>()
  let isUp = false
  let isSaidToBeAway = false

  /** Keeps one connection until it is lost, and says why. */
  async function keep(): Promise<string> {
    const lost = new AbortController()
    const pause = { signal: AbortSignal.any([stop.signal, lost.signal]) }
    let connection: Connection | undefined
    try {
      connection = open(() => lost.abort())
      for (let isFirst = true; !pause.signal.aborted; isFirst = false) {
        await answer(connection.ask())
        if (isFirst && !pause.signal.aborted) begun()
        await sleep(BEAT_MS, undefined, pause).catch(() => {})
      }
      return 'the connection ended'
    } catch (error) {
      return wordsOf(error as DatabaseError)
    } finally {
      isUp = false
      connection?.destroy()
    }
  }

  function begun() {
    isUp = true
    if (isSaidToBeAway) onNews()
    isSaidToBeAway = false
    onUp()
    firstTry.resolve()
  }

  async function keepOn() {
    while (!stop.signal.aborted) {
      const why = await keep()
      if (!isSaidToBeAway && !stop.signal.aborted) onNews(why)
      isSaidToBeAway = true
      firstTry.resolve()
      await sleep(PAUSE_MS, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  const ended = keepOn()
  const patience = patienceMs === undefined ? [] : [sleep(patienceMs, undefined, { ref: false })]
  await Promise.race([firstTry.promise, ...patience])
  return {
    isUp: () => isUp,
    async close() {
      stop.abort()
      await ended
    },
  }
}

/** What `asked` comes to; an error when that takes too long. */
function answer(asked: PromiseLike<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const silence = setTimeout(() => reject(new Error('the connection fell silent')), SILENCE_MS)
    const end = (settle: () => void) => {
      clearTimeout(silence)
      settle()
    }
    asked.then(
      () => end(resolve),
      (error: unknown) => end(() => reject(error as Error)),
    )
  })
}
