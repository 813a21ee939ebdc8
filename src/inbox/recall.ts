/**
 * A recalled message leaves the inboxes: its items become tombstones that say `recalled`, live on every device, and the
 * counts go down by what they really counted. A broadcast is copied to nobody any more. What it said stays on the
 * message, for its app and the admin.
 */
import { sql } from 'drizzle-orm'
import { json, query, type Db } from '../db/client.ts'
import { facetPlus, isKept, unreadFacet, unseenFacet } from './counts.ts'
import { byUser } from './inbox.ts'

/** Inboxes that one statement locks: their people wait for it with whatever they do. */
const INBOXES_AT_ONCE = 500
/** Read at once: a page has to be sorted, and fits into memory however many people there are. */
const PLACES_AT_ONCE = 20_000

/**
 * Stops the copying of a broadcast; nothing happens for another message. It waits for copies under way (they hold the row
 * `for share`), so that what reads items after this sees every item there will ever be.
 */
export async function stopBroadcast(db: Db, messageId: string): Promise<void> {
  await query(
    db,
    sql`update broadcasts set recalled_at = now() where message_id = ${messageId} and recalled_at is null`,
  )
}

/**
 * Takes the message's items out of every inbox, some inboxes at a time, and gives the users of each time once it is
 * committed: they are to be told. Whoever has deleted his item already hears nothing. Breaking off is harmless: the next
 * call goes on with those who are left.
 */
export async function* takeItemsBack(db: Db, messageId: string): AsyncGenerator<string[]> {
  for (let after = ''; ;) {
    const places = await placesOf(db, messageId, after)
    for (let from = 0; from < places.length; from += INBOXES_AT_ONCE)
      yield await takeFrom(db, places.slice(from, from + INBOXES_AT_ONCE))
    if (places.length < PLACES_AT_ONCE) return
    after = places.at(-1)?.userCode ?? after
  }
}

/** An item, named by the inbox and the rev at which it came there: that never changes, and no other came at it. */
type Place = { userCode: string; createdRev: number }

function placesOf(db: Db, messageId: string, after: string): Promise<Place[]> {
  return query<Place>(
    db,
    sql`
      select user_code as "userCode", created_rev as "createdRev" from items
      where message_id = ${messageId} and deleted_at is null and user_code > ${after}
      order by user_code
      limit ${PLACES_AT_ONCE}`,
  )
}

/**
 * Everything that changes an item holds its inbox row, so under that lock the update meets each item as it is now.
 * The message is not named here: PostgreSQL takes most messages to have a few items, and for one with thousands would
 * read all of them for every inbox.
 */
async function takeFrom(db: Db, places: Place[]): Promise<string[]> {
  const rows = await query<{ userCode: string }>(
    db,
    sql`
      with inbox as (
        select inboxes.user_code, inboxes.rev, given."createdRev" as created_rev
        from jsonb_to_recordset(${json(places)}::jsonb) as given ("userCode" text, "createdRev" bigint)
        join inboxes on inboxes.user_code = given."userCode"
        ${byUser(sql`inboxes.user_code`)}
        for update of inboxes
      ),
      changed as (
        update items
        set rev = inbox.rev + 1, change = 'recalled', changed_at = now(), deleted_at = now()
        from inbox
        where items.user_code = inbox.user_code and items.created_rev = inbox.created_rev and items.deleted_at is null
        returning items.user_code, items.rev, items.msg_type, items.app_id,
          - (items.read_at is null and ${isKept(sql`items`)})::int as unread_by,
          - (items.seen_at is null and ${isKept(sql`items`)})::int as unseen_by
      )
      update inboxes
      set rev = changed.rev, unread = inboxes.unread + unread_by, unseen = inboxes.unseen + unseen_by,
        facets = inboxes.facets || jsonb_build_object(
          ${facetPlus(sql`inboxes.facets`, unreadFacet(sql`changed`), sql`unread_by`)},
          ${facetPlus(sql`inboxes.facets`, unseenFacet(sql`changed`), sql`unseen_by`)}
        )
      from changed
      where inboxes.user_code = changed.user_code
      returning inboxes.user_code as "userCode"`,
  )
  return rows.map(({ userCode }) => userCode)
}
