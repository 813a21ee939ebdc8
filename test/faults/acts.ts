/** The faults, done on purpose and one after the other; each makes sure that it has happened, and is counted. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { LEASE_SECONDS } from '../../src/delivery/queue.ts'
import type { OwnPostgres } from '../kit/own-postgres.ts'
import { eventually } from '../kit/posthouse.ts'
import type { FakeProvider } from './providers.ts'
import type { Span } from './verdict.ts'
import type { World } from './world.ts'

const BETWEEN_KILLS_MS = 1_000
const TERMINATIONS = 5
const BETWEEN_TERMINATIONS_MS = 300
const DATABASE_AWAY_MS = 1_500
/** After the database is back, what was to be settled meanwhile still waits for its next try. */
const CALM_MS = 1_500
/** Calls that a process waits for when it is stopped. */
const HELD = 4
/** From then until another takes over: the lease runs out, and one of them looks for what is due. */
const TAKE_OVER_MS = (LEASE_SECONDS + 20) * 1_000
/** For a process that goes on, to find out what has become of its calls. */
const FIND_OUT_MS = 3_000
const TOO_LATE = 'settled too late'

/** Kills each of these and starts it again, one after the other. */
export async function killInTurn({ nodes }: World, which: readonly number[]): Promise<void> {
  for (const at of which) {
    await sleep(BETWEEN_KILLS_MS)
    await nodes.killAndStart(at)
  }
}

/** Ways to take the database away; `away` gets when. */
export function mistreated(server: OwnPostgres, away: Span[], counts: { terminated: number; restarts: number }) {
  return {
    /** Terminates all connections of Posthouses, a few times. */
    async terminate() {
      const from = Date.now()
      for (let round = 0; round < TERMINATIONS; round++) {
        const [row] = await server.admin`
          select count(pg_terminate_backend(pid))::int as terminated from pg_stat_activity
          where application_name = 'posthouse'`
        counts.terminated += row?.['terminated'] as number
        await sleep(BETWEEN_TERMINATIONS_MS)
      }
      away.push([from, Date.now() + CALM_MS])
    },
    /** Lets it crash and start again. */
    async restart(meanwhile: () => Promise<unknown> = async () => {}) {
      const from = Date.now()
      await server.stop('immediate')
      const done = meanwhile()
      await sleep(DATABASE_AWAY_MS)
      await server.start()
      away.push([from, Date.now() + CALM_MS])
      counts.restarts++
      await done
    },
  }
}

/** Takes a provider down for so long, and up again. */
export async function outage(provider: FakeProvider, milliseconds: number, counts: { outages: number }): Promise<void> {
  await provider.down()
  const socket = connect(provider.port, '127.0.0.1')
  const [error] = (await once(socket, 'error')) as NodeJS.ErrnoException[]
  if (error?.code !== 'ECONNREFUSED') throw new Error(`The provider is down and says ${error?.code}`)
  await sleep(milliseconds)
  await provider.up()
  counts.outages++
}

/**
 * Stops a process while it waits for answers, lets `meanwhile` go on, and lets it go on when another has taken over what it
 * had: just then, in the middle of the other's attempts. Gives how often it found itself too late.
 */
export async function stopOneWhile(
  { nodes, ledger }: World,
  at: number,
  meanwhile: () => Promise<void>,
): Promise<number> {
  const { name, output } = nodes.node(at)
  const held = ledger.hold(({ node }) => node === name)
  await eventually(() => held.copies.length >= HELD)
  const goOn = nodes.stop(at)
  const stoppedAt = Date.now()
  // Some answers lie there when it goes on; for the others its own deadline has passed.
  held.letGo(2)
  const keys = new Set(held.copies.map(({ key }) => key))
  const takenOver = ledger.hold(({ node, key }) => node !== name && keys.has(key))
  await meanwhile()
  await eventually(() => takenOver.copies.length > 0, stoppedAt + TAKE_OVER_MS - Date.now())
  const before = times(output())
  goOn()
  await eventually(() => times(output()) > before)
  await sleep(FIND_OUT_MS)
  takenOver.letGo()
  return times(output()) - before
}

function times(output: string): number {
  return output.split(TOO_LATE).length - 1
}
