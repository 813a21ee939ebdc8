/**
 * Starts Posthouse: reads the settings, opens the store, starts worker and doors; on a signal, all of it in reverse. With
 * arguments it does what they say instead (command-line.ts).
 */
import { existsSync } from 'node:fs'
import { loadFaster } from './load-faster.ts'

// Everything else is loaded after this, hence the `import()`s.
loadFaster()
const { loadConfig } = await import('./config.ts')

// A variable that is really set wins over the file.
if (existsSync('.env')) process.loadEnvFile('.env')
const { config, mistakes } = loadConfig(process.env)
if (config === undefined) giveUp(mistakes.map((mistake) => `\n  - ${mistake}`).join(''))

const say = (line: string) => process.stdout.write(`${line}\n`)
const [act, ...more] = process.argv.slice(2)
if (act !== undefined) {
  const { commandLine } = await import('./command-line.ts')
  const code = await commandLine(config, [act, ...more], say).catch((error: Error) => giveUp(` ${error.message}`))
  process.exit(code)
}
try {
  const { start } = await import('./start.ts')
  let isStopping = false
  const stop = async (signal: string) => {
    // A second Ctrl-C means now.
    if (isStopping) process.exit(130)
    isStopping = true
    say(`${signal}: stopping …`)
    const posthouse = await starting
    // Ctrl-C is somebody who waits; SIGTERM comes from what also watches `/readyz`.
    await posthouse.stop({ drain: signal === 'SIGTERM' })
    say('Stopped.')
    process.exit(0)
  }
  // Before the start: its worker may have begun to send when a signal comes.
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('SIGTERM', () => void stop('SIGTERM'))
  const starting = start(config, say)
  await starting
} catch (error) {
  giveUp(` ${(error as Error).message}`)
}

function giveUp(why: string): never {
  process.stderr.write(`Posthouse cannot start:${why}\n`)
  process.exit(1)
}
