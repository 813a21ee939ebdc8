/** What is wrong with a template, or may be: found when it is saved, published and previewed, all of it at once. */
import type { Context, OpenChannel } from '../context.ts'
import { contentKinds, type SmsContent } from '../delivery/content.ts'
import { readContentFor } from '../delivery/fit.ts'
import { unsafeParts } from '../delivery/sanitise.ts'
import { smsLength, type SmsLength } from '../delivery/sms-length.ts'
import { badInput, Refusal } from '../errors.ts'
import { contentsOf, type TemplateBody } from './draft.ts'
import { hasCode, makeBudget, makeReader, whyNot, type Budget, type Mention } from './liquid.ts'
import { faultOf, isReader, namesReader, NOBODY, SAMPLE, type Named } from './personal.ts'
import { isHtmlAt, mapStrings, renderWith, withReader, type KindOf } from './render.ts'
import { inferred, isMadeUp, readValues, samples, VARIABLES_AT_MOST, type Variable } from './variables.ts'

/** `error`: it must not be published. Lines and columns count from 1, within the string at `path`. */
export type Problem = {
  severity: 'error' | 'warning'
  path: string
  line?: number
  column?: number
  zh: string
  en: string
}

/** What one channel says, with sample values. */
export type Rendered = {
  channel: OpenChannel
  path: string
  /** Undefined: the default. */
  locale: string | undefined
  /** As it would be stored. */
  content: Record<string, unknown>
  sms: SmsLength | undefined
}

type Channels = Context['channels']
type Place = Mention & { path: string }
type Unread = Omit<TemplateBody, 'variables'> & { variables: Variable[] | undefined }

/** How often one message is told of the same sort of thing. */
const PROBLEMS_AT_MOST = 100

/**
 * Checks all contents in all languages. Gives the template with its variables: those declared, or those that its code
 * names, with what `known` says of them. `given`: values instead of the samples; `reader`: whom
 * it speaks to. It must have something to say to somebody of whom nothing is known as well.
 */
export function examine(
  channels: Channels,
  draft: Unread,
  known: readonly Variable[] = [],
  given: Record<string, string> = {},
  reader: Named = SAMPLE,
): { body: TemplateBody; problems: Problem[]; rendered: Rendered[] } {
  const problems: Problem[] = []
  const kindOf: KindOf = (id) => channels.get(id)?.kind
  const all = readCode(draft, kindOf, problems)
  // An older template may have a variable of that name: then it is that, and knows no reader.
  const isOfReader = (place: Place) => namesReader(place, draft.variables ?? [])
  const [ofReader, places] = [all.filter(isOfReader), all.filter((place) => !isOfReader(place))]
  const body = { ...draft, variables: draft.variables ?? infer(places, known) }
  problems.push(...checkChannels(channels, draft), ...checkVariables(body.variables, places), ...checkReader(ofReader))
  // With a string that does not parse or a name without a value, nothing can be rendered.
  if (problems.some(({ severity }) => severity === 'error'))
    return { body, problems: problems.slice(0, PROBLEMS_AT_MOST), rendered: [] }
  const values = readValues(body.variables, samples(body.variables, given))
  const scopeFor = (named: Named) => (isReader(body.variables) ? withReader(values, named) : values)
  const rendered = renderAll(channels, body, scopeFor(reader), places, problems)
  // Not again what is wrong for anybody.
  const personal = contentsOf(body).filter(({ path }) => ofReader.some((place) => place.path.startsWith(`${path}.`)))
  if (!problems.some(({ severity }) => severity === 'error'))
    renderAll(channels, body, scopeFor(NOBODY), places, problems, personal)
  return { body, problems: problems.slice(0, PROBLEMS_AT_MOST), rendered }
}

/** Refuses a template that has errors, by the first of them. */
export function refuseErrors(problems: readonly Problem[]): void {
  const [first, ...more] = problems.filter(({ severity }) => severity === 'error')
  if (first === undefined) return
  const rest = more.length === 0 ? ['', ''] : [`（另有 ${more.length} 处）`, ` (and ${more.length} more)`]
  throw badInput(first.path, first.zh + rest[0], first.en + rest[1])
}

