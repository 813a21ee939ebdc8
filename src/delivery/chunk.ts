/**
 * From what a caller named to recipients: an audience is resolved in stretches, in the order of user codes or accounts, each
 * ready to be put by one statement. The same for a push that is accepted, for a round of what is due, and for the worker.
 */
import { randomUUIDv7 } from 'node:crypto'
import type { Context } from '../context.ts'
import { accounts, everyone, namedFew, FEW_NAMED, specified, type Person } from '../directory/audience.ts'
import type { Channel } from './channel.ts'
import { choicesOf, type Choices } from '../templates/locale.ts'
import type { Named } from '../templates/personal.ts'
import type { NewDelivery } from './put-deliveries.ts'
import { siteVariantsOf, variantsOn, type Languages, type NewVariant, type Reader } from './variants.ts'

/** Up to this many recipients a push is fanned out as it is accepted. Larger ones go chunk by chunk. */
export const CHUNK = 1_000
/**
 * What a chunk of a larger one writes for its people, items and deliveries together: each statement costs something by itself,
 * and a person whose inbox it holds waits for it.
 */
const ROWS = 2_000
/** Recipient and address of a post: whoever is in the group chat. */
const EVERYBODY_THERE = '*'

/** Whom a message is for, as it stands on its row. */
export type Audience = {
  receiverType: 'all' | 'specified' | 'custom'
  receiver: Record<string, string[]>
  /** The channels it has content for, configured or not: without one, the worker ends its deliveries as NO_CHANNEL after a while. */
  channels: AudienceChannel[]
  deptIncludesDescendants: boolean
}

export type AudienceChannel = Pick<Channel, 'id' | 'kind'> &
  Languages & {
    /** Whether it names its reader there, in any language. */
    isPersonal?: boolean | undefined
  }

/** A stretch of the audience, ready to be put. */
export type Chunk = {
  people: string[]
  /** Which variant people get on the site channel, by code: those who are not in it get none. */
  siteVariants?: Record<string, string> | undefined
  deliveries: NewDelivery[]
  broadcast: boolean
  /** Which variant of the broadcast people of which language get; decided when it becomes theirs. */
  choices?: Choices | undefined
  /** Where the next stretch begins. */
  cursor: string
  isLast: boolean
  /** Whether anybody in it can be reached on any channel. */
  reachesSomebody: boolean
  /** Of a message that names its readers, all recipients in their order; null: of whom nothing is known. */
  readers?: ReadonlyMap<string, Named | null> | undefined
  /** What it says to single people (speak.ts). */
  variants?: NewVariant[] | undefined
}

/** Whether it says something else to each: its chunks are spoken before they are put. */
export function isPersonal({ channels }: Pick<Audience, 'channels'>): boolean {
  return channels.some(({ isPersonal }) => isPersonal)
}

/** To all in the inbox is one row, unless it names its readers. */
function isBroadcast({ receiverType, channels }: Audience): boolean {
  return receiverType === 'all' && channels.some(({ kind, isPersonal }) => kind === 'site' && !isPersonal)
}

/** People and bare addresses, each once. */
export function recipientsOf({ people, deliveries }: Chunk): number {
  return new Set([...people, ...deliveries.map(({ recipient }) => recipient)]).size
}

/** Resolves the next stretch of an audience after `cursor` ('' is the start): at most so many recipients, beside a chat. */
export async function nextChunk(
  store: Context['store'],
  audience: Audience,
  cursor: string,
  most = CHUNK,
): Promise<Chunk> {
  return audience.receiverType === 'custom'
    ? customChunk(store.db, audience, cursor, most)
    : peopleChunk(store, audience, cursor, most)
}

/** How many recipients of a large audience go at once: fewer, the more channels each is to be reached on. */
export function mostAtOnce({ channels }: Audience): number {
  return Math.max(CHUNK, Math.floor(ROWS / Math.max(1, channels.length)))
}

async function peopleChunk(store: Context['store'], audience: Audience, cursor: string, most: number): Promise<Chunk> {
  if (!needsPeople(audience)) return chunkOf(audience, [], cursor, true)
  const { receiverType, receiver, deptIncludesDescendants: descendants } = audience
  const { user, ...groups } = receiver
  // The usual push.
  if (
    receiverType === 'specified' &&
    !isPersonal(audience) &&
    user !== undefined &&
    user.length <= FEW_NAMED &&
    Object.keys(groups).length === 0
  )
    return chunkOf(audience, await namedFew(store, user), cursor, true)
  // One more than a chunk holds tells whether it is the last.
  const paging = { after: cursor, limit: most + 1 }
  const found =
    receiverType === 'all'
      ? await everyone(store.db, paging)
      : await specified(store.db, receiver, { ...paging, descendants })
  return chunkOf(audience, found.slice(0, most), cursor, found.length <= most)
}

/** To all on the site channel is one broadcast, and a chat one post; only channels with an address for each need people. */
export function needsPeople(audience: Audience): boolean {
  return audience.channels.some(({ kind }) => kind !== 'chat' && (kind !== 'site' || !isBroadcast(audience)))
}

