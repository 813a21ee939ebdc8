/** Ways to say what people want, and to see what became of their deliveries. */
import { sql } from 'drizzle-orm'
import { query } from '../../src/db/client.ts'
import type { DeliveryEvent } from '../../src/db/tables.ts'
import type { Running } from '../kit/posthouse.ts'

export type Wanted = { msgType?: string; channelId?: string; isOn: boolean | null; user?: string }

export type Row = {
  id: string
  recipient: string
  channelId: string
  state: string
  reason: string | null
  attempts: number
  isSettled: boolean
  waitMinutes: number
  livesHours: number
  history: DeliveryEvent[]
}

const SET = `mutation ($msgType: String, $channelId: String, $isOn: Boolean, $user: String) {
  setPreference(msgType: $msgType, channelId: $channelId, isOn: $isOn, user: $user) { user }
}`
const QUIET = `mutation ($quietHours: [QuietHoursInput!]!, $user: String) {
  setQuietHours(quietHours: $quietHours, user: $user) { quietUntil timeZone }
}`

/** What can be said and seen at one Posthouse. */
export function preferencesOf({ graphql, token, push, context: { db }, adminKey }: Running) {
  const must = async (bearer: string, text: string, variables: Record<string, unknown>) => {
    const { data, errors } = await graphql(bearer, text, variables)
    if (errors) throw new Error(errors[0]?.message)
    return data as Record<string, any>
  }
  return {
    must,
    as: async (user: string, wanted: Wanted) => must(await token(user), SET, wanted),
    quiet: async (user: string, quietHours: object[]) =>
      (await must(await token(user), QUIET, { quietHours }))['setQuietHours'],
    mandatory: (code: string, isMandatory: boolean) =>
      must(
        adminKey,
        'mutation ($code: String!, $is: Boolean!) { setMsgType(code: $code, isMandatory: $is) { code } }',
        {
          code,
          is: isMandatory,
        },
      ),
    /** An SMS, unless told otherwise; gives its id. */
    send: async (users: string[], more: Record<string, unknown> = {}) => {
      const { body } = await push(users, 'title', { channelData: { '1001': { content: 'text' } }, ...more })
      return body.msgId ?? ''
    },
    rows: (msgId: string) =>
      query<Row>(
        db,
        sql`
          select id, recipient, channel_id as "channelId", state, reason, attempts, settled_at is not null as "isSettled", history,
            (extract(epoch from due_at - now()) / 60)::float8 as "waitMinutes",
            (extract(epoch from expires_at - now()) / 3600)::float8 as "livesHours"
          from deliveries where message_id = ${msgId} order by recipient, channel_id`,
      ),
    /** As if the time had come for what waits. */
    hurry: () => query(db, sql`update deliveries set due_at = now() where state = 'queued'`),
    forget: () => query(db, sql`truncate preferences, msg_types`),
  }
}

/** From an hour ago until `hours` from now, by the clock of UTC. */
export function aroundNow(hours = 2): { from: string; to: string } {
  const clock = (offset: number) => new Date(Date.now() + offset * 3_600_000).toISOString().slice(11, 16)
  return { from: clock(-1), to: clock(hours) }
}
