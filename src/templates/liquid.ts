/**
 * Liquid as templates have it. Their authors are trusted with wording, not with this process: there is no tag or filter
 * that reads a file, skips the escaping or multiplies text unseen, and every rendering has an end.
 */
import { analyzeSync, AssertionError, Context, Liquid, LiquidError, toValueSync, type Template } from 'liquidjs'
import { badInput, Refusal } from '../errors.ts'

/** Template code and rendered text, each for all contents of a template together: more than the largest contents need. */
export const MAX_TEMPLATE_LENGTH = 1024 * 1024
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

/**
 * Characters that may be walked to find where names stand: for each of them, the engine counts lines from the start of its
 * string. The longest mail with some hundred names, or half a second.
 */
const MAX_LOOK_UP = 50_000_000

/** A string of a template, parsed, with what it takes from outside. */
export type Code = { liquid: Liquid; templates: Template[]; mentions: Mention[] }
/** Why one does not parse, and where if that can be said; both counted from 1. */
export type Fault = { line?: number; column?: number; zh: string; en: string }
/** Where a string names something that the caller must give: `name`, and below it `members`. */
export type Mention = { name: string; members: string[]; line: number; column: number }

/** Most strings of most templates have no code in them. */
export function hasCode(text: string): boolean {
  return text.includes('{{') || text.includes('{%')
}

/** Parses one string. Where it becomes HTML (`isHtml`), what it prints is escaped. */
export type Reader = (text: string, isHtml: boolean) => Code | Fault

/** Reads the strings of one template, which together may not be too much. */
export function makeReader(): Reader {
  let lookedUp = 0
  return (text, isHtml) => {
    const deep = tooDeep(text)
    if (deep !== undefined) return deep
    lookedUp += text.length * namesIn(text)
    if (lookedUp > MAX_LOOK_UP)
      return {
        zh: '模板代码过多，请精简变量和标签',
        en: 'has too much code in too long a text: use fewer names and tags',
      }
    return parse(text, isHtml)
  }
}

/** No fewer than there are: neither numbers, nor what filters and members are called, which nobody looks up. */
function namesIn(text: string): number {
  const pieces = text.split(/\{[{%]/).slice(1)
  const names = (piece: string) =>
    piece
      .split(/[%}]\}/, 1)[0]!
      .replace(/\|\s*[\p{L}\p{N}_]+/gu, '|')
      .match(/(?<![\p{L}\p{N}_.])(?!\d+(?![\p{L}\p{N}_]))[\p{L}\p{N}_]+/gu)?.length ?? 0
  return pieces.reduce((sum, piece) => sum + names(piece), 0)
}

function tooDeep(text: string): Fault | undefined {
  let depth = 0
  for (const [, isEnd] of text.matchAll(/\{%-?\s*(end)?(?:if|for)\b/g)) {
    depth += isEnd === undefined ? 1 : -1
    if (depth > MAX_TAG_DEPTH)
      return { zh: `if、for 嵌套超过 ${MAX_TAG_DEPTH} 层`, en: `nests if and for deeper than ${MAX_TAG_DEPTH}` }
  }
  return undefined
}

function parse(text: string, isHtml: boolean): Code | Fault {
  const liquid = isHtml ? escaping : plain
  try {
    const templates = liquid.parse(text)
    // Walks the expressions, so that one nested too deep for that is found here.
    return { liquid, templates, mentions: mentions(templates) }
  } catch (error) {
    if (error instanceof RangeError) return { zh: '表达式嵌套过深', en: 'nests expressions too deep' }
    if (!LiquidError.is(error)) throw error
    const [line = 1, column = 1] = error.token.getPosition()
    const why = error.originalError?.message ?? error.message.replace(/, line:\d+.*$/s, '')
    return {
      line,
      column,
      zh: `模板第 ${line} 行第 ${column} 列有误：${why}`,
      en: `does not parse at line ${line}, column ${column}: ${why}`,
    }
  }
}

/** What the code takes from outside, not what it makes itself; each place once. */
function mentions(templates: Template[]): Mention[] {
  return Object.values(analyzeSync(templates, { partials: false }).globals)
    .flat()
    .map(({ segments: [name, ...members], location }) => ({
      name: String(name),
      members: members.map(String),
      line: location.row,
      column: location.col,
    }))
}

/** One for all strings of a rendering: a template of a thousand of them must not have it a thousand times. */
export type Budget = Pick<Context, 'memoryLimit' | 'renderLimit'> & { output: { length: number } }

/** Begins to run out as it is made. */
export function makeBudget(): Budget {
  const { memoryLimit, renderLimit } = new Context({}, plain.options)
  return { memoryLimit, renderLimit, output: { length: 0 } }
}

/** Renders one string. `scope`'s values are data: they are never read as Liquid. Throws what `whyNot` explains. */
export function renderCode({ liquid, templates }: Code, scope: object, budget: Budget): string {
  const { memoryLimit, renderLimit } = budget
  const context = new Context(scope, liquid.options, { sync: true }, { memoryLimit, renderLimit, liquid })
  const emitter = boundedEmitter(budget.output)
  toValueSync(liquid.renderer.renderTemplates(templates, context, emitter))
  return emitter.buffer
}

/** Why a rendering failed: a refusal of ours, a variable that is missing, or the template itself. Undefined: none of these. */
export function whyNot(error: unknown): { refusal: Refusal } | { missing: string } | { why: string } | undefined {
  const cause = LiquidError.is(error) ? (error.originalError ?? error) : error
  if (cause instanceof Refusal) return { refusal: cause }
  if (cause instanceof Error && 'variableName' in cause) return { missing: String(cause.variableName) }
  // Of its own code and of nothing else: a filter misused, a limit reached, a string or stack too long for the engine.
  if (LiquidError.is(error) || error instanceof AssertionError || error instanceof RangeError)
    return { why: (cause as Error).message }
  return undefined
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
