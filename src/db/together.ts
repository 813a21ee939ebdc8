/**
 * Natural batching: what is asked for while a call is under way goes together in the next one. There is no timer, so that
 * whoever comes to an idle house is served at once, and the busier it is, the less each costs.
 */
import { Refusal } from '../errors.ts'
import type { Store } from './client.ts'

/** A call that takes longer than this waits for something that others need not wait for: a lock, perhaps. The next one goes. */
const PATIENCE_MS = 50

type Asked<In, Out> = { one: In; resolve: (out: Out) => void; reject: (error: unknown) => void }

type How<In, Out> = {
  /** Does all of these, which is one statement, and gives what came of each, in their order. */
  act(store: Store, all: readonly In[]): Promise<readonly Out[]>
  /** What one adds to a call; 1 unless told. */
  weigh?: (one: In) => number
  /** A call weighs no more than this, unless a single one does. */
  most: number
}

/**
 * Gives the function that does one by doing many. A call that fails is tried in halves, so that one that cannot be done
 * fails no other; but not when the database was away, since then nobody knows what came of it.
 */
export function together<In, Out>(how: How<In, Out>): (store: Store, one: In) => Promise<Out> {
  const lines = new WeakMap<Store, (asked: Asked<In, Out>) => void>()
  return (store, one) => {
    const enter = lines.get(store) ?? lineOf(store, how)
    lines.set(store, enter)
    return new Promise((resolve, reject) => enter({ one, resolve, reject }))
  }
}

function lineOf<In, Out>(store: Store, { act, weigh = () => 1, most }: How<In, Out>) {
  const waiting: Asked<In, Out>[] = []
  let isBusy = false

  function go(): void {
    if (isBusy || waiting.length === 0) return
    isBusy = true
    let isOver = false
    const over = () => {
      if (isOver) return
      isOver = true
      isBusy = false
      go()
    }
    const patience = setTimeout(over, PATIENCE_MS)
    void run(take()).then(() => {
      clearTimeout(patience)
      over()
    })
  }

  function take(): Asked<In, Out>[] {
    let weight = 0
    const end = waiting.findIndex(({ one }, at) => (weight += weigh(one)) > most && at > 0)
    return waiting.splice(0, end === -1 ? waiting.length : end)
  }

  async function run(all: readonly Asked<In, Out>[]): Promise<void> {
    try {
      const outs = await act(
        store,
        all.map(({ one }) => one),
      )
      for (const [at, { resolve }] of all.entries()) resolve(outs[at] as Out)
    } catch (error) {
      if (all.length === 1 || error instanceof Refusal) return all.forEach(({ reject }) => reject(error))
      const half = Math.ceil(all.length / 2)
      await run(all.slice(0, half))
      await run(all.slice(half))
    }
  }

  return (asked: Asked<In, Out>) => {
    waiting.push(asked)
    go()
  }
}
