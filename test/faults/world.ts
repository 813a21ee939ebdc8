/** What a test of delivery under faults has: fake providers, processes that use them, a caller, and the verdict. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { saveApp } from '../../src/apps/apps.ts'
import { openStore, type Db } from '../../src/db/client.ts'
import { migrate } from '../../src/db/migrate.ts'
import { loadSample } from '../../src/sample.ts'
import { whatIsWrong, type Book } from './books.ts'
import { FAULTS, makeLedger } from './ledger.ts'
import { makeNodes } from './nodes.ts'
import { smsGateway } from './providers.ts'
import { APPS, makePushes, pushUntilAcked, type Sizes } from './pushes.ts'
import { mailServer } from './smtp-provider.ts'
import { judge, type Happened } from './verdict.ts'

/** Callers that push side by side. */
const CALLERS = 4
/** Of what is wrong so much is shown. */
const SHOWN = 20

export type World = Awaited<ReturnType<typeof makeWorld>>

/** Makes one, with the sample hospital and three apps in the database that `env` names. */
export async function makeWorld(sizes: Sizes, env: Record<string, string>) {
  const store = await openStore({ databaseUrl: env['DATABASE_URL'], dataDir: env['DATA_DIR'] })
  await migrate(store)
  await loadSample(store)
  for (const id of APPS.slice(1))
    await saveApp(store.db, { id, name: id, grants: ['channel:*'], legacyFrom: ['127.0.0.1/32', '::1/128'] })
  await store.close()

  const pushes = makePushes(sizes)
  const expected = pushes.flatMap(({ deliveries }) => deliveries).reduce((sum, { recipients }) => sum + recipients, 0)
  const ledger = makeLedger(expected / 2)
  const gateway = await smsGateway('1001', ledger)
  const mail = await mailServer('1003', ledger)
  const nodes = makeNodes((name) => ({ ...env, CHANNEL_1001: gateway.urlFor(name), CHANNEL_1003: mail.urlFor(name) }))

  return {
    ledger,
    gateway,
    mail,
    nodes,
    /** How many deliveries there will be. */
    expected,
    /** Pushes everything, spread over so long, each until it is accepted. */
    async pushAll(milliseconds: number, urlOf: (tries: number) => string): Promise<Book[]> {
      const books: Book[] = []
      const startedAt = Date.now()
      const waiting = pushes.map((push, at) => ({ push, at }))
      const caller = async () => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const { push, at } = next
          await sleep(Math.max(0, startedAt + (milliseconds * at) / pushes.length - Date.now()))
          books.push(await pushUntilAcked(push, (tries) => urlOf(at + tries)))
        }
      }
      await Promise.all(Array.from({ length: CALLERS }, caller))
      return books
    },
    /** Holds everything against the books, and prints the counts. */
    async check(
      db: Db,
      books: Book[],
      { counts: faults, ...happened }: Omit<Happened, 'ledger' | 'fates'> & { counts: Record<string, number> },
    ): Promise<void> {
      const { wrong, counts } = await judge(db, pushes, { ledger, fates: nodes.fates, ...happened })
      wrong.push(...(await whatIsWrong(db, books)))
      const people = pushes.reduce((sum, push) => sum + push.people.length, 0)
      const { starts, kills, stops } = nodes.counts()
      const all = {
        'messages accepted': books.length,
        'items, each person and message once': people,
        ...counts,
        'processes started': starts,
        'processes killed': kills,
        'processes stopped past their leases': stops,
        ...faults,
        ...Object.fromEntries(
          [...ledger.faults]
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
            .map(([fault, times]) => [`calls on ${fault}`, times]),
        ),
        'differences found': wrong.length,
      }
      for (const [what, count] of Object.entries(all)) console.log(`${String(count).padStart(7)}  ${what}`)
      expect(wrong.slice(0, SHOWN)).toEqual([])
      expect(books.length).toBe(pushes.length)
      for (const channelId of ['1001', '1003'])
        for (const fault of FAULTS) expect(ledger.faults.get(`${channelId} ${fault}`) ?? 0).toBeGreaterThan(0)
    },
    async end() {
      await nodes.end()
      await gateway.down()
      await mail.down()
    },
  }
}