/** Parses every string; gives each place where something is named that must be given. */
function readCode(draft: Unread, kindOf: KindOf, problems: Problem[]): Place[] {
  const places: Place[] = []
  const read = makeReader()
  for (const { path: root, channelId, content } of contentsOf(draft))
    mapStrings(
      content,
      (text, path) => {
        if (!hasCode(text)) return text
        const code = read(text, isHtmlAt(path, kindOf))
        const at = root + path.slice(channelId.length)
        if ('templates' in code) for (const mention of code.mentions) places.push({ ...mention, path: at })
        else problems.push({ severity: 'error', path: at, ...code })
        return text
      },
      channelId,
    )
  return places
}

function infer(places: readonly Place[], known: readonly Variable[]): Variable[] {
  const names = [...new Set(places.map(({ name }) => name))]
  if (names.length > VARIABLES_AT_MOST)
    throw badInput(
      'variables',
      `变量 ${names.length} 个，超过上限 ${VARIABLES_AT_MOST}`,
      `are ${names.length} in the texts, over the limit of ${VARIABLES_AT_MOST}`,
    )
  return inferred(names).map((variable) => known.find(({ name }) => name === variable.name) ?? variable)
}

function checkChannels(channels: Channels, draft: Unread): Problem[] {
  const known = [...channels.keys()].join(', ')
  return Object.keys(draft.contents)
    .filter((id) => !channels.has(id))
    .map((id) => ({
      severity: 'error',
      path: `contents.${id}`,
      zh: `没有渠道 ${id}，现有：${known}`,
      en: `is no channel: there are ${known}`,
    }))
}

function checkVariables(variables: readonly Variable[], places: readonly Place[]): Problem[] {
  const declared = new Set(variables.map(({ name }) => name))
  const used = new Map(places.toReversed().map((place) => [place.name, place]))
  const undeclared = [...used.values()]
    .filter(({ name }) => !declared.has(name))
    .map(({ name, path, line, column }): Problem => {
      const en = `uses the variable ${name}, which is not declared: declare it or correct the name`
      return { severity: 'error', path, line, column, zh: `变量 ${name} 未声明，请声明或更正名称`, en }
    })
  const unused = variables
    .filter(({ name }) => !used.has(name))
    .map(({ name, required }): Problem => {
      const [zh, en] = required ? ['，推送时却必须提供', ', and yet every push must give it'] : ['', '']
      return {
        severity: 'warning',
        path: `variables.${name}`,
        zh: `变量 ${name} 未被使用${zh}`,
        en: `is not used by any content${en}`,
      }
    })
  return [...undeclared, ...unused]
}

/** What code takes of its reader, and cannot have. */
function checkReader(places: readonly Place[]): Problem[] {
  return places.flatMap((place) => {
    const fault = faultOf(place)
    const { path, line, column } = place
    return fault === undefined ? [] : [{ severity: 'error', path, line, column, ...fault } satisfies Problem]
  })
}

function renderAll(
  channels: Channels,
  body: TemplateBody,
  values: object,
  places: readonly Place[],
  problems: Problem[],
  said = contentsOf(body),
): Rendered[] {
  const budget = makeBudget()
  const isVague = isVagueIn(body, places)
  const written = said.flatMap((one) => {
    const channel = channels.get(one.channelId)
    if (channel === undefined) return []
    const text = attempt(() => renderOne(channel, one, values, budget), one.path, isVague, problems)
    return text === undefined ? [] : [{ ...one, channel, text }]
  })
  return written.flatMap(({ path, locale, channel, content: source, text }) => {
    const content = attempt(() => readContentFor(channel, text, path), path, isVague, problems)
    if (content === undefined) return []
    const sms = channel.kind === 'sms' ? smsLength(content as SmsContent) : undefined
    problems.push(...unsafeIn(channel, source, text, path), ...longSms(sms, path))
    return [{ channel, path, locale, content: content as Record<string, unknown>, sms }]
  })
}

type Said = ReturnType<typeof contentsOf>[number]

