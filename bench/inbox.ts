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
import type { Db } from '../src/db/client.ts'
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

/** What is asked of one person's inbox. Everybody who looks is brought up to date with broadcasts first. */
const questions: Record<string, (opened: Pick<Opened, 'db' | 'posthouse'>, user: string) => Promise<unknown>> = {
  async firstPage({ db, posthouse }, user) {
    await upToDate({ db, hints: posthouse.context.hints }, user)
    return page(db, user, { limit: PAGE + 1 })
  },
  async nextPage({ db }, user) {
    return page(db, user, { after: newestRev - PAGE, limit: PAGE + 1 })
  },
  counts: ({ db }, user) => stateOf(db, user),
  // The newest that is unread, as somebody does who opens it.
  async markRead({ db }, user) {
    return mark(db, user, 'read', { messageIds: [await oneUnread(db, user)] })
  },
}
let newestRev = 0

const unread = new Map<string, string[]>()
/** Found beforehand, so that only the act is measured. */
async function oneUnread(_db: Db, user: string): Promise<string> {
  return unread.get(user)?.pop() ?? randomUUID()
}

async function collectUnread(db: Db, users: readonly string[]): Promise<void> {
  for (const user of users) {
    const found = await page(db, user, { limit: PAGE }, { unread: true })
    unread.set(user, found?.items.map(({ messageId }) => messageId) ?? [])
  }
}

const small = await openHouse(1_000)
const large = await openHouse(1_000_000)
newestRev = small.house.itemsEach

const times: Record<string, { small: number[]; large: number[] }> = {}
const someone = (house: House) => house.busy[Math.floor(Math.random() * house.busy.length)] ?? ''

async function timed(list: number[] | undefined, act: () => Promise<unknown>) {
  const startedAt = performance.now()
  await act()
  list?.push(performance.now() - startedAt)
}

if (process.argv.includes('--plans')) await printPlans(large)

for (const [name, ask] of Object.entries(questions)) {
  const both = { small: [] as number[], large: [] as number[] }
  times[name] = both
  for (let turn = 0; turn < WARM_UP + ASKED; turn++) {
    const isMeasured = turn >= WARM_UP
    for (const [opened, list] of [
      [small, both.small],
      [large, both.large],
    ] as const) {
      const user = someone(opened.house)
      if (name === 'markRead') await collectUnread(opened.db, [user])
      await timed(isMeasured ? list : undefined, () => ask(opened, user))
    }
  }
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
for (const [name, both] of Object.entries(times)) {
  figures[`${name}Ms10k`] = median(both.small)
  figures[`${name}Ms10m`] = median(both.large)
  figures[`${name}P99Ms10m`] = percentile(both.large, 99)
  ratios.push(median(both.large) / median(both.small))
}
report({
  ...figures,
  worstRatio10kTo10m: Math.max(...ratios),
  broadcastAcceptMs1kUsers: median(accepts.small),
  broadcastAcceptMs1mUsers: median(accepts.large),
  broadcastAcceptRatio: median(accepts.large) / median(accepts.small),
})

/** Asks everything once more, and prints the plan of each statement. */
async function printPlans({ url, house, posthouse }: Opened): Promise<void> {
  // As the product itself connects, so that the plans are its own.
  const inside = connect(url, { max: 1, statementTimeoutMs: 0 })
  const explaining = (async (text: string, params: unknown[]) => {
    const plan = await inside.sql.unsafe(
      `explain (analyze, costs off, timing off, summary off) ${text}`,
      params as never[],
    )
    process.stdout.write(`${plan.map((row) => row['QUERY PLAN']).join('\n')}\n\n`)
    return { rows: await inside.sql.unsafe(text, params as never[]) }
  }) as Parameters<typeof drizzle>[0]
  const db = drizzle(explaining)
  const user = someone(house)
  await collectUnread(posthouse.context.db, [user])
  for (const [name, ask] of Object.entries(questions)) {
    process.stdout.write(`## ${name}\n\n`)
    await ask({ db, posthouse }, user)
  }
  inside.destroy()
}

await small.close()
await large.close()
await admin.end()
process.exit(0)
