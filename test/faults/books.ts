/** The books of a fault test: what was pushed to whom and what came back, and what the database says to that. */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../../src/db/client.ts'
import type { talkTo } from '../kit/posthouse.ts'

export const PEOPLE = ['USER001', 'USER002', 'USER003']

/** One push: `businessId` is its own, the people are those the caller named. */
export type Book = {
  businessId: string
  /** In the order of their codes. */
  people: string[]
  /** On how many channels; one unless told otherwise. */
  contents?: number
  /** `acked`: the whole 200 came. `refused`: another answer came. `unknown`: none. */
  outcome: 'acked' | 'refused' | 'unknown'
  msgId?: string | undefined
  /** The refusal as it came. */
  refusal?: { status: number; code: number; retryAfter: string | null } | undefined
  milliseconds: number
}

/** Pushes to one to three people, by `number`, and writes down what came of it. */
export async function pushed(
  { push }: Pick<ReturnType<typeof talkTo>, 'push'>,
  businessId: string,
  number: number,
): Promise<Book> {
  const people = PEOPLE.slice(0, 1 + (number % PEOPLE.length))
  const startedAt = performance.now()
  const book = (outcome: Book['outcome'], more: Partial<Book> = {}): Book => {
    return { businessId, people, outcome, milliseconds: performance.now() - startedAt, ...more }
  }
  try {
    const { status, body, headers } = await push(people, businessId, { businessId })
    if (status === 200 && body.msgId !== undefined) return book('acked', { msgId: body.msgId })
    return book('refused', { refusal: { status, code: body.code, retryAfter: headers.get('retry-after') } })
  } catch {
    return book('unknown')
  }
}

/**
 * Holds the database against the books; gives every difference as a sentence. Also counts what the database keeps as
 * counts. Nothing else may push to these people.
 */
export async function whatIsWrong(db: Db, books: Book[]): Promise<string[]> {
  const found = await query<{ id: string; businessId: string; contents: number; people: string[] }>(
    db,
    sql`
      select id, business_id as "businessId",
        (select count(*)::int from contents where message_id = messages.id) as contents,
        (select coalesce(jsonb_agg(user_code order by user_code collate "C"), '[]') from items where message_id = messages.id) as people
      from messages where business_id is not null`,
  )
  const wrong: string[] = []
  const known = new Map(books.map((book) => [book.businessId, book]))
  const times = Map.groupBy(found, ({ businessId }) => businessId)
  for (const [businessId, messages] of times) {
    const book = known.get(businessId)
    if (book === undefined) wrong.push(`${businessId} was never pushed`)
    if (messages.length > 1) wrong.push(`${businessId} is there ${messages.length} times`)
  }
  for (const { id, businessId, contents, people } of found) {
    const book = known.get(businessId)
    if (contents !== (book?.contents ?? 1)) wrong.push(`${businessId} has ${contents} contents`)
    if (people.join() !== book?.people.join())
      wrong.push(`${businessId} reached ${people.join()} instead of ${book?.people.join()}`)
    if (book?.msgId !== undefined && book.msgId !== id) wrong.push(`${businessId} has another msgId than was answered`)
  }
  for (const { businessId, outcome } of books)
    if (outcome === 'acked' && !times.has(businessId)) wrong.push(`${businessId} was answered 200 and is not there`)
  return [...wrong, ...(await miscounted(db))]
}

/** Inboxes whose counts or revs differ from their items. */
async function miscounted(db: Db): Promise<string[]> {
  const rows = await query<{ userCode: string }>(
    db,
    sql`
      select inboxes.user_code as "userCode"
      from inboxes left join items on items.user_code = inboxes.user_code
      group by inboxes.user_code, inboxes.unread, inboxes.unseen, inboxes.rev
      having inboxes.unread <> count(*) filter (where read_at is null and archived_at is null and deleted_at is null)
        or inboxes.unseen <> count(*) filter (where seen_at is null and archived_at is null and deleted_at is null)
        or inboxes.rev < max(items.rev) or count(items.rev) <> count(distinct items.created_rev)`,
  )
  return rows.map(({ userCode }) => `the counts of ${userCode} are not those of the items`)
}
