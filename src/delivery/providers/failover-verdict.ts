import type { Outcome, RetryCause } from '../channel.ts'

/** What a member said. `isKept`: it may have taken the delivery, now or at an earlier attempt. */
export type Said = { name: string; outcome: Outcome; isKept: boolean }

type Told<Kind extends Outcome['outcome']> = Said & { outcome: Extract<Outcome, { outcome: Kind }> }

/**
 * Which cause stands for all, the first that is there. One that may have taken the delivery must not be hidden; of the
 * others the one that promises the most.
 */
const CAUSES: RetryCause[] = ['ambiguous', 'temporary', 'throttled', 'unavailable']
/** Of all their words together so much is kept (words.ts); each gets its part. */
const WORDS_LENGTH = 480

/**
 * What comes of all that members said, with the words of each: sent if one has taken it; else another attempt if any of
 * them may take it then, as soon as the first may; else the first one's refusal. `isAnyones`: an earlier attempt may have
 * sent it through nobody knows whom, which whoever sends it now cannot undo but must not hide.
 */
export function verdict(said: readonly Said[], isAnyones: boolean): Outcome {
  const sent = said.find(is('sent'))
  if (sent !== undefined) {
    const kept = said.filter(({ isKept }) => isKept).map(({ name }) => name)
    const others = isAnyones ? [...kept, 'another member'] : kept
    const why = `may have been sent through ${others.join(' and ')} as well`
    return { ...sent.outcome, via: sent.name, ...(others.length === 0 ? {} : { why }) }
  }
  const why = wordsOf(said)
  const retries = said.filter(is('retry'))
  const refused = said.find(is('failed'))
  const [best] = retries.toSorted((a, b) => CAUSES.indexOf(a.outcome.cause) - CAUSES.indexOf(b.outcome.cause))
  if (best === undefined) {
    if (refused === undefined) throw new Error('nobody was asked')
    return { ...refused.outcome, why, via: refused.name }
  }
  const waits = retries.map(({ outcome }) => outcome.afterSeconds)
  const afterSeconds = waits.every((wait) => wait !== undefined) ? Math.min(...waits) : undefined
  return {
    outcome: 'retry',
    cause: causeOf(best),
    why,
    via: best.name,
    ...(afterSeconds === undefined ? {} : { afterSeconds }),
  }
}

/**
 * A delivery that is kept waits alone: who may have taken it is out of reach, and the channel is not, so that the channel
 * must not rest for it (carry.ts).
 */
function causeOf({ outcome: { cause }, isKept }: Told<'retry'>): RetryCause {
  return isKept && cause !== 'ambiguous' ? 'temporary' : cause
}

function wordsOf(said: readonly Said[]): string {
  const most = Math.floor(WORDS_LENGTH / said.length)
  return said
    .map(({ name, outcome: { why = '' } }) => `${name}: ${why}`)
    .map((words) => (words.length > most ? `${words.slice(0, most - 1)}…` : words))
    .join('; ')
}

function is<Kind extends Outcome['outcome']>(kind: Kind) {
  return (one: Said): one is Told<Kind> => one.outcome.outcome === kind
}
