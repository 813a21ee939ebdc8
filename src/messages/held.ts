/** Whom a push would reach, but for what they want: for a preview. */
import { sql, type SQL } from 'drizzle-orm'
import { Temporal } from 'temporal-polyfill'
import type { Context } from '../context.ts'
import { json, query, texts } from '../db/client.ts'
import type { QuietHours } from '../db/tables.ts'
import { HIGH } from '../delivery/hold.ts'
import { accounts, whoeverIs } from '../directory/audience.ts'
import { zoneOr } from '../preferences/preferences.ts'
import { quietUntil } from '../preferences/quiet.ts'
import { isMandatory, isOn } from '../preferences/switches.ts'
import type { Prepared } from './push.ts'

/** Kinds of people who are told apart: those with the same quiet hours in the same zone are one. Beyond so many, the rarest are not counted. */
const KINDS_AT_MOST = 10_000

/** People with an address on a channel who have switched it off for this type, and for whom it would be a quiet hour. */
export type HeldBack = { switchedOff: number; inQuietHours: number }

type OwnWay = { id: string; kind: string }
type Row = { channelId: string; isOff: boolean; quietHours: QuietHours[] | null; zone: string | null; count: number }

/** By channel, as of the moment at which the push would be due; only of channels where somebody wants anything. */
export async function heldBack(context: Context, { push, audience }: Prepared): Promise<Map<string, HeldBack>> {
  const ways = audience.channels.filter(({ kind }) => kind === 'sms' || kind === 'mail')
  const found = new Map<string, HeldBack>()
  const at = Temporal.Instant.fromEpochMilliseconds(push.dueAt?.getTime() ?? Date.now())
  for (const { channelId, isOff, quietHours, zone, count } of await look(context, ways, { push, audience })) {
    const held = found.get(channelId) ?? { switchedOff: 0, inQuietHours: 0 }
    found.set(channelId, held)
    if (isOff) held.switchedOff += count
    else if (quietUntil(quietHours ?? [], zoneOr(zone, context.config.TIME_ZONE), at)) held.inQuietHours += count
  }
  return found
}

async function look(
  context: Context,
  ways: OwnWay[],
  { push, audience }: Pick<Prepared, 'push' | 'audience'>,
): Promise<Row[]> {
  if (audience.receiverType !== 'custom') {
    const receiver = audience.receiverType === 'all' ? 'all' : audience.receiver
    return count(context, push, ways, whoeverIs(receiver, audience.deptIncludesDescendants))
  }
  const rows: Row[] = []
  for (const way of ways) {
    const { resolved } = await accounts(context.db, way.kind as 'sms' | 'mail', audience.receiver[way.id] ?? [])
    const codes = resolved.flatMap(({ userCode }) => userCode ?? [])
    if (codes.length > 0)
      rows.push(...(await count(context, push, [way], { ctes: sql``, isOne: sql`users.code = any(${texts(codes)})` })))
  }
  return rows
}

function count(
  { db }: Context,
  { msgType, priority }: Prepared['push'],
  ways: OwnWay[],
  { ctes, isOne }: { ctes: SQL; isOne: SQL },
): Promise<Row[]> {
  return query<Row>(
    db,
    sql`
      ${ctes}
      select way.id as "channelId", is_off as "isOff", case when not is_off then quiet_hours end as "quietHours",
        case when not is_off then time_zone end as zone, count(*)::int as count
      from preferences join users on users.code = preferences.user_code
      cross join jsonb_to_recordset(${json(ways)}::jsonb) as way (id text, kind text)
      cross join lateral (
        select not ${isOn(sql`switches`, sql`${msgType}::text`, sql`way.id`)} and not ${isMandatory(sql`${msgType}::text`)}
          as is_off
      ) as wish
      where ${isOne} and case way.kind when 'sms' then phone else email end is not null
        and (is_off or (${priority < HIGH}::boolean and quiet_hours <> '[]'))
      group by 1, 2, 3, 4
      order by count(*) desc
      limit ${KINDS_AT_MOST}::integer`,
  )
}
