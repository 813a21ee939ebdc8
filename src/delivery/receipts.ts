/**
 * Receipts: what providers tell later about what they had taken.
 *
 *   sent ── receipt ──▶ delivered      the last word
 *     └──── receipt ──▶ undelivered ── a later, better one ──▶ delivered
 *                            └── replay ──▶ queued ── the same ───▲
 *
 * They come twice, in any order, and before the attempt is settled. By our own id a receipt also settles an attempt that
 * is under way or ended without an answer: it proves that the delivery went out, so there is no other attempt, and the
 * lease goes, so that the late settlement finds nothing. By the provider's id such a one waits (waiting-receipts.ts).
 *
 * One under the id of an earlier attempt (earlier-receipts.ts) is heard wherever the delivery stands now: a good word ends
 * it, since the person has it, and what is queued again is not sent again. A bad one says nothing of the later attempt.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql, type SQL } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { hot } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Receipt } from './channel.ts'
import { foundByReceipt } from './earlier-receipts.ts'
import { inOrder } from './queue.ts'
import { words } from './words.ts'

/** Heard in one statement: far below its time limit. */
const AT_ONCE = 1_000
/** A channel's receipts that may wait for their delivery. A provider in order has a handful; one gone wild must not fill the disk. */
const WAITING_MOST = 100_000
/** How long a provider on its own connection waits for us while the database is away, before it hears that we could not. */
const HEAR_MS = 5_000
const RETRY_MS = 250
const DELIVERY_ID = /^[0-9a-f]{32}$/
/** A clock that is further off than this says nothing, and far enough off PostgreSQL could not even read it. */
const CLOCK_OFF_MS = 30 * 86_400_000

/** What hearing needs of a running Posthouse. */
export type Hearing = Pick<Context, 'store' | 'log' | 'metrics'>

/** How many of a channel's receipts did something: moved deliveries to `state`, or began to `wait`; `full`: had no room to. */
export type Heard = { channelId: string; state: string; deliveries: number; receipts: number }

/**
 * Fragment: gives each delivery its word, and notes it. Expects a CTE
 * `found (n, id, "isOwnId", "isEarlier", state, why, at)`: which receipt speaks of which delivery. Of several about one the
 * good word counts. Of what is not noted as sent our own id speaks, where something may have gone out. The provider's id
 * is there only if it was sent once: the bad word is why it was replayed, and a good one makes sending it again needless.
 */
export const hearFound: SQL = sql`
  word as (
    select distinct on (id) * from found
    where state = 'delivered' or not "isEarlier"
    order by id, state = 'delivered' desc, at, n
  ),
  locked as (
    select word.*
    from word join deliveries on deliveries.id = word.id
    where deliveries.state = 'sent'
      or (deliveries.state = 'undelivered' and word.state = 'delivered')
      or (deliveries.state in ('queued', 'dead', 'failed', 'expired', 'cancelled', 'skipped') and (
        word.state = 'delivered' and not word."isOwnId"
        or word."isOwnId" and (maybe_sent or lease is not null)
          and (word.state = 'delivered' or lease is not null or deliveries.reason is distinct from 'REPLAYED')
      ))
    ${inOrder}
  ),
  heard as (
    update deliveries
    set state = word.state,
      reason = case when word.state = 'undelivered' then 'UNDELIVERED' end,
      last_error = case when word.state = 'undelivered' then word.why end,
      lease = null, lease_until = null, settled_at = now(),
      history = history || jsonb_strip_nulls(jsonb_build_object(
        'at', case when word.at between deliveries.created_at and now() then word.at else now() end,
        'state', word.state, 'attempt', attempts, 'reason', 'RECEIPT', 'why', word.why
      ))
    from locked as word
    where deliveries.id = word.id
    returning word.n, deliveries.channel_id, deliveries.state
  ),
  heard_count as (
    select channel_id as "channelId", state, count(*)::int as deliveries, count(distinct n)::int as receipts
    from heard
    group by channel_id, state
  )`

const channelId = sql`${sql.placeholder('channelId')}::text`

