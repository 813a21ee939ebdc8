/**
 * The counts of an inbox, whole and by type and app. They stand on the inbox row and change in the statement that
 * changes the items, by what it really changed: a statement that waited for the row's lock still sees other rows as of
 * its start, so it may add up but never recount.
 */
import { sql, type SQL } from 'drizzle-orm'

/** `facets`: see the column. */
export type Counts = { unread: number; unseen: number; facets: Record<string, number> }

type Facet = { unread: number; unseen: number }

export const nothingCounted: Counts = { unread: 0, unseen: 0, facets: {} }

/** Whether an item is in the inbox, unless it is gone: neither archived nor asleep. */
export const isKept = (item: SQL) => sql`${item}.archived_at is null and ${item}.snoozed_until is null`
/** An item counts while it is in the inbox. */
const isShown = (item: SQL) => sql`${isKept(item)} and ${item}.deleted_at is null`
/** 1 for an item that counts as unread, else 0. */
export const unreadIn = (item: SQL) => sql`(${item}.read_at is null and ${isShown(item)})::int`
/** 1 for an item that counts as unseen, else 0. */
export const unseenIn = (item: SQL) => sql`(${item}.seen_at is null and ${isShown(item)})::int`

/** The names under which an item counts in `facets`; it takes the columns `msg_type` and `app_id` of a table. */
export const unreadFacet = (table: SQL) => sql`('u/' || ${table}.msg_type || '/' || ${table}.app_id)`
export const unseenFacet = (table: SQL) => sql`('s/' || ${table}.msg_type || '/' || ${table}.app_id)`

/** A facet and what it becomes, for `jsonb_build_object`: much cheaper than `plus_facets` where an inbox gains or loses one item. */
export const facetPlus = (facets: SQL, facet: SQL, by: SQL) =>
  sql`${facet}, coalesce((${facets}->>${facet})::int, 0) + ${by}`

/**
 * CTEs from `changed (user_code, msg_type, app_id, unread_by, unseen_by)`, a row an item, to `added (user_code, items,
 * unread_by, unseen_by, facets, only_kind)`, a row an inbox. `only_kind`: where they are all of one type and app.
 */
export const addUp = sql`
  added_by_kind as (
    select user_code, msg_type, app_id, count(*) as items, sum(unread_by) as unread_by, sum(unseen_by) as unseen_by
    from changed
    group by user_code, msg_type, app_id
  ),
  added as (
    select user_code, sum(items)::int as items, sum(unread_by)::int as unread_by, sum(unseen_by)::int as unseen_by,
      jsonb_object_agg(${unreadFacet(sql`kind`)}, unread_by) || jsonb_object_agg(${unseenFacet(sql`kind`)}, unseen_by)
        as facets,
      case when count(*) = 1 then min(kind.msg_type || '/' || kind.app_id) end as only_kind
    from added_by_kind as kind
    group by user_code
  )`

/** A facet of the only kind and what it becomes; null, for none any more. */
const facetThen = (letter: SQL, by: SQL) => {
  const facet = sql`(${letter} || added.only_kind)`
  return sql`${facet}, nullif(coalesce((inboxes.facets->>${facet})::int, 0) + ${by}, 0)`
}

/** For an update of `inboxes` from `added`. Nearly always it is one kind, and that is several times as fast. */
export const setCounts = sql`
  unread = inboxes.unread + added.unread_by, unseen = inboxes.unseen + added.unseen_by,
  facets = case
    when added.only_kind is null then plus_facets(inboxes.facets, added.facets)
    else jsonb_strip_nulls(inboxes.facets || jsonb_build_object(
      ${facetThen(sql`'u/'`, sql`added.unread_by`)}, ${facetThen(sql`'s/'`, sql`added.unseen_by`)}
    ))
  end`

/** The counts by type or by app: those that are not 0, by name. Told with every event, so it makes no more than it must. */
export function countsBy(what: 'msgType' | 'appId', { facets }: Counts): (Facet & { name: string })[] {
  const found = new Map<string, Facet & { name: string }>()
  for (const key in facets) {
    const count = facets[key] ?? 0
    if (count === 0) continue
    // `u/type/app`: an app's id may hold anything, a type no slash.
    const middle = key.indexOf('/', 2)
    const name = what === 'msgType' ? key.slice(2, middle) : key.slice(middle + 1)
    let facet = found.get(name)
    if (facet === undefined) found.set(name, (facet = { name, unread: 0, unseen: 0 }))
    facet[key.startsWith('u') ? 'unread' : 'unseen'] += count
  }
  const all = [...found.values()]
  return all.length < 2 ? all : all.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
