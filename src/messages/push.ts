/** The use case of both documented calls and both mutations: read, check, resolve, pass the guard, accept. */
import type { App } from '../apps/apps.ts'
import { hasGrant } from '../apps/grants.ts'
import { admitPush } from '../apps/rate.ts'
import type { Context } from '../context.ts'
import { isPersonal, nextChunk, type Audience, type Chunk } from '../delivery/chunk.ts'
import { speak } from '../delivery/speak.ts'
import type { NewVariant } from '../delivery/variants.ts'
import { accounts, unknownCodes } from '../directory/audience.ts'
import { person } from '../directory/directory.ts'
import { badInput, Refusal } from '../errors.ts'
import { personalTexts, renderVersion, type PersonalTexts } from '../templates/render.ts'
import { readVariables } from '../templates/variables.ts'
import { accept, firstAnswer, Stopped, type Accepted, type IdempotencyKey, type Push } from './accept.ts'
import { passGuard, refusalOf } from './guard.ts'
import { priorityScales, readCommon, readMsgType, readPriority, type CommonInput } from './input.ts'
import { findTemplate, readChannelData, readContents, type Said } from './said.ts'
import { readExpiresAt, readSendTime } from './times.ts'

type Body = Record<string, unknown>

/** What comes with a push besides its body. */
export type Around = {
  requestId: string
  idempotency: IdempotencyKey | undefined
  /** What `previewPush` gave out, for a push that the app's guard would stop. */
  confirmation?: string | undefined
}

/** A push that passed every check, resolved as far as its first stretch; nothing is stored yet. */
export type Prepared = {
  push: Push
  audience: Audience
  chunk: Chunk
  warnings: string[]
  /** Of a push that names its readers. */
  texts?: PersonalTexts
}

/** Pushes the contents that the caller sends. Committed when it returns; a refusal says what to mend. */
export function pushChannelMessage(context: Context, app: App, body: Body, around: Around): Promise<Accepted> {
  return push(context, app, body, around, prepareChannelPush)
}

/** Pushes what a template says, with the caller's variables. */
export function pushTemplateMessage(context: Context, app: App, body: Body, around: Around): Promise<Accepted> {
  return push(context, app, body, around, prepareTemplatePush)
}

async function push(
  context: Context,
  app: App,
  body: Body,
  { requestId, idempotency, confirmation }: Around,
  prepare: typeof prepareChannelPush,
): Promise<Accepted> {
  await admitPush(context.store, app)
  const first = await firstAnswer(context, app.id, idempotency)
  if (first !== undefined) return first
  const prepared = await prepare(context, app, body, requestId)
  const charge = await passGuard(context, app, body, prepared, confirmation)
  const chunk = await readyChunk(context, prepared)
  try {
    return await accept(context, prepared.push, chunk, prepared.warnings, idempotency, charge)
  } catch (error) {
    throw charge !== undefined && error instanceof Stopped ? await refusalOf(context, app, charge, error) : error
  }
}

/** Reads and checks a push with contents, and resolves whom it means. */
export async function prepareChannelPush(context: Context, app: App, body: Body, requestId: string): Promise<Prepared> {
  const common = readCommon(body)
  const priority = readPriority(body['priority'], priorityScales.plain)
  const msgType = readMsgType(body['msgType'], 'notice', context.config.MSG_TYPES)
  const given = readChannelData(body['channelData'])
  const said = readContents(context, app, 'channelData', given)
  return prepare(context, app, body, requestId, { ...common, priority, msgType }, said)
}

