/** From what a template says and the variables of a push to contents. How Liquid is kept within bounds: liquid.ts. */
import { contentKinds, type ContentKind } from '../delivery/content.ts'
import { badInput } from '../errors.ts'
import {
  hasCode,
  makeBudget,
  MAX_TEMPLATE_LENGTH,
  makeReader,
  renderCode,
  whyNot,
  type Budget,
  type Code,
} from './liquid.ts'
import { isReader, namesReader, NOBODY, USER, type Named } from './personal.ts'
import { inferred, lacks, readValues, type Values, type Variable } from './variables.ts'

/** By channel id. */
export type Contents = Record<string, unknown>
export type KindOf = (channelId: string) => ContentKind | undefined

/** Every string with code, parsed, by its path from the channel id down. */
type Parsed = ReadonlyMap<string, Code>

/** What a version says: to everybody, and to people of each language that it has. */
export type Spoken = { contents: Contents; locales: Record<string, Contents> }

/**
 * Renders every string of a version, in every language. Values are data: they are never read as Liquid, and in HTML fields
 * they are escaped. Refuses with all missing variables named, or with `templateCode` where rendering goes past a limit.
 * A channel that `kindOf` does not know is rendered as plain text. Without declared variables everything that its code
 * names is a required text. What it says is what somebody gets of whom nothing is known; `personal` are the channels on
 * which it names its reader, in any language.
 */
export function renderVersion(
  { contents, locales, variables }: Spoken & { variables: readonly Variable[] | null },
  kindOf: KindOf,
  given: Record<string, string>,
): Spoken & { values: Values; personal: string[] } {
  const said = parseAll(contents, kindOf)
  const translated = Object.entries(locales).map(([locale, one]) => {
    const path = `locales.${locale}`
    return { locale, path, contents: one, parsed: parseAll(one, kindOf, path) }
  })
  const all = [said, ...translated.map(({ parsed }) => parsed)]
  const values = readValues(variables ?? inferred(namesIn(all)), given)
  const scope = isReader(variables) ? withReader(values, NOBODY) : values
  const budget = makeBudget()
  const at = (root: string) => (error: unknown, path: string) => renderRefusal(error, `${root}.${path}`)
  return {
    values,
    personal: Object.keys(contents).filter((channelId) =>
      all.some((parsed) => isPersonal(parsed, channelId, variables)),
    ),
    contents: renderParsed(contents, said, scope, budget, renderRefusal),
    locales: Object.fromEntries(
      translated.map(({ locale, path, contents, parsed }) => [
        locale,
        renderParsed(contents, parsed, scope, budget, at(path)),
      ]),
    ),
  }
}

/** Gives how a text is rendered for a reader; undefined for one that names nobody. `locale` undefined: the default. */
export type PersonalTexts = (channelId: string, locale: string | undefined) => ((reader: Named) => unknown) | undefined

/** The texts of a version that name their reader, each to be rendered under a budget of its own. */
export function personalTexts(
  { contents, locales, variables }: Spoken & { variables: readonly Variable[] | null },
  kindOf: KindOf,
  values: Values,
): PersonalTexts {
  const texts = new Map<string, (reader: Named) => unknown>()
  for (const [locale, all] of [['', contents] as const, ...Object.entries(locales)])
    for (const [channelId, content] of Object.entries(all)) {
      const one = { [channelId]: content }
      const parsed = parseAll(one, kindOf)
      if (!isPersonal(parsed, channelId, variables)) continue
      texts.set(`${locale} ${channelId}`, (reader) => {
        const said = renderParsed(one, parsed, withReader(values, reader), makeBudget(), renderRefusal)
        return said[channelId]
      })
    }
  return (channelId, locale = '') => texts.get(`${locale} ${channelId}`)
}

function isPersonal(parsed: Parsed, channelId: string, declared: readonly Variable[] | null): boolean {
  return [...parsed].some(
    ([path, { mentions }]) =>
      path.startsWith(`${channelId}.`) && mentions.some((mention) => namesReader(mention, declared)),
  )
}

/** Without a prototype, as the values. */
export function withReader(values: Values, reader: Named): object {
  return Object.assign(Object.create(null), values, { [USER]: { name: reader.name, code: reader.code } })
}

/** Renders contents with values that stand; throws what `refuse` makes of a failure at a path. */
export function renderWith(
  contents: Contents,
  kindOf: KindOf,
  scope: object,
  budget: Budget,
  refuse: (error: unknown, path: string) => unknown,
): Contents {
  return renderParsed(contents, parseAll(contents, kindOf), scope, budget, refuse)
}

function renderParsed(
  contents: Contents,
  parsed: Parsed,
  scope: object,
  budget: Budget,
  refuse: (error: unknown, path: string) => unknown,
): Contents {
  return mapStrings(contents, (text, path) => {
    const code = parsed.get(path)
    if (code === undefined) return text
    try {
      return renderCode(code, scope, budget)
    } catch (error) {
      throw refuse(error, path)
    }
  }) as Contents
}

/** The variables that these contents name, in order of first use. */
export function variablesOf(contents: Contents): string[] {
  return namesIn([parseAll(contents, () => undefined)])
}

/** Whether what stands there becomes HTML. `path`: from the channel id down. */
export function isHtmlAt(path: string, kindOf: KindOf): boolean {
  const [channelId = '', ...field] = path.split('.')
  const kind = kindOf(channelId)
  const htmlFields: readonly string[] = kind === undefined ? [] : contentKinds[kind].htmlFields
  return htmlFields.includes(field.join('.'))
}

function parseAll(contents: Contents, kindOf: KindOf, root = 'contents'): Parsed {
  const parsed = new Map<string, Code>()
  const read = makeReader()
  let length = 0
  mapStrings(contents, (text, path) => {
    length += text.length
    if (length > MAX_TEMPLATE_LENGTH) throw tooLong(`${root}.${path}`)
    if (!hasCode(text)) return text
    const code = read(text, isHtmlAt(path, kindOf))
    if (!('templates' in code)) throw badInput(`${root}.${path}`, code.zh, code.en)
    parsed.set(path, code)
    return text
  })
  return parsed
}

export function tooLong(path: string) {
  return badInput(
    path,
    `模板合计超过 ${MAX_TEMPLATE_LENGTH} 个字符`,
    `is over the limit of ${MAX_TEMPLATE_LENGTH} characters for all contents together`,
  )
}

function namesIn(parsed: readonly Parsed[]): string[] {
  return [
    ...new Set(
      parsed
        .flatMap((one) => [...one.values()])
        .flatMap(({ mentions }) => mentions.filter((one) => !namesReader(one, null)).map(({ name }) => name)),
    ),
  ]
}

function renderRefusal(error: unknown, path: string): unknown {
  const found = whyNot(error)
  if (found === undefined) return error
  if ('refusal' in found) return found.refusal
  if ('missing' in found) return lacks([found.missing])
  return badInput('templateCode', `渲染 ${path} 失败：${found.why}`, `cannot be rendered at ${path}: ${found.why}`)
}

/** The same value with each string changed; `path` is made of its keys. */
export function mapStrings(value: unknown, change: (text: string, path: string) => string, path = ''): unknown {
  if (typeof value === 'string') return change(value, path)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
    const at = path === '' ? key : `${path}.${key}`
    return [key, mapStrings(member, change, at)]
  })
  // `fromEntries` defines its members, so that a key `__proto__` stays a key.
  return Array.isArray(value) ? entries.map(([, member]) => member) : Object.fromEntries(entries)
}
