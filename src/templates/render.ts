/**
 * Templates are contents whose strings are Liquid. Their authors are trusted with wording, not with this process: there
 * is no tag or filter that reads a file, skips the escaping or multiplies text unseen, and every rendering has an end.
 */
import { Context, Liquid, LiquidError, toValueSync, type Template } from 'liquidjs'
import { check } from '../check.ts'
import { contentKinds, textMap, type ContentKind } from '../delivery/content.ts'
import { badInput, Refusal } from '../errors.ts'

/** Template code and rendered text, each for all channels of a template together: more than the largest contents need. */
const MAX_TEMPLATE_LENGTH = 1024 * 1024
const MAX_OUTPUT_LENGTH = 1024 * 1024
/** Characters and list entries that filters and ranges may make on the way. */
const MAX_WORK = 4 * 1024 * 1024
const MAX_RENDER_MS = 500
/** Deeper nesting is nobody's template, and the parser calls itself once a level. */
const MAX_TAG_DEPTH = 50

/** `capture` is left out since it doubles text past every limit; the rest since nobody's wording needs it. */
const TAGS = new Set(['if', 'for', 'assign'])

/** No `raw`, nothing that evaluates text, nothing that makes long lists out of short ones. */
const FILTERS = new Set(
  (
    'abs append at_least at_most capitalize ceil date default divided_by downcase escape first floor join last lstrip ' +
    'minus modulo plus prepend remove remove_first replace replace_first round rstrip size slice split strip ' +
    'strip_newlines times truncate upcase url_encode'
  ).split(' '),
)

type Content = Record<string, unknown>

/** Every template string, parsed, by its path from the channel id down. */
type Parsed = ReadonlyMap<string, { liquid: Liquid; templates: Template[] }>

/**
 * Renders every string of a template's contents. Values are data: they are never read as Liquid, and in HTML fields they
 * are escaped. Refuses with all missing variables named, or with `templateCode` where rendering goes past a limit.
 * A channel that `kindOf` does not know is rendered as plain text.
 */
export function renderContents(
  contents: Content,
  kindOf: (channelId: string) => ContentKind | undefined,
  variables: Record<string, string>,
): Content {
  const parsed = parseAll(contents, kindOf)
  const missing = required(parsed).filter((name) => !Object.hasOwn(variables, name))
  if (missing.length > 0) throw lacks(missing)
  // One budget for all strings: a template of a thousand of them must not have it a thousand times.
  const { memoryLimit, renderLimit } = new Context({}, plain.options)
  const output = { length: 0 }
  return mapStrings(contents, (code, path) => {
    const entry = parsed.get(path)
    if (entry === undefined) return code
    const { liquid, templates } = entry
    const context = new Context(variables, liquid.options, { sync: true }, { memoryLimit, renderLimit, liquid })
    const emitter = boundedEmitter(output)
    try {
      toValueSync(liquid.renderer.renderTemplates(templates, context, emitter))
    } catch (error) {
      throw renderRefusal(error, path)
    }
    return emitter.buffer
  }) as Content
}

/** The variables a push of this template must give, in order of first use. */
export function variablesOf(contents: Content): string[] {
  return required(parseAll(contents, () => undefined))
}

/** Refuses contents with a string that is not valid Liquid of ours, with line and column. */
export function checkTemplate(contents: Content): void {
  parseAll(contents, () => undefined)
}

/** Reads `channelParamData`: absent or null means none. The result has no prototype. */
export function readVariables(value: unknown): Record<string, string> {
  return check(textMap, value ?? {}, 'channelParamData')
}

function parseAll(contents: Content, kindOf: (channelId: string) => ContentKind | undefined): Parsed {
  const parsed = new Map<string, { liquid: Liquid; templates: Template[] }>()
  let length = 0
  mapStrings(contents, (code, path) => {
    length += code.length
    if (length > MAX_TEMPLATE_LENGTH)
      throw badInput(
        `contents.${path}`,
        `模板合计超过 ${MAX_TEMPLATE_LENGTH} 个字符`,
        `is over the limit of ${MAX_TEMPLATE_LENGTH} characters for all contents together`,
      )
    // Most strings of most templates have no code in them.
    if (!code.includes('{{') && !code.includes('{%')) return code
    const [channelId = '', ...field] = path.split('.')
    const kind = kindOf(channelId)
    const htmlFields: readonly string[] = kind === undefined ? [] : contentKinds[kind].htmlFields
    const liquid = htmlFields.includes(field.join('.')) ? escaping : plain
    parsed.set(path, { liquid, templates: parse(liquid, code, `contents.${path}`) })
    return code
  })
  return parsed
}

