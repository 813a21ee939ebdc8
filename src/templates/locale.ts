/** Which of a template's languages a person gets. */

/** A language tag as BCP 47 writes it (`zh-cn` → `zh-CN`); undefined when the text is none. */
export function canonicalLocale(text: string): string | undefined {
  try {
    return text.length <= 35 ? Intl.getCanonicalLocales(text)[0] : undefined
  } catch {
    return undefined
  }
}

/**
 * RFC 4647 lookup: the longest of `available` that `wanted` begins with, so that `en-US` finds `en`. Undefined: none of
 * them, and the default holds. Both are canonical.
 */
export function lookUp(wanted: string | null | undefined, available: (locale: string) => boolean): string | undefined {
  for (let locale = wanted ?? ''; locale !== ''; locale = locale.slice(0, Math.max(0, locale.lastIndexOf('-')))) {
    // A single letter or digit begins an extension and says nothing by itself.
    if (!/-[a-z\d]$/i.test(locale) && available(locale)) return locale
  }
  return undefined
}
