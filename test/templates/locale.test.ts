/** Which language of a template a person gets; in this process and in the database alike. */
import fc from 'fast-check'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { json, query, type Store } from '../../src/db/client.ts'
import { choicesOf, choose } from '../../src/templates/locale.ts'
import { stores } from '../kit/stores.ts'

describe('the language that a person gets', () => {
  it.each([
    ['exactly his', 'en-GB', ['en', 'en-GB'], 'en-GB'],
    ['the longest that his begins with', 'zh-Hant-TW-x-any', ['zh', 'zh-Hant'], 'zh-Hant'],
    ['the only one of his language that means what it means without a region', 'en-GB', ['en-US'], 'en-US'],
    ['not one of another region that means something else', 'en-US', ['en-GB'], undefined],
    ['the script of his region', 'zh-HK', ['en', 'zh-Hant'], 'zh-Hant'],
    ['the script of his region, whatever it is called', 'zh-MO', ['zh-TW', 'zh-CN'], 'zh-TW'],
    ['the script that he names, whatever it is called', 'zh-Hant', ['zh-TW'], 'zh-TW'],
    ['the usual script for a region that uses it', 'zh-SG', ['zh-TW', 'zh-CN'], 'zh-CN'],
    ['his region before his script', 'zh-HK', ['zh-HK', 'zh-Hant'], 'zh-HK'],
    ['another script than the usual one of his language', 'sr-ME', ['sr-Latn', 'sr'], 'sr-Latn'],
    ['nothing that a dialect says', 'de', ['de-1996'], undefined],
    ['the dialect that he names', 'de-1996', ['de', 'de-1996'], 'de-1996'],
    ['none of another language', 'fr-CH', ['en', 'de'], undefined],
    ['none without a language', null, ['en'], undefined],
    ['none of what objects have anyway', 'constructor', ['en'], undefined],
  ])('is %s', (_what, wanted, available, found) => {
    expect(choose(wanted, choicesOf(available))).toBe(found)
  })
})

const language = fc.constantFrom('zh', 'en', 'sr', 'de', 'yue')
const script = fc.constantFrom('', '-Hant', '-Hans', '-Latn', '-Cyrl')
const region = fc.constantFrom('', '-CN', '-TW', '-HK', '-US', '-ME')
const more = fc.constantFrom('', '-x-any', '-u-co-phonebk', '-1996')
const locale = fc.tuple(language, script, region, more).map((parts) => Intl.getCanonicalLocales(parts.join(''))[0]!)

describe.each(stores)('the database, on $name', ({ open }) => {
  let store: Store
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  it('chooses for a broadcast as this process does for everything else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(locale, { maxLength: 6 }),
        fc.array(fc.option(locale), { minLength: 1, maxLength: 20 }),
        async (available, people) => {
          const choices = choicesOf(available)
          const rows = await query<{ found: string | null }>(
            store.db,
            sql`
              select variant_for(${json(choices)}::jsonb, wanted #>> '{}') as found
              from jsonb_array_elements(${json(people)}::jsonb) with ordinality as given (wanted, place)
              order by place`,
          )
          expect(rows.map(({ found }) => found ?? undefined)).toEqual(people.map((one) => choose(one, choices)))
          expect(available.map((one) => choose(one, choices))).toEqual(available)
        },
      ),
      { numRuns: 60 },
    )
  })
})
