/** What a worker does to the leases of its claims: renews them while it lives, and gives back what it has not tried. */
import { sql, type SQL } from 'drizzle-orm'
import { query, texts, type Db } from '../db/client.ts'
import { inOrder, LEASE_SECONDS, type Claimed } from './queue.ts'

/** Gives the rows of a claim back as they were: nothing of it has been tried. */
export async function giveBack(db: Db, lease: string, ids?: readonly string[]): Promise<void> {
  const only: SQL = ids === undefined ? sql`true` : sql`id = any(${texts(ids)}::uuid[])`
  await query(
    db,
    sql`
      with locked as (
        select id from deliveries
        where lease = ${lease} and state = 'queued' and ${only}
        ${inOrder}
      )
      update deliveries set attempts = attempts - 1, lease = null, lease_until = null
      from locked
      where deliveries.id = locked.id`,
  )
}

/** Renews leases that are still held; gives the ids of those. A row that is missing has gone to another worker. */
export async function renew(db: Db, held: readonly Pick<Claimed, 'id' | 'lease'>[]): Promise<Set<string>> {
  const rows = await query<{ id: string }>(
    db,
    sql`
      with locked as (
        select deliveries.id
        from jsonb_to_recordset(${JSON.stringify(held)}::jsonb) as held (id uuid, lease uuid)
        join deliveries on deliveries.id = held.id and deliveries.lease = held.lease and state = 'queued'
        ${inOrder}
      )
      update deliveries set lease_until = now() + make_interval(secs => ${LEASE_SECONDS})
      from locked
      where deliveries.id = locked.id
      returning deliveries.id`,
  )
  return new Set(rows.map(({ id }) => id))
}
