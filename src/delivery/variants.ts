/**
 * What a message says to some of its recipients only, and who gets it: the only writer of `variants`. Which it is depends
 * on the person as he is when he becomes a recipient; of nearly all messages there is none.
 */
import { sql, type SQL } from 'drizzle-orm'
import type { Person } from '../directory/audience.ts'
import { choicesOf, choose } from '../templates/locale.ts'
import type { ContentKind } from './content.ts'

export type NewVariant = { channelId: string; variant: string; content: object }

/** Fragment of the accept and fan-out statements: stores the variants of each message in `from` (id, variants). */
export const putVariants = (from: SQL) => sql`
  put_variants as (
    insert into variants (message_id, channel_id, variant, content)
    select message.id, new."channelId", new.variant, new.content
    from (${from}) as message, jsonb_to_recordset(message.variants) as new ("channelId" text, variant text, content jsonb)
  )`

/** The language of a variant; null: the default. */
export function localeOf(variant: string | null): string | null {
  return variant?.split('@', 1)[0] || null
}

/** The languages in which a message says something else on a channel; null and undefined: none. */
export type Languages = { locales?: string[] | null | undefined }
/** Of whom is known which language he reads. */
export type Reader = Pick<Person, 'code' | 'locale'>

/** Which variant of what a channel says people get. */
export function variantsOn({ locales }: Languages): (person: Pick<Person, 'locale'>) => string | undefined {
  if (!locales) return () => undefined
  const choices = choicesOf(locales)
  return ({ locale }) => choose(locale, choices)
}

/** By code, the variants of those who get one in their inbox. Undefined: the message has none there. */
export function siteVariantsOf(
  people: readonly Reader[],
  channels: readonly (Languages & { kind: ContentKind })[],
): Record<string, string> | undefined {
  const site = channels.find(({ kind }) => kind === 'site')
  if (!site?.locales) return undefined
  const variantOf = variantsOn(site)
  const variants = people.map((person): [string, string | undefined] => [person.code, variantOf(person)])
  return Object.fromEntries(variants.filter((one): one is [string, string] => one[1] !== undefined))
}