function renderOne({ kind }: OpenChannel, { channelId, path: root, content }: Said, values: object, budget: Budget) {
  const refuse = (error: unknown, path: string): unknown => {
    const at = root + path.slice(channelId.length)
    const found = whyNot(error)
    if (found === undefined) return error
    if ('missing' in found)
      return badInput(at, `可能缺少变量 ${found.missing}`, `may lack the variable ${found.missing}`)
    const [zh, en] =
      'why' in found
        ? [`渲染失败：${found.why}`, `cannot be rendered: ${found.why}`]
        : [
            wordsOf(found.refusal.zh, '：', found.refusal.path),
            wordsOf(found.refusal.message, ': ', found.refusal.path),
          ]
    return badInput(at, zh, en)
  }
  return renderWith({ [channelId]: content }, () => kind, values, budget, refuse)[channelId]
}

/** What fails with values that we made up ourselves may well do with others. */
function attempt<Made>(
  act: () => Made,
  root: string,
  isVague: (path: string) => boolean,
  problems: Problem[],
): Made | undefined {
  try {
    return act()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const path = error.path ?? root
    const [zh, en] = [wordsOf(error.zh, '：', path), wordsOf(error.message, ': ', path)]
    problems.push(
      isVague(path)
        ? {
            severity: 'warning',
            path,
            zh: `以系统自拟的示例值：${zh}；请为变量填写示例`,
            en: `with values that we made up: ${en}; give its variables examples`,
          }
        : { severity: 'error', path, zh, en },
    )
    return undefined
  }
}

/** Without the words that every refusal begins with. */
function wordsOf(sentence: string, colon: string, path: string | undefined): string {
  const detail = sentence.slice(sentence.indexOf(colon) + colon.length)
  return path !== undefined && detail.startsWith(`${path}: `) ? detail.slice(path.length + 2) : detail
}

/** Whether a value that nobody gave us stands at a path or below. */
function isVagueIn({ variables }: TemplateBody, places: readonly Place[]): (path: string) => boolean {
  const vague = new Set(variables.filter(isMadeUp).map(({ name }) => name))
  return (path) =>
    places.some((place) => vague.has(place.name) && (place.path === path || place.path.startsWith(`${path}.`)))
}

function longSms(sms: SmsLength | undefined, path: string): Problem[] {
  if (sms === undefined || sms.segments === 1) return []
  const each = sms.encoding === 'GSM' ? 153 : 67
  return [
    {
      severity: 'warning',
      path: `${path}.content`,
      zh: `按示例值共 ${sms.characters} 字，拆成 ${sms.segments} 条计费（每条 ${each} 字）`,
      en: `makes ${sms.segments} segments of ${each} with the sample values: ${sms.characters} characters in ${sms.encoding}`,
    },
  ]
}

/** HTML that is written here and will not arrive. */
function unsafeIn({ kind }: OpenChannel, source: unknown, rendered: unknown, path: string): Problem[] {
  if (kind !== 'site' && kind !== 'mail') return []
  return contentKinds[kind].htmlFields.flatMap((field) => {
    const written = (source as Record<string, unknown>)[field]
    const html = (rendered as Record<string, unknown>)[field]
    if (typeof written !== 'string' || typeof html !== 'string') return []
    return unsafeParts(kind, html).map(({ tag, attribute, what }): Problem => ({
      severity: 'warning',
      path: `${path}.${field}`,
      ...positionOf(written, tag, attribute),
      zh: `${what} 不安全，会被去除`,
      en: `${what} is not safe and will be removed`,
    }))
  })
}

/** Where a tag, or an attribute of one, first stands in the source. */
function positionOf(source: string, tag: string, attribute: string | undefined): { line?: number; column?: number } {
  const place = new RegExp(
    `<${escape(tag)}${attribute === undefined ? '' : `\\b[^<>]{0,2000}?\\s${escape(attribute)}`}\\b`,
    'i',
  )
  const at = source.search(place)
  if (at < 0) return {}
  const before = source.slice(0, at).split('\n')
  return { line: before.length, column: before.at(-1)!.length + 1 }
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
