/** What a push says on each of its channels: read from its body or rendered from a template, and checked. */
import type { App } from '../apps/apps.ts'
import { hasGrant } from '../apps/grants.ts'
import type { Context, OpenChannel } from '../context.ts'
import { readContentFor } from '../delivery/fit.ts'
import { badInput, Refusal } from '../errors.ts'
import type { Contents, renderVersion } from '../templates/render.ts'
import { publishedTemplate } from '../templates/templates.ts'

/** What it says on one channel: to everybody, and instead of that to people of each language it has there. */
export type Said = {
  channel: OpenChannel
  content: object
  locales: { locale: string; content: object }[]
  /** It names its reader there; `content` and `locales` are what it says to somebody of whom nothing is known. */
  isPersonal: boolean
}

/** `channelData`: at least one channel, each with an object. */
export function readChannelData(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) throw badInput('channelData', '必填', 'is required')
  if (typeof value !== 'object' || Array.isArray(value)) throw badInput('channelData', '应为对象', 'must be an object')
  if (Object.keys(value).length === 0) throw badInput('channelData', '至少需要一个渠道', 'needs at least one channel')
  return value as Record<string, unknown>
}

const ALIKE = { locales: {}, personal: [] }

/**
 * Contents by channel id, each channel known and permitted, each content as its kind wants it; in every language, since
 * who gets which is decided later.
 */
export function readContents(
  context: Context,
  app: App,
  path: string,
  given: Contents,
  { locales: translated, personal }: Pick<ReturnType<typeof renderVersion>, 'locales' | 'personal'> = ALIKE,
): Said[] {
  const permitted = [...context.channels.values()].filter(({ id }) => hasGrant(app, `channel:${id}`))
  return Object.entries(given).map(([id, value]) => {
    const channel = permitted.find((one) => one.id === id)
    if (channel === undefined) {
      const ids = permitted.map((one) => one.id).join(', ')
      throw badInput(`${path}.${id}`, `渠道不可用，可用渠道：${ids}`, `is no channel for this app; it may use ${ids}`)
    }
    const content = readContentFor(channel, value, `${path}.${id}`)
    const locales = Object.entries(translated)
      .filter(([, contents]) => Object.hasOwn(contents, id))
      .map(([locale, contents]) => ({
        locale,
        content: readContentFor(channel, contents[id], `${path}.locales.${locale}.${id}`),
      }))
    return { channel, content, locales, isPersonal: personal.includes(id) }
  })
}

/** The template that a push names. */
export async function findTemplate(context: Context, code: unknown) {
  if (code === undefined || code === null || code === '') throw badInput('templateCode', '必填', 'is required')
  if (typeof code !== 'string') throw badInput('templateCode', '应为字符串', 'must be a string')
  const template = await publishedTemplate(context.db, code.trim())
  if (template === undefined) {
    throw new Refusal('TEMPLATE_NOT_FOUND', { zh: `模板 ${code} 不存在`, en: `there is no template ${code}` })
  }
  if (!template.enabled) throw badInput('templateCode', `模板 ${code} 已停用`, `template ${code} is disabled`)
  return template
}
