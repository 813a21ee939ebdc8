/** Loaded into every server of bench:live: tells over its channel what it has used so far, memory after a collection. */
export type Usage = { cpuMicros: number; rssBytes: number }

const collect = globalThis.gc

process.on('message', (question) => {
  if (question !== 'usage' && question !== 'memory') return
  // Several times: what the first one frees is given back by a later one.
  if (question === 'memory') for (let times = 0; times < 4; times++) void collect?.()
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() } satisfies Usage)
})
