/**
 * npm run bench:push [-- --json]: what a push costs from the REST door to the commit, and to the subscriber's socket.
 * Needs PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us). Floors, in the same run: a bare
 * node:http server that does one prepared insert per request, on the same database.
 */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import postgres from 'postgres'
import { boot } from '../test/kit/posthouse.ts'
import { median, percentile, rate, report } from './measure.ts'

const SERVER = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const ROUNDS = 3
const PUSHES = 2_000
const IN_FLIGHT = 32
const LATENCY_PUSHES = 200

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(SERVER, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = Object.assign(new URL(SERVER), { pathname: `/${name}` }).href
const posthouse = await boot({ DATABASE_URL: url, DATA_DIR: `/tmp/${name}` })

const sql = postgres(url, { max: 10, onnotice: () => {} })
await sql`create table floor (id uuid primary key, body jsonb not null)`
const floor = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const body = JSON.parse(Buffer.concat(chunks).toString()) as postgres.JSONValue
  await sql`insert into floor values (${randomUUID()}, ${sql.json(body)})`
  response.end('{"code":200}')
})
await new Promise<void>((resolve) => floor.listen(0, '127.0.0.1', resolve))
const floorUrl = `http://127.0.0.1:${(floor.address() as AddressInfo).port}`

const body = (user: string) =>
  JSON.stringify({
    appId: '102343444',
    receiverType: 'specified',
    receiverData: { user: [user] },
    channelData: { '1002': { title: '检验报告已出', content: '<p>您的检验报告已出，请查收。</p>' } },
  })
const user = (index: number) => `USER${String((index % 40) + 1).padStart(3, '0')}`

async function post(at: string, path: string, text: string): Promise<void> {
  const response = await fetch(at + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: text,
  })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
}

const PATH = '/api/openApi/message/push/channel'
const pushes: number[] = []
const floors: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  floors.push(await rate(PUSHES, IN_FLIGHT, (index) => post(floorUrl, '/', body(user(index)))))
  pushes.push(await rate(PUSHES, IN_FLIGHT, (index) => post(posthouse.url, PATH, body(user(index)))))
}

// Push to socket: one push at a time, on an otherwise idle server.
const client = posthouse.socket(await posthouse.token('USER001'))
const changes = client.iterate<{ inboxChanges: { __typename: string } }>({
  query: 'subscription { inboxChanges { __typename } }',
})
for (;;) {
  const { value } = await changes.next()
  if ((value as { data: { inboxChanges: { __typename: string } } }).data.inboxChanges.__typename === 'InboxCaughtUp')
    break
}
const latencies: number[] = []
for (let index = 0; index < LATENCY_PUSHES; index++) {
  const startedAt = performance.now()
  const seen = changes.next()
  await post(posthouse.url, PATH, body('USER001'))
  await seen
  latencies.push(performance.now() - startedAt)
}

report({
  pushesPerSecond: median(pushes),
  floorPerSecond: median(floors),
  vsFloor: median(pushes.map((value, round) => value / (floors[round] ?? value))),
  pushToSocketP50Ms: percentile(latencies, 50),
  pushToSocketP99Ms: percentile(latencies, 99),
})

await client.dispose()
await posthouse.stop()
floor.close()
floor.closeAllConnections()
await sql.end()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
