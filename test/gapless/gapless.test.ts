/**
 * The promise of the live inbox, against thousands of random schedules: pushes, acts, recalls and broadcasts, on two
 * processes of which one is always being killed, with the hint bus cut all the while and devices that break off and come
 * back at either. A model that knows nothing of revs says what each device must show in the end; nothing may be different.
 *
 * `npm run test:faults` plays thousands of schedules, `npm test` a few dozen.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { randomFrom } from '../kit/random.ts'
import { onPostgres } from '../kit/stores.ts'
import { makeDevice } from './device.ts'
import { startNodes, type Nodes } from './nodes.ts'
import { play, schedules, type Broadcast, type Step } from './schedule.ts'

const isFull = process.env['FAULTS'] === 'full'
const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
/** No schedule begins after this, unless fewer than `AT_LEAST` have been played; and none after `AT_MOST_MS`. */
const MILLISECONDS = isFull ? 100_000 : 15_000
const AT_LEAST = isFull ? 1_001 : 11
const AT_MOST_MS = 400_000
const SCHEDULES = isFull ? 3_000 : 400
/** Played side by side: each waits most of the time. */
const SIDE_BY_SIDE = 24
const DEVICES_EACH = 2

describe.skipIf(!onPostgres)(`random schedules on two nodes${onPostgres ? '' : ': no PostgreSQL'}`, () => {
  it(
    'leave no difference between what every device shows and what it must',
    async () => {
      const place = await onPostgres!.place()
      const nodes = await startNodes(place.env)
      const random = randomFrom(SEED)
      const waiting = fc
        .sample(schedules, { seed: SEED, numRuns: SCHEDULES })
        .map((steps, number) => ({ steps, number }))
      const broadcasts: Broadcast[] = []
      const counts = { schedules: 0, steps: 0, changes: 0, visits: 0 }
      const startedAt = Date.now()
      const isTime = () => {
        const elapsed = Date.now() - startedAt
        return elapsed < MILLISECONDS || (counts.schedules < AT_LEAST && elapsed < AT_MOST_MS)
      }
      nodes.disturb(randomFrom(SEED + 1))

      async function playNext(): Promise<void> {
        for (let next = waiting.shift(); next !== undefined && isTime(); next = waiting.shift()) {
          const { steps, number } = next
          const told = await playOne(nodes, randomFrom(SEED + number), number, steps, broadcasts)
          counts.schedules++
          counts.steps += steps.length
          counts.changes += told.changes
          counts.visits += told.visits
          await sleep(random() * 20)
        }
      }
      try {
        await Promise.all(Array.from({ length: SIDE_BY_SIDE }, playNext))
        await nodes.calm()
      } finally {
        const all = { ...counts, broadcasts: broadcasts.length, ...nodes.counts }
        console.info(
          `seed ${SEED}: ${Object.entries(all)
            .map(([what, count]) => `${count} ${what}`)
            .join(', ')}`,
        )
        await nodes.stop()
        await place.remove()
      }
      expect(counts.schedules).toBeGreaterThanOrEqual(AT_LEAST)
      expect(nodes.counts.kills).toBeGreaterThan(0)
      expect(nodes.counts.cuts).toBeGreaterThan(0)
    },
    AT_MOST_MS + 120_000,
  )
})

/** One schedule with people of its own. Throws with all there is to know when something is different. */
async function playOne(nodes: Nodes, random: () => number, number: number, steps: Step[], broadcasts: Broadcast[]) {
  const users = [`gapless-${number}-a`, `gapless-${number}-b`]
  await nodes.admin`insert into users ${nodes.admin(users.map((code) => ({ code, name: code })))}`
  const since = Date.now()
  const devices = await Promise.all(
    users.flatMap((user) => Array.from({ length: DEVICES_EACH }, () => makeDevice(user, nodes.urls, random))),
  )
  try {
    const differences = await play(nodes, random, { users, devices, since }, steps, broadcasts)
    if (differences.length > 0) {
      const events = devices.map(({ user, lastEvents }) => [
        user,
        ...lastEvents().map((event) => JSON.stringify(event)),
      ])
      throw new Error(
        [`SEED=${SEED}, schedule ${number}: ${JSON.stringify(steps)}`, ...differences, ...events.flat()].join('\n'),
      )
    }
  } finally {
    await Promise.all(devices.map(({ close }) => close()))
  }
  const sum = (of: 'changes' | 'visits') => devices.reduce((total, { told }) => total + told[of], 0)
  return { changes: sum('changes'), visits: sum('visits') }
}