/** The same of a push by template. */
export async function prepareTemplatePush(
  context: Context,
  app: App,
  body: Body,
  requestId: string,
): Promise<Prepared> {
  const common = readCommon(body)
  const scale = app.compat.templatePriority === '123' ? priorityScales.plain : priorityScales.template
  const priority = readPriority(body['priority'], scale)
  const variables = readVariables(body['channelParamData'])
  const template = await findTemplate(context, body['templateCode'])
  const kindOf = (id: string) => context.channels.get(id)?.kind
  const version = renderVersion(template, kindOf, variables)
  const said = readContents(context, app, 'templateCode', version.contents, version)
  const msgType = readMsgType(body['msgType'], template.msgType, context.config.MSG_TYPES)
  const pinned = { templateCode: template.code, templateVersion: template.version }
  const prepared = await prepare(context, app, body, requestId, { ...common, ...pinned, priority, msgType }, said)
  if (!isPersonal(prepared.audience)) return prepared
  const { values } = version
  const nameless = [...(prepared.chunk.readers ?? [])].filter(([, reader]) => reader === null).length
  if (nameless > 0) prepared.warnings.push(`nameless=${nameless}`)
  const site = prepared.audience.channels.find(({ kind, isPersonal }) => kind === 'site' && isPersonal)
  if (common.receiverType === 'all' && site !== undefined) prepared.warnings.push(`each-of-all=${site.id}`)
  return {
    ...prepared,
    push: { ...prepared.push, templateValues: values },
    texts: personalTexts(template, kindOf, values),
  }
}

/** What is put by the statement that accepts it: all of it, or nothing, and a worker does it. */
async function readyChunk(context: Context, { push, audience, chunk, texts }: Prepared): Promise<Chunk | undefined> {
  if (!chunk.isLast) return undefined
  if (texts === undefined) return chunk
  // When it is due, people may be called something else.
  if (push.dueAt !== undefined) return undefined
  const spoken = await speak(context, texts, audience.channels, chunk)
  return spoken.isLast ? spoken : undefined
}

type Read = CommonInput & { priority: number; msgType: string; templateCode?: string; templateVersion?: number }

async function prepare(
  context: Context,
  app: App,
  body: Body,
  requestId: string,
  read: Read,
  said: Said[],
): Promise<Prepared> {
  const dueAt = readSendTime(body['sendTime'], context.config.TIME_ZONE)
  const expiresAt = readExpiresAt(body['expiresAt'], context.config.TIME_ZONE, dueAt)
  const warnings: string[] = []
  const spoken = read.receiverType === 'custom' ? matchAccounts(read.receiver, said, warnings) : said
  if (read.receiverType === 'all') checkBroadcastGrants(app, spoken)

  const audience: Audience = {
    receiverType: read.receiverType,
    receiver: read.receiver,
    channels: spoken.map(({ channel: { id, kind }, locales, isPersonal }) => ({
      ...{ id, kind, locales: tagsOf(locales) },
      isPersonal: isPersonal || undefined,
    })),
    deptIncludesDescendants: app.compat.deptIncludesDescendants ?? true,
  }
  const chunk = await nextChunk(context.store, audience, '')
  const unresolved = await unresolvedOf(context, audience, chunk)
  checkSomebodyIsNamed(read, unresolved)
  if (!(await reachesSomebody(context, audience, chunk))) throw nobodyReachable(read, unresolved)
  const missed = Object.values(unresolved).flat().length
  if (missed > 0) warnings.push(`unresolved=${missed}`)

  const push: Push = {
    ...read,
    appId: app.id,
    templateCode: read.templateCode,
    templateVersion: read.templateVersion,
    unresolved,
    senderName: read.senderName ?? (await nameOf(context, read.senderCode)),
    dueAt,
    expiresAt,
    contents: spoken.map(({ channel: { id: channelId, kind }, content, locales, isPersonal }) => ({
      ...{ channelId, kind, content, locales: tagsOf(locales) },
      isPersonal: isPersonal || undefined,
    })),
    variants: variantsOf(spoken),
    requestId,
  }
  return { push, audience, chunk, warnings }
}

/** Undefined: none, as for nearly all. */
function tagsOf(locales: Said['locales']): string[] | undefined {
  return locales.length === 0 ? undefined : locales.map(({ locale }) => locale)
}

function variantsOf(said: readonly Said[]): NewVariant[] | undefined {
  const variants = said.flatMap(({ channel: { id: channelId }, locales }) =>
    locales.map(({ locale: variant, content }) => ({ channelId, variant, content })),
  )
  return variants.length === 0 ? undefined : variants
}

