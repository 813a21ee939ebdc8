/**
 * The hint bus cut at random, while two nodes take pushes, broadcasts and marks. Hints are lost, doubled and late here;
 * what subscribers hear must not show it: everything, once, in order.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/db/client.ts'
import { silentProxy } from '../faults/proxy.ts'
import { recount, storedCounts, subscribe, type Event } from '../inbox/subscriber.ts'
import { boot, eventually, run, type Running } from '../kit/posthouse.ts'
import { randomFrom } from '../kit/random.ts'
import { NO_REDIS, redisUrl } from '../kit/redis.ts'
import { onPostgres } from '../kit/stores.ts'

const USERS = ['USER001', 'USER002', 'USER003']
const MILLISECONDS = 8_000
/** After the last act: the beat of the hub, and time for a busy machine. */
const ALL_HEARD_MS = 15_000
const SEED = Date.now() % 2 ** 31

const wires = [
  { name: 'NOTIFY', lacks: onPostgres ? undefined : 'no PostgreSQL' },
  { name: 'Redis', lacks: onPostgres ? (redisUrl === undefined ? NO_REDIS : undefined) : 'no PostgreSQL' },
]

for (const { name, lacks } of wires) {
  describe.skipIf(lacks !== undefined)(
    `a live inbox while ${name} is cut at random${lacks ? `: ${lacks}` : ''}`,
    () => {
      let proxies: Awaited<ReturnType<typeof silentProxy>>[] = []
      let here: Awaited<ReturnType<typeof run>>
      let there: Running
      const random = randomFrom(SEED)
      const oneOf = <One>(list: readonly One[]): One => list[Math.floor(random() * list.length)]!

      beforeAll(async () => {
        if (name === 'Redis') {
          const port = Number(new URL(redisUrl!).port || 6379)
          proxies = [await silentProxy(port), await silentProxy(port)]
        }
        const [nearer, farther] = proxies.map((proxy) => {
          const url = new URL(redisUrl!)
          ;[url.hostname, url.port] = ['127.0.0.1', String(proxy.port)]
          return { REDIS_URL: url.href }
        })
        here = await run(onPostgres!, nearer)
        there = await boot({ ...here.place.env, ...farther })
      })
      afterAll(async () => {
        await there?.stop()
        await here?.stop()
        for (const proxy of proxies) proxy.close()
      })

      /** Cuts one node or both off, in one of the ways in which that happens. */
      async function cut() {
        // Only what hears: that the pool is lost too is the matter of test/faults/database.test.ts.
        const hearing = sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query = 'listen posthouse'`
        if (name === 'NOTIFY') return query(here.context.db, hearing)
        const proxy = oneOf(proxies)
        const how = random()
        if (how < 0.5) return proxy.cut()
        if (how < 0.8) proxy.goAway()
        else proxy.fallSilent()
        await sleep(random() * 1_000)
        proxy.comeBack()
        proxy.speak()
      }

      /** A device that stays connected to one node and notes what it hears. */
      async function device(node: Running, user: string) {
        const client = node.socket(await node.token(user))
        const stream = subscribe(client)
        const events = await stream.until('InboxCaughtUp')
        const had = events[0]!.items!.map(({ msgId }) => msgId)
        const reading = (async () => {
          for (;;) events.push(await stream.next())
        })().catch(() => {})
        return {
          user,
          had,
          events,
          async close() {
            await client.dispose()
            await reading
          },
        }
      }

      it('hears everything, once, in order, on both nodes', async () => {
        const nodes = [here, there]
        const devices = await Promise.all(USERS.flatMap((user) => nodes.map((node) => device(node, user))))
        const accepted = new Map<string, string[]>(USERS.map((user) => [user, []]))
        const until = Date.now() + MILLISECONDS
        let cuts = 0

        async function cutting() {
          while (Date.now() < until) {
            await sleep(100 + random() * 500)
            await cut()
            cuts++
          }
        }
        async function pushing() {
          while (Date.now() < until) {
            const isBroadcast = random() < 0.1
            const to = isBroadcast ? USERS : USERS.filter(() => random() < 0.6)
            if (to.length === 0) continue
            const more = isBroadcast ? { receiverType: 'all', receiverData: null } : {}
            const { status, body } = await oneOf(nodes).push(isBroadcast ? [] : to, 'x', more)
            expect(status).toBe(200)
            for (const user of to) accepted.get(user)!.push(body.msgId!)
            await sleep(random() * 60)
          }
        }
        async function marking() {
          while (Date.now() < until) {
            await sleep(random() * 100)
            const user = oneOf(USERS)
            const ids = accepted.get(user)!.slice(-3)
            const act = oneOf(['markItemsRead', 'markItemsUnread', 'archiveItems', 'unarchiveItems'])
            const node = oneOf(nodes)
            const { errors } = await node.graphql(
              await node.token(user),
              `mutation ($ids: [ID!]!) { ${act}(ids: $ids) { rev } }`,
              { ids },
            )
            expect(errors).toBeUndefined()
          }
        }
        await Promise.all([cutting(), pushing(), pushing(), marking()])

        for (const { user, had, events, close } of devices) {
          const last = await revOf(user)
          await eventually(() => events.at(-1)!.rev === last, ALL_HEARD_MS)
          await close()
          expect(news(events).toSorted()).toEqual(
            accepted
              .get(user)!
              .filter((id) => !had.includes(id))
              .toSorted(),
          )
          const revs = events
            .filter(({ __typename }) => __typename === 'ItemChanged')
            .map(({ rev }) => Number(rev.split('-')[1]))
          expect(revs).toEqual([...new Set(revs)].toSorted((a, b) => a - b))
          expect(events.filter(({ __typename }) => __typename === 'InboxLagged')).toEqual([])
          const truth = await recount(here.context.db, user)
          expect(await storedCounts(here.context.db, user)).toEqual(truth)
          expect(events.findLast(({ counts }) => counts !== undefined)?.counts).toEqual(truth)
        }
        const pushes = new Set([...accepted.values()].flat()).size
        console.info(`${name}, seed ${SEED}: ${cuts} cuts, ${pushes} pushes`)
        expect(cuts).toBeGreaterThan(3)
        expect(pushes).toBeGreaterThan(20)
        expect((await fetch(`${here.url}/readyz`)).status).toBe(200)
      })

      const news = (events: Event[]) => events.filter(({ change }) => change === 'NEW').map(({ item }) => item!.msgId)
      const revOf = async (user: string): Promise<string> => {
        const ask = '{ inboxChanges { ... on InboxCaughtUp { rev } } }'
        const { data } = await here.graphql(await here.token(user), ask)
        return data!['inboxChanges'].at(-1).rev
      }
    },
  )
}
