/**
 * What providers called attempts whose receipt is not their delivery's: a replay sent it again under another, or another
 * worker had taken it meanwhile. They may still tell that such an attempt arrived.
 */
import { sql, type SQL } from 'drizzle-orm'
import { hot, json, type Store } from '../db/client.ts'

/** Fragment of a replay: keeps the receipts of the rows of a CTE `chosen (id, receipt)`. */
export const keepReplayed: SQL = sql`
  kept as (
    insert into earlier_receipts (receipt, delivery_id)
    select receipt, id from chosen where receipt is not null
    on conflict do nothing
  )`

/** Where a delivery has the same receipt, it was our own settlement that came first, without our hearing of it. */
const statement = hot<never, { overtaken: string }>(sql`
  insert into earlier_receipts (receipt, delivery_id)
  select overtaken.receipt, deliveries.id
  from jsonb_to_recordset(${sql.placeholder('overtaken')}::jsonb) as overtaken (id uuid, receipt text)
    join deliveries on deliveries.id = overtaken.id
  where deliveries.receipt is distinct from overtaken.receipt
  order by deliveries.id
  on conflict do nothing`)

/** Keeps the receipts of attempts that were settled too late, when another word counted. */
export async function keepOvertaken(
  store: Pick<Store, 'run'>,
  overtaken: readonly { id: string; receipt: string }[],
): Promise<void> {
  if (overtaken.length > 0) await statement(store, { overtaken: json(overtaken) })
}

/**
 * Fragment: of which deliveries receipts speak by the provider's id, the present one or an earlier. Takes the name of a
 * CTE `(n, receipt, address, state, why, at)` and whose channel's they are; gives what `hearFound` expects of `found`.
 * Lateral, since a table that was never analysed would be read whole, for a single receipt too.
 */
export function foundByReceipt(given: SQL, channelId: SQL): SQL {
  const isMeant = sql`channel_id = ${channelId} and (given.address is null or address = given.address)`
  return sql`
    select given.n, named.id, false as "isOwnId", named."isEarlier", given.state, given.why, given.at
    from ${given} as given cross join lateral (
      select id, false as "isEarlier" from deliveries
      where receipt = given.receipt and ${isMeant}
      union all
      select id, true from deliveries
      where id = any(array(select delivery_id from earlier_receipts where receipt = given.receipt)) and ${isMeant}
    ) as named`
}
