/**
 * What the fake providers took, written down by them: every copy, from which process, and whether its answer was handed
 * over. And when each fault is due, by counting calls, so that every run has all of them.
 */

/** The `push` and the address tell which delivery it is, whatever key it comes under. */
export type Copy = {
  channelId: string
  /** The dedupe key that came with it. */
  key: string
  address: string
  push: string
  /** Equal for copies that are byte for byte the same. */
  hash: string
  /** The process that sent it. */
  node: string
  takenAt: number
  /** When the whole answer was with the network. Without it the answer is lost, since `lostAt`. */
  answeredAt?: number
  lostAt?: number
}

/** What a provider does to a call. From `slow` on it has taken what it carries; the last three never answer. */
export const FAULTS = ['busy', 'failing', 'halfway', 'slow', 'hang', 'lost', 'cut'] as const
export type Fault = (typeof FAULTS)[number]

/** Each so many calls; primes, so that they fall together seldom. */
const EVERY: Record<Exclude<Fault, 'hang'>, number> = {
  busy: 47,
  failing: 59,
  halfway: 67,
  slow: 61,
  lost: 71,
  cut: 83,
}
/** A hanging call takes a slot for as long as an attempt may last: so many on each channel. */
const HANGS = 6

/** Numbers stand for what a recipient is: one in so many is never reachable, or always busy (until it is dead). */
const NEVER = { every: 50, at: 7 }
const ALWAYS_BUSY = { every: 400, at: 11 }

export type Fate = 'never' | 'always busy' | 'usual'

/** What becomes of whatever is sent there: by the digits that made addresses end in. */
export function fateOf(address: string): Fate {
  const [, digits] = /^(?:\+86|p)138(\d{8})(?:@|$)/.exec(address) ?? []
  if (digits === undefined) return 'usual'
  const number = Number(digits)
  if (number % NEVER.every === NEVER.at) return 'never'
  return number % ALWAYS_BUSY.every === ALWAYS_BUSY.at ? 'always busy' : 'usual'
}

export type Ledger = ReturnType<typeof makeLedger>

/** `expected`: how many deliveries a channel will get. */
export function makeLedger(expected: number) {
  const copies: Copy[] = []
  const faults = new Map<string, number>()
  const calls = new Map<string, number>()
  const waiting: { isFor: (copy: Copy) => boolean; answers: (() => void)[]; copies: Copy[] }[] = []
  const hangEvery = Math.max(2, Math.floor(expected / HANGS))

  return {
    copies,
    /** How often each fault came, by channel and kind. */
    faults,
    /** The fault of the next call on that channel, if one is due. */
    next(channelId: string): Fault | undefined {
      const call = (calls.get(channelId) ?? 0) + 1
      calls.set(channelId, call)
      // The rarest first, or it would fall together with others and never come.
      const usual = Object.entries(EVERY).find(([, every]) => call % every === 0)?.[0] as Fault | undefined
      const due = call % hangEvery === 0 ? 'hang' : usual
      if (due !== undefined) faults.set(`${channelId} ${due}`, (faults.get(`${channelId} ${due}`) ?? 0) + 1)
      return due
    },
    take(copy: Omit<Copy, 'takenAt'>): Copy {
      const taken = { ...copy, takenAt: Date.now() }
      copies.push(taken)
      return taken
    },
    /** The connection is gone: an answer that has not left by now never will. */
    gone(copy: Copy) {
      if (copy.answeredAt === undefined) copy.lostAt ??= Date.now()
    },
    /** Answers at once, or when whoever holds such copies lets go. */
    answer(copy: Copy, answer: () => void) {
      const holding = waiting.find(({ isFor }) => isFor(copy))
      if (holding === undefined) return answer()
      holding.copies.push(copy)
      holding.answers.push(answer)
    },
    /** From now on such copies are taken, and answered only after `letGo`. */
    hold(isFor: (copy: Copy) => boolean) {
      const holding = { isFor, answers: [] as (() => void)[], copies: [] as Copy[] }
      waiting.push(holding)
      return {
        copies: holding.copies,
        /** Answers each so many of them; the others never. */
        letGo(every = 1) {
          waiting.splice(waiting.indexOf(holding), 1)
          for (const [at, answer] of holding.answers.entries()) if (at % every === 0) answer()
        },
      }
    },
  }
}
