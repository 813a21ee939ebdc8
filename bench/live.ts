/**
 * npm run bench:live [-- --json] [-- --subscribers 500]: what the live inbox costs with 5,000 subscribers on their own
 * inboxes, beside a bare `ws` server that sends the very same bytes and beside bare graphql-yoga with graphql-ws. All three
 * are up at once, each in its process on one core, the load on another, and take turns, so that ratios depend on
 * nothing else. Needs PostgreSQL at BENCH_DATABASE_URL (default: a local server that trusts us), Linux to pin, and
 * `ulimit -n` above three times the subscribers.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { openHouse, type House } from './live-house.ts'
import { startFloor, startPosthouse, stepAside, type Server } from './live-servers.ts'
import { openSockets, type Sockets } from './live-sockets.ts'
import { median, percentile, report } from './measure.ts'

const DATABASES = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const { values: options } = parseArgs({ options: { subscribers: { type: 'string' }, json: { type: 'boolean' } } })
const SUBSCRIBERS = Number(options.subscribers ?? 5_000)
const WARM_UP = 5
const ROUNDS = 15
const BROADCASTS = 10
/** A server that has served has what it keeps for good: what follows is the subscribers'. */
const BEFORE = Math.min(300, SUBSCRIBERS)
/** Long enough for the beat to come by. */
const SETTLE_MS = 3_000
const PUSHES_PER_SECOND = 500
const PUSH_SECONDS = 10
const PUSH = '/api/openApi/message/push/channel'

type Contender = { server: Server; sockets: Sockets; kibPerSubscriber: number }

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

async function post(url: string, body: string): Promise<void> {
  const asked = request(url, { agent, method: 'POST', headers: { 'content-type': 'application/json' } })
  asked.end(body)
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  answer.resume()
  await once(answer, 'end')
  if (answer.statusCode !== 200) throw new Error(`${url} answered ${answer.statusCode}`)
}

/** Subscribes everybody, and finds what each costs while nothing happens. `say` says something to each of the first few. */
async function fill(server: Server, house: House, say: (users: string[], sockets: Sockets) => Promise<void>) {
  const isGreeted = server.kind === 'posthouse'
  const some = house.people.slice(0, BEFORE)
  const few = await openSockets(server.url, some, { isGreeted })
  for (let times = 0; times < 3; times++) {
    await few.allHear(() =>
      say(
        some.map(({ user }) => user),
        few,
      ),
    )
  }
  few.close()
  await sleep(SETTLE_MS)
  const before = await server.memory()
  const sockets = await openSockets(server.url, house.people, { isGreeted })
  await sleep(SETTLE_MS)
  const after = await server.memory()
  return { server, sockets, kibPerSubscriber: (after - before) / 1024 / SUBSCRIBERS } satisfies Contender
}

/** CPU of the server, in microseconds for each event that was heard. */
async function cpuPerEvent({ server, sockets }: Contender, act: () => Promise<void>): Promise<number> {
  const before = await server.cpu()
  await sockets.allHear(act)
  return ((await server.cpu()) - before) / SUBSCRIBERS
}

/** Milliseconds until the last one has heard. */
async function untilLast({ sockets }: Contender, act: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await sockets.allHear(act)
  return performance.now() - startedAt
}

/** Milliseconds from each push's request to its event, at an even rate that waits for no answer. */
async function pushToSocket({ server, sockets }: Contender, house: House): Promise<number[]> {
  const begun = new Map<number, number>()
  const found: number[] = []
  sockets.onEvent((index) => {
    const at = begun.get(index)
    if (at !== undefined) found.push(performance.now() - at)
    begun.delete(index)
  })
  const times = PUSHES_PER_SECOND * PUSH_SECONDS
  await sockets.allHear(
    async () => {
      const startedAt = performance.now()
      const answers: Promise<void>[] = []
      for (let sent = 0; sent < times;) {
        const due = Math.floor(((performance.now() - startedAt) * PUSHES_PER_SECOND) / 1_000)
        for (; sent < Math.min(due, times); sent++) {
          const index = sent % SUBSCRIBERS
          begun.set(index, performance.now())
          answers.push(post(server.url + PUSH, house.push(house.people[index]?.user)))
        }
        await sleep(1)
      }
      await Promise.all(answers)
    },
    { times },
  )
  sockets.onEvent(() => {})
  return found
}

const name = `posthouse_bench_${randomUUID().replaceAll('-', '')}`
const admin = postgres(DATABASES, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const databaseUrl = Object.assign(new URL(DATABASES), { pathname: `/${name}` }).href
await stepAside()
const running = await startPosthouse(databaseUrl, `/tmp/${name}`)
const house = await openHouse(databaseUrl, SUBSCRIBERS)
const everybody = house.people.map(({ user }) => user)

const posthouse = await fill(running, house, (users) => house.writeToEach(users))
await posthouse.sockets.allHear(() => house.writeToEach(everybody))
const message = posthouse.sockets.sample()
const say = (server: Server) => post(server.url, message)
const bareWs = await startFloor('ws')
const ws = await fill(bareWs, house, () => say(bareWs))
const bareYoga = await startFloor('yoga')
const yoga = await fill(bareYoga, house, () => say(bareYoga))

const cpu = { posthouse: [] as number[], ws: [] as number[], yoga: [] as number[] }
for (let round = 0; round < WARM_UP + ROUNDS; round++) {
  const now = {
    ws: await cpuPerEvent(ws, () => say(ws.server)),
    posthouse: await cpuPerEvent(posthouse, () => house.writeToEach(everybody)),
    yoga: await cpuPerEvent(yoga, () => say(yoga.server)),
  }
  if (round < WARM_UP) continue
  cpu.ws.push(now.ws)
  cpu.posthouse.push(now.posthouse)
  cpu.yoga.push(now.yoga)
}
yoga.sockets.close()
await yoga.server.stop()

const last = { posthouse: [] as number[], ws: [] as number[] }
for (let round = 0; round < 1 + BROADCASTS; round++) {
  const floor = await untilLast(ws, () => say(ws.server))
  const ours = await untilLast(posthouse, () => post(posthouse.server.url + PUSH, house.push()))
  if (round === 0) continue
  last.ws.push(floor)
  last.posthouse.push(ours)
}
ws.sockets.close()
await ws.server.stop()

const latencies = await pushToSocket(posthouse, house)

const vs = (others: number[], mine: number[]) => median(mine.map((value, round) => value / (others[round] ?? value)))
report({
  subscribers: SUBSCRIBERS,
  messageBytes: Buffer.byteLength(message),
  cpuMicrosPerEvent: median(cpu.posthouse),
  wsCpuMicrosPerEvent: median(cpu.ws),
  yogaCpuMicrosPerEvent: median(cpu.yoga),
  cpuVsWs: vs(cpu.ws, cpu.posthouse),
  cpuVsYoga: vs(cpu.yoga, cpu.posthouse),
  broadcastLastMs: median(last.posthouse),
  wsBroadcastLastMs: median(last.ws),
  broadcastVsWs: vs(last.ws, last.posthouse),
  rssKibPerSubscriber: posthouse.kibPerSubscriber,
  wsRssKibPerSubscriber: ws.kibPerSubscriber,
  yogaRssKibPerSubscriber: yoga.kibPerSubscriber,
  pushToSocketP50Ms: percentile(latencies, 50),
  pushToSocketP99Ms: percentile(latencies, 99),
})

posthouse.sockets.close()
await posthouse.server.stop()
await house.close()
await admin.unsafe(`drop database ${name} with (force)`)
await admin.end()
process.exit(0)
