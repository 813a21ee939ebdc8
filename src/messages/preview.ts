/** A push that is only looked at: whom it would reach, what it would say, what it would need. Sends and stores nothing. */
import type { App } from '../apps/apps.ts'
import { enforceGrant } from '../apps/grants.ts'
import { admitPush } from '../apps/rate.ts'
import type { Context } from '../context.ts'
import { speak } from '../delivery/speak.ts'
import { localeOf } from '../delivery/variants.ts'
import { everyone, specified } from '../directory/audience.ts'
import { people } from '../directory/directory.ts'
import type { Push } from './accept.ts'
import { makeConfirmation, type Confirmation } from './confirmation.ts'
import { reasonsFor } from './guard.ts'
import { heldBack, type HeldBack } from './held.ts'
import { prepareChannelPush, prepareTemplatePush, type Prepared } from './push.ts'
import { reachOf, segmentsOf, smsSegments, type ChannelReach, type LanguageReach } from './reach.ts'

/** So many of those it reaches are named. */
const NAMES = 10
/** To so many of them is shown what it says, where it names them. */
const EXAMPLES = 3

export type Preview = {
  recipients: number
  /** The first of them, in the order of their codes. */
  names: string[]
  unresolved: Record<string, string[]>
  channels: PreviewedChannel[]
  /** SMS segments that all of it comes to. */
  smsSegments: number
  warnings: string[]
  /** What it says to the first of its recipients, where it names them. */
  examples: Example[]
  /** Why the app's guard wants a confirmation; empty: it wants none. */
  needs: { zh: string; en: string }[]
  confirmation: Confirmation
}

export type PreviewedChannel = Omit<ChannelReach, 'languages'> &
  HeldBack & {
    content: unknown
    languages: (LanguageReach & { content: unknown })[]
  }

const prepares = { channel: prepareChannelPush, template: prepareTemplatePush }

/**
 * Looks at what this body would come to as a push of this app. Refuses exactly what the push would refuse, except that a
 * confirmation it may need is what this gives. Counts as a push against the app's rate.
 */
export async function previewPush(
  context: Context,
  app: App,
  form: 'channel' | 'template',
  body: Record<string, unknown>,
  requestId: string,
): Promise<Preview> {
  enforceGrant(app, 'preview')
  await admitPush(context.store, app)
  const prepared = await prepares[form](context, app, body, requestId)
  const { push, warnings } = prepared
  const reach = await reachOf(context, prepared)
  const held = await heldBack(context, prepared)
  return {
    recipients: reach.recipients,
    names: await firstNames(context, prepared),
    unresolved: push.unresolved,
    channels: reach.channels.map((one) => ({
      ...withContents(push, one),
      ...(held.get(one.channelId) ?? { switchedOff: 0, inQuietHours: 0 }),
    })),
    smsSegments: smsSegments(reach),
    warnings: [...warnings, ...warningsOf(held)],
    examples: await examplesOf(context, prepared),
    needs: await reasonsFor(context, app, prepared, reach),
    confirmation: await makeConfirmation(context, app.id, body, reach.recipients),
  }
}

/** What a push says to one person on a channel where it names him; `why`: what hinders it, and he would not get it. */
export type Example = {
  user: string
  name: string
  channelId: string
  locale: string | null
  content: object | null
  segments: number | null
  why: string | null
}

async function examplesOf(context: Context, { audience, chunk, texts }: Prepared): Promise<Example[]> {
  if (texts === undefined) return []
  const named = [...(chunk.readers ?? [])].flatMap(([, reader]) => reader ?? []).slice(0, EXAMPLES)
  const readers = new Map(named.map((reader) => [reader.code, reader]))
  const some = {
    ...chunk,
    readers,
    people: chunk.people.filter((code) => readers.has(code)),
    deliveries: chunk.deliveries.filter(({ recipient }) => readers.has(recipient)),
  }
  const { variants = [], deliveries } = await speak(context, texts, audience.channels, some)
  const kinds = new Map(audience.channels.map(({ id, kind }) => [id, kind]))
  const nameOf = (code: string) => readers.get(code)?.name ?? ''
  const said = variants.map(({ channelId, variant, content }): Example => {
    const user = variant.slice(variant.indexOf('@') + 1)
    const segments = segmentsOf(kinds.get(channelId) ?? 'site', content)
    return { user, name: nameOf(user), channelId, locale: localeOf(variant), content, segments, why: null }
  })
  const unfit = deliveries
    .filter(({ reason }) => reason === 'UNFIT')
    .map(({ recipient: user, channelId, lastError }): Example => {
      const nothing = { locale: null, content: null, segments: null }
      return { user, name: nameOf(user), channelId, ...nothing, why: lastError ?? '' }
    })
  return [...said, ...unfit]
}

function withContents({ contents, variants = [] }: Push, reach: ChannelReach): Omit<PreviewedChannel, keyof HeldBack> {
  const on = ({ channelId }: { channelId: string }) => channelId === reach.channelId
  const content = contents.find(on)?.content
  const translated = new Map(variants.filter(on).map((one) => [one.variant, one.content]))
  const languages = reach.languages.map((one) => ({
    ...one,
    content: one.locale === null ? content : translated.get(one.locale),
  }))
  return { ...reach, content, languages }
}

/** The same in the words of a documented call. */
export function previewAnswer(preview: Preview): Record<string, unknown> {
  const { needs, confirmation, ...told } = preview
  return {
    ...told,
    needsConfirmation: needs.map(({ zh }) => zh),
    confirmation: confirmation.token,
    confirmationExpiresAt: confirmation.expiresAt.toISOString(),
  }
}

/** In the form of the others. */
function warningsOf(held: ReadonlyMap<string, HeldBack>): string[] {
  const told = (['switchedOff', 'inQuietHours'] as const).map((name) => ({
    name,
    count: [...held.values()].reduce((sum, one) => sum + one[name], 0),
  }))
  return told.filter(({ count }) => count > 0).map(({ name, count }) => `${name}=${count}`)
}

async function firstNames({ db }: Context, { audience, chunk }: Prepared): Promise<string[]> {
  const page = { after: '', limit: NAMES }
  const { receiverType, receiver, deptIncludesDescendants: descendants } = audience
  if (receiverType === 'all') return (await everyone(db, page)).map(({ name }) => name)
  if (receiverType === 'specified')
    return (await specified(db, receiver, { ...page, descendants })).map(({ name }) => name)
  // Of accounts the first stretch names more than enough; bare addresses are nobody's.
  const codes = [...new Set([...chunk.people, ...chunk.deliveries.flatMap(({ userCode }) => userCode ?? [])])]
  const known = await people(db, codes.toSorted().slice(0, NAMES))
  return [...known.values()].map(({ name }) => name)
}
