/** Changing what a person wants: by the person, or by an admin on the person's behalf, which is audited. */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import type { Context } from '../context.ts'
import { json, query, type Db } from '../db/client.ts'
import type { QuietHours } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { noSuchUser, type ChangedBy } from './preferences.ts'
import { ALL, isMandatory, keyOf } from './switches.ts'

/** Who makes a change. `audit`: an admin, for the audit log. */
export type Changer = { changedBy: ChangedBy; audit?: By | undefined }

/** Of which type on which channel, `*` being all, and whether it is on; null: what is said more widely counts. */
export type NewSwitch = { msgType: string; channelId: string; isOn: boolean | null }

/** Switches a type on a channel on or off for a user. Refuses what nobody can switch off. */
export async function setSwitch(context: Context, user: string, wanted: NewSwitch, by: Changer): Promise<void> {
  const { msgType, channelId, isOn } = wanted
  // What the settings do not know any more may still be taken away.
  if (isOn !== null) checkSwitch(context, wanted)
  const key = keyOf(msgType, channelId)
  const said = json(isOn === null ? {} : { [key]: isOn })
  const told = (switches: SQL) => sql`jsonb_build_object(${key}::text, ${switches} -> ${key}::text)`
  const { isThere, isStopped } = await change(context.db, user, by, {
    act: 'preferences.switch',
    first: isOn === null ? undefined : { switches: said, quietHours: '[]' },
    column: sql`switches`,
    value: sql`preferences.switches - ${key}::text || ${said}::jsonb`,
    unless: isOn === false ? isMandatory(sql`${msgType}::text`) : sql`false`,
    told,
  })
  if (!isThere) throw noSuchUser(user)
  if (isStopped)
    throw badInput('msgType', `${msgType} 类消息必达，不能关闭`, `${msgType} is mandatory: nobody can switch it off`)
}

/** Sets when SMS and e-mail wait for a user, in place of what was set before; none: they never wait. */
export async function setQuietHours(db: Db, user: string, windows: QuietHours[], by: Changer): Promise<void> {
  const { isThere } = await change(db, user, by, {
    act: 'preferences.quiet',
    first: windows.length === 0 ? undefined : { switches: '{}', quietHours: json(windows) },
    column: sql`quiet_hours`,
    value: sql`${json(windows)}::jsonb`,
    unless: sql`false`,
    told: (quietHours) => sql`jsonb_build_object('quietHours', ${quietHours})`,
  })
  if (!isThere) throw noSuchUser(user)
}

type Change = {
  act: string
  /** The row of somebody who has none. Undefined: it would say nothing. */
  first: { switches: string; quietHours: string } | undefined
  column: SQL
  value: SQL
  unless: SQL
  /** What the audit log is told of the column. */
  told: (column: SQL) => SQL
}

/** Changes a person's row. `isStopped`: nothing was changed, since `unless` held. */
export async function change(
  db: Db,
  user: string,
  { changedBy, audit }: Changer,
  how: Change,
): Promise<{ isThere: boolean; isStopped: boolean }> {
  const { act, first, column, value, unless, told } = how
  const changes = sql`
    select ${user}::text as subject, (select ${told(column)} from was) as before, ${told(column)} as after from changed`
  const [found] = await query<{ isThere: boolean; isStopped: boolean }>(
    db,
    sql`
      with was as (
        select switches, quiet_hours from preferences where user_code = ${user} for update
      ),
      person as (
        -- Counted, so that the row is locked before it is changed.
        select code from users
        where code = ${user} and not ${unless} and (select count(*) from was) >= ${first === undefined ? 1 : 0}::int
      ),
      changed as (
        insert into preferences (user_code, switches, quiet_hours, changed_by)
        select code, ${first?.switches ?? '{}'}::jsonb, ${first?.quietHours ?? '[]'}::jsonb, ${changedBy}::text from person
        on conflict (user_code) do update
        set ${column} = ${value}, changed_at = now(), changed_by = excluded.changed_by
        where preferences.${column} is distinct from ${value}
        returning switches, quiet_hours
      )
      ${audit === undefined ? sql`` : sql`, audited as (${auditing(audit, act, changes)})`}
      select exists (select from users where code = ${user}) as "isThere", ${unless} as "isStopped"`,
  )
  return found ?? { isThere: false, isStopped: false }
}

function checkSwitch({ config, channels }: Context, { msgType, channelId, isOn }: NewSwitch): void {
  const types = config.MSG_TYPES
  if (msgType !== ALL && !types.includes(msgType))
    throw badInput('msgType', `只能是 ${types.join(', ')}，或省略`, `must be one of ${types.join(', ')}, or left out`)
  if (channelId === ALL) return
  const ways = [...channels.values()].filter(({ kind }) => kind === 'sms' || kind === 'mail').map(({ id }) => id)
  const kind = channels.get(channelId)?.kind
  if (kind === 'site' && isOn === false)
    throw badInput('channelId', '站内信不能关闭', 'is the inbox, which is always on')
  if (kind === 'chat')
    throw badInput('channelId', '是群消息渠道，不能由个人开关', 'is a group chat: what is posted there is nobody’s own')
  if (kind === undefined)
    throw badInput('channelId', `只能是 ${ways.join(', ')}，或省略`, `must be one of ${ways.join(', ')}, or left out`)
}
