/**
 * The hint bus: tells that something moved, after it was committed and outside its transaction. A hint carries ids,
 * never content, and may be lost: whoever listens also looks at the database at a slow beat.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Driver } from '../db/client.ts'
import { openNotify } from './notify.ts'

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
  /** Whether this node hears the others now; always where there are none. */
  isUp(): boolean
  close(): Promise<void>
}

/** `gap`: hints may have been missed; look at everything. */
export type HintListener = (hint: Hint | { kind: 'gap' }) => void

/** What carries texts between the nodes: NOTIFY or Redis. */
export type Wire = {
  /** The longest text it takes. */
  bytes: number
  /** To every node that hears, this one perhaps included. Rejects when it is away. */
  send(text: string): Promise<void>
  isUp(): boolean
  close(): Promise<void>
}
export type Hearing = {
  onText: (text: string) => void
  /** It hears from now on, for the first time or anew; texts sent before were missed. */
  onUp: () => void
}

/** Users that wait for a slow wire at the most; of more it is only said that everybody may have moved. */
const USERS_WAITING = 50_000
/** Every text wakes every node: a busy one tells of what came in so long by one. The first of a quiet time waits for nothing. */
const PAUSE_MS = 5
/** What the last hints get to leave at the close. */
const LEAVE_MS = 500

/**
 * Opens the bus: in this process alone over PGlite, which has no other; else between the nodes over NOTIFY, or over
 * Redis where there is a URL. A Redis that is away fails nothing.
 */
export async function openHints(
  driver: Driver,
  { redisUrl, log }: { redisUrl?: string | undefined; log?: Logger | undefined } = {},
): Promise<Hints> {
  const node = randomUUID()
  const listeners = new Set<HintListener>()
  const tell: HintListener = (hint) => {
    for (const listener of listeners) {
      try {
        listener(hint)
      } catch (error) {
        log?.error({ err: error }, 'hint bus: a listener failed; the beat makes up for it')
      }
    }
  }
  const waiting = nothing()
  let sending: Promise<void> | undefined
  let goOn = () => {}

  function hear(text: string) {
    const said = read(text)
    // Of another version of ours, perhaps: whatever it meant, looking at everything covers it.
    if (said === undefined) return tell({ kind: 'gap' })
    if (said.node === node) return
    if (said.all) return tell({ kind: 'gap' })
    if (said.users.length > 0) tell({ kind: 'inbox', users: said.users })
    if (said.broadcast) tell({ kind: 'broadcast' })
    if (said.work) tell({ kind: 'work' })
  }

  // What comes while one text is under way, and in the pause after it, goes together in the next. What could not be sent is
  // forgotten but for one word, "all", which goes out first when the wire is back.
  async function drain(wire: Wire) {
    try {
      while (!isNothing(waiting)) {
        const said: Said = { node, ...take(waiting, wire.bytes) }
        const isMore = !isNothing(waiting)
        await wire.send(JSON.stringify(said))
        if (!isMore) await sleep(PAUSE_MS)
      }
    } catch {
      forget(waiting)
    }
    sending = undefined
  }

  const onUp = () => {
    tell({ kind: 'gap' })
    goOn()
  }
  const wire = await openWire(driver, { onText: hear, onUp }, redisUrl, log)
  if (wire !== undefined) {
    goOn = () => {
      if (!isNothing(waiting)) sending ??= drain(wire)
    }
  }
  return {
    send(hint) {
      tell(hint)
      if (wire === undefined) return
      // All is more than this.
      if (waiting.all) return goOn()
      if (hint.kind === 'inbox') for (const user of hint.users) waiting.users.add(user)
      else waiting[hint.kind] = true
      if (waiting.users.size > USERS_WAITING) forget(waiting)
      goOn()
    },
    on: (listener) => void listeners.add(listener),
    isUp: () => wire?.isUp() ?? true,
    async close() {
      await Promise.race([sending, sleep(LEAVE_MS, undefined, { ref: false })])
      await wire?.close()
    },
  }
}

/** Redis is loaded only where it is used. */
async function openWire(driver: Driver, hearing: Hearing, redisUrl?: string, log?: Logger): Promise<Wire | undefined> {
  if (driver.kind === 'pglite') return undefined
  if (redisUrl === undefined) return openNotify(driver, hearing)
  const { openRedis } = await import('./redis.ts')
  return openRedis(driver, hearing, redisUrl, (what) => log?.warn(`hint bus: ${what}`))
}

type Waiting = { all: boolean; users: Set<string>; broadcast: boolean; work: boolean }
type Said = { node: string; all: boolean; users: string[]; broadcast: boolean; work: boolean }

function nothing(): Waiting {
  return { all: false, users: new Set(), broadcast: false, work: false }
}

function isNothing({ all, users, broadcast, work }: Waiting): boolean {
  return !all && users.size === 0 && !broadcast && !work
}

/** Instead of everything that waits: anybody may have moved. */
function forget(waiting: Waiting): void {
  waiting.users.clear()
  Object.assign(waiting, { all: true, broadcast: false, work: false })
}

/** Takes what goes into one text of so many bytes. */
function take(waiting: Waiting, bytes: number): Omit<Said, 'node'> {
  const { all, broadcast, work } = waiting
  const taken = { all, users: takeUsers(waiting.users, bytes - NOT_USERS), broadcast, work }
  Object.assign(waiting, { all: false, broadcast: false, work: false })
  return taken
}

/** The bytes of a text without its users, rounded up. */
const NOT_USERS = 200

function takeUsers(users: Set<string>, most: number): string[] {
  const taken: string[] = []
  let bytes = 0
  for (const user of users) {
    bytes += Buffer.byteLength(JSON.stringify(user)) + 1
    if (bytes > most && taken.length > 0) break
    taken.push(user)
    users.delete(user)
  }
  return taken
}

function read(text: string): Said | undefined {
  try {
    const said = JSON.parse(text) as Said
    return Array.isArray(said.users) ? said : undefined
  } catch {
    return undefined
  }
}
