/** Several Posthouses on one database, each in a process of its own that may be killed and stopped at any time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { launch, type Launched } from '../kit/process.ts'

/** What happened to one process, by its name: a node has another name at every start. */
export type Fate = { killedAt?: number; stoppedAt?: number; continuedAt?: number }

/** Between two starts of a node that could not start, e.g. since the database was away. */
const START_AGAIN_MS = 300
const STARTS = 100

/** `env` gives the settings of a process by its name. */
export function makeNodes(env: (name: string) => Record<string, string>) {
  const fates = new Map<string, Fate>()
  const running: (Launched & { name: string })[] = []
  const outputs: (() => string)[] = []
  let starts = 0
  let kills = 0
  let stops = 0

  async function start(at: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      const name = `node${at}x${starts++}`
      try {
        const node = await launch(env(name))
        outputs.push(node.output)
        fates.set(name, {})
        running[at] = { ...node, name }
        return
      } catch (error) {
        if (tries === STARTS) throw error
        await sleep(START_AGAIN_MS)
      }
    }
  }

  function node(at: number) {
    const found = running[at]
    if (found === undefined) throw new Error(`Node ${at} was never started`)
    return found
  }

  return {
    fates,
    start,
    node,
    counts: () => ({ starts, kills, stops }),
    /** What all processes ever printed. */
    output: () => outputs.map((output) => output()).join(''),
    /** kill -9, and a new process in its place. */
    async killAndStart(at: number, meanwhile: () => Promise<void> = async () => {}) {
      const { name, kill } = node(at)
      fates.get(name)!.killedAt = Date.now()
      const { signal } = await kill('SIGKILL')
      if (signal !== 'SIGKILL') throw new Error(`${name} ended by ${signal} and not by the kill`)
      kills++
      await meanwhile()
      await start(at)
    },
    /** SIGSTOP: gives how to let it go on. */
    stop(at: number) {
      const { name, pid } = node(at)
      const fate = fates.get(name)!
      process.kill(pid, 'SIGSTOP')
      fate.stoppedAt = Date.now()
      stops++
      return () => {
        fate.continuedAt = Date.now()
        process.kill(pid, 'SIGCONT')
      }
    },
    async end() {
      await Promise.all(running.map(({ kill }) => kill('SIGKILL')))
    },
  }
}