function parse(liquid: Liquid, code: string, path: string): Template[] {
  let depth = 0
  for (const [, isEnd] of code.matchAll(/\{%-?\s*(end)?(?:if|for)\b/g)) {
    depth += isEnd === undefined ? 1 : -1
    if (depth > MAX_TAG_DEPTH)
      throw badInput(path, `if、for 嵌套超过 ${MAX_TAG_DEPTH} 层`, `nests if and for deeper than ${MAX_TAG_DEPTH}`)
  }
  try {
    const templates = liquid.parse(code)
    // Also walks the expressions once, so that one nested too deep for that is found here.
    liquid.globalVariablesSync(templates, { partials: false })
    return templates
  } catch (error) {
    if (error instanceof RangeError) throw badInput(path, '表达式嵌套过深', 'nests expressions too deep')
    if (!LiquidError.is(error)) throw error
    const [line, column] = error.token.getPosition()
    const why = error.originalError?.message ?? error.message.replace(/, line:\d+.*$/s, '')
    throw badInput(
      path,
      `模板第 ${line} 行第 ${column} 列有误：${why}`,
      `does not parse at line ${line}, column ${column}: ${why}`,
    )
  }
}

function required(parsed: Parsed): string[] {
  const names = new Set<string>()
  for (const { liquid, templates } of parsed.values())
    for (const name of liquid.globalVariablesSync(templates, { partials: false })) names.add(name)
  return [...names]
}

function lacks(names: string[]): Refusal {
  const list = names.join(', ')
  return badInput('channelParamData', `缺少变量 ${list}`, `lacks the variables ${list}`)
}

function renderRefusal(error: unknown, path: string): unknown {
  const cause = LiquidError.is(error) ? (error.originalError ?? error) : error
  if (cause instanceof Refusal) return cause
  if (cause instanceof Error && 'variableName' in cause) return lacks([String(cause.variableName)])
  // Of its own code and of nothing else: a filter misused, a limit reached, a string or stack too long for the engine.
  if (LiquidError.is(error) || error instanceof RangeError) {
    const why = (cause as Error).message
    return badInput('templateCode', `渲染 ${path} 失败：${why}`, `cannot be rendered at ${path}: ${why}`)
  }
  return error
}

/** Collects output; what would go past the limit is refused before it is joined to anything. */
function boundedEmitter(output: { length: number }) {
  return {
    buffer: '',
    write(piece: unknown) {
      const text = typeof piece === 'string' ? piece : textOf(piece)
      output.length += text.length
      if (output.length > MAX_OUTPUT_LENGTH)
        throw badInput(
          'templateCode',
          `渲染结果超过 ${MAX_OUTPUT_LENGTH} 个字符`,
          `renders to more than ${MAX_OUTPUT_LENGTH} characters`,
        )
      this.buffer += text
    },
  }
}

function liquidWith(outputEscape: (text: string) => string): Liquid {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    parseLimit: MAX_TEMPLATE_LENGTH,
    renderLimit: MAX_RENDER_MS,
    memoryLimit: MAX_WORK,
    // Nothing to include, and without a mapping it would look into the working directory.
    templates: {},
    outputEscape: (value: unknown) => outputEscape(textOf(value)),
  })
  for (const name of Object.keys(liquid.tags)) if (!TAGS.has(name)) delete liquid.tags[name]
  for (const name of Object.keys(liquid.filters)) if (!FILTERS.has(name)) delete liquid.filters[name]
  return liquid
}

/** What a value prints as. A list's length is known to be bounded, that of its entries together is not: so no `join` of all. */
function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (!Array.isArray(value)) return String(value)
  let text = ''
  for (const entry of value) {
    text += textOf(entry)
    if (text.length > MAX_OUTPUT_LENGTH) break
  }
  return text
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' }
const escaping = liquidWith((text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character] as string))
const plain = liquidWith((text) => text)

/** The same value with each string changed; `path` is made of its keys. */
function mapStrings(value: unknown, change: (text: string, path: string) => string, path = ''): unknown {
  if (typeof value === 'string') return change(value, path)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, member]): [string, unknown] => {
    const at = path === '' ? key : `${path}.${key}`
    return [key, mapStrings(member, change, at)]
  })
  // `fromEntries` defines its members, so that a key `__proto__` stays a key.
  return Array.isArray(value) ? entries.map(([, member]) => member) : Object.fromEntries(entries)
}
