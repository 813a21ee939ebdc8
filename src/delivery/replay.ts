/** Trying again what had ended without arriving. */
import { sql, type SQL } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { query, texts, type Db } from '../db/client.ts'
import { ENDED, isEnded, type EndedFilter } from './deliveries.ts'
import { MAX_AGE_SECONDS } from './queue.ts'

/** Replayed in one statement. */
const AT_ONCE = 1_000
/** Replayed in one call, which is to answer soon; the caller calls again. */
const MOST = 20_000

/** Which deliveries: named ones, or all that a filter finds. */
export type Replay = { ids: string[]; appId: string | undefined } | { filter: EndedFilter }

/**
 * Queues ended deliveries again, with all their attempts and another day to live, under the same delivery id: a provider
 * that knows it will not send twice. Not those without an address, nor of a recalled message. `isMore`: call again.
 */
export async function replay(
  { db, hints }: Pick<Context, 'db' | 'hints'>,
  which: Replay,
): Promise<{ replayed: number; isMore: boolean }> {
  let replayed = 0
  while (replayed < MOST) {
    const some = await replaySome(db, conditionOf(which))
    replayed += some
    if (some > 0) hints.send({ kind: 'work' })
    if (some < AT_ONCE) return { replayed, isMore: false }
  }
  return { replayed, isMore: true }
}

function conditionOf(which: Replay): SQL {
  if ('filter' in which) return isEnded(which.filter)
  const own = which.appId === undefined ? sql`true` : sql`deliveries.app_id = ${which.appId}`
  return sql`deliveries.id = any(${texts(which.ids)}::uuid[]) and deliveries.state = any(${texts(ENDED)}) and ${own}`
}

async function replaySome(db: Db, condition: SQL): Promise<number> {
  const rows = await query(
    db,
    sql`
      with chosen as (
        select deliveries.id
        from deliveries join messages on messages.id = deliveries.message_id and messages.recalled_at is null
        where ${condition} and deliveries.address is not null
        limit ${AT_ONCE}
        for update of deliveries skip locked
        -- A recall that begins now waits for this, and then finds what was queued again.
        for share of messages
      )
      update deliveries
      set state = 'queued', reason = 'REPLAYED', attempts = 0, losses = 0, lease = null, lease_until = null,
        recall_requested = false, due_at = now(), settled_at = null,
        expires_at = now() + make_interval(secs => ${MAX_AGE_SECONDS}),
        history = history || jsonb_build_object('at', now(), 'state', 'queued', 'attempt', 0, 'reason', 'REPLAYED')
      where deliveries.id = any(array(select id from chosen))
      returning deliveries.id`,
  )
  return rows.length
}