/** These people of an audience that is not `custom`, the next after `cursor`, as a chunk. */
export function chunkOf(audience: Audience, people: readonly Person[], cursor: string, isLast: boolean): Chunk {
  const { channels } = audience
  const isToAll = isBroadcast(audience)
  const outbound = channels.filter(({ kind }) => kind !== 'site' && kind !== 'chat')
  const site = channels.find(({ kind }) => kind === 'site')
  const onSite = site !== undefined
  const deliveries = [
    ...postsOf(channels, cursor),
    ...outbound.flatMap((channel) => {
      const variantOf = variantsOn(channel)
      return people.map((person) => deliveryTo(person, channel, variantOf(person)))
    }),
  ]
  return {
    people: onSite && !isToAll ? people.map(({ code }) => code) : [],
    siteVariants: isToAll ? undefined : siteVariantsOf(people, channels),
    deliveries,
    broadcast: isToAll && onSite && cursor === '',
    choices: isToAll && site?.locales ? choicesOf(site.locales) : undefined,
    cursor: people.at(-1)?.code ?? cursor,
    isLast,
    reachesSomebody: (onSite && (isToAll || people.length > 0)) || deliveries.some(({ address }) => address !== null),
    readers: isPersonal(audience) ? new Map(people.map((person) => [person.code, person])) : undefined,
  }
}

/** A group chat gets one post of a message, whoever its receivers are: with the first chunk, in nobody's name. */
function postsOf(channels: AudienceChannel[], cursor: string): NewDelivery[] {
  if (cursor !== '') return []
  const to = { recipient: EVERYBODY_THERE, userCode: null, address: EVERYBODY_THERE }
  return channels
    .filter(({ kind }) => kind === 'chat')
    .map(({ id: channelId }) => ({ id: randomUUIDv7(), channelId, ...to, state: 'queued', reason: null }))
}

function deliveryTo(person: Person, channel: AudienceChannel, variant: string | undefined): NewDelivery {
  const address = channel.kind === 'sms' ? person.phone : person.email
  return {
    id: randomUUIDv7(),
    channelId: channel.id,
    recipient: person.code,
    userCode: person.code,
    address,
    variant,
    state: address === null ? 'skipped' : 'queued',
    reason: address === null ? 'NO_ADDRESS' : null,
  }
}

/**
 * Custom accounts: every channel has its own. They are laid in one row by recipient, and a chunk takes a recipient with
 * all of his channels, so that he counts once.
 */
async function customChunk(
  db: Context['db'],
  { receiver, channels }: Audience,
  cursor: string,
  most: number,
): Promise<Chunk> {
  const all: { recipient: string; reader?: Named | undefined; person?: Reader; delivery?: NewDelivery }[] = []
  const posts = postsOf(channels, cursor)
  for (const channel of channels) {
    const { id: channelId, kind } = channel
    // Accounts there say only that it is wanted.
    if (kind === 'chat') continue
    const { resolved, invalid } = await accounts(db, kind, receiver[channelId] ?? [])
    const variantOf = variantsOn(channel)
    const put = (recipient: string, rest: Omit<NewDelivery, 'id' | 'channelId' | 'recipient'>, reader?: Named) =>
      all.push({ recipient, reader, delivery: { id: randomUUIDv7(), channelId, recipient, ...rest } })
    for (const { account, userCode, address, name, locale } of resolved) {
      const reader = userCode === null || name === null ? undefined : { code: userCode, name }
      if (kind === 'site' && userCode !== null)
        all.push({ recipient: userCode, reader, person: { code: userCode, locale } })
      else put(account, { userCode, address, variant: variantOf({ locale }), state: 'queued', reason: null }, reader)
    }
    for (const account of invalid)
      put(account, { userCode: null, address: null, state: 'failed', reason: 'INVALID_ACCOUNT' })
  }
  const ahead = [...new Set(all.map(({ recipient }) => recipient))].filter((recipient) => recipient > cursor).toSorted()
  const last = ahead.slice(0, most).at(-1) ?? cursor
  const chunk = all.filter(({ recipient }) => recipient > cursor && recipient <= last)
  const people = chunk.flatMap(({ person }) => person ?? [])
  const readers = new Map<string, Named | null>(ahead.slice(0, most).map((recipient) => [recipient, null]))
  for (const { recipient, reader } of chunk) if (reader !== undefined) readers.set(recipient, reader)
  return {
    readers: isPersonal({ channels }) ? readers : undefined,
    people: people.map(({ code }) => code),
    siteVariants: siteVariantsOf(people, channels),
    deliveries: [...posts, ...chunk.flatMap(({ delivery }) => delivery ?? [])],
    broadcast: false,
    cursor: last,
    isLast: ahead.length <= most,
    reachesSomebody:
      posts.length > 0 || all.some(({ person, delivery }) => person !== undefined || delivery?.state === 'queued'),
  }
}
