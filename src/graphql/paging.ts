/** What lists have in common: how long a page is, and cursors that are ids or numbers. */
import { checkText } from '../check.ts'
import { badInput, Refusal } from '../errors.ts'
import type { GraphqlContext } from './builder.ts'

export const PAGE = { defaultSize: 20, maxSize: 100 }
/** Ids as we make and show them: a UUID's 32 hex digits. */
export const ID = /^[0-9a-f]{32}$/

/** Whose messages and deliveries a viewer sees: an app its own, the admin everybody's (undefined). */
export function owner({ viewer }: GraphqlContext): string | undefined {
  return viewer.kind === 'app' ? viewer.app.id : undefined
}

type PageArgs = { first?: number | null; after?: string | null; last?: number | null; before?: string | null }

/** Lists that only go forward say so instead of paging wrongly. */
export function forwardOnly<Args extends PageArgs>(args: Args): Args {
  if (args.last != null || args.before != null)
    throw badInput('last', '只支持 first 和 after', 'is not supported here: use first and after')
  return args
}

/** A cursor that is the id of the last entry. */
export function readIdCursor(cursor: string | undefined): string | undefined {
  // An empty page gives the empty cursor.
  if (cursor === undefined || cursor === '') return undefined
  if (ID.test(cursor)) return cursor
  throw noCursor()
}

/** A cursor that is the number of the last entry. */
export function readNumberCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined || cursor === '') return undefined
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
  throw noCursor()
}

/** A cursor that is the code of the last entry, which need not be there any more. */
export function readTextCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined || cursor === '') return undefined
  checkText(cursor, 'after')
  return cursor
}

function noCursor(): Refusal {
  return new Refusal('BAD_CURSOR', {
    path: 'after',
    zh: '不是有效的游标',
    en: 'is no cursor of this list: use endCursor of a page',
  })
}
