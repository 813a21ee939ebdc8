/** What a message can say on a channel: the documented contents, their limits, and the form in which they are kept. */
import { z } from 'zod'
import { check, checkText, codePoints, rule } from '../check.ts'
import { phone } from '../directory/address.ts'
import { sanitiseMail, sanitiseSite } from './sanitise.ts'

export type ContentKind = 'site' | 'sms' | 'mail' | 'chat'

/** An inbox item. `content` is sanitised HTML, `text` the same as plain text. */
export type SiteContent = { title: string; content: string; text: string; website?: string }
/** A text message: a template of the SMS provider's, own words, or both for whichever the provider takes. */
export type SmsContent = {
  sign?: string
  templateData?: { templateId: string; paramData: Record<string, string> }
  content?: string
}
/** An e-mail. `content` is sanitised HTML, `text` its plain alternative. */
export type MailContent = { title: string; content: string; text: string }
/** One post into a group chat, for everybody in it. `content` is plain text or Markdown. */
export type ChatContent = {
  title?: string
  content: string
  website?: string
  /** Whom the post is to call, in E.164. */
  atMobiles?: string[]
  atAll?: boolean
}

const SITE_CONTENT_BYTES = 64 * 1024
const MAIL_CONTENT_BYTES = 512 * 1024
const SMS_CONTENT_LENGTH = 1_000
/** The longest post that any of the robots takes. What a channel's own robot takes, its provider tells (`measure`). */
const CHAT_CONTENT_BYTES = 20 * 1024
const AT_MOBILES = 100
const TITLE_LENGTH = 200
/** Without a title: so much of the text. */
const TITLE_FROM_TEXT_LENGTH = 40
const WEBSITE_LENGTH = 2_048
const SIGN_LENGTH = 50
const TEMPLATE_ID_LENGTH = 128

/** Flat text values by name: numbers and booleans become text, anything else is refused at its key. */
export const textMap = z
  .custom<Record<string, unknown>>(
    isObject,
    rule('应为对象，如 {"name": "value"}', 'must be an object such as {"name": "value"}'),
  )
  .transform((given, context) => {
    // Without a prototype, so that `__proto__` and `constructor` are names like any other.
    const texts: Record<string, string> = Object.create(null)
    for (const [name, value] of Object.entries(given)) {
      if (typeof value === 'string') texts[name] = value
      else if (typeof value === 'number' || typeof value === 'boolean') texts[name] = String(value)
      else
        context.addIssue({
          code: 'custom',
          path: [name],
          ...rule('只能是字符串、数字或布尔值', 'must be a string, a number or a boolean'),
        })
    }
    return texts
  })

const title = optional(text(TITLE_LENGTH).transform(oneLine))

const site = z.object({
  title,
  content: within(SITE_CONTENT_BYTES),
  website: optional(
    text(WEBSITE_LENGTH)
      .trim()
      .refine(
        isWebsite,
        rule(
          '应为 http(s) 地址（不含用户名密码）或以单个 / 开头的路径',
          'must be an http(s) address without credentials, or a path that starts with a single /',
        ),
      ),
  ),
})

const sms = z
  .object({
    sign: optional(text(SIGN_LENGTH)),
    templateData: optional(
      z.object({
        templateId: text(TEMPLATE_ID_LENGTH).min(1),
        paramData: z.preprocess(blankToAbsent, textMap.prefault({})),
      }),
    ),
    content: optional(text(SMS_CONTENT_LENGTH)),
  })
  .refine(
    (content) => content.templateData !== undefined || content.content !== undefined,
    rule('templateData 和 content 至少填一项', 'needs templateData, content or both'),
  )

const mail = z.object({ title, content: within(MAIL_CONTENT_BYTES) })

const mobile = z.string().transform((given, context) => {
  if (given.trim() === '') return undefined
  const number = phone(given)
  if (number === undefined) context.addIssue({ code: 'custom', ...rule('不是手机号', 'is no mobile number') })
  return number
})

