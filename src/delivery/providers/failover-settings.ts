import { z } from 'zod'
import type { ChannelUrl, Limits, Provider } from '../channel.ts'
import { readChannelUrl, type Described } from '../channel-url.ts'
import type { ContentKind } from '../content.ts'
import { MOST_TIMEOUT_SECONDS } from '../limits.ts'

export type Member = Omit<Described, 'given'> & {
  /** Its scheme, and from the second of that scheme on its number: `aliyun`, `aliyun 2`. */
  name: string
}

export type FailoverSettings = {
  members: Member[]
  /** What all of them can carry. */
  kinds: ContentKind[]
  /** Whether the next member is asked when one may have taken a delivery. */
  goesOn: boolean
}

const NESTED = /(?:^|,)\s*failover\(/i
const FORM = 'failover(first, second), each the URL of a channel'

/** Reads the members, each the URL of one of `providers`. */
export const failoverSettings = (providers: readonly Provider[]) =>
  z.custom<ChannelUrl>().transform((url, context): FailoverSettings => {
    let isFine = true
    const mistake = (message: string) => {
      isFine = false
      context.addIssue({ code: 'custom', message })
    }
    if (NESTED.test(url.path)) mistake('has a failover inside of another; write all members in one list')
    const texts = isFine ? split(url.path, providers) : []
    if (isFine && texts.length < 2) mistake(`has fewer than two members; write ${FORM}`)
    const { ambiguous, ...unknown } = url.query
    if (Object.keys(unknown).length > 0 || (ambiguous !== undefined && ambiguous !== 'next'))
      mistake('has something unknown behind its #; write ambiguous=next, or limits such as rate=100, or nothing')

    const members = texts.flatMap((text, at) => {
      const inMember = (message: string) => mistake(`in its member ${at + 1} ${message}`)
      const member = readChannelUrl(text, providers, inMember)
      if (member === undefined) return []
      if (member.kinds.every((kind) => kind === 'site'))
        inMember(`has ${member.scheme}:, which sends nothing; leave it out, and make it a channel of its own`)
      for (const name of Object.keys(member.given).filter((name) => name !== 'timeoutSeconds'))
        inMember(`limits its ${name}, which only the whole has; write it behind the closing parenthesis`)
      return [member]
    })

    const keys = members.map(({ provider, settings }) => provider.callbackKey?.(settings))
    for (const [at, key] of keys.entries()) {
      const first = keys.indexOf(key)
      if (key === undefined || first === at) continue
      // All callbacks come to one address, where the key alone tells whose they are.
      mistake(
        `has the same callback key in its members ${first + 1} and ${at + 1}, so that the one would take the other's ` +
          'receipts; write a key of its own for each, e.g. what `openssl rand -hex 16` gives',
      )
    }

    const kinds = members[0]?.kinds.filter((kind) => members.every((member) => member.kinds.includes(kind))) ?? []
    if (isFine && kinds.length === 0) {
      const each = members.map(({ scheme, kinds }) => `${scheme}: ${kinds.join(' or ')}`).join('; ')
      mistake(`has members that carry nothing in common (${each}); write members that carry the same`)
    }
    return { members: named(members), kinds, goesOn: ambiguous === 'next' }
  })

/**
 * The limits of all together: of what each is for itself the strictest, since each may have to carry everything. They are
 * asked one after the other, so their times add up.
 */
export function failoverLimits(members: readonly Pick<Member, 'limits'>[]): Limits {
  const all = members.map(({ limits }) => limits)
  const rates = all.flatMap(({ rate }) => rate ?? [])
  return {
    concurrency: Math.min(...all.map(({ concurrency }) => concurrency)),
    rate: rates.length === 0 ? undefined : Math.min(...rates),
    timeoutSeconds: Math.min(
      all.reduce((sum, { timeoutSeconds }) => sum + timeoutSeconds, 0),
      MOST_TIMEOUT_SECONDS,
    ),
    attempts: Math.min(...all.map(({ attempts }) => attempts)),
  }
}

/**
 * At the commas that a URL follows: queries may hold others. What begins with `scheme://` is one even if nobody knows the
 * scheme, so that what is told about its neighbour never quotes it.
 */
function split(list: string, providers: readonly Provider[]): string[] {
  const schemes = providers.flatMap(({ schemes }) => schemes).map((scheme) => scheme.replaceAll(/[.+]/g, '\\$&'))
  const comma = new RegExp(`,\\s*(?=(?:${schemes.join('|')}):|[a-z][a-z\\d+.-]*://)`, 'i')
  return list
    .split(comma)
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

function named(members: readonly Described[]): Member[] {
  return members.map(({ given: _given, ...member }, at) => {
    const number = members.slice(0, at + 1).filter(({ scheme }) => scheme === member.scheme).length
    return { ...member, name: number === 1 ? member.scheme : `${member.scheme} ${number}` }
  })
}
