/** Whom a push would reach, in numbers: what its guard weighs, and what a preview tells. */
import type { Context } from '../context.ts'
import type { ContentKind, SmsContent } from '../delivery/content.ts'
import { nextChunk } from '../delivery/chunk.ts'
import { smsLength } from '../delivery/sms-length.ts'
import { speak } from '../delivery/speak.ts'
import { variantsOn } from '../delivery/variants.ts'
import { accounts, countPeople, type Counted } from '../directory/audience.ts'
import { badInput } from '../errors.ts'
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
  /** Of one SMS, in the default language. Null: it is none. */
  segments: number | null
  /** Of those who are reachable, how many get it in which language. Empty: it has only one. */
  languages: LanguageReach[]
  /** SMS segments that all of it comes to there, each person's by what he gets. */
  smsSegments: number
}

/** `locale` null: the default. */
export type LanguageReach = { locale: string | null; reachable: number; segments: number | null }

/** Of whom is known on a channel which language they read. */
type Readers = { locale: string | null; count: number }[]

/** Resolves the whole audience of a push, as counts. */
export async function reachOf(context: Context, prepared: Prepared): Promise<Reach> {
  const { recipients, channels } = await countsOf(context, prepared)
  const personal = await personalSegments(context, prepared)
  return {
    recipients,
    channels: channels.map((one) => ({
      ...one,
      smsSegments: personal.get(one.channelId) ?? segmentsTo(one),
    })),
  }
}

type Counts = { recipients: number; channels: Omit<ChannelReach, 'smsSegments'>[] }

async function countsOf({ db }: Context, prepared: Prepared): Promise<Counts> {
  const { audience } = prepared
  if (audience.receiverType === 'custom') {
    const everybody = new Set<string>()
    const channels: Counts['channels'] = []
    for (const channel of audience.channels) {
      if (channel.kind === 'chat') {
        channels.push(reachOn(prepared, channel, [], 0))
        continue
      }
      const { resolved, invalid } = await accounts(db, channel.kind, audience.receiver[channel.id] ?? [])
      for (const { account, userCode } of resolved) everybody.add(userCode ?? account)
      const readers = resolved.map(({ locale }) => ({ locale, count: 1 }))
      channels.push(reachOn(prepared, channel, readers, invalid.length))
    }
    return { recipients: everybody.size, channels }
  }
  const receiver = audience.receiverType === 'all' ? 'all' : audience.receiver
  const counted = await countPeople(db, receiver, audience.deptIncludesDescendants)
  const people = sum(counted.map(({ people }) => people))
  return {
    recipients: people,
    channels: audience.channels.map((channel) => {
      const readers = counted.map((some) => ({ locale: some.locale, count: countOn(channel.kind, some) }))
      return reachOn(prepared, channel, readers, people - sum(readers.map(({ count }) => count)))
    }),
  }
}

function countOn(kind: ContentKind, { people, phones, emails }: Counted): number {
  return { site: people, sms: phones, mail: emails, chat: 0 }[kind]
}

type AudienceChannel = Prepared['audience']['channels'][number]

function reachOn(
  { push }: Prepared,
  channel: AudienceChannel,
  readers: Readers,
  missed: number,
): Counts['channels'][number] {
  const { id: channelId, kind } = channel
  const content = push.contents.find((one) => one.channelId === channelId)?.content
  const reach = { channelId, kind, segments: segmentsOf(kind, content), languages: [] }
  if (kind === 'chat') return { ...reach, reachable: 1, withoutAddress: 0 }
  const reachable = sum(readers.map(({ count }) => count))
  if (!channel.locales) return { ...reach, reachable, withoutAddress: missed }
  const variantOf = variantsOn(channel)
  const byVariant = Map.groupBy(readers, (reader) => variantOf(reader) ?? null)
  const languages = [null, ...channel.locales].map((locale) => {
    const variant = push.variants?.find((one) => one.channelId === channelId && one.variant === locale)
    return {
      locale,
      reachable: sum((byVariant.get(locale) ?? []).map(({ count }) => count)),
      segments: segmentsOf(kind, locale === null ? content : variant?.content),
    }
  })
  return { ...reach, reachable, withoutAddress: missed, languages }
}

/** Of one SMS; what only a provider's template says is not known here: one. */
export function segmentsOf(kind: ContentKind, content: unknown): number | null {
  return kind === 'sms' ? (smsLength(content as SmsContent)?.segments ?? 1) : null
}

/** Each person's in his language. */
function segmentsTo({ languages, ...whole }: Counts['channels'][number]): number {
  return sum(
    (languages.length === 0 ? [whole] : languages).map(({ reachable, segments }) => reachable * (segments ?? 0)),
  )
}

/** Longer than that nobody waits for an answer. */
const COUNT_MS = 20_000

/** Of SMS channels that name their readers: what is said to each is made and counted, for names differ in length and alphabet. */
async function personalSegments(context: Context, { audience, texts, push }: Prepared): Promise<Map<string, number>> {
  const totals = new Map<string, number>()
  const channels = audience.channels.filter(({ kind, isPersonal }) => kind === 'sms' && isPersonal)
  if (texts === undefined || channels.length === 0) return totals
  for (const { id } of channels) totals.set(id, 0)
  const until = performance.now() + COUNT_MS
  const said = [...push.contents.map((one) => ({ ...one, variant: undefined })), ...(push.variants ?? [])]
  for (let cursor = '', isLast = false; !isLast;) {
    if (performance.now() > until)
      throw badInput(
        'templateCode',
        '短信条数统计超时，请缩小范围',
        'takes too long to count its SMS segments: name fewer people',
      )
    const found = await nextChunk(context.store, { ...audience, channels }, cursor)
    const chunk = await speak(context, texts, channels, found)
    const own = new Map(chunk.variants?.map((one) => [`${one.channelId} ${one.variant}`, one.content]))
    for (const { channelId, variant, state } of chunk.deliveries) {
      if (state !== 'queued') continue
      const content =
        own.get(`${channelId} ${variant}`) ??
        said.find((one) => one.channelId === channelId && one.variant === variant)?.content
      totals.set(channelId, (totals.get(channelId) ?? 0) + (segmentsOf('sms', content) ?? 0))
    }
    ;({ cursor, isLast } = chunk)
  }
  return totals
}

/** SMS segments that all of it comes to. */
export function smsSegments({ channels }: Reach): number {
  return sum(channels.map((one) => one.smsSegments))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
