/** A real Posthouse in a process of its own, to be killed, and to be started wrongly. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { SECRETS, talkTo } from './posthouse.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
/** What a started process gets of ours: settings of whoever runs the tests must not reach it. */
const KEPT = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'SystemRoot']

/** Starts one with these settings and nothing else; it may come to refuse. */
export function spawnPosthouse(
  env: Record<string, string>,
  { cwd, args = [] }: { cwd?: string; args?: string[] } = {},
) {
  const kept = Object.fromEntries(
    KEPT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...kept, ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const ready = Promise.withResolvers<string>()
  // Whoever starts one to see it refuse does not wait for it.
  ready.promise.catch(() => {})
  let isReady = false
  const hear = (bytes: string) => {
    output += bytes
    // It may print megabytes afterwards.
    if (isReady) return
    const [, url] = /GraphQL +(\S+)\/graphql/.exec(output) ?? []
    if (url === undefined || !output.includes('Ready in')) return
    isReady = true
    ready.resolve(url)
  }
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  const ended = once(child, 'close').then(([code, signal]) => {
    ready.reject(new Error(`Posthouse ended (${code ?? signal}) before it was ready:\n${output}`))
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, output }
  })
  return {
    pid: child.pid ?? 0,
    /** Its URL, once it says that it is ready; an error when it ends first. */
    ready: ready.promise,
    /** How it ended, with everything it printed. */
    ended,
    output: () => output,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    /** Sends a signal and waits for the end. */
    kill(signal: NodeJS.Signals = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}

/** Starts one with the secrets of the tests, waits until it is ready, and talks to it. */
export async function launch(env: Record<string, string>) {
  const child = spawnPosthouse({ PORT: '0', LOG_LEVEL: 'warn', ...SECRETS, ...env })
  const url = await child.ready
  return { ...child, url, ...talkTo(url) }
}

export type Launched = Awaited<ReturnType<typeof launch>>

/** A port that is free now, for one that is to come back where its clients look for it. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
