/** Small parts that every bench shares. */

/** Runs `act` `times` times, `inFlight` at once; how many a second. */
export async function rate(times: number, inFlight: number, act: (index: number) => Promise<void>): Promise<number> {
  let next = 0
  const startedAt = performance.now()
  const lane = async () => {
    while (next < times) await act(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return times / ((performance.now() - startedAt) / 1000)
}

/** The value below which `percent` per cent of `values` lie. */
export function percentile(values: number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

export function median(values: number[]): number {
  return percentile(values, 50)
}

/** Prints the figures: as a table, or as one JSON object with `--json`. */
export function report(figures: Record<string, number>): void {
  const rounded = Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(4))]),
  )
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(rounded)}\n`)
  else console.table(rounded)
}
