/** The limits that every channel may set behind the `#` of its URL, the same for all providers. */
import type { Limits } from './channel.ts'

type Rule = {
  sets: keyof Limits
  /** For the docs. */
  about: string
  example: string
  /** What to write, as the mistake says it. */
  takes: string
  /** In the unit of what it sets; undefined when it cannot be that. */
  read(text: string): number | undefined
}

/** More would be a queue in this process rather than in the database. */
const MOST_CONCURRENCY = 2_000
const MOST_RATE = 100_000
/** A lease is renewed for as long as that, but a person who waits for an SMS has gone by then. */
export const MOST_TIMEOUT_SECONDS = 120
const MOST_ATTEMPTS = 50

const SPAN_SECONDS: Record<string, number> = { s: 1, min: 60 }

export const limitRules = {
  concurrency: {
    sets: 'concurrency',
    example: 'concurrency=20',
    about: 'Calls under way at once, on each node.',
    takes: `a whole number from 1 to ${MOST_CONCURRENCY}`,
    read: whole(MOST_CONCURRENCY),
  },
  rate: {
    sets: 'rate',
    example: 'rate=100',
    about: 'Deliveries a second, over all nodes together; `20/min` counts by the minute.',
    takes: 'deliveries a second such as 100 or 5/s, or a minute such as 20/min',
    read(text) {
      const [, count = '', span = 's'] = /^(\d{1,9}(?:\.\d{1,9})?)(?:\/(s|min))?$/.exec(text) ?? []
      const rate = Number(count) / (SPAN_SECONDS[span] ?? 1)
      return rate > 0 && rate <= MOST_RATE ? rate : undefined
    },
  },
  timeout: {
    sets: 'timeoutSeconds',
    example: 'timeout=15',
    about: 'Seconds after which an attempt without an answer is given up.',
    takes: `seconds from 1 to ${MOST_TIMEOUT_SECONDS}`,
    read: whole(MOST_TIMEOUT_SECONDS),
  },
  attempts: {
    sets: 'attempts',
    example: 'attempts=8',
    about: 'Attempts until a delivery is dead.',
    takes: `a whole number from 1 to ${MOST_ATTEMPTS}`,
    read: whole(MOST_ATTEMPTS),
  },
} as const satisfies Record<string, Rule>

/**
 * Reads what stands behind the `#`: `concurrency=20&rate=20/min`. Mistakes say what to write, and nothing of what was
 * written under an unknown name: it may be the end of a password that has a `#` in it.
 */
export function readLimits(fragment: string, mistake: (message: string) => void): Partial<Limits> {
  const limits: Partial<Limits> = {}
  const pairs = [...new URLSearchParams(fragment)]
  if (pairs.length === 0) mistake(`has nothing behind its #; write ${EXAMPLE}, or leave the # out`)
  if (pairs.some(([name]) => !isLimit(name)))
    mistake(`has something behind its # that is no limit; write ${EXAMPLE}, or %23 for a # that belongs to the URL`)
  for (const [name, text] of pairs) {
    if (!isLimit(name)) continue
    const { sets, takes, read }: Rule = limitRules[name]
    const value = read(text)
    if (value === undefined) mistake(`has an unusable ${name}=${text} behind its #; write ${takes}`)
    else if (limits[sets] !== undefined) mistake(`has ${name} twice behind its #; write it once`)
    else limits[sets] = value
  }
  return limits
}

/** All of them, as they stand behind a URL. */
const EXAMPLE = `#${Object.values(limitRules)
  .map(({ example }) => example)
  .join('&')} (any of these)`

export function isLimit(name: string): name is keyof typeof limitRules {
  return Object.hasOwn(limitRules, name)
}

function whole(most: number) {
  return (text: string) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
    return value >= 1 && value <= most ? value : undefined
  }
}
