/** What a person wants of SMS and e-mail: how it stands, and what comes of it. */
import { sql } from 'drizzle-orm'
import { Temporal } from 'temporal-polyfill'
import type { Context } from '../context.ts'
import { json, query } from '../db/client.ts'
import type { preferences, QuietHours } from '../db/tables.ts'
import { Refusal } from '../errors.ts'
import { quietUntil } from './quiet.ts'
import { isMandatory, isOn, readKey } from './switches.ts'

export type Preferences = {
  user: string
  zone: string
  quietHours: QuietHours[]
  /** The end of the quiet time that is now. Null: it is not quiet. */
  quietUntil: Date | null
  /** As they were set, in the order of type and channel. */
  switches: Switch[]
  /** What comes of them, for every type on every channel that there is. */
  channels: ChannelPreference[]
  changedAt: Date | null
  changedBy: ChangedBy | null
}
export type ChangedBy = (typeof preferences.$inferSelect)['changedBy']

/** What somebody has said of a type on a channel; `*` is all. */
export type Switch = { msgType: string; channelId: string; isOn: boolean }

export type ChannelPreference = Switch & { canChange: boolean }

type Row = Pick<Preferences, 'user' | 'quietHours' | 'changedAt' | 'changedBy'> & {
  zone: string | null
  switches: Record<string, boolean>
  channels: (Switch & { isMandatory: boolean })[]
}

/** What a user wants, and what comes of it. NOT_FOUND: there is no such user. */
export async function readPreferences(context: Context, user: string): Promise<Preferences> {
  const { db, config, channels } = context
  // A post into a group chat is nobody's own.
  const ways = [...channels.values()].filter(({ kind }) => kind !== 'chat').map(({ id }) => id)
  const [row] = await query<Row>(
    db,
    sql`
      select users.code as user, users.time_zone as zone, coalesce(quiet_hours, '[]') as "quietHours",
        coalesce(switches, '{}') as switches, preferences.changed_at as "changedAt", changed_by as "changedBy",
        (
          select coalesce(jsonb_agg(
            jsonb_build_object(
              'msgType', type, 'channelId', channel,
              'isOn', ${isOn(sql`switches`, sql`type`, sql`channel`)}, 'isMandatory', ${isMandatory(sql`type`)}
            ) order by type_place, channel_place
          ), '[]')
          from jsonb_array_elements_text(${json(config.MSG_TYPES)}::jsonb) with ordinality as types (type, type_place)
          cross join jsonb_array_elements_text(${json(ways)}::jsonb) with ordinality as ways (channel, channel_place)
        ) as channels
      from users left join preferences on preferences.user_code = users.code
      where users.code = ${user}`,
  )
  if (row === undefined) throw noSuchUser(user)
  const zone = zoneOr(row.zone, config.TIME_ZONE)
  const until = quietUntil(row.quietHours, zone, Temporal.Now.instant())
  return {
    ...row,
    zone,
    quietUntil: until === undefined ? null : new Date(until.epochMilliseconds),
    switches: Object.entries(row.switches)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, isOn]) => ({ ...readKey(key), isOn })),
    channels: row.channels.map(({ isMandatory, ...one }) => {
      const isAlwaysOn = isMandatory || channels.get(one.channelId)?.kind === 'site'
      return { ...one, isOn: isAlwaysOn || one.isOn, canChange: !isAlwaysOn }
    }),
  }
}

export function noSuchUser(user: string): Refusal {
  return new Refusal('NOT_FOUND', { path: 'user', zh: `没有人员 ${user}`, en: `there is no user ${user}` })
}

/** A person's zone; the house's where there is none, or one that this machine does not know. */
export function zoneOr(zone: string | null, house: string): string {
  try {
    return zone === null ? house : Temporal.Now.zonedDateTimeISO(zone).timeZoneId
  } catch {
    return house
  }
}
