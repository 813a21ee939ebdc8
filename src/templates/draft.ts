/** What an author writes of a template, before it is published. */
import { z } from 'zod'
import { check, checkText, codePoints, rule } from '../check.ts'
import { badInput } from '../errors.ts'
import { MAX_TEMPLATE_LENGTH } from './liquid.ts'
import { canonicalLocale } from './locale.ts'
import { mapStrings, tooLong, type Contents } from './render.ts'
import { readDeclarations, type Variable } from './variables.ts'

/** All that a version says. Strings in contents are Liquid. */
export type TemplateBody = {
  name: string
  msgType: string
  /** By channel id: what everybody gets whose language has none of its own. */
  contents: Contents
  /** By language (BCP 47) and then by channel id. */
  locales: Record<string, Contents>
  variables: Variable[]
}

/** The same as an author sends it: without `variables` they are inferred. */
export type DraftInput = {
  name: string
  msgType?: string | null | undefined
  contents?: unknown
  locales?: unknown
  variables?: unknown
}

const NAME_LENGTH = 100
const CODE_LENGTH = 64
const LOCALES_AT_MOST = 50
const CHANNELS_AT_MOST = 50

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)
const object = z.custom<Record<string, unknown>>(isObject, rule('应为对象', 'must be an object'))

/** A template's code: what pushes name it by. */
export function readCode(code: string): string {
  checkText(code, 'code')
  const trimmed = code.trim()
  if (trimmed === '') throw badInput('code', '不能为空', 'must not be empty')
  if (codePoints(trimmed) > CODE_LENGTH)
    throw badInput('code', `超过上限 ${CODE_LENGTH} 个字符`, `is over the limit of ${CODE_LENGTH} characters`)
  return trimmed
}

/**
 * Reads what an author sends. Refuses what has not the shape of a template; whether its code parses and its contents fit
 * is told by `problemsOf`. `variables`: undefined when they are to be inferred.
 */
export function readDraft(
  input: DraftInput,
  msgTypes: readonly string[],
): Omit<TemplateBody, 'variables'> & { variables: Variable[] | undefined } {
  checkText(input)
  const name = input.name.trim()
  if (name === '') throw badInput('name', '不能为空', 'must not be empty')
  if (codePoints(name) > NAME_LENGTH)
    throw badInput('name', `超过上限 ${NAME_LENGTH} 个字符`, `is over the limit of ${NAME_LENGTH} characters`)
  const msgType = input.msgType || 'notice'
  if (!msgTypes.includes(msgType))
    throw badInput('msgType', `只能是 ${msgTypes.join(', ')}`, `must be one of ${msgTypes.join(', ')}`)
  const contents = readContents(input.contents, 'contents')
  if (Object.keys(contents).length === 0) throw badInput('contents', '至少需要一个渠道', 'needs at least one channel')
  const locales = readLocales(input.locales ?? {}, contents)
  checkLength({ contents, locales })
  const variables = input.variables == null ? undefined : readDeclarations(input.variables)
  return { name, msgType, contents, locales, variables }
}

function readContents(value: unknown, path: string): Contents {
  const contents = check(object, value, path)
  if (Object.keys(contents).length > CHANNELS_AT_MOST)
    throw badInput(path, `渠道超过 ${CHANNELS_AT_MOST} 个`, `has more than ${CHANNELS_AT_MOST} channels`)
  for (const [channelId, content] of Object.entries(contents)) {
    // It is part of paths, which are split again.
    if (channelId.includes('.')) throw badInput(path, `渠道编号有误：${channelId}`, `names no channel: ${channelId}`)
    check(object, content, `${path}.${channelId}`)
  }
  return contents
}

function readLocales(value: unknown, contents: Contents): Record<string, Contents> {
  const given = Object.entries(check(object, value, 'locales'))
  if (given.length > LOCALES_AT_MOST)
    throw badInput('locales', `语言超过 ${LOCALES_AT_MOST} 种`, `has more than ${LOCALES_AT_MOST} languages`)
  const locales = new Map<string, Contents>()
  for (const [tag, said] of given) {
    const locale = canonicalLocale(tag)
    if (locale === undefined)
      throw badInput(
        'locales',
        `“${tag}”不是语言标签，应如 en、zh-CN`,
        `"${tag}" is no language tag such as en or zh-CN`,
      )
    if (locales.has(locale)) throw badInput(`locales.${tag}`, '重复', 'is there a second time')
    const path = `locales.${tag}`
    const translated = readContents(said, path)
    for (const channelId of Object.keys(translated))
      if (!Object.hasOwn(contents, channelId))
        throw badInput(
          `${path}.${channelId}`,
          `渠道 ${channelId} 在 contents 中没有默认内容`,
          `has no default: say in contents.${channelId} what all other languages get`,
        )
    locales.set(locale, translated)
  }
  return Object.fromEntries(locales)
}

function checkLength({ contents, locales }: Pick<TemplateBody, 'contents' | 'locales'>): void {
  let length = 0
  mapStrings({ contents, locales }, (text, path) => {
    length += text.length
    if (length > MAX_TEMPLATE_LENGTH) throw tooLong(path)
    return text
  })
}

/** The languages that a template has for a channel besides its default. */
export function localesOn({ locales }: Pick<TemplateBody, 'locales'>, channelId: string): string[] {
  return Object.keys(locales).filter((locale) => Object.hasOwn(locales[locale] ?? {}, channelId))
}

/** Each channel's default and translations: where it stands, and which language it is (undefined: the default). */
export function contentsOf({ contents, locales }: Pick<TemplateBody, 'contents' | 'locales'>) {
  return [
    ...entriesOf(contents, 'contents', undefined),
    ...Object.entries(locales).flatMap(([locale, said]) => entriesOf(said, `locales.${locale}`, locale)),
  ]
}

function entriesOf(contents: Contents, path: string, locale: string | undefined) {
  return Object.entries(contents).map(([channelId, content]) => ({
    path: `${path}.${channelId}`,
    locale,
    channelId,
    content,
  }))
}
