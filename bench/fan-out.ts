/**
 * npm run bench:fan-out [-- --json]: a site message to a dept of 50,000 people, from the request of its push until the last
 * item is in its inbox. A whole Posthouse on PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us).
 *
 * Its floor, in the same run: one bare INSERT … SELECT of the very rows that Posthouse has just written, from copies of them,
 * into the same tables with the same indexes. It knows its people beforehand, takes no lock in order, tells nobody and
 * commits once. Two cases, by turns:
 *
 * - `fresh`: nobody has an inbox. Both write 50,000 inbox rows and 50,000 items.
 * - `again`: everybody has one, from the fresh round before. Posthouse changes the 50,000 inbox rows and writes 50,000 items;
 *   its floor does the same by INSERT … ON CONFLICT DO UPDATE.
 *
 * Each figure is the median of the rounds; before each of the four, the tables are vacuumed and there is a checkpoint.
 * `vsBareInsert` is the ratio of `fresh` or of `again`, whichever is worse.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql, type SQL } from 'drizzle-orm'
import postgres from 'postgres'
import { query } from '../src/db/client.ts'
import { APP, boot } from '../test/kit/posthouse.ts'
import { median, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const ROUNDS = 5
const PEOPLE = 50_000
/** An inbox row and an item each. */
const ROWS = 2 * PEOPLE
const MSG_TYPE = 'notice'
/** Of an inbox that has two. */
const FACETS = JSON.stringify({ [`u/${MSG_TYPE}/${APP}`]: 2, [`s/${MSG_TYPE}/${APP}`]: 2 })

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(SERVER, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
const posthouse = await boot({ DATABASE_URL: url, DATA_DIR: `/tmp/${name}` })
// Beside the worker's connections; the floor may take longer than a statement of Posthouse's may.
const { patient: db } = posthouse.context.store

await query(db, sql`insert into departments (code, name) values ('ALL', 'all')`)
await query(
  db,
  sql`insert into users (code, name) select 'P' || lpad(n::text, 6, '0'), n from generate_series(0, ${PEOPLE - 1}::int) as n`,
)
await query(db, sql`insert into memberships select 'dept', 'ALL', code from users where code like 'P______'`)
await query(db, sql`create unlogged table inboxes_copy as table inboxes with no data`)
await query(db, sql`create unlogged table items_copy as table items with no data`)

/** So that nobody pays for what was written before. */
async function settle(): Promise<void> {
  await query(db, sql`vacuum (analyze) users, memberships, messages, inboxes, items, inboxes_copy, items_copy`)
  await query(db, sql`checkpoint`)
}

/** Pushes to all of the dept; seconds until the message is fanned out. */
async function pushSeconds(): Promise<{ seconds: number; id: string }> {
  await settle()
  const startedAt = performance.now()
  const { status, body } = await posthouse.post('/api/openApi/message/push/channel', {
    appId: APP,
    receiverType: 'specified',
    msgType: MSG_TYPE,
    receiverData: { dept: ['ALL'] },
    channelData: { '1002': { title: '停水通知', content: '<p>明日八时至十时停水。</p>' } },
  })
  const id = body.msgId
  if (id === undefined) throw new Error(`The push was answered ${status}: ${body.msg}`)
  for (;;) {
    const [message] = await query<{ state: string }>(db, sql`select state from messages where id = ${id}`)
    if (message?.state === 'fanned_out') break
    await sleep(5)
  }
  return { seconds: (performance.now() - startedAt) / 1_000, id }
}

async function floorSeconds(statement: SQL): Promise<number> {
  await settle()
  const startedAt = performance.now()
  await query(db, statement)
  return (performance.now() - startedAt) / 1_000
}

async function mustHave(itemsEach: number): Promise<void> {
  const [count] = await query<{ items: number; inboxes: number }>(
    db,
    sql`
      select (select count(*) from items)::int as items,
        (select count(*) from inboxes where unread = ${itemsEach} and rev = ${itemsEach})::int as inboxes`,
  )
  if (count?.items !== itemsEach * PEOPLE || count.inboxes !== PEOPLE)
    throw new Error(`Not everybody has ${itemsEach}: ${JSON.stringify(count)}`)
}

async function copy(id: string): Promise<void> {
  await query(db, sql`truncate inboxes_copy, items_copy`)
  await query(db, sql`insert into inboxes_copy select * from inboxes`)
  await query(db, sql`insert into items_copy select * from items where message_id = ${id}`)
}

const bareInsert = sql`
  with inbox as (insert into inboxes select * from inboxes_copy)
  insert into items select * from items_copy`

const bareUpsert = sql`
  with inbox as (
    insert into inboxes select * from inboxes_copy
    on conflict (user_code) do update
    set rev = excluded.rev, unread = excluded.unread, unseen = excluded.unseen, facets = excluded.facets
  )
  insert into items select * from items_copy`

const times = { fresh: [] as number[], again: [] as number[], freshFloor: [] as number[], againFloor: [] as number[] }
// The same start for both: the fresh inboxes, of Posthouse's or of the floor's own writing.
for (let round = 0; round < ROUNDS; round++) {
  await query(db, sql`truncate inboxes, items`)
  const fresh = await pushSeconds()
  times.fresh.push(fresh.seconds)
  await mustHave(1)
  await copy(fresh.id)
  const again = await pushSeconds()
  times.again.push(again.seconds)
  await mustHave(2)
  await query(db, sql`truncate inboxes, items`)
  times.freshFloor.push(await floorSeconds(bareInsert))
  await mustHave(1)
  await query(db, sql`update inboxes_copy set rev = 2, unread = 2, unseen = 2, facets = ${FACETS}::jsonb`)
  await query(db, sql`update items_copy set message_id = ${again.id}, rev = 2, created_rev = 2`)
  times.againFloor.push(await floorSeconds(bareUpsert))
  await mustHave(2)
}

const rate = (seconds: number[]) => ROWS / median(seconds)
const ratio = (floors: number[], ours: number[]) => median(ours.map((value, round) => (floors[round] ?? value) / value))
const vsFresh = ratio(times.freshFloor, times.fresh)
const vsAgain = ratio(times.againFloor, times.again)
report({
  freshRowsPerSecond: rate(times.fresh),
  freshFloorRowsPerSecond: rate(times.freshFloor),
  vsBareInsertFresh: vsFresh,
  againRowsPerSecond: rate(times.again),
  againFloorRowsPerSecond: rate(times.againFloor),
  vsBareInsertAgain: vsAgain,
  vsBareInsert: Math.min(vsFresh, vsAgain),
})

await posthouse.stop()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
