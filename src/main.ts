/** Starts Posthouse: reads the settings, opens the store, starts worker and doors; on a signal, all of it in reverse. */
import { loadConfig } from './config.ts'
import { start } from './start.ts'

const { config, mistakes } = loadConfig(process.env)
if (config === undefined) {
  process.stderr.write(`Posthouse cannot start:\n${mistakes.map((mistake) => `  - ${mistake}\n`).join('')}`)
  process.exit(1)
}

const say = (line: string) => process.stdout.write(`${line}\n`)
try {
  const posthouse = await start(config, say)
  let isStopping = false
  const stop = async (signal: string) => {
    // A second Ctrl-C means now.
    if (isStopping) process.exit(130)
    isStopping = true
    say(`${signal}: stopping …`)
    await posthouse.stop()
    say('Stopped.')
    process.exit(0)
  }
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('SIGTERM', () => void stop('SIGTERM'))
} catch (error) {
  process.stderr.write(`Posthouse cannot start: ${(error as Error).message}\n`)
  process.exit(1)
}
