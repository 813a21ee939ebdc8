/**
 * The text search of one inbox: a scan of the person's own items, bounded, with no index of its own. See
 * docs/decisions/0015-search-in-the-inbox.md for what that costs and what else was measured.
 */
import { sql, type SQL } from 'drizzle-orm'
import { codePoints } from '../check.ts'
import { json, query, type Db } from '../db/client.ts'
import { saidTo } from './said.ts'

/** Characters that a search may have. */
export const SEARCH_LIMIT = 100
/** Words that it may have: PostgreSQL keeps some 30 compiled patterns. */
export const WORDS_LIMIT = 10
/** A search looks at this many of the person's newest items: what one look may cost has to have an end. */
export const SEARCHED_ITEMS = 20_000
/** So many in one statement, that it keeps well within its time also where texts are long. */
const SEARCHED_AT_ONCE = 4_000

/**
 * A text with one of these is folded by NFKC before it is looked at; the others are not, since that takes ten times as
 * long as all the rest. Left out are characters that NFKC leaves alone whatever stands beside them (Chinese and its
 * punctuation), and the full-width forms of ASCII, which every pattern allows for.
 */
const FOLDED = String.raw`[^\u0001-\u007f\u00b7\u00d7\u2013\u2014\u2018-\u201d\u3000-\u3029\u4e00-\u9fff\uff01-\uff5e]`
/** From an ASCII character to its full-width form. */
const TO_FULL_WIDTH = 0xff01 - 0x21

/** The words of a search: what stands between spaces, folded as the texts are; the longest, so the rarest, first. */
function wordsOf(search: string): string[] {
  const words = new Set(search.normalize('NFKC').split(/\s+/u).filter(Boolean))
  return [...words].toSorted((one, other) => other.length - one.length)
}

/** Whether it has few enough characters, and words. */
export function isSearchable(search: string): boolean {
  return codePoints(search) <= SEARCH_LIMIT && wordsOf(search).length <= WORDS_LIMIT
}

/** A regular expression that finds the word, every character of it as itself: in either case and width. */
function patternOf(word: string): string {
  return Array.from(word, (char) => {
    const cases = [char, char.toLowerCase(), char.toUpperCase()].filter((one) => codePoints(one) === 1)
    const forms = new Set(cases.flatMap((one) => (/[!-~]/.test(one) ? [one, fullWidth(one)] : [one])))
    return `[${[...forms].map((one) => (/[!-/:-@[-`{-~]/.test(one) ? `\\${one}` : one)).join('')}]`
  }).join('')
}

function fullWidth(char: string): string {
  return String.fromCharCode(char.charCodeAt(0) + TO_FULL_WIDTH)
}

/** Items that came after the rev `before`, and if told before the rev `after`: as a page's cursors name them. */
export type Stretch = { before: number; after: number | undefined }

/** The person's newest items in stretches that one statement can search, newest first. Reads nothing but an index. */
export async function stretches(db: Db, user: string): Promise<Stretch[]> {
  const ends = await query<{ rev: number }>(
    db,
    sql`
      select rev
      from (
        select created_rev as rev, row_number() over (order by created_rev desc nulls first) as place
        from items
        where user_code = ${user} and deleted_at is null
        order by created_rev desc nulls first
        limit ${SEARCHED_ITEMS}
      ) as newest
      where place % ${SEARCHED_AT_ONCE} = 0
      order by rev desc`,
  )
  const oldest = ends.map(({ rev }) => rev)
  // What remains is less than a stretch.
  if (oldest.length < SEARCHED_ITEMS / SEARCHED_AT_ONCE) oldest.push(0)
  return oldest.map((rev, at) => ({ before: rev - 1, after: oldest[at - 1] }))
}

/**
 * The condition on `items` that title and text hold every word of `search`, whatever the case and the width of the
 * letters; undefined when there is no word. A word may stand within another: Chinese has no spaces.
 *
 * A scalar subquery, which PostgreSQL never turns into a join, so that it reads this person's contents one by one and never
 * everybody's.
 */
export function says(search: string): SQL | undefined {
  const words = wordsOf(search)
  if (words.length === 0) return undefined
  return sql`
    (
      select (case when said ~ ${FOLDED} then normalize(said, NFKC) else said end)
        ~ all (array(select jsonb_array_elements_text(${json(words.map(patternOf))}::jsonb)))
      from (
        select (said ->> 'title') || E'\\n' || (said ->> 'text') as said
        from (
          select ${saidTo(sql`items.variant`)} as said
          from contents
          where contents.message_id = items.message_id and contents.kind = 'site'
          offset 0
        ) as content
      ) as content
    )`
}