const statement = hot<Heard, { channelId: string; receipts: string }>(sql`
  with given as (
    select * from jsonb_to_recordset(${sql.placeholder('receipts')}::jsonb) as one (
      n int, "waitingId" uuid, "deliveryId" uuid, receipt text, address text, state text, why text, at timestamptz
    )
  ),
  found as (
    select given.n, deliveries.id, true as "isOwnId", false as "isEarlier", given.state, given.why, given.at
    from given join deliveries on deliveries.id = given."deliveryId"
    where deliveries.channel_id = ${channelId}
    union all
    ${foundByReceipt(sql`given`, channelId)}
  ),
  ${hearFound},
  unmatched as (
    select * from given where receipt is not null and n not in (select n from found)
  ),
  room as (
    select case
      when exists (select from unmatched)
      then greatest(0, ${sql.raw(String(WAITING_MOST))} - (select count(*) from receipts where channel_id = ${channelId}))
    end as rows
  ),
  waiting as (
    insert into receipts (id, channel_id, receipt, address, state, why, at)
    select "waitingId", ${channelId}, receipt, address, state, why, at
    from unmatched
    order by n
    limit (select rows from room)
    on conflict (id) do nothing
    returning id
  )
  select * from heard_count
  union all
  select ${channelId}, 'waiting', 0, count(*)::int from waiting having count(*) > 0
  union all
  select ${channelId}, 'full', 0, 0 from room where rows = 0`)

/**
 * Hears what a channel's provider says became of deliveries. Those of other channels are never touched, and what says
 * nothing new changes nothing, so that hearing again what failed half-way is right. Rejects when it could not be stored.
 */
export async function hearReceipts(hearing: Hearing, channelId: string, receipts: readonly Receipt[]): Promise<void> {
  const given = receipts.map((receipt) => cleaned(channelId, receipt)).filter((one) => one !== undefined)
  hearing.metrics?.receiptsHeard(channelId, 'ignored', receipts.length - given.length)
  for (let from = 0; from < given.length; from += AT_ONCE) {
    const some = given.slice(from, from + AT_ONCE).map((one, n) => ({ ...one, n }))
    const heard = await statement(hearing.store, { channelId, receipts: JSON.stringify(some) })
    count(hearing, heard)
    const useful = heard.reduce((sum, { receipts: some }) => sum + some, 0)
    hearing.metrics?.receiptsHeard(channelId, 'ignored', some.length - useful)
    if (heard.some(({ state }) => state === 'full'))
      hearing.log.warn(
        { channelId },
        `receipts: ${WAITING_MOST} wait for deliveries that nobody knows; more are dropped`,
      )
  }
}

/** Counts what receipts did. */
export function count({ metrics }: Hearing, heard: readonly Heard[]): void {
  for (const { channelId, state, deliveries, receipts } of heard) {
    if (state === 'waiting') metrics?.receiptsHeard(channelId, 'waiting', receipts)
    if (state !== 'delivered' && state !== 'undelivered') continue
    metrics?.receiptsHeard(channelId, 'applied', receipts)
    metrics?.deliverySettled(channelId, state, deliveries)
  }
}

/**
 * What a carrier calls whose provider speaks over its own connection. Waits for the database a few seconds; rejects when
 * nothing could be stored, and then the provider is not to be told that its receipts arrived.
 */
export function makeHear(hearing: Hearing, channelId: string): (receipts: Receipt[]) => Promise<void> {
  return async (receipts) => {
    const until = performance.now() + HEAR_MS
    for (;;) {
      try {
        return await hearReceipts(hearing, channelId, receipts)
      } catch (error) {
        const isAway = error instanceof Refusal && error.code === 'UNAVAILABLE'
        if (!isAway || performance.now() > until) throw error
      }
      await sleep(RETRY_MS)
    }
  }
}

/** A receipt as the statement takes it: what is compared is cut as it was when it was stored. Undefined: it names nothing. */
function cleaned(channelId: string, receipt: Receipt) {
  const deliveryId = 'deliveryId' in receipt ? receipt.deliveryId.replaceAll('-', '').toLowerCase() : null
  const providersId = 'receipt' in receipt ? words(receipt.receipt) || null : null
  if (deliveryId === null ? providersId === null : !DELIVERY_ID.test(deliveryId)) return undefined
  const address = 'receipt' in receipt ? words(receipt.address ?? null) : null
  const { state, why, at } = receipt
  const isSane = at !== undefined && Math.abs(at.getTime() - Date.now()) < CLOCK_OFF_MS
  return {
    // The same receipt is the same row, however often it comes.
    waitingId: digest([channelId, providersId, address, state]),
    deliveryId,
    receipt: providersId,
    address,
    state,
    why: words(why ?? null),
    at: isSane ? at.toISOString() : null,
  }
}

/** A UUID that follows from what it stands for. */
function digest(parts: (string | null)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}
