/** What the SMS interfaces of the clouds have in common: several numbers in one call, and codes that say what came of it. */
import type { Outcome, Parcel, RetryCause } from '../channel.ts'
import { hide } from './http-status.ts'

const MAINLAND = '+86'
/** The id of a call for several deliveries is their message's; these tell it from one delivery's, and its numbers' form. */
const OF_SEVERAL = 'm-'
const OF_SEVERAL_ABROAD = 'g-'

/** One SMS: to whom (E.164), and all that the numbers of one call have in common. */
export type Sms<Words> = { number: string; words: Words }

/** One call: its numbers, each once, and the id that the provider keeps with it. */
export type Order<Words> = { numbers: string[]; words: Words; id: string }

/** What the call came to for one of its numbers. */
export type OutcomeOf = (number: string) => Outcome

/** Whether a number (E.164) is one of the Chinese mainland. */
export function isMainland(number: string): boolean {
  return number.startsWith(MAINLAND)
}

/**
 * Sends what has the same words in one call, and gives an outcome for each parcel, in order. Mainland and other numbers
 * never share one: Tencent refuses it, and Aliyun's templates are for the one or the other. A number that several parcels
 * have is named once, and its outcome is theirs: the same words twice to one phone are what both clouds hold back.
 */
export async function sendTogether<Words>(
  parcels: Parcel[],
  read: (parcel: Parcel) => Sms<Words> | Outcome,
  call: (order: Order<Words>) => Promise<OutcomeOf>,
): Promise<Outcome[]> {
  const each = parcels.map((parcel) => ({ parcel, sms: read(parcel) }))
  const groups = new Map<string, { parcels: Parcel[]; numbers: Set<string>; words: Words }>()
  for (const { parcel, sms } of each) {
    if ('outcome' in sms) continue
    const key = keyOf(sms)
    const group = groups.get(key) ?? { parcels: [], numbers: new Set(), words: sms.words }
    group.parcels.push(parcel)
    groups.set(key, { ...group, numbers: group.numbers.add(sms.number) })
  }
  const calls = new Map<string, OutcomeOf>()
  // One after the other: a channel may have only so many calls under way, and this counts as one of them.
  for (const [key, group] of groups) {
    const numbers = [...group.numbers]
    calls.set(key, await call({ numbers, words: group.words, id: idOf(group.parcels, numbers) }))
  }
  return each.map(({ sms }): Outcome => {
    if ('outcome' in sms) return sms
    return calls.get(keyOf(sms))?.(sms.number) ?? { outcome: 'retry', cause: 'ambiguous', why: 'is in no call' }
  })
}

function keyOf<Words>({ number, words }: Sms<Words>): string {
  return JSON.stringify([isMainland(number), words])
}

function idOf([parcel, ...others]: Parcel[], numbers: string[]): string {
  if (others.length === 0) return parcel?.id ?? ''
  return (numbers.every(isMainland) ? OF_SEVERAL : OF_SEVERAL_ABROAD) + parcel?.messageId
}

/** What an id tells that came back: the delivery it is of, or else whether the numbers of its call are from abroad. */
export function readId(id: string): { deliveryId: string } | { isAbroad: boolean } {
  return /^[0-9a-f]{32}$/.test(id) ? { deliveryId: id } : { isAbroad: id.startsWith(OF_SEVERAL_ABROAD) }
}

/** What an answer may repeat and nobody is to read: keys of ours, and these numbers (E.164) however they are written. */
export function secretsOf(keys: readonly string[], numbers: readonly string[]): string[] {
  const written = numbers.flatMap((number) => [
    number,
    number.slice(1),
    ...(isMainland(number) ? [number.slice(MAINLAND.length)] : []),
  ])
  return [...keys, ...written]
    .flatMap((secret) => [secret, encodeURIComponent(secret)])
    .toSorted((a, b) => b.length - a.length)
}

/** An outcome whose words are without these. */
export function without(outcome: Outcome, hidden: readonly string[]): Outcome {
  return outcome.why === undefined ? outcome : { ...outcome, why: hide(outcome.why, hidden) }
}

/** What codes that fit mean; `advice` stands instead of the provider's words where those repeat the request. */
export type Meaning = { code: RegExp; cause: RetryCause; advice?: string }

/** The outcome of a code that is no success: by the first meaning that fits, and final when there is none. */
export function outcomeOf(
  code: string,
  message: string | undefined,
  meanings: Meaning[],
  afterSeconds: number | undefined,
): Outcome {
  const { cause, advice } = meanings.find((meaning) => meaning.code.test(code)) ?? {}
  const why = `${code}: ${advice ?? message ?? ''}`
  if (cause === undefined) return { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
  return { outcome: 'retry', cause, why, ...(afterSeconds === undefined ? {} : { afterSeconds }) }
}

/**
 * A call for several numbers that was refused whole, be it for one of them: nothing of it was taken, and since retries
 * go out alone, each gets an answer of its own at once.
 */
export function eachAlone(refusal: Exclude<Outcome, { outcome: 'sent' }>): Outcome {
  return { outcome: 'retry', cause: 'temporary', why: refusal.why, afterSeconds: 0 }
}