const chat = z.object({
  title,
  content: within(CHAT_CONTENT_BYTES).refine((words) => /\S/.test(words), rule('不能为空', 'must not be blank')),
  website: optional(
    text(WEBSITE_LENGTH)
      .trim()
      // A path means a page of whoever shows the inbox; a chat has no such pages.
      .refine(
        (website) => isWebsite(website) && !website.startsWith('/'),
        rule('应为 http(s) 地址（不含用户名密码）', 'must be an http(s) address without credentials'),
      ),
  ),
  atMobiles: optional(
    z
      .array(mobile)
      .max(AT_MOBILES)
      .transform((numbers) => [...new Set(numbers.filter((number) => number !== undefined))])
      .transform((numbers) => (numbers.length === 0 ? undefined : numbers)),
  ),
  atAll: optional(z.boolean()),
})

/** One row a kind: its documented input, and which of its top-level members are HTML (all others are plain text). */
export const contentKinds = {
  site: { input: site, htmlFields: ['content'] },
  sms: { input: sms, htmlFields: [] },
  mail: { input: mail, htmlFields: ['content'] },
  chat: { input: chat, htmlFields: [] },
} as const satisfies Record<ContentKind, { input: z.ZodType; htmlFields: readonly string[] }>

type Contents = { site: SiteContent; sms: SmsContent; mail: MailContent; chat: ChatContent }

/**
 * Reads one channel's content as documented and gives the form to store: limits kept, HTML sanitised, title filled in.
 * Refuses with BAD_INPUT at `path` or below; unknown members are ignored.
 */
export function readContent<Kind extends ContentKind>(kind: Kind, value: unknown, path: string): Contents[Kind]
export function readContent(kind: ContentKind, value: unknown, path: string): Contents[ContentKind] {
  // Again, though the door has done it: what a template was rendered to has never been at a door.
  checkText(value, path)
  const at = `${path}.content`
  if (kind === 'sms') return stripAbsent(check(sms, value, path)) as SmsContent
  if (kind === 'chat') {
    const { title, ...rest } = check(chat, value, path)
    return stripAbsent({ title: title || undefined, ...rest }) as ChatContent
  }
  if (kind === 'mail') {
    const { title, content } = check(mail, value, path)
    const { html, text } = sanitiseMail(content, at)
    return { title: title || titleFrom(text), content: html, text }
  }
  const { title, content, website } = check(site, value, path)
  const { html, text } = sanitiseSite(content, at)
  return stripAbsent({ title: title || titleFrom(text), content: html, text, website })
}

function text(maximum: number) {
  return z.string().refine(
    // A code point is one or two units: only what lies between has to be counted.
    (value) => value.length <= maximum || (value.length <= 2 * maximum && codePoints(value) <= maximum),
    rule(`超过上限 ${maximum} 个字符`, `is over the limit of ${maximum} characters`),
  )
}

function within(maximumBytes: number) {
  const kib = maximumBytes / 1024
  return z
    .string()
    .min(1)
    .refine(
      (value) => Buffer.byteLength(value) <= maximumBytes,
      rule(`超过上限 ${kib} KiB`, `is over the limit of ${kib} KiB`),
    )
}

function optional<Out>(schema: z.ZodType<Out>) {
  return z.preprocess(blankToAbsent, schema.optional()).optional()
}

function blankToAbsent(value: unknown): unknown {
  return value === null || value === '' ? undefined : value
}

/** Titles become mail subjects and lines of a list: a line break in one would start a new header or a new line. */
function oneLine(title: string): string {
  return title.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim()
}

/** The start of a text, as one line, for where a title is needed and none was given. */
export function titleFrom(text: string): string {
  // Two units hold any code point, so a cut there cannot split one that is kept.
  const start = oneLine(text)
    .replace(/ {2,}/g, ' ')
    .slice(0, 2 * TITLE_FROM_TEXT_LENGTH)
  return [...start].slice(0, TITLE_FROM_TEXT_LENGTH).join('')
}

/** Browsers drop control characters and read a backslash as a slash, so neither may be there to be reinterpreted. */
export function isWebsite(website: string): boolean {
  if (/[\p{Cc}\\]/u.test(website)) return false
  if (website.startsWith('/')) return !website.startsWith('//')
  return /^https?:\/\/[^/?#@]+(?:[/?#]|$)/i.test(website) && URL.canParse(website)
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function stripAbsent<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T
}
