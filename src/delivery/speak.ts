/**
 * What names its reader is said to each person by himself: rendered as he becomes a recipient, and put by the statement that
 * makes him one. Rendering is bounded for each; a chunk that takes too long or grows too large ends early, and the next
 * one begins after it. Whom it cannot be said to gets a delivery that failed, and nobody else is affected.
 */
import { randomUUIDv7 } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import type { Context } from '../context.ts'
import { query } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Named } from '../templates/personal.ts'
import { personalTexts, type PersonalTexts, type Spoken } from '../templates/render.ts'
import type { Values, Variable } from '../templates/variables.ts'
import type { AudienceChannel, Chunk } from './chunk.ts'
import { readContent } from './content.ts'
import { readContentFor } from './fit.ts'
import type { NewDelivery } from './put-deliveries.ts'
import type { NewVariant } from './variants.ts'

/** A chunk renders for so long: far less than its message is leased for. */
const CHUNK_MS = 1_000
/** Then everybody else has his turn. */
const TURN_MS = 20
/** Characters of what a chunk says, all its people together: they go in one statement. */
const CHUNK_LENGTH = 4 * 1024 * 1024
/** A rendering that took so long may have failed for want of time: the process may have been stopped. */
const SUSPICIOUSLY_LONG_MS = 300

/** The texts of a message that is fanned out by a worker; undefined: none of them names its reader. */
export async function textsOf(
  { db }: Context,
  { id, channels }: { id: string; channels: readonly AudienceChannel[] },
): Promise<PersonalTexts | undefined> {
  if (!channels.some(({ isPersonal }) => isPersonal)) return undefined
  const [version] = await query<Spoken & { variables: Variable[] | null; values: Values }>(
    db,
    sql`
      select versions.contents, versions.locales, versions.variables, messages.template_values as values
      from messages
      join template_versions as versions
        on versions.template_code = messages.template_code and versions.version = messages.template_version
      where messages.id = ${id}`,
  )
  if (version === undefined) throw new Error('the version of its template is not there')
  return personalTexts(version, (channelId) => channels.find((one) => one.id === channelId)?.kind, version.values)
}

/** The chunk as far as it could be said, with what it says to each; at least to its first recipient. */
export async function speak(
  context: Pick<Context, 'channels'>,
  texts: PersonalTexts,
  channels: readonly AudienceChannel[],
  chunk: Chunk,
): Promise<Chunk> {
  const order = [...(chunk.readers ?? [])]
  const ofEach = Map.groupBy(chunk.deliveries, ({ recipient }) => recipient)
  const site = channels.find(({ kind }) => kind === 'site')
  const onSite = new Set(chunk.people)
  const missed = new Set<string>()
  const said = {
    variants: [] as NewVariant[],
    deliveries: [] as NewDelivery[],
    // Codes are names like any other, `constructor` too.
    siteVariants: Object.assign(Object.create(null), chunk.siteVariants) as Record<string, string>,
  }
  const until = performance.now() + CHUNK_MS
  let turn = performance.now()
  let [done, length] = [0, 0]

  const say = (channel: AudienceChannel, reader: Named, locale: string | undefined) => {
    const found = sayOne(context, texts, channel, reader, locale)
    if (found !== undefined && 'content' in found) {
      said.variants.push({ channelId: channel.id, ...found })
      length += JSON.stringify(found.content).length
    }
    return found
  }

  for (const [recipient, reader] of order) {
    if (done > 0 && (performance.now() > until || length > CHUNK_LENGTH)) break
    for (const delivery of ofEach.get(recipient) ?? []) {
      const channel = channels.find(({ id }) => id === delivery.channelId)
      const isSaid = reader !== null && delivery.state === 'queued' && channel !== undefined
      const found = isSaid ? say(channel, reader, delivery.variant) : undefined
      if (found === undefined) said.deliveries.push(delivery)
      else if ('why' in found) said.deliveries.push({ ...delivery, ...unfit(found.why) })
      else said.deliveries.push({ ...delivery, variant: found.variant })
    }
    if (reader !== null && site !== undefined && onSite.has(recipient)) {
      const found = say(site, reader, said.siteVariants[recipient])
      if (found !== undefined && 'why' in found) {
        missed.add(recipient)
        const to = { id: randomUUIDv7(), channelId: site.id, recipient, userCode: recipient }
        said.deliveries.push({ ...to, ...unfit(found.why) })
      } else if (found !== undefined) said.siteVariants[recipient] = found.variant
    }
    done++
    if (performance.now() - turn > TURN_MS) {
      await nextTurn()
      turn = performance.now()
    }
  }

  const reached = new Set(order.slice(0, done).map(([recipient]) => recipient))
  const isWhole = done === order.length
  return {
    ...chunk,
    people: chunk.people.filter((code) => reached.has(code) && !missed.has(code)),
    // Posts into group chats are nobody's.
    deliveries: [...chunk.deliveries.filter(({ recipient }) => !chunk.readers?.has(recipient)), ...said.deliveries],
    siteVariants: said.siteVariants,
    variants: said.variants,
    cursor: isWhole ? chunk.cursor : (order[done - 1]?.[0] ?? chunk.cursor),
    isLast: chunk.isLast && isWhole,
  }
}

type Said = { variant: string; content: object } | { why: string }

/** Without an address nobody sends it again. */
function unfit(why: string) {
  return { address: null, variant: undefined, state: 'failed' as const, reason: 'UNFIT', lastError: why }
}

/** Undefined: what he reads there names nobody. */
function sayOne(
  context: Pick<Context, 'channels'>,
  texts: PersonalTexts,
  channel: AudienceChannel,
  reader: Named,
  locale: string | undefined,
  isRepeated = false,
): Said | undefined {
  const render = texts(channel.id, locale)
  if (render === undefined) return undefined
  const startedAt = performance.now()
  try {
    return { variant: `${locale ?? ''}@${reader.code}`, content: fitting(context, channel, render(reader)) }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (!isRepeated && performance.now() - startedAt > SUSPICIOUSLY_LONG_MS)
      return sayOne(context, texts, channel, reader, locale, true)
    return { why: error.message.slice(error.message.indexOf(': ') + 2) }
  }
}

/** As when a push is accepted; a channel that is not here, or something else here, is judged by its kind alone. */
function fitting({ channels }: Pick<Context, 'channels'>, { id, kind }: AudienceChannel, content: unknown): object {
  const channel = channels.get(id)
  return channel?.kind === kind ? readContentFor(channel, content, id) : readContent(kind, content, id)
}
