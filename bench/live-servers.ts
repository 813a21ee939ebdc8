/** The servers of bench:live, each in a process and on a core of its own, with a way to ask what it has used. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { SECRETS } from '../test/kit/posthouse.ts'
import type { Usage } from './live-probe.ts'

/** Servers take the first core, the load the second. Without two, or without taskset, they share what there is. */
const SERVER_CORE = '0'
const LOAD_CORE = '1'
const canPin = process.platform === 'linux' && availableParallelism() > 1

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export type Server = Awaited<ReturnType<typeof startServer>>

/** Moves this process, the load, away from the servers. */
export async function stepAside(): Promise<void> {
  if (!canPin) return
  await once(spawn('taskset', ['-acp', LOAD_CORE, String(process.pid)], { stdio: 'ignore' }), 'exit')
}

export function startPosthouse(databaseUrl: string, dataDir: string) {
  const env = { ...SECRETS, PORT: '0', LOG_LEVEL: 'warn', DATABASE_URL: databaseUrl, DATA_DIR: dataDir }
  return startServer('posthouse', [path('../src/main.ts')], env, /GraphQL +(\S+)\/graphql[^]*Ready in/)
}

/** A floor: what `live-floors.ts` knows under this name. */
export function startFloor(kind: 'ws' | 'yoga') {
  return startServer(kind, [path('live-floors.ts'), kind], {}, /listening at (\S+)/)
}

async function startServer(kind: string, program: string[], env: Record<string, string>, isReady: RegExp) {
  const node = [process.execPath, '--expose-gc', '--import', path('live-probe.ts'), ...program]
  const [command = '', ...args] = canPin ? ['taskset', '-c', SERVER_CORE, ...node] : node
  const child = spawn(command, args, {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const url = Promise.withResolvers<string>()
  let said = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text
    const [, found] = isReady.exec(said) ?? []
    if (found !== undefined) url.resolve(found)
  })
  child.once('exit', (code) => url.reject(new Error(`${kind} ended (${code}):\n${said}`)))

  async function ask(question: 'usage' | 'memory'): Promise<Usage> {
    const answer = once(child, 'message')
    child.send(question)
    const [usage] = (await answer) as [Usage]
    return usage
  }
  return {
    kind,
    url: await url.promise,
    /** Microseconds of CPU so far. */
    cpu: async () => (await ask('usage')).cpuMicros,
    /** Bytes it holds once what is garbage is gone. */
    memory: async () => (await ask('memory')).rssBytes,
    async stop() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}