/** Custom accounts and contents go by channel: accounts need a content; a content without accounts is left out, with a warning. */
function matchAccounts(receiver: Record<string, string[]>, said: Said[], warnings: string[]): Said[] {
  for (const id of Object.keys(receiver)) {
    if (said.some(({ channel }) => channel.id === id)) continue
    throw badInput(`receiverData.${id}`, '该渠道没有内容', 'has accounts, but there is no content for this channel')
  }
  const [spoken, idle] = [
    said.filter(({ channel }) => receiver[channel.id]),
    said.filter(({ channel }) => !receiver[channel.id]),
  ]
  for (const { channel } of idle) warnings.push(`no-accounts=${channel.id}`)
  return spoken
}

function checkBroadcastGrants(app: App, said: Said[]): void {
  const missing = said.find(({ channel }) => !hasGrant(app, `broadcast:${channel.id}`))
  if (missing === undefined) return
  const grant = `broadcast:${missing.channel.id}`
  throw new Refusal('FORBIDDEN', {
    path: 'receiverType',
    zh: `应用缺少授权 ${grant}`,
    en: `this app lacks the grant ${grant}`,
  })
}

/** Refuses when every code is unknown: then nobody at all was meant. */
function checkSomebodyIsNamed(read: Read, unknown: Record<string, string[]>): void {
  if (read.receiverType !== 'specified') return
  const named = Object.values(read.receiver).flat().length
  const missing = Object.values(unknown).flat()
  if (missing.length < named) return
  throw badInput(
    'receiverData',
    `没有找到 ${missing.join(', ')}`,
    `nobody is known as ${missing.slice(0, 20).join(', ')}`,
  )
}

/** Whether anybody can be reached on any channel. Nearly always the first stretch tells. */
async function reachesSomebody({ store }: Context, audience: Audience, first: Chunk): Promise<boolean> {
  let chunk = first
  while (!chunk.reachesSomebody && !chunk.isLast) chunk = await nextChunk(store, audience, chunk.cursor)
  return chunk.reachesSomebody
}

function nobodyReachable(read: Read, unresolved: Record<string, string[]>): Refusal {
  if (read.receiverType === 'custom') {
    const invalid = Object.values(unresolved).flat()
    return badInput(
      'receiverData',
      `账号均无效：${invalid.join(', ')}`,
      `no account is valid: ${invalid.slice(0, 20).join(', ')}`,
    )
  }
  return badInput('receiverData', '没有人能在所选渠道上收到', 'names nobody who can be reached on these channels')
}

/** Codes, or accounts by channel, that mean nobody today. */
async function unresolvedOf(
  { db }: Context,
  { receiverType, receiver, channels }: Audience,
  first: Chunk,
): Promise<Record<string, string[]>> {
  if (receiverType === 'all') return {}
  // The usual push names users only, and few: whoever was not found is unknown, without asking again.
  const { user, ...groups } = receiver
  const isPersonal = channels.some(({ kind }) => kind !== 'chat')
  const namesUsersOnly = receiverType === 'specified' && Object.keys(groups).length === 0
  if (namesUsersOnly && user !== undefined && isPersonal && first.isLast) {
    const found = new Set([...first.people, ...first.deliveries.map(({ userCode }) => userCode)])
    const unknown = user.filter((code) => !found.has(code))
    return unknown.length > 0 ? { user: unknown } : {}
  }
  if (receiverType === 'specified') return unknownCodes(db, receiver)
  const invalid: Record<string, string[]> = {}
  for (const { id, kind } of channels) {
    if (kind === 'chat') continue
    const found = await accounts(db, kind, receiver[id] ?? [])
    if (found.invalid.length > 0) invalid[id] = found.invalid
  }
  return invalid
}

/** A sender's name, when the code is somebody's; an unknown code is kept as text and is no error. */
async function nameOf(context: Context, code: string | undefined): Promise<string | undefined> {
  return code === undefined ? undefined : (await person(context.db, code))?.name
}
