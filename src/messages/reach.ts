/** Whom a push would reach, in numbers: what its guard weighs, and what a preview tells. */
import type { Context } from '../context.ts'
import type { ContentKind, SmsContent } from '../delivery/content.ts'
import { smsLength } from '../delivery/sms-length.ts'
import { accounts, countPeople } from '../directory/audience.ts'
import type { Prepared } from './push.ts'

export type Reach = {
  /** People and bare addresses, each once. */
  recipients: number
  channels: ChannelReach[]
}

export type ChannelReach = {
  channelId: string
  kind: ContentKind
  /** Recipients with an address there; 1 for the post into a group chat. */
  reachable: number
  /** People who would get it there but have no address, and accounts that mean nobody. */
  withoutAddress: number
  /** Of one SMS. Null: it is none. */
  segments: number | null
}

/** Resolves the whole audience of a push, as counts. */
export async function reachOf({ db }: Context, { push, audience }: Prepared): Promise<Reach> {
  const segments = new Map(
    push.contents.map(({ channelId, kind, content }) => [
      channelId,
      // What only a provider's template says is not known here: one.
      kind === 'sms' ? (smsLength(content as SmsContent)?.segments ?? 1) : null,
    ]),
  )
  const of = (channelId: string) => segments.get(channelId) ?? null
  if (audience.receiverType === 'custom') {
    const everybody = new Set<string>()
    const channels: ChannelReach[] = []
    for (const { id: channelId, kind } of audience.channels) {
      if (kind === 'chat') {
        channels.push({ channelId, kind, reachable: 1, withoutAddress: 0, segments: null })
        continue
      }
      const { resolved, invalid } = await accounts(db, kind, audience.receiver[channelId] ?? [])
      for (const { account, userCode } of resolved) everybody.add(userCode ?? account)
      const counts = { reachable: resolved.length, withoutAddress: invalid.length }
      channels.push({ channelId, kind, ...counts, segments: of(channelId) })
    }
    return { recipients: everybody.size, channels }
  }
  const receiver = audience.receiverType === 'all' ? 'all' : audience.receiver
  const { people, phones, emails } = await countPeople(db, receiver, audience.deptIncludesDescendants)
  const reachable = { site: people, sms: phones, mail: emails, chat: 1 }
  return {
    recipients: people,
    channels: audience.channels.map(({ id: channelId, kind }) => ({
      channelId,
      kind,
      reachable: reachable[kind],
      withoutAddress: kind === 'chat' ? 0 : people - reachable[kind],
      segments: of(channelId),
    })),
  }
}

/** SMS segments that all of it comes to. */
export function smsSegments({ channels }: Reach): number {
  return channels.reduce((sum, { reachable, segments }) => sum + reachable * (segments ?? 0), 0)
}
