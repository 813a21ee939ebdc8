/** Trying again what had ended without arriving. */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import type { Context } from '../context.ts'
import { query, texts, type Db } from '../db/client.ts'
import { ENDED, isEnded, type EndedFilter } from './deliveries.ts'
import { keepReplayed } from './earlier-receipts.ts'
import { MAX_AGE_SECONDS } from './queue.ts'

/** Replayed in one statement. */
const AT_ONCE = 1_000
/** Replayed in one call, which is to answer soon; the caller calls again. */
const MOST = 20_000

/** Which deliveries: named ones, or all that a filter finds. */
export type Replay = { ids: string[]; appId: string | undefined } | { filter: EndedFilter }

/** How many go in one statement and in one call; tests ask for fewer. */
type Sizes = { atOnce: number; most: number }

/**
 * Queues ended deliveries again, with all their attempts and another day to live, under the same delivery id: a provider
 * that knows it will not send twice. Not those without an address, nor of a message that was recalled or has expired.
 * `by`: the admin who asks, for the audit log.
 * Only what had ended before the call: what its provider refuses again meanwhile is not replayed a second time. `isMore`: of those some are left, so
 * call again.
 */
export async function replay(
  { db, hints }: Pick<Context, 'db' | 'hints'>,
  which: Replay,
  by?: By,
  { atOnce, most }: Sizes = { atOnce: AT_ONCE, most: MOST },
): Promise<{ replayed: number; isMore: boolean }> {
  const ended = endedBefore(which, await clock(db))
  let replayed = 0
  let some = atOnce
  while (some === atOnce && replayed < most) {
    some = await replaySome(db, ended, by, atOnce)
    replayed += some
    if (some > 0) hints.send({ kind: 'work' })
  }
  // A short chunk is no sign of the end: what others held was passed over.
  return { replayed, isMore: await hasAny(db, ended) }
}

/** The database's time, as text: a Date would lose the microseconds that a settlement is noted with. */
async function clock(db: Db): Promise<string> {
  const [row] = await query<{ now: string }>(db, sql`select now()::text as now`)
  return row?.now ?? ''
}

/** From and condition of what can be replayed, of the deliveries that had ended before `time`. */
function endedBefore(which: Replay, time: string): SQL {
  return sql`
    from deliveries
    join messages on messages.id = deliveries.message_id and messages.recalled_at is null
      and (messages.expires_at is null or messages.expires_at > now())
    where ${conditionOf(which)} and deliveries.address is not null
      and deliveries.settled_at < ${time}::text::timestamptz`
}

async function hasAny(db: Db, ended: SQL): Promise<boolean> {
  return (await query(db, sql`select 1 as one ${ended} limit 1`)).length > 0
}

function conditionOf(which: Replay): SQL {
  if ('filter' in which) return isEnded(which.filter)
  const own = which.appId === undefined ? sql`true` : sql`deliveries.app_id = ${which.appId}`
  return sql`deliveries.id = any(${texts(which.ids)}::uuid[]) and deliveries.state = any(${texts(ENDED)}) and ${own}`
}

async function replaySome(db: Db, ended: SQL, by: By | undefined, atOnce: number): Promise<number> {
  const rows = await query(
    db,
    sql`
      with chosen as (
        select deliveries.id, deliveries.receipt, deliveries.state ${ended}
        limit ${atOnce}
        for update of deliveries skip locked
        -- A recall that begins now waits for this, and then finds what was queued again.
        for share of messages
      ),
      ${keepReplayed}
      ${by === undefined ? sql`` : auditedReplay(by)}
      update deliveries
      set state = 'queued', reason = 'REPLAYED', attempts = 0, losses = 0, lease = null, lease_until = null,
        -- Its provider had taken it: a recall must not say that it never went out.
        maybe_sent = maybe_sent or state = 'undelivered', receipt = null, recall_requested = false,
        due_at = now(), settled_at = null,
        expires_at = least(
          now() + make_interval(secs => ${MAX_AGE_SECONDS}), (select expires_at from messages where id = message_id)
        ),
        history = history || jsonb_build_object('at', now(), 'state', 'queued', 'attempt', 0, 'reason', 'REPLAYED')
      where deliveries.id = any(array(select id from chosen))
      returning deliveries.id`,
  )
  return rows.length
}

function auditedReplay(by: By): SQL {
  const changes = sql`
    select replace(id::text, '-', '') as subject, jsonb_build_object('state', state) as before,
      '{"state": "queued"}'::jsonb as after
    from chosen`
  return sql`, audited as (${auditing(by, 'delivery.replay', changes)})`
}
