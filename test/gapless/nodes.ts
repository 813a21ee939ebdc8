/** Two processes on one database, and what goes wrong with them all the while: one is killed, the hint bus is cut. */
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { freePort, launch, type Launched } from '../kit/process.ts'

const BETWEEN_KILLS_MS = 2_500
const BETWEEN_CUTS_MS = 400

export type Nodes = Awaited<ReturnType<typeof startNodes>>

/** Starts them with these settings. */
export async function startNodes(env: Record<string, string>) {
  const ports = [await freePort(), await freePort()]
  const launchAt = (at: number) => launch({ ...env, PORT: String(ports[at]) })
  // One after the other: the first migrates.
  const nodes: Launched[] = [await launchAt(0), await launchAt(1)]
  const admin = postgres(env['DATABASE_URL'] ?? '', { max: 2, onnotice: () => {} })
  const counts = { kills: 0, cuts: 0 }
  let isOver = false
  let made: Promise<unknown> = Promise.resolve()

  /** Kills one after the other, and starts each again where its clients look for it: one is always there. */
  async function killing(random: () => number) {
    for (let at = 0; !isOver; at = 1 - at) {
      await sleep(BETWEEN_KILLS_MS * (0.5 + random()))
      if (isOver) return
      await nodes[at]?.kill('SIGKILL')
      counts.kills++
      nodes[at] = await launchAt(at)
    }
  }

  /** Cuts off what hears the hints of the other node: those under way are lost. */
  async function cutting(random: () => number) {
    while (!isOver) {
      await sleep(BETWEEN_CUTS_MS * 2 * random())
      const cut = await admin`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query = 'listen posthouse'`
      counts.cuts += cut.length
    }
  }

  return {
    urls: nodes.map(({ url }) => url),
    counts,
    admin,
    /** Lets things go wrong until `calm`. */
    disturb(random: () => number) {
      made = Promise.all([killing(random), cutting(random)])
    },
    async calm() {
      isOver = true
      await made
    },
    async stop() {
      isOver = true
      await made.catch(() => {})
      await Promise.all(nodes.map((node) => node.kill('SIGKILL')))
      await admin.end({ timeout: 1 })
    },
  }
}

/** A statement of a killed process may still run: what is asked again must not be overtaken by it. */
const GONE_MS = 250
const ASK_AT_MOST_MS = 5_000

/** Asks one node after the other until one answers; gives its answer. */
export async function persistently<Answer>(
  { urls }: Pick<Nodes, 'urls'>,
  random: () => number,
  ask: (url: string, signal: AbortSignal) => Promise<Answer | undefined>,
): Promise<Answer> {
  for (let at = Math.floor(random() * urls.length); ; at++) {
    try {
      const answer = await ask(urls[at % urls.length] ?? '', AbortSignal.timeout(ASK_AT_MOST_MS))
      if (answer !== undefined) return answer
    } catch (error) {
      const isConnection = error instanceof TypeError || error instanceof SyntaxError || isTimeout(error)
      if (!isConnection) throw error
    }
    await sleep(GONE_MS)
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}
