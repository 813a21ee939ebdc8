/** The people of bench:live, and what happens to them: written by this process, which is another node to the one that is measured. */
import { pino } from 'pino'
import postgres from 'postgres'
import { inboxToken } from '../src/apps/tokens.ts'
import { openStore } from '../src/db/client.ts'
import { openHints } from '../src/hints/hints.ts'
import { APP, SECRETS } from '../test/kit/posthouse.ts'

const TOKEN_SECONDS = 86_400
/** Two sentences, as such messages are. */
const SITE = { title: '检验报告已出', content: '<p>您的检验报告已出，请登录系统查收。如有疑问请联系检验科。</p>' }

const ITEMS_BEFORE = 3

export type House = Awaited<ReturnType<typeof openHouse>>

/** So many people with an inbox each, in the database of a Posthouse that has been started. */
export async function openHouse(databaseUrl: string, size: number) {
  const sql = postgres(databaseUrl, { max: 4, onnotice: () => {} })
  const store = await openStore({ databaseUrl })
  const hints = await openHints(store, { log: pino({ level: 'silent' }) })
  const users = Array.from({ length: size }, (_, at) => `LIVE${String(at + 1).padStart(5, '0')}`)
  await sql`insert into users (code, name) select code, code from unnest(${users}::text[]) as code`
  await sql`insert into inboxes (user_code) select code from unnest(${users}::text[]) as code on conflict do nothing`
  const people = await Promise.all(
    users.map(async (user) => ({
      user,
      token: (await inboxToken(SECRETS.INBOX_JWT_SECRET, user, TOKEN_SECONDS)).token,
    })),
  )
  const house = {
    people,
    /** A message of its own for each of these, in one statement, as accept writes them; then the hints. */
    async writeToEach(some: string[]): Promise<void> {
      await sql`
        with person as (
          select code, gen_random_uuid() as message_id from unnest(${some}::text[]) as code
        ),
        message as (
          insert into messages (
            id, app_id, receiver_type, receiver, unresolved, msg_type, priority, due_at, state, request_id
          )
          select message_id, ${APP}, 'specified', jsonb_build_object('user', jsonb_build_array(code)), '{}', 'notice', 2,
            now(), 'fanned_out', 'bench'
          from person
        ),
        said as (
          insert into contents (message_id, channel_id, kind, content)
          select message_id, '1002', 'site', ${sql.json({ ...SITE, text: SITE.content.replaceAll(/<.*?>/g, '') })}::jsonb
          from person
        ),
        locked as (
          select user_code from inboxes where user_code = any(${some}::text[]) order by user_code for update
        ),
        raised as (
          update inboxes
          set rev = rev + 1, unread = unread + 1, unseen = unseen + 1,
            facets = plus_facets(facets, jsonb_build_object('u/notice/' || ${APP}::text, 1, 's/notice/' || ${APP}::text, 1))
          from locked
          where inboxes.user_code = locked.user_code
          returning inboxes.user_code, rev
        )
        insert into items (user_code, message_id, rev, created_rev, app_id, msg_type)
        select person.code, person.message_id, raised.rev, raised.rev, ${APP}, 'notice'
        from raised join person on person.code = raised.user_code`
      hints.send({ kind: 'inbox', users: some })
    },
    /** The body of a push over REST: to one person, or to all. */
    push: (user?: string) =>
      JSON.stringify({
        appId: APP,
        ...(user === undefined
          ? { receiverType: 'all' }
          : { receiverType: 'specified', receiverData: { user: [user] } }),
        channelData: { '1002': SITE },
      }),
    async close() {
      await hints.close()
      await store.close()
      await sql.end()
    },
  }
  // A database that has lived a little: what PostgreSQL knows of tables that were empty makes it read all of them later.
  for (let times = 0; times < ITEMS_BEFORE; times++) await house.writeToEach(users)
  await sql`vacuum analyze`
  return house
}
