import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from './connect.ts'
import { wordsOf, type DatabaseError } from './generation.ts'

/** How often the connection is asked whether it is there. */
const BEAT_MS = 1_000
/** Without an answer for this long it is taken for dead, also when its socket says nothing (half-open peer). */
const SILENCE_MS = 3_000
/** Before it is made anew. */
const PAUSE_MS = 300
/** Also the question: asking twice does no harm. */
const LISTEN = 'listen posthouse'

type Hearing = {
  onPayload: (payload: string) => void
  /** Notices may have been missed: hearing starts, for the first time or anew. */
  onGap: () => void
  onNews: (what: string) => void
}

/**
 * Hears NOTIFY on one connection of its own, and makes that connection anew whenever it is lost or falls silent. Returns
 * after the first try. Notices sent in between are lost for good, which `onGap` tells.
 */
export async function listen(url: string, { onPayload, onGap, onNews }: Hearing): Promise<() => Promise<void>> {
  const stop = new AbortController()
  const firstTry = Promise.withResolvers<void>()
  let isHearing = true

  /** Hears until the connection is lost, and says why. */
  async function hear(): Promise<string> {
    const lost = new AbortController()
    const client = connect(url, { max: 1, statementTimeoutMs: 0, onNotify: onPayload, onClose: () => lost.abort() })
    const pause = { signal: AbortSignal.any([stop.signal, lost.signal]) }
    try {
      for (let isFirst = true; !pause.signal.aborted; isFirst = false) {
        await answer(client.sql.unsafe(LISTEN))
        if (isFirst) begun()
        await sleep(BEAT_MS, undefined, pause).catch(() => {})
      }
      return 'the connection ended'
    } catch (error) {
      return wordsOf(error as DatabaseError)
    } finally {
      client.destroy()
    }
  }

  function begun() {
    if (!isHearing) onNews('hears notices again')
    isHearing = true
    onGap()
    firstTry.resolve()
  }

  async function keepHearing() {
    while (!stop.signal.aborted) {
      const why = await hear()
      if (isHearing && !stop.signal.aborted) onNews(`hears no notices: ${why}`)
      isHearing = false
      firstTry.resolve()
      await sleep(PAUSE_MS, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  const ended = keepHearing()
  await firstTry.promise
  return async () => {
    stop.abort()
    await ended
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
