/**
 * npm run bench:storm [-- --json] [-- --sockets 1000]: a server dies with 10,000 inboxes open, and all of them are back at
 * once, whatever they were advised. How long until the last is told all it missed, beside a bare `ws` server that answers
 * the same handshakes and a line to each; how the others fare meanwhile; and the same for clients that keep to the advice.
 * Needs PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us) and `ulimit -n` above the sockets.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { openHouse } from './live-house.ts'
import { startFloor, startPosthouse, stepAside } from './live-servers.ts'
import { openSockets } from './live-sockets.ts'
import { percentile, report } from './measure.ts'

const DATABASES = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const { values: options } = parseArgs({ options: { sockets: { type: 'string' }, json: { type: 'boolean' } } })
const SOCKETS = Number(options.sockets ?? 10_000)
const PUSH = '/api/openApi/message/push/channel'
/** Between two pushes of somebody who has nothing to do with it. */
const PUSH_EVERY_MS = 50

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(DATABASES, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const databaseUrl = Object.assign(new URL(DATABASES), { pathname: `/${name}` }).href
await stepAside()

/** Starts one anew, so that it knows nobody, and lets everybody in. */
async function comeBack(revs?: string[], spreadMs?: (index: number) => number) {
  const server = await startPosthouse(databaseUrl, `/tmp/${name}`)
  if (revs !== undefined) await house.writeToEach(everybody)
  const before = await server.memory()
  const answered: number[] = []
  let isOver = false
  const pushing = (async () => {
    while (!isOver) {
      const startedAt = performance.now()
      const answer = await fetch(server.url + PUSH, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: house.push('USER001'),
      })
      await answer.arrayBuffer()
      if (!answer.ok) throw new Error(`A push was answered ${answer.status}`)
      answered.push(performance.now() - startedAt)
      await sleep(PUSH_EVERY_MS)
    }
  })()
  const startedAt = performance.now()
  const sockets = await openSockets(server.url, house.people, {
    isGreeted: true,
    atOnce: SOCKETS,
    after: revs,
    spreadMs,
  })
  const lastMs = sockets.greetedAt() - startedAt
  isOver = true
  await pushing
  const memory = await server.memory()
  sockets.close()
  await server.stop()
  return { revs: sockets.revs, lastMs, answered, kib: (memory - before) / 1024 / SOCKETS }
}

const first = await startPosthouse(databaseUrl, `/tmp/${name}`)
const house = await openHouse(databaseUrl, SOCKETS)
const everybody = house.people.map(({ user }) => user)
await first.stop()

const bare = await startFloor('ws')
const startedAt = performance.now()
const floor = await openSockets(bare.url, house.people, { isGreeted: false, atOnce: SOCKETS })
const floorMs = floor.greetedAt() - startedAt
floor.close()
await bare.stop()

const fresh = await comeBack()
const resumed = await comeBack(fresh.revs)
const advised = await comeBack(resumed.revs, () => 500 + Math.random() * 19_500)

report({
  sockets: SOCKETS,
  wsLastMs: floorMs,
  freshLastMs: fresh.lastMs,
  resumedLastMs: resumed.lastMs,
  vsWs: resumed.lastMs / floorMs,
  pushP50Ms: percentile(resumed.answered, 50),
  pushP99Ms: percentile(resumed.answered, 99),
  advisedLastMs: advised.lastMs,
  advisedPushP50Ms: percentile(advised.answered, 50),
  advisedPushP99Ms: percentile(advised.answered, 99),
  kibPerSocket: resumed.kib,
})

await house.close()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
