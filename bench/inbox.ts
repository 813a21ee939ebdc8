/**
 * npm run bench:inbox [-- --json] [-- --plans]: what a person's inbox costs with 10,000 items in the house and with 10 million,
 * and what accepting a broadcast costs with 1,000 users and with a million. Both houses are asked in turns, so that the
 * ratio depends on nothing else. `--plans` also prints how PostgreSQL finds what is asked. Needs about 5 GB and some minutes
 * on PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us).
 */
import { randomUUID } from 'node:crypto'
import { drizzle } from 'drizzle-orm/pg-proxy'
import postgres from 'postgres'
import { findApp } from '../src/apps/apps.ts'
import { connect } from '../src/db/connect.ts'
import { upToDate } from '../src/inbox/broadcast.ts'
import { page, stateOf } from '../src/inbox/inbox.ts'
import { mark } from '../src/inbox/mark.ts'
import { pushChannelMessage } from '../src/messages/push.ts'
import { APP, boot } from '../test/kit/posthouse.ts'
import { fillHouse, type House } from './inbox-house.ts'
import { median, percentile, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const WARM_UP = 100
const ASKED = 600
const BROADCASTS = 200
const PAGE = 20
/** What a front end shows in a list and on a badge. */
const LIST = `fragment List on QueryInboxConnection {
  edges { cursor node { id title text website senderName msgType priority createdAt seenAt readAt } }
  pageInfo { hasNextPage endCursor }
}`
const FIRST_PAGE = `query { inbox(first: ${PAGE}) { ...List } } ${LIST}`
const UNREAD = `query { inbox(first: ${PAGE}, filter: { unread: true }) { edges { node { msgId } } } }`

const admin = postgres(SERVER, { max: 1, onnotice: () => {} })

/** A Posthouse on a database of its own, with so many people. */
async function openHouse(users: number) {
  const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
  await admin.unsafe(`create database ${name}`)
  const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
  const posthouse = await boot({ DATABASE_URL: url, DATA_DIR: `/tmp/${name}` })
  const house = await fillHouse(url, users)
  return {
    url,
    posthouse,
    house,
    db: posthouse.context.db,
    async close() {
      await posthouse.stop()
      await admin.unsafe(`drop database ${name} with (force)`)
    },
  }
}

type Opened = Awaited<ReturnType<typeof openHouse>>

type Asked = { opened: Pick<Opened, 'db' | 'posthouse'>; user: string; token: string; from: string; unread: string }

/**
 * What is asked of one person's inbox: over HTTP as a front end does, `from` the end of the first page, or of an `unread`
 * item; and `inside`, what that asks of the database. Everybody who looks is brought up to date with broadcasts first.
 */
const questions: Record<string, { query: string; inside: (asked: Asked) => Promise<unknown> }> = {
  firstPage: {
    query: FIRST_PAGE,
    async inside({ opened: { db, posthouse }, user }) {
      await upToDate({ db, hints: posthouse.context.hints }, user)
      return page(db, user, { limit: PAGE + 1 })
    },
  },
  nextPage: {
    query: `query ($from: String!) { inbox(first: ${PAGE}, after: $from) { ...List } } ${LIST}`,
    inside: ({ opened: { db }, user }) => page(db, user, { after: Number(from), limit: PAGE + 1 }),
  },
  counts: {
    query: `query { inboxCounts { unread unseen } }`,
    inside: ({ opened: { db }, user }) => stateOf(db, user),
  },
  // The newest that is unread, as somebody does who opens it.
  markRead: {
    query: `mutation ($unread: ID!) { markItemsRead(ids: [$unread]) { rev counts { unread unseen } } }`,
    inside: ({ opened: { db }, user, unread }) => mark(db, user, 'read', { messageIds: [unread] }),
  },
}

/** Somebody with many items, of whom nothing was read before; for `unread`, as life goes, the list it is in. */
async function whoAsks(opened: Opened, name: string): Promise<Asked> {
  const user = someone(opened.house)
  const token = await opened.posthouse.token(user)
  const asked = { opened, user, token, from, unread: '' }
  if (name !== 'markRead') return asked
  const { data } = await opened.posthouse.graphql(token, UNREAD)
  return { ...asked, unread: data?.['inbox'].edges[0]?.node.msgId ?? randomUUID() }
}

const small = await openHouse(1_000)
const large = await openHouse(1_000_000)
const newestRev = small.house.itemsEach
/** The end of everybody's first page. */
const from = String(newestRev - PAGE + 1)

type Times = { small: number[]; large: number[] }
const times: Record<string, Times> = {}
const timesInside: Record<string, Times> = {}
const someone = (house: House) => house.busy[Math.floor(Math.random() * house.busy.length)] ?? ''

async function timed(list: number[], act: () => Promise<unknown>) {
  const startedAt = performance.now()
  await act()
  list.push(performance.now() - startedAt)
}

async function ask({ opened: { posthouse }, token, from, unread }: Asked, query: string): Promise<void> {
  const { errors } = await posthouse.graphql(token, query, { from, unread })
  if (errors !== undefined) throw new Error(JSON.stringify(errors))
}

if (process.argv.includes('--plans')) await printPlans(large)

for (const [name, { query, inside }] of Object.entries(questions)) {
  const [door, database] = [
    { small: [], large: [] },
    { small: [], large: [] },
  ] as [Times, Times]
  for (let turn = 0; turn < WARM_UP + ASKED; turn++) {
    if (turn === WARM_UP) for (const list of [door.small, door.large, database.small, database.large]) list.length = 0
    for (const [opened, size] of [
      [small, 'small'],
      [large, 'large'],
    ] as const) {
      // Two people, so that neither finds in memory what the other has just read.
      const [one, other] = [await whoAsks(opened, name), await whoAsks(opened, name)]
      await timed(door[size], () => ask(one, query))
      await timed(database[size], () => inside(other))
    }
  }
  times[name] = door
  timesInside[name] = database
}
const accepts = { small: [] as number[], large: [] as number[] }
const apps = { small: await findApp(small.db, APP), large: await findApp(large.db, APP) }
for (let turn = 0; turn < BROADCASTS; turn++) {
  for (const [size, opened] of [
    ['small', small],
    ['large', large],
  ] as const) {
    const app = apps[size]
    if (app === undefined) throw new Error(`The sample hospital has no app ${APP}`)
    const body = { receiverType: 'all', channelData: { '1002': { title: '通知', content: '通知' } } }
    await timed(accepts[size], () =>
      pushChannelMessage(opened.posthouse.context, app, body, { requestId: 'bench', idempotency: undefined }),
    )
  }
}

const figures: Record<string, number> = {}
const ratios: number[] = []
const ratiosInside: number[] = []
for (const [name, { small, large }] of Object.entries(times)) {
  const inside = timesInside[name] ?? { small: [], large: [] }
  figures[`${name}Ms10k`] = median(small)
  figures[`${name}Ms10m`] = median(large)
  figures[`${name}P99Ms10m`] = percentile(large, 99)
  figures[`${name}InsideMs10k`] = median(inside.small)
  figures[`${name}InsideMs10m`] = median(inside.large)
  ratios.push(median(large) / median(small))
  ratiosInside.push(median(inside.large) / median(inside.small))
}
report({
  ...figures,
  worstRatio10kTo10m: Math.max(...ratios),
  worstInsideRatio10kTo10m: Math.max(...ratiosInside),
  broadcastAcceptMs1kUsers: median(accepts.small),
  broadcastAcceptMs1mUsers: median(accepts.large),
  broadcastAcceptRatio: median(accepts.large) / median(accepts.small),
})

/** Asks everything once more, and prints the plan of each statement. */
async function printPlans(opened: Opened): Promise<void> {
  // As the product itself connects, so that the plans are its own.
  const inside = connect(opened.url, { max: 1, statementTimeoutMs: 0 })
  const explaining = (async (text: string, params: unknown[]) => {
    const plan = await inside.sql.unsafe(
      `explain (analyze, costs off, timing off, summary off) ${text}`,
      params as never[],
    )
    process.stdout.write(`${plan.map((row) => row['QUERY PLAN']).join('\n')}\n\n`)
    return { rows: await inside.sql.unsafe(text, params as never[]) }
  }) as Parameters<typeof drizzle>[0]
  const db = drizzle(explaining)
  for (const [name, question] of Object.entries(questions)) {
    process.stdout.write(`## ${name}\n\n`)
    const asked = await whoAsks(opened, name)
    await question.inside({ ...asked, opened: { db, posthouse: opened.posthouse } })
  }
  inside.destroy()
}

await small.close()
await large.close()
await admin.end()
process.exit(0)
