/** How a template would look: rendered with samples, for one language, and nothing changed. */
import type { Context } from '../context.ts'
import type { SmsLength } from '../delivery/sms-length.ts'
import { person, type User } from '../directory/directory.ts'
import { badInput } from '../errors.ts'
import { find, knownVariables } from './author.ts'
import { localesOn, readDraft, type DraftInput, type TemplateBody } from './draft.ts'
import { canonicalLocale, choicesOf, choose } from './locale.ts'
import { examine, type Problem, type Rendered } from './problems.ts'
import { listVersions } from './templates.ts'
import { readVariables, type Variable } from './variables.ts'

export type PreviewInput = {
  code?: string | null | undefined
  version?: number | null | undefined
  draft?: DraftInput | null | undefined
  variables?: unknown
  locale?: string | null | undefined
  user?: string | null | undefined
}

export type PreviewedChannel = {
  channelId: string
  kind: string
  /** Null: the default. */
  locale: string | null
  content: Record<string, unknown>
  text: string | null
  sms: SmsLength | null
}

export type Preview = { variables: Variable[]; problems: Problem[]; channels: PreviewedChannel[] }

/** Renders each channel for one language, with the values given and samples for the others. Changes nothing. */
export async function preview(context: Context, input: PreviewInput): Promise<Preview> {
  const draft = await previewed(context, input)
  const known = input.code ? await knownVariables(context, input.code) : []
  const reader = await readerOf(context, input.user)
  const { body, problems, rendered } = examine(context.channels, draft, known, readVariables(input.variables), reader)
  const locale = localeOf(input.locale, reader)
  const channels = Object.keys(body.contents).flatMap((channelId) => {
    const found = choose(locale, choicesOf(localesOn(body, channelId)))
    return rendered.filter((one) => one.channel.id === channelId && one.locale === found).map(told)
  })
  return { variables: body.variables, problems, channels }
}

async function previewed(context: Context, { code, version, draft }: PreviewInput) {
  if (draft != null) return readDraft(draft, context.config.MSG_TYPES)
  if (!code) throw badInput('code', '与 draft 至少填一项', 'or draft is required')
  const template = await find(context, code)
  const wanted = version ?? (template.draft === null ? template.version : undefined)
  if (wanted === undefined) return template.draft as TemplateBody
  const [found] = await listVersions(context.db, code, { version: wanted, limit: 1 })
  if (found === undefined) throw badInput('version', `没有版本 ${wanted}`, `is no version of ${code}: ${wanted}`)
  return found
}

async function readerOf({ db }: Context, user: string | null | undefined): Promise<User | undefined> {
  if (!user) return undefined
  const found = await person(db, user)
  if (found === undefined) throw badInput('user', `没有用户 ${user}`, `there is no user ${user}`)
  return found
}

function localeOf(locale: string | null | undefined, reader: User | undefined): string | undefined {
  if (!locale) return canonicalLocale(reader?.locale ?? '')
  const canonical = canonicalLocale(locale)
  if (canonical === undefined)
    throw badInput('locale', `“${locale}”不是语言标签，应如 en、zh-CN`, `"${locale}" is no language tag such as en`)
  return canonical
}

function told({ channel: { id, kind }, locale, content, sms }: Rendered): PreviewedChannel {
  const text = content['text'] ?? content['content']
  return {
    channelId: id,
    kind,
    locale: locale ?? null,
    content,
    text: typeof text === 'string' ? text : null,
    sms: sms ?? null,
  }
}
