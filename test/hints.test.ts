import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openStore, type Store } from '../src/db/client.ts'
import { openHints, type Hints, type HintListener } from '../src/hints/hints.ts'
import { silentProxy } from './faults/proxy.ts'
import { eventually } from './kit/posthouse.ts'
import { NO_REDIS, redisUrl } from './kit/redis.ts'
import { onPostgres, stores, type Place } from './kit/stores.ts'

/** Between a cut and hearing again, on a busy machine. */
const BACK_MS = 15_000
/** Between a silence and its discovery. */
const NOTICED_MS = 10_000

type Heard = Parameters<HintListener>[0]
type Proxy = Awaited<ReturnType<typeof silentProxy>>
type Bus = {
  name: string
  /** Why it cannot be tried here. */
  lacks?: string | undefined
  /** Whether others hear it, over a wire that can be cut. */
  hasOthers: boolean
}

const buses: Bus[] = [
  { name: 'in one process', hasOthers: false },
  { name: 'NOTIFY', hasOthers: true, lacks: onPostgres ? undefined : 'no PostgreSQL' },
  {
    name: 'Redis',
    hasOthers: true,
    lacks: onPostgres ? (redisUrl === undefined ? NO_REDIS : undefined) : 'no PostgreSQL',
  },
]

/** As the tests name it, with the proxy between. */
const through = (url: string, proxy: Proxy) =>
  Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(proxy.port) }).href
const portOf = (url: string, usual: number) => Number(new URL(url).port || usual)

/** The nodes of one installation on this bus; `proxy` stands before the wire of the node `open(true)`. */
async function world(bus: Bus) {
  const opened: { hints: Hints; store: Store }[] = []
  const place: Place | undefined = bus.hasOthers ? await onPostgres!.place() : undefined
  const database = place?.env['DATABASE_URL'] ?? ''
  const wire = bus.name === 'Redis' ? redisUrl! : database
  const proxy = bus.hasOthers ? await silentProxy(portOf(wire, bus.name === 'Redis' ? 6379 : 5432)) : undefined

  async function open(isBehindProxy = false) {
    const url = isBehindProxy && proxy ? through(wire, proxy) : wire
    const store = bus.hasOthers
      ? await openStore({ databaseUrl: bus.name === 'Redis' ? database : url })
      : await stores[0]!.open()
    const lines: string[] = []
    const log = pino({ base: undefined }, { write: (line: string) => void lines.push(line) })
    const hints = await openHints(store, { redisUrl: bus.name === 'Redis' ? url : undefined, log })
    const heard: Heard[] = []
    hints.on((hint) => heard.push(hint))
    opened.push({ hints, store })
    return { ...hints, heard, lines, users: () => heard.flatMap((hint) => (hint.kind === 'inbox' ? hint.users : [])) }
  }
  return {
    open,
    proxy,
    async close() {
      for (const { hints, store } of opened.splice(0)) {
        await hints.close()
        await store.close()
      }
    },
    async remove() {
      proxy?.close()
      await place?.remove()
    },
  }
}

