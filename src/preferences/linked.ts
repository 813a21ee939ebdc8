/** What the link of a mail does to preferences. */
import { sql } from 'drizzle-orm'
import { json, query, type Db } from '../db/client.ts'
import { change } from './change.ts'
import { isMandatory, isOn, keyOf } from './switches.ts'
import type { Unsubscribing } from './unsubscribe-link.ts'

/**
 * Switches what a link names off; or on again, which takes the switch away where it is on without. Does nothing where the type
 * is mandatory, or the person is gone.
 */
export async function switchByLink(db: Db, link: Unsubscribing, isWanted: boolean): Promise<void> {
  const { user, msgType, channelId } = link
  const key = keyOf(msgType, channelId)
  const without = sql`(preferences.switches - ${key}::text)`
  const then = sql`(preferences.switches || ${json({ [key]: isWanted })}::jsonb)`
  const isOnWithout = isOn(without, sql`${msgType}::text`, sql`${channelId}::text`)
  await change(
    db,
    user,
    { changedBy: 'link' },
    {
      act: 'preferences.switch',
      first: isWanted ? undefined : { switches: json({ [key]: false }), quietHours: '[]' },
      column: sql`switches`,
      value: isWanted ? sql`(case when ${isOnWithout} then ${without} else ${then} end)` : then,
      unless: isMandatory(sql`${msgType}::text`),
      told: (switches) => switches,
    },
  )
}

export type Linked = { isOn: boolean; isMandatory: boolean; name: string | null }

/** How what a link names stands now. Undefined: the person is gone. */
export async function readLinked(db: Db, { user, msgType, channelId }: Unsubscribing): Promise<Linked | undefined> {
  const [found] = await query<Linked>(
    db,
    sql`
      select ${isOn(sql`switches`, sql`${msgType}::text`, sql`${channelId}::text`)} as "isOn",
        ${isMandatory(sql`${msgType}::text`)} as "isMandatory",
        (select name from msg_types where code = ${msgType}) as name
      from users left join preferences on preferences.user_code = users.code
      where users.code = ${user}`,
  )
  return found
}
