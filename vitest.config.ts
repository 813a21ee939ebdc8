import { defineConfig } from 'vitest/config'
import { reporter } from './test/reporter.ts'

// A zone that nobody configures, half an hour off and with summer time: what reads the machine's zone by mistake fails.
process.env['TZ'] = 'America/St_Johns'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', reporter],
    // Node runs the sources itself, as in production; through Vite, graphql would load twice.
    experimental: { viteModuleRunner: false },
    // A Posthouse starts in one to three seconds, on a busy machine more.
    hookTimeout: 60_000,
    testTimeout: 60_000,
    // Each file has its own stores; more files at once than cores only makes the waits longer.
    maxWorkers: 2,
  },
})