for (const bus of buses) {
  describe.skipIf(bus.lacks !== undefined)(`hints over ${bus.name}${bus.lacks ? `: ${bus.lacks}` : ''}`, () => {
    let house: Awaited<ReturnType<typeof world>>
    let here: Awaited<ReturnType<typeof house.open>>
    beforeAll(async () => void (house = await world(bus)))
    beforeEach(async () => {
      here = await house.open()
      await eventually(here.isUp)
    })
    afterEach(async () => {
      house.proxy?.speak()
      house.proxy?.comeBack()
      await house.close()
    })
    afterAll(() => house.remove())

    it('are heard by the node that sends them: at once, and not twice', async () => {
      here.send({ kind: 'inbox', users: ['A', 'B'] })
      here.send({ kind: 'broadcast' })
      here.send({ kind: 'work' })
      const all = [{ kind: 'inbox', users: ['A', 'B'] }, { kind: 'broadcast' }, { kind: 'work' }]
      expect(here.heard).toEqual(all)
      await sleep(200)
      expect(here.heard).toEqual(all)
    })

    it('reach everybody who listens here, also after one who throws, and the fault is in the log', async () => {
      here.on(() => {
        throw new Error('a listener broke')
      })
      const last: Heard[] = []
      here.on((hint) => last.push(hint))
      expect(() => here.send({ kind: 'work' })).not.toThrow()
      expect(last).toEqual([{ kind: 'work' }])
      expect(here.lines.join('')).toContain('a listener broke')
    })

    if (!bus.hasOthers) return
    describe('between nodes', () => {
      let there: typeof here
      beforeEach(async () => {
        there = await house.open()
        await eventually(there.isUp)
      })

      it('are heard by every other node, whatever they say', async () => {
        const third = await house.open()
        await eventually(third.isUp)
        here.send({ kind: 'inbox', users: ['A', '张三'] })
        here.send({ kind: 'broadcast' })
        here.send({ kind: 'work' })
        for (const other of [there, third]) {
          await eventually(() => other.heard.some(({ kind }) => kind === 'work'))
          expect(other.users()).toEqual(['A', '张三'])
          expect(other.heard.filter(({ kind }) => kind === 'broadcast')).toHaveLength(1)
        }
      })

      it('name every one of many users at once, however long they are', async () => {
        const users = Array.from({ length: 20_000 }, (_, n) => `${n}`.padStart(6, '0').padEnd(64, '长'))
        here.send({ kind: 'inbox', users })
        await eventually(() => there.users().length >= users.length)
        expect(there.users()).toEqual(users)
      })

      it('say that anybody may have moved where there are too many to name', async () => {
        here.send({ kind: 'inbox', users: Array.from({ length: 200_000 }, (_, n) => `${n}`) })
        await eventually(() => there.heard.some(({ kind }) => kind === 'gap'))
        expect(there.users().length).toBeLessThan(200_000)
      })

      it('go together when there are many: a burst of a thousand is few texts', async () => {
        for (let n = 0; n < 1_000; n++) here.send({ kind: 'inbox', users: [`${n}`] })
        await eventually(() => there.users().length === 1_000)
        expect(there.heard.length).toBeLessThan(10)
      })

      it('do not reach another installation', async () => {
        const other = await world(bus)
        const stranger = await other.open()
        await eventually(stranger.isUp)
        here.send({ kind: 'inbox', users: ['A'] })
        await eventually(() => there.users().length === 1)
        await sleep(100)
        expect(stranger.users()).toEqual([])
        await other.close()
        await other.remove()
      })
    })

    describe('behind a wire that fails', () => {
      let far: typeof here
      beforeEach(async () => {
        far = await house.open(true)
        await eventually(far.isUp)
      })
      const gaps = () => far.heard.filter(({ kind }) => kind === 'gap').length
      const isHeard = async (from: Hints, by: typeof here, user: string) => {
        from.send({ kind: 'inbox', users: [user] })
        await eventually(() => by.users().includes(user) || by.heard.some(({ kind }) => kind === 'gap'))
      }

      it('flow again after it was cut, and listeners are told that some may be missing', async () => {
        for (let n = 0; n < 3; n++) {
          const before = gaps()
          house.proxy!.cut()
          await eventually(() => gaps() > before && far.isUp(), BACK_MS)
        }
        far.heard.length = here.heard.length = 0
        await isHeard(here, far, 'A')
        await isHeard(far, here, 'B')
        expect(far.users()).toEqual(['A', 'B'])
      })

      it('that is away: are sent without an error, a wait or a heap, and the others look around afterwards', async () => {
        house.proxy!.goAway()
        await eventually(() => !far.isUp(), NOTICED_MS)
        const heapBefore = heapAfterCollection()
        const took: number[] = []
        for (let n = 0; n < 200; n++) {
          const users = Array.from({ length: 1_000 }, (_, m) => `user-${n}-${m}`)
          const startedAt = performance.now()
          far.send({ kind: 'inbox', users })
          took.push(performance.now() - startedAt)
          far.heard.length = 0
          if (n % 20 === 0) await sleep(20)
        }
        // Not the longest: on a busy machine that tells how long others had the processor.
        expect(took.toSorted((a, b) => a - b)[took.length / 2]).toBeLessThan(5)
        expect(heapAfterCollection() - heapBefore).toBeLessThan(20_000_000)
        expect(gaps()).toBe(0)
        here.heard.length = 0
        house.proxy!.comeBack()
        await eventually(() => far.isUp() && gaps() > 0, BACK_MS)
        far.send({ kind: 'work' })
        await eventually(() => here.heard.some(({ kind }) => kind === 'gap'), BACK_MS)
      })

      it('that falls silent: it is found out, and left for a new one', async () => {
        const before = gaps()
        house.proxy!.fallSilent()
        far.send({ kind: 'work' })
        await eventually(() => !far.isUp(), NOTICED_MS)
        house.proxy!.speak()
        await eventually(() => gaps() > before && far.isUp(), BACK_MS)
        await isHeard(here, far, 'A')
      })
    })

    if (bus.name !== 'Redis') return
    describe('at a start', () => {
      it('without Redis: the node starts, says so once, and once when it is back', async () => {
        house.proxy!.goAway()
        const startedAt = performance.now()
        const far = await house.open(true)
        expect(performance.now() - startedAt).toBeLessThan(5_000)
        await sleep(1_500)
        expect(far.isUp()).toBe(false)
        expect(far.lines).toEqual([expect.stringContaining('Redis is away')])
        house.proxy!.comeBack()
        await eventually(far.isUp, BACK_MS)
        expect(far.lines).toEqual([expect.anything(), expect.stringContaining('Redis answers again')])
        expect(far.heard).toEqual([{ kind: 'gap' }])
      })

      it('with a silent Redis: the node does not wait for it', async () => {
        house.proxy!.fallSilent()
        const startedAt = performance.now()
        const far = await house.open(true)
        expect(performance.now() - startedAt).toBeLessThan(3_000)
        far.send({ kind: 'inbox', users: ['A'] })
        house.proxy!.speak()
        await eventually(far.isUp, BACK_MS)
        await eventually(() => here.heard.some(({ kind }) => kind === 'gap'))
      })

      it('leaves no connection behind, however it ends', async () => {
        const far = await house.open(true)
        await eventually(far.isUp)
        house.proxy!.cut()
        await eventually(() => !far.isUp())
        await eventually(far.isUp, BACK_MS)
        expect(house.proxy!.open()).toBe(2)
        await house.close()
        await eventually(() => house.proxy!.open() === 0)
      })
    })
  })
}

/** The bytes of what is still held. */
function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed
}
