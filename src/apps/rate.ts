/**
 * An app's rate limit, counted before anything else is done and shared by all nodes: the generic cell rate algorithm, one
 * row an app. `next_at` moves on by one push each time; a push that would move it further ahead of the clock than the burst
 * allows is refused and moves nothing. So no span of t seconds admits more than burst + t × perSecond, however many nodes.
 * (The algorithm: ITU-T I.371, annex A.)
 */
import { sql } from 'drizzle-orm'
import { hot, type Store } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { App } from './apps.ts'

/** Counts a push of this app, or refuses it with the time to wait. An app without a limit costs nothing. */
export async function admitPush(store: Pick<Store, 'run'>, { id, rateLimit }: App): Promise<void> {
  if (rateLimit === null) return
  const { perSecond, burst } = rateLimit
  const [counted] = await count(store, { id, step: 1 / perSecond, ahead: (burst - 1) / perSecond })
  if (counted?.isAdmitted !== false) return
  throw new Refusal('RATE_LIMITED', {
    zh: `每秒最多 ${perSecond} 次，突发 ${burst} 次`,
    en: `this app may push ${perSecond} times a second, ${burst} at once`,
    retryAfterSeconds: Math.max(1, Math.ceil(counted.waitSeconds)),
  })
}

/** `clock_timestamp()`: a push that waited for the row must not see a time before the last one. */
const count = hot<{ isAdmitted: boolean; waitSeconds: number }, { id: string; step: number; ahead: number }>(sql`
  with counted as (
    insert into app_rates (app_id, next_at)
    values (${sql.placeholder('id')}, clock_timestamp() + make_interval(secs => ${sql.placeholder('step')}::float8))
    on conflict (app_id) do update
    set next_at = greatest(app_rates.next_at, clock_timestamp()) + make_interval(secs => ${sql.placeholder('step')}::float8)
    where app_rates.next_at <= clock_timestamp() + make_interval(secs => ${sql.placeholder('ahead')}::float8)
    returning app_id
  )
  select
    exists (select from counted) as "isAdmitted",
    coalesce(
      extract(epoch from next_at - clock_timestamp())::float8 - ${sql.placeholder('ahead')}::float8,
      0
    ) as "waitSeconds"
  from (select ${sql.placeholder('id')}::text as id) as asked
  left join app_rates on app_rates.app_id = asked.id`)
