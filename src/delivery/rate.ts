/**
 * A provider's rate, shared by all nodes: a token bucket per channel in `gates`, filled by the database's clock. A node
 * draws tokens before it claims, and puts back what it had no delivery for.
 */
import { sql } from 'drizzle-orm'
import { hot, query, type Store } from '../db/client.ts'

/** A bucket holds what may go out in one second, or a single delivery at slower rates: providers count by short spans. */
const BURST_SECONDS = 1

export type Tokens = {
  /** Draws up to `want`. When it gives none: try again after `waitMs`. */
  draw(want: number): Promise<{ tokens: number; waitMs: number }>
  putBack(tokens: number): Promise<void>
}

/** The bucket of a channel that may send `rate` deliveries a second. */
export function makeTokens({ db, run }: Pick<Store, 'db' | 'run'>, channelId: string, rate: number): Tokens {
  const burst = Math.max(1, Math.floor(rate * BURST_SECONDS))
  return {
    async draw(want) {
      const [drawn] = await drawStatement({ run }, { channelId, rate, burst, want })
      if (drawn !== undefined) {
        return { tokens: drawn.tokens, waitMs: drawn.tokens > 0 ? 0 : ((1 - drawn.left) / rate) * 1_000 }
      }
      await query(
        db,
        sql`insert into gates (channel_id, tokens) values (${channelId}, ${burst}) on conflict do nothing`,
      )
      return { tokens: 0, waitMs: 0 }
    },
    async putBack(tokens) {
      await query(
        db,
        sql`update gates set tokens = least(tokens + ${tokens}, ${burst}) where channel_id = ${channelId}`,
      )
    },
  }
}

/** `clock_timestamp()`: a draw that waited for the lock must not see a time before the last one. */
const drawStatement = hot<
  { tokens: number; left: number },
  { channelId: string; rate: number; burst: number; want: number }
>(sql`
  with bucket as (
    select channel_id, least(
      ${sql.placeholder('burst')}::float8,
      tokens + ${sql.placeholder('rate')}::float8 * greatest(0, extract(epoch from clock_timestamp() - refilled_at)::float8)
    ) as available
    from gates
    where channel_id = ${sql.placeholder('channelId')}
    for update
  ),
  drawn as (
    select channel_id, available, least(floor(available), ${sql.placeholder('want')}::float8) as tokens from bucket
  )
  update gates
  set tokens = drawn.available - drawn.tokens, refilled_at = clock_timestamp()
  from drawn
  where gates.channel_id = drawn.channel_id
  returning drawn.tokens, gates.tokens as left`)
