/** A house full of people and items, for bench:inbox: ten items a head, most of them with those who have many. */
import postgres from 'postgres'

/** One in ten has many items, the others a few; ten a head on average. */
const BUSY_ONE_IN = 10
const ITEMS_OF_BUSY = 55
const ITEMS_OF_OTHERS = 5
/** People who get the same message. */
const AUDIENCE = 100
const PEOPLE_AT_ONCE = 20_000

export type House = {
  /** Codes of people with many items. */
  busy: string[]
  /** How many each of those has. */
  itemsEach: number
}

/** Fills the migrated database at `url`. Items come in rounds, so that a person's lie far apart, as they do in life. */
export async function fillHouse(url: string, users: number): Promise<House> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const [app] = await sql`select id from apps limit 1`
  const appId = app?.['id'] as string
  await sql`
    insert into users (code, name)
    select 'P' || n, 'P' || n from generate_series(1, ${users}) as n`
  await sql`insert into inboxes (user_code) select code from users on conflict do nothing`
  for (let round = 1; round <= ITEMS_OF_BUSY; round++) {
    const step = round <= ITEMS_OF_OTHERS ? 1 : BUSY_ONE_IN
    for (let from = 0; from < users; from += PEOPLE_AT_ONCE * step) {
      const until = Math.min(users, from + PEOPLE_AT_ONCE * step)
      await sql`
        with person as (
          select 'P' || n as code, (row_number() over (order by n) - 1) / ${AUDIENCE} as audience
          from generate_series(${from + step}::int, ${until}::int, ${step}::int) as n
        ),
        message as (
          insert into messages (
            id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id
          )
          select gen_random_uuid(), ${appId}, 'specified', jsonb_build_object('n', audience), '{}', 'notice', 2, now(),
            'fanned_out', 'bench'
          from (select distinct audience from person) as audiences
          returning id, (receiver->>'n')::int as audience
        ),
        said as (
          insert into contents (message_id, channel_id, kind, content)
          select id, '1002', 'site', '{"title": "检验报告已出", "content": "<p>您的检验报告已出，请查收。</p>", "text": "您的检验报告已出，请查收。"}'::jsonb
          from message
        )
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type)
        select person.code, message.id, ${round}, ${round}, ${appId}, 'notice'
        from person join message using (audience)`
    }
  }
  await sql`
    with counted as (
      select user_code, max(rev) as rev, count(*)::int as items from items group by user_code
    )
    update inboxes
    set rev = counted.rev, unread = counted.items, unseen = counted.items,
      facets = jsonb_build_object('u/notice/' || ${appId}, counted.items, 's/notice/' || ${appId}, counted.items)
    from counted
    where inboxes.user_code = counted.user_code`
  await sql`vacuum analyze`
  await sql.end()
  const busy = Array.from({ length: Math.floor(users / BUSY_ONE_IN) }, (_, at) => `P${(at + 1) * BUSY_ONE_IN}`)
  return { busy, itemsEach: ITEMS_OF_BUSY }
}
