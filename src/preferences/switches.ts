/**
 * Switches: what a person wants, by message type and channel. `*` is all of them. The entry for both counts first, then
 * those for the type or the channel, of which one that says off wins, then that for everything; without any it is on.
 */
import { sql, type SQL } from 'drizzle-orm'

/** Stands for all types, or all channels but the inbox. */
export const ALL = '*'

/** The key of a switch in `preferences.switches`. */
export function keyOf(msgType: string, channelId: string): string {
  return `${msgType}/${channelId}`
}

/** The reverse of `keyOf`. */
export function readKey(key: string): { msgType: string; channelId: string } {
  const [msgType = '', channelId = ''] = key.split('/')
  return { msgType, channelId }
}

/** Whether these switches (jsonb, null where there is no row) leave the type on for the channel: the one place that says so. */
export function isOn(switches: SQL, msgType: SQL, channelId: SQL): SQL {
  const all = sql`'${sql.raw(ALL)}'`
  const said = (type: SQL, channel: SQL) => sql`(${switches} ->> (${type} || '/' || ${channel}))::boolean`
  return sql`
    coalesce(
      ${said(msgType, channelId)}, least(${said(all, channelId)}, ${said(msgType, all)}), ${said(all, all)}, true
    )`
}

/** Whether nobody can switch this type off. */
export function isMandatory(msgType: SQL): SQL {
  return sql`exists (select from msg_types where msg_types.code = ${msgType} and msg_types.is_mandatory)`
}
