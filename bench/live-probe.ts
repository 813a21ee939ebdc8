/**
 * Loaded into every server of bench:live: tells over its channel what it has used so far. Memory is what it holds: after
 * a collection that also gives free pages back, as V8 does when memory is short. Otherwise it keeps those of a burst for the next.
 */
export type Usage = { cpuMicros: number; rssBytes: number }

const collect = globalThis.gc
const EVERYTHING = { type: 'major', execution: 'sync', flavor: 'last-resort' } as const

process.on('message', (question) => {
  if (question !== 'usage' && question !== 'memory') return
  // Several times: what the first one frees is given back by a later one.
  if (question === 'memory') for (let times = 0; times < 4; times++) collect?.(EVERYTHING)
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() } satisfies Usage)
})
