/** One call to a provider, bounded in time; whatever happens comes out as an outcome for each parcel. */
import type { Carrier, Outcome, Parcel } from './channel.ts'

/** After the deadline a carrier gets so long to say what it knows, e.g. that it never got through. */
const LAST_WORD_MS = 250

/** One call under way. */
export type Call = {
  outcomes: Promise<Outcome[]>
  /** Ends it: what has not gone out by now must not go out any more. */
  abort(): void
}

/** Sends these parcels (several: one message, as a batch); `outcomes` comes at the latest soon after `timeoutMs`, and never rejects. */
export function attempt(carrier: Carrier, parcels: readonly Parcel[], timeoutMs: number): Call {
  const ending = new AbortController()
  const { promise: outcomes, resolve } = Promise.withResolvers<Outcome[]>()
  const all = (outcome: Outcome) => resolve(parcels.map(() => outcome))
  let lastWord: NodeJS.Timeout | undefined
  // Called, not heard from the signal: a listener would cost as much as all the rest here.
  const giveUp = () => {
    ending.abort()
    const why = `no answer within ${timeoutMs} ms`
    lastWord ??= setTimeout(() => all({ outcome: 'retry', cause: 'ambiguous', why }), LAST_WORD_MS)
  }
  const deadline = setTimeout(giveUp, timeoutMs)
  const over = () => {
    clearTimeout(deadline)
    clearTimeout(lastWord)
  }
  send(carrier, parcels, ending.signal).then(
    (given) => {
      over()
      if (given.length === parcels.length) resolve(given)
      else all(MISCOUNTED)
    },
    (error: unknown) => {
      over()
      all({ outcome: 'retry', cause: 'ambiguous', why: wordsOf(error) })
    },
  )
  return { outcomes, abort: giveUp }
}

const MISCOUNTED: Outcome = {
  outcome: 'retry',
  cause: 'ambiguous',
  why: 'the provider told of another number of parcels',
}

async function send(carrier: Carrier, parcels: readonly Parcel[], signal: AbortSignal): Promise<Outcome[]> {
  const [only] = parcels
  if (parcels.length === 1 && only !== undefined) return [await carrier.send(only, signal)]
  if (carrier.batch === undefined) throw new Error('this provider takes one parcel at a time')
  return carrier.batch.send([...parcels], signal)
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
