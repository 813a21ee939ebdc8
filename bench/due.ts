/**
 * npm run bench:due [-- --json]: messages that are due at one instant, from that instant until each is in its inbox, and
 * one to few people that becomes due while one to many is under way. A whole Posthouse on PostgreSQL at
 * BENCH_DATABASE_URL (default: a local server that trusts us), whose clock tells how late an item is.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql, type SQL } from 'drizzle-orm'
import postgres from 'postgres'
import { json, query } from '../src/db/client.ts'
import { APP, boot } from '../test/kit/posthouse.ts'
import { median, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const ROUNDS = 5
const MESSAGES = 500
const PEOPLE = 50_000
/** Dept 0 has everybody, the others ten each. */
const TEAMS = 100
const TEAM = 10
/** So far ahead that they are all there before they are due. */
const AHEAD_MS = 1_500
/** The small message becomes due so long after the large one. */
const LATER_MS = 300

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(SERVER, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
const posthouse = await boot({ DATABASE_URL: url, DATA_DIR: `/tmp/${name}` })
const { db } = posthouse.context

await query(db, sql`insert into departments values ('ALL', 'all', null)`)
await query(
  db,
  sql`insert into departments select 'TEAM' || n, n, null from generate_series(0, ${TEAMS - 1}::int) as n`,
)
await query(
  db,
  sql`insert into users (code, name) select 'P' || lpad(n::text, 6, '0'), n from generate_series(0, ${PEOPLE - 1}::int) as n`,
)
await query(db, sql`insert into memberships select 'dept', 'ALL', code from users where code like 'P______'`)
await query(
  db,
  sql`
    insert into memberships
    select 'dept', 'TEAM' || n / ${TEAM}::int, 'P' || lpad(n::text, 6, '0')
    from generate_series(0, ${TEAMS * TEAM - 1}::int) as n`,
)
await query(db, sql`analyze`)

type Scheduled = { receiver: Record<string, string[]>; dueInMs: number }

/** Puts scheduled site messages as accept does, so that the figures are of nothing but what comes after. */
async function schedule(messages: Scheduled[]): Promise<string> {
  const businessId = randomUUID()
  await query(
    db,
    sql`
      with message as (
        insert into messages (id, app_id, receiver_type, receiver, unresolved, business_id, msg_type, priority, due_at, state, request_id)
        select gen_random_uuid(), ${APP}, 'specified', receiver, '{}', ${businessId}, 'reminder', 2,
          now() + make_interval(secs => "dueInMs" / 1000.0), 'scheduled', 'bench'
        from jsonb_to_recordset(${json(messages)}::jsonb) as new (receiver jsonb, "dueInMs" int)
        returning id
      )
      insert into contents (message_id, channel_id, kind, content)
      select id, '1002', 'site', '{"title": "提醒", "content": "请及时处理", "text": "请及时处理"}' from message`,
  )
  return businessId
}

/** Milliseconds from the time of these messages until `isDone`, by the database's clock; asked about every 5 ms. */
async function lateness(businessId: string, isDone: SQL): Promise<number> {
  for (;;) {
    const [row] = await query<{ isDone: boolean; late: number }>(
      db,
      sql`
        select ${isDone} as "isDone", extract(epoch from clock_timestamp() - max(due_at))::float8 * 1000 as late
        from messages where business_id = ${businessId}`,
    )
    if (row?.isDone) return row.late
    await sleep(5)
  }
}

const allOut = sql`count(*) filter (where state <> 'fanned_out') = 0`

async function dueAtOnce(receiver: (at: number) => Scheduled['receiver']): Promise<number> {
  const at = Array.from({ length: MESSAGES }, (_, place) => place)
  const businessId = await schedule(at.map((place) => ({ receiver: receiver(place), dueInMs: AHEAD_MS })))
  return lateness(businessId, allOut)
}

/** One to two people that becomes due while one to everybody is being fanned out; how long that one takes. */
async function smallBehindLarge() {
  const large = await schedule([{ receiver: { dept: ['ALL'] }, dueInMs: AHEAD_MS }])
  const small = await schedule([{ receiver: { user: ['P000001', 'P000002'] }, dueInMs: AHEAD_MS + LATER_MS }])
  const [smallMs, largeMs] = await Promise.all([lateness(small, allOut), lateness(large, allOut)])
  return { smallMs, largeMs }
}

const person = (at: number) => `P${String(at % PEOPLE).padStart(6, '0')}`
const times = {
  toOne: [] as number[],
  toSame: [] as number[],
  toTeam: [] as number[],
  small: [] as number[],
  large: [] as number[],
}
for (let round = 0; round < ROUNDS; round++) {
  times.toOne.push(await dueAtOnce((at) => ({ user: [person(at)] })))
  times.toSame.push(await dueAtOnce((at) => ({ user: [person(at % 5), person(at)] })))
  times.toTeam.push(await dueAtOnce((at) => ({ dept: [`TEAM${at % TEAMS}`] })))
  const { smallMs, largeMs } = await smallBehindLarge()
  times.small.push(smallMs)
  times.large.push(largeMs)
}

report({
  due500LastMs: median(times.toOne),
  due500WorstMs: Math.max(...times.toOne),
  due500SamePeopleLastMs: median(times.toSame),
  due500TeamsLastMs: median(times.toTeam),
  smallBehindLargeMs: median(times.small),
  largeMs: median(times.large),
})

await posthouse.stop()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
