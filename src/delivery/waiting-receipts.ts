/** Receipts that came before the delivery they speak of was noted as sent: tried again until it is, or for a day. */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { hot, query } from '../db/client.ts'
import { foundByReceipt } from './earlier-receipts.ts'
import { count, hearFound, type Heard, type Hearing } from './receipts.ts'

/** A settlement that is under way commits within this, most times. */
const BEAT_MS = 3_000
/** Every so many beats all are tried; at the others only young ones, which a settlement may be about to meet. */
const ALL_EVERY_BEATS = 100
const YOUNG_SECONDS = 300
const KEPT_SECONDS = 86_400
/** Tried or dropped in one statement: far below its time limit. */
const AT_ONCE = 1_000

type Page = { youngerThan: number; afterTime: string; afterId: string }
/** The first of all. */
const START = { afterTime: '-infinity', afterId: '00000000000000000000000000000000' }

/**
 * Tries a page, and tells besides where the next one begins. That time travels as text: a Date would lose its
 * microseconds, and the page would begin anew.
 */
const statement = hot<Heard & { lastTime: string | null; lastId: string | null }, Page>(sql`
  with tried as (
    select id as n, * from receipts
    where created_at > now() - make_interval(secs => ${sql.placeholder('youngerThan')}::float8)
      and (created_at, id) > (${sql.placeholder('afterTime')}::text::timestamptz, ${sql.placeholder('afterId')}::uuid)
    order by created_at, id
    limit ${sql.raw(String(AT_ONCE))}
    for update skip locked
  ),
  found as (
    ${foundByReceipt(sql`tried`, sql`given.channel_id`)}
  ),
  ${hearFound},
  gone as (
    delete from receipts using (select distinct n from found) as done where receipts.id = done.n
  )
  select heard_count.*, null as "lastTime", null as "lastId" from heard_count
  union all
  (select channel_id, 'seen', 0, 0, created_at::text, id::text from tried order by created_at desc, id desc limit 1)`)

/** Tries again those that came within the last `youngerThan` seconds (undefined: all), in pages. Safe on several nodes at once. */
export async function applyWaiting(hearing: Hearing, youngerThan = KEPT_SECONDS): Promise<void> {
  for (let from = START; ;) {
    const rows = await statement(hearing.store, { youngerThan, ...from })
    count(hearing, rows)
    const last = rows.find(({ state }) => state === 'seen')
    if (last === undefined) return
    from = { afterTime: last.lastTime ?? '', afterId: last.lastId ?? '' }
  }
}

/** Drops those that nobody will know any more; gives how many. */
export async function dropOldReceipts({ store: { db }, log }: Hearing): Promise<number> {
  for (let dropped = 0; ;) {
    const rows = await query(
      db,
      sql`
        with old as (
          select id from receipts
          where created_at < now() - make_interval(secs => ${KEPT_SECONDS})
          order by created_at
          limit ${AT_ONCE}
          for update skip locked
        )
        delete from receipts using old where receipts.id = old.id
        returning 1 as dropped`,
    )
    dropped += rows.length
    if (rows.length < AT_ONCE) {
      if (dropped > 0) log.debug({ dropped }, 'receipts: dropped; their deliveries were never heard of')
      return dropped
    }
  }
}

/** Tries on, at a beat, until stopped. */
export function watchWaiting(hearing: Hearing): { stop(): Promise<void> } {
  const stopping = new AbortController()
  async function watch() {
    for (let beats = 1; ; beats++) {
      await sleep(BEAT_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => {})
      if (stopping.signal.aborted) return
      const isAll = beats % ALL_EVERY_BEATS === 0
      try {
        await applyWaiting(hearing, isAll ? undefined : YOUNG_SECONDS)
        if (isAll) await dropOldReceipts(hearing)
      } catch (error) {
        // Its message may hold the statement's parameters, addresses among them.
        hearing.log.warn(
          { why: (error as Error).name },
          'receipts: those that wait could not be tried; the next beat will',
        )
      }
    }
  }
  const watching = watch()
  return {
    async stop() {
      stopping.abort()
      await watching
    },
  }
}
