/**
 * The hint bus: tells that something moved, after it was committed and outside its transaction. A hint carries ids,
 * never content, and may be lost: whoever listens also looks at the database at a slow beat.
 */
import { randomUUID } from 'node:crypto'
import type { Driver } from './db/client.ts'

export type Hint =
  /** These users' inboxes moved. */
  | { kind: 'inbox'; users: string[] }
  /** There is a new broadcast. */
  | { kind: 'broadcast' }
  /** There is work that is due. */
  | { kind: 'work' }

export type Hints = {
  /** Tells this node at once and the others soon. Never fails and never waits: a hint that cannot be sent is lost. */
  send(hint: Hint): void
  on(listener: HintListener): void
  close(): Promise<void>
}

/** `gap`: hints may have been missed; look at everything. */
export type HintListener = (hint: Hint | { kind: 'gap' }) => void

/** PostgreSQL refuses a NOTIFY payload of 8,000 bytes; codes are UTF-8 of up to a few bytes a character. */
const PAYLOAD_BYTES = 7_000

/** Opens the bus over the store: in-process for this node, NOTIFY for the others where there can be others. */
export async function openHints(driver: Driver): Promise<Hints> {
  const node = randomUUID()
  const listeners = new Set<HintListener>()
  const tell: HintListener = (hint) => {
    for (const listener of listeners) listener(hint)
  }
  const waiting = { users: new Set<string>(), broadcast: false, work: false }
  let sending = false

  // Natural batching: what comes while one NOTIFY is under way goes together in the next.
  async function drain() {
    if (sending) return
    sending = true
    while (waiting.users.size > 0 || waiting.broadcast || waiting.work) {
      const payload = JSON.stringify({
        node,
        users: takeUsers(waiting.users),
        broadcast: waiting.broadcast,
        work: waiting.work,
      })
      waiting.broadcast = waiting.work = false
      await driver.notify(payload).catch(() => {})
    }
    sending = false
  }

  function hear(payload: string) {
    const said = read(payload)
    // Of another version of ours, perhaps: whatever it meant, looking at everything covers it.
    if (said === undefined) return tell({ kind: 'gap' })
    if (said.node === node) return
    if (said.users.length > 0) tell({ kind: 'inbox', users: said.users })
    if (said.broadcast) tell({ kind: 'broadcast' })
    if (said.work) tell({ kind: 'work' })
  }

  const stop = driver.kind === 'postgres' ? await driver.listen(hear, () => tell({ kind: 'gap' })) : async () => {}
  return {
    send(hint) {
      tell(hint)
      if (driver.kind === 'pglite') return
      if (hint.kind === 'inbox') for (const user of hint.users) waiting.users.add(user)
      else waiting[hint.kind] = true
      void drain()
    },
    on: (listener) => void listeners.add(listener),
    close: stop,
  }
}

type Said = { node: string; users: string[]; broadcast: boolean; work: boolean }

function read(payload: string): Said | undefined {
  try {
    const said = JSON.parse(payload) as Said
    return Array.isArray(said.users) ? said : undefined
  } catch {
    return undefined
  }
}

function takeUsers(users: Set<string>): string[] {
  const taken: string[] = []
  let bytes = 0
  for (const user of users) {
    bytes += Buffer.byteLength(JSON.stringify(user)) + 1
    if (bytes > PAYLOAD_BYTES && taken.length > 0) break
    taken.push(user)
    users.delete(user)
  }
  return taken
}
