/** The one session that a channel has with its carrier: opened when first needed, then kept, and opened again when lost. */
import type { CarrierLog, Outcome } from '../channel.ts'
import { LoginRefused, type Session } from './smpp-session.ts'

/** Pauses between attempts to connect double from the first to the longest. */
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 60_000
/** A session that stood so long was a good one: when it is lost, the next one is opened without a pause. */
const GOOD_SESSION_MS = 10_000

type Retry = Extract<Outcome, { outcome: 'retry' }>

export type Link = {
  /** The session, waited for while it is being opened, until `stop` at the latest, but not while attempts to open it pause. */
  session(stop: Promise<undefined>): Promise<Session | Retry>
  /** Opens it without waiting. */
  wake(): void
  close(): Promise<void>
}

type State =
  | { is: 'idle' | 'closed' }
  | { is: 'open'; session: Promise<Session | undefined> }
  | { is: 'paused'; until: number; timer: NodeJS.Timeout }

/** `open` opens a session that calls `lost` when it has ended, and gives up when `closing` aborts; `role` is for the log. */
export function keepLink(
  open: (lost: (why: string) => void, closing: AbortSignal) => Promise<Session>,
  log: CarrierLog,
  role: string,
): Link {
  const closing = new AbortController()
  let state: State = { is: 'idle' }
  let bound: Session | undefined
  let failures = 0
  let why = ''

  function start(): Promise<Session | undefined> {
    const session = opened()
    state = { is: 'open', session }
    return session
  }

  async function opened(): Promise<Session | undefined> {
    let boundAt = 0
    try {
      const session = await open((words) => {
        if (state.is === 'closed') return
        bound = undefined
        const isGood = performance.now() - boundAt >= GOOD_SESSION_MS
        if (isGood) failures = 0
        log.info({ role, why: words }, 'smpp: session lost; opening it again')
        fail(words, isGood ? 0 : pauseAfter(failures++))
      }, closing.signal)
      if (state.is === 'closed') {
        await session.close()
        return undefined
      }
      bound = session
      boundAt = performance.now()
      why = ''
      log.info({ role }, 'smpp: session bound')
      return bound
    } catch (error) {
      const { message } = error as Error
      if (closing.signal.aborted) return undefined
      // Once for each trouble, not for each attempt in it.
      if (message !== why) log.info({ role, why: message }, 'smpp: no session; trying again')
      fail(message, error instanceof LoginRefused ? LONGEST_PAUSE_MS : pauseAfter(failures++))
      return undefined
    }
  }

  function fail(words: string, pause: number) {
    why = words
    if (state.is === 'closed') return
    if (pause === 0) return void start()
    const timer = setTimeout(() => void start(), pause)
    state = { is: 'paused', until: performance.now() + pause, timer }
  }

  function unavailable(): Retry {
    const left = state.is === 'paused' ? Math.ceil((state.until - performance.now()) / 1_000) : 0
    const later = left > 0 ? { afterSeconds: left } : {}
    return { outcome: 'retry', cause: 'unavailable', why: `no session with the SMSC: ${why || 'none yet'}`, ...later }
  }

  return {
    async session(stop) {
      if (state.is === 'closed' || state.is === 'paused') return unavailable()
      // First of the two, so that nothing goes out once nobody waits.
      return (await Promise.race([stop, state.is === 'open' ? state.session : start()])) ?? unavailable()
    },
    wake() {
      if (state.is === 'idle') void start()
    },
    async close() {
      const last = state
      state = { is: 'closed' }
      if (last.is === 'paused') clearTimeout(last.timer)
      await bound?.close()
      closing.abort()
    },
  }
}

function pauseAfter(failures: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS)
}
