/**
 * Holds what the providers took against what the database says, copy by copy. A second copy is legal only where nobody
 * could know of the first: its answer was lost, or the process that waited for it was killed or stopped before it could
 * note it down. Which of these it was is told by when things happened, narrowly.
 */
import { sql } from 'drizzle-orm'
import { query, type Db } from '../../src/db/client.ts'
import { USUAL_LIMITS } from '../../src/delivery/channel.ts'
import { LEASE_SECONDS } from '../../src/delivery/queue.ts'
import { fateOf, type Copy, type Ledger } from './ledger.ts'
import type { Fate } from './nodes.ts'
import type { Push } from './pushes.ts'

/** From an answer with the network to its settlement, on a busy machine and with the tries after a lost connection. */
const SETTLING_MS = 2_000
/** A lease may have been taken so long before the provider had the copy. */
const CLAIM_TO_COPY_MS = 5_000
/** What a process had sent when it was killed may be read by the provider, which shares its machine, so much later. */
const READ_LATE_MS = 500
/** One attempt more than allowed may be counted, and not made: a claim that only finds that they are used up. */
const ATTEMPTS = USUAL_LIMITS.attempts + 1

type Row = {
  id: string
  push: string
  channelId: string
  recipient: string
  address: string | null
  state: string
  attempts: number
  maybeSent: boolean
}

/** When something was away: from, until. */
export type Span = [from: number, until: number]

export type Happened = {
  ledger: Ledger
  fates: ReadonlyMap<string, Fate>
  databaseAway: Span[]
  /** Whether leases ran out by the clock, so that nobody can have taken over sooner. */
  isLeaseReal: boolean
}

const JUST = ['its answer was lost', 'its worker was killed', 'its worker was stopped'] as const
type Reason = (typeof JUST)[number]

/** Every difference as a sentence, and the counts. */
export async function judge(
  db: Db,
  pushes: readonly Push[],
  happened: Happened,
): Promise<{ wrong: string[]; counts: Record<string, number> }> {
  const rows = await query<Row>(
    db,
    sql`
      select replace(deliveries.id::text, '-', '') as id, business_id as push, channel_id as "channelId", recipient,
        address, deliveries.state, attempts, maybe_sent as "maybeSent"
      from deliveries join messages on messages.id = message_id`,
  )
  const copiesOf = Map.groupBy(happened.ledger.copies, ({ channelId, push, address }) =>
    nameOf(channelId, push, address),
  )
  const wrong = [...rows.flatMap((row) => wrongWith(row, copiesOf)), ...miscounted(pushes, rows)]
  const known = new Set(rows.map(({ channelId, push, address }) => nameOf(channelId, push, address ?? '')))
  for (const name of copiesOf.keys()) if (!known.has(name)) wrong.push(`${name} was sent and is not in the database`)

  const counts: Record<string, number> = { deliveries: rows.length }
  const count = (what: string, by = 1) => (counts[what] = (counts[what] ?? 0) + by)
  for (const { state } of rows) count(`deliveries ${state}`)
  count('copies taken by providers', happened.ledger.copies.length)
  for (const name of ['duplicates', ...JUST.map(because), UNEXPLAINED, OTHER_KEY, OTHER_BYTES]) count(name, 0)
  for (const [name, copies] of copiesOf) {
    if (new Set(copies.map(({ key }) => key)).size > 1) count(OTHER_KEY)
    if (new Set(copies.map(({ hash }) => hash)).size > 1) count(OTHER_BYTES)
    const inOrder = copies.toSorted((a, b) => a.takenAt - b.takenAt)
    for (const [at, next] of inOrder.slice(1).entries()) {
      count('duplicates')
      const reason = whyAgain(inOrder[at]!, next, happened)
      count(reason === undefined ? UNEXPLAINED : because(reason))
      if (reason === undefined) wrong.push(`${name} was sent twice for no reason: ${JSON.stringify(inOrder)}`)
    }
  }
  for (const name of [OTHER_KEY, OTHER_BYTES]) if (counts[name]) wrong.push(`${counts[name]} ${name}`)
  return { wrong, counts }
}

const because = (reason: Reason) => `duplicates, ${reason}`
const UNEXPLAINED = 'duplicates, unexplained'
const OTHER_KEY = 'deliveries under more than one key'
const OTHER_BYTES = 'deliveries whose copies differ'

function nameOf(channelId: string, push: string, address: string): string {
  return `${push} to ${address} on ${channelId}`
}

/** Why `next` may have been sent although `copy` had been taken. */
function whyAgain(copy: Copy, next: Copy, { fates, databaseAway, isLeaseReal }: Happened): Reason | undefined {
  const { killedAt, stoppedAt } = fates.get(copy.node) ?? {}
  // Whoever takes over has to wait until the lease of the other has run out.
  const isAfterLease = !isLeaseReal || next.takenAt - copy.takenAt >= LEASE_SECONDS * 1_000 - CLAIM_TO_COPY_MS
  const isCut = (at: number | undefined) => {
    if (at === undefined || at < copy.takenAt - READ_LATE_MS || next.takenAt < at || !isAfterLease) return false
    const from = Math.min(copy.answeredAt ?? copy.lostAt ?? at, at)
    return at - from - overlap([from, at], databaseAway) <= SETTLING_MS
  }
  if (isCut(killedAt)) return JUST[1]
  if (isCut(stoppedAt)) return JUST[2]
  return next.takenAt >= (copy.lostAt ?? Infinity) ? JUST[0] : undefined
}

function overlap([from, until]: Span, spans: readonly Span[]): number {
  return spans.reduce((all, [start, end]) => all + Math.max(0, Math.min(until, end) - Math.max(from, start)), 0)
}

function wrongWith(row: Row, copiesOf: ReadonlyMap<string, Copy[]>): string[] {
  const { id, push, channelId, recipient, address, state, attempts, maybeSent } = row
  const name = nameOf(channelId, push, address ?? recipient)
  const copies = copiesOf.get(name) ?? []
  const is = (fact: boolean, sentence: string) => (fact ? [`${name} ${sentence}`] : [])
  const fate = fateOf(address ?? '')
  const due = address === null ? 'skipped' : { never: 'failed', 'always busy': 'dead', usual: 'sent' }[fate]
  // Somebody reachable may still run out of attempts while a provider is away.
  const isUsedUp = state === 'dead' && attempts >= USUAL_LIMITS.attempts
  return [
    ...is(state !== due && !isUsedUp, `is ${state} instead of ${due}`),
    ...is(attempts > ATTEMPTS, `had ${attempts} attempts`),
    ...is(state === 'sent' && copies.length === 0, 'is sent, and no provider has it'),
    ...is(state !== 'sent' && copies.length > 0 && !maybeSent, `is ${state}, and a provider has it`),
    ...is(
      copies.some(({ key }) => key !== id),
      'was sent under another key than its id',
    ),
  ]
}

function miscounted(pushes: readonly Push[], rows: readonly Row[]): string[] {
  const found = Map.groupBy(rows, ({ push, channelId }) => `${push} on ${channelId}`)
  return pushes.flatMap(({ number, deliveries }) =>
    deliveries.flatMap(({ channelId, recipients }) => {
      const count = found.get(`${number} on ${channelId}`)?.length ?? 0
      return count === recipients ? [] : [`${number} on ${channelId} has ${count} deliveries instead of ${recipients}`]
    }),
  )
}
