/** What the URL of a channel says: who carries it, with which settings, what it can carry, and within which limits. */
import { USUAL_LIMITS, type ChannelUrl, type Limits, type Provider } from './channel.ts'
import type { ContentKind } from './content.ts'
import { isLimit, readLimits } from './limits.ts'

export type Described = {
  scheme: string
  provider: Provider
  settings: unknown
  /** What it can carry, the usual one first. One only, if the URL names it (`log:mail`). */
  kinds: readonly ContentKind[]
  limits: Limits
  /** Those that the URL gives itself. */
  given: Partial<Limits>
}

type Mistake = (message: string) => void

/** `failover(…)` and what stands behind its `#`; a `)` further in belongs to a member. */
const CALL = /^([a-z][a-z\d+.-]*)\((.*)\)\s*(?:#([^()]*))?$/s

/** Reads a channel's URL with these providers; undefined after mistakes, each with what to write instead. */
export function readChannelUrl(text: string, providers: readonly Provider[], mistake: Mistake): Described | undefined {
  const known = providers.flatMap(writtenAs).join(', ')
  let isFine = true
  const wrong: Mistake = (message) => {
    isFine = false
    mistake(message)
  }
  const { url, fragment, isCall } = parts(text.trim())
  const given = fragment === undefined ? {} : readLimits(fragment, wrong)
  if (url === undefined) return isFine ? void mistake(`is not a URL: it starts with one of ${known}`) : undefined
  const provider = providers.find(({ schemes }) => schemes.includes(url.scheme))
  if (provider === undefined) return void mistake(`has an unknown provider "${url.scheme}": use one of ${known}`)
  if (isCall !== (provider.composed !== undefined)) {
    const form = isCall
      ? `${url.scheme}:…, without parentheses`
      : `${url.scheme}(first, second), each the URL of a channel`
    return void mistake(`is not how ${url.scheme} is written; write ${form}`)
  }
  const result = provider.settings.safeParse(url)
  for (const issue of result.error?.issues ?? []) wrong(issue.message)
  if (!isFine || !result.success) return undefined
  const named = provider.kinds.filter((kind) => kind === url.path)
  const composed = provider.composed?.(result.data)
  return {
    scheme: url.scheme,
    provider,
    settings: result.data,
    kinds: composed?.kinds ?? (named.length > 0 ? named : provider.kinds),
    limits: { ...USUAL_LIMITS, ...provider.limits, ...composed?.limits, ...given },
    given,
  }
}

/** How the URLs of a provider begin, e.g. `smtp:`. */
export function writtenAs({ schemes, composed }: Provider): string[] {
  return schemes.map((scheme) => (composed === undefined ? `${scheme}:` : `${scheme}(…)`))
}

type Parts = { url: ChannelUrl | undefined; fragment: string | undefined; isCall: boolean }

function parts(text: string): Parts {
  const call = CALL.exec(text)
  if (call !== null) return partsOfCall(call)
  const [whole = '', start = '', fragment] = /^([^#]*)(?:#(.*))?$/s.exec(text) ?? []
  return { url: whole === '' ? undefined : read(start), fragment, isCall: false }
}

/** It has no query of its own, so its settings stand behind the `#`, among the limits. */
function partsOfCall([, scheme = '', path = '', fragment]: RegExpExecArray): Parts {
  const pairs = [...new URLSearchParams(fragment)]
  const query = Object.fromEntries(pairs.filter(([name]) => !isLimit(name)))
  const limits = pairs.filter(([name]) => isLimit(name))
  const isOnlyQuery = pairs.length > 0 && limits.length === 0
  return {
    url: {
      scheme,
      host: '',
      port: undefined,
      user: undefined,
      password: undefined,
      path,
      query,
      written: { path, query: '' },
    },
    fragment: fragment === undefined || isOnlyQuery ? undefined : new URLSearchParams(limits).toString(),
    isCall: true,
  }
}

function read(text: string): ChannelUrl | undefined {
  const url = URL.parse(text)
  if (url === null) return undefined
  try {
    return {
      scheme: url.protocol.slice(0, -1),
      host: url.hostname,
      port: url.port === '' ? undefined : Number(url.port),
      user: url.username === '' ? undefined : decodeURIComponent(url.username),
      password: url.password === '' ? undefined : decodeURIComponent(url.password),
      path: decodeURIComponent(url.pathname),
      query: Object.fromEntries(url.searchParams),
      written: { path: url.pathname, query: url.search.slice(1) },
    }
  } catch {
    return undefined
  }
}
