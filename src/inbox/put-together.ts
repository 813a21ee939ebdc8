/** Items of several messages that come by one statement. For one message, inbox.ts does the same for less. */
import { sql } from 'drizzle-orm'
import { addUp } from './counts.ts'
import { byUser, isCurrent } from './inbox.ts'

/**
 * Fragment of the statement for messages that are due together: puts an item of each into the inboxes of its `people`.
 * Expects a CTE `message (id, app_id, msg_type, due_at, expires_at, people, site_variants)`. Somebody whom several of them mean gets each at a rev of
 * its own, in the order in which they were due. Inbox rows are taken in the order of user codes, as everywhere.
 */
export const putItemsTogether = sql`
  changed as (
    select person as user_code, id as message_id, app_id, msg_type, expires_at, site_variants ->> person as variant, 1 as unread_by, 1 as unseen_by,
      row_number() over (partition by person order by due_at desc, id desc) - 1 as revs_after
    from message, jsonb_array_elements_text(message.people) as given(person)
    where ${isCurrent}
  ),
  ${addUp},
  raised as (
    insert into inboxes as inbox (user_code, rev, unread, unseen, facets)
    select user_code, items, unread_by, unseen_by, facets from added
    ${byUser(sql`user_code`)}
    on conflict (user_code) do update
      set rev = inbox.rev + excluded.rev, unread = inbox.unread + excluded.unread,
        unseen = inbox.unseen + excluded.unseen, facets = plus_facets(inbox.facets, excluded.facets)
    returning user_code, rev
  ),
  put_items as (
    insert into items (user_code, message_id, rev, created_rev, app_id, msg_type, variant, expires_at)
    select user_code, message_id, raised.rev - revs_after, raised.rev - revs_after, app_id, msg_type, variant, expires_at
    from changed join raised using (user_code)
    returning user_code
  )`
