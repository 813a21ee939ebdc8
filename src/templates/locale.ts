/** Which of a template's languages a person gets. All tags are BCP 47 and canonical. */

/** A language tag as BCP 47 writes it (`zh-cn` → `zh-CN`); undefined when the text is none. */
export function canonicalLocale(text: string): string | undefined {
  try {
    return text.length <= 35 ? Intl.getCanonicalLocales(text)[0] : undefined
  } catch {
    return undefined
  }
}

/** Language tag → which of the languages there are people of it get. For a tag that is not there, a shorter one counts. */
export type Choices = Readonly<Record<string, string>>

/**
 * Which of the languages there are people get: RFC 4647 lookup, the longest tag that theirs begins with, so that `en-US`
 * finds `en`. Undefined: none of them, and the default holds. The database does the same (`variant_for`, drizzle/0015).
 */
export function choose(wanted: string | null | undefined, choices: Choices): string | undefined {
  for (let tag = wanted ?? ''; tag !== ''; tag = tag.slice(0, Math.max(0, tag.lastIndexOf('-'))))
    if (Object.hasOwn(choices, tag)) return choices[tag]
  return undefined
}

/** Made of a message's languages again and again. */
const made = new Map<string, Choices>()
const MADE_AT_MOST = 500

/**
 * What people of each language get of these: besides the tags themselves those that mean the same (`zh-TW` and `zh-Hant`;
 * `en` finds `en-US` where there is no other), and for a script that is not the usual one of its language the regions
 * that write it: `zh-HK` finds `zh-Hant`.
 */
export function choicesOf(locales: readonly string[]): Choices {
  const key = locales.join(' ')
  const known = made.get(key)
  if (known !== undefined) return known
  const choices = new Map(locales.map((locale) => [locale, locale]))
  const add = (tag: string, locale: string) => choices.has(tag) || choices.set(tag, locale)
  for (const locale of locales) for (const tag of sameAs(locale)) add(tag, locale)
  for (const [tag, locale] of [...choices]) for (const region of regionsOf(tag)) add(region, locale)
  if (made.size >= MADE_AT_MOST) made.clear()
  const found = Object.fromEntries(choices)
  made.set(key, found)
  return found
}

/** The shorter and longer tags of the same language in the same script and region. */
function sameAs(locale: string): string[] {
  const { language, script, region, baseName } = new Intl.Locale(locale).maximize()
  const tags = [language, `${language}-${script}`, `${language}-${region}`, `${language}-${script}-${region}`]
  // With a dialect or an extension it is something of its own.
  if (new Intl.Locale(locale).toString() !== locale || !tags.includes(locale)) return []
  return tags.filter((tag) => new Intl.Locale(tag).maximize().baseName === baseName)
}

const LETTERS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']
const REGIONS = LETTERS.flatMap((first) => LETTERS.map((second) => first + second))

/** Of a tag like `zh-Hant`, whose script is not what its language is usually written in: the regions where it is. */
function regionsOf(tag: string): string[] {
  const [, language = '', script] = /^([a-z]{2,3})-([A-Z][a-z]{3})$/.exec(tag) ?? []
  if (script === undefined || new Intl.Locale(language).maximize().script === script) return []
  return REGIONS.map((region) => `${language}-${region}`).filter(
    (one) => new Intl.Locale(one).maximize().script === script,
  )
}
