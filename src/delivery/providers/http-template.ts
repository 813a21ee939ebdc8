/** The Liquid in a gateway's settings: written by whoever runs Posthouse, filled with what callers say. */
import { Liquid, LiquidError } from 'liquidjs'
import type { Parcel } from '../channel.ts'
import type { SmsContent } from '../content.ts'

/** How a printed value is made harmless: `json` inside the quotes of a JSON string, `url` in a form, `none` where the caller encodes. */
export type Escaping = 'json' | 'url' | 'none'
/** `fill` throws where the template asks for a parameter that the push did not give. */
export type Template = { variables: ReadonlySet<string>; fill(variables: Variables): string }
/** What a template may print. What an SMS lacks is null: it prints as nothing and counts as false. */
export type Variables = {
  address: string
  phone: string
  text: string | null
  sign: string | null
  templateId: string | null
  params: Record<string, string>
  id: string
  messageId: string
}

const NAMES = [
  'address',
  'phone',
  'text',
  'sign',
  'templateId',
  'params',
  'id',
  'messageId',
] satisfies (keyof Variables)[]
/** Far more than any request to a gateway needs. */
const MAX_TEMPLATE_LENGTH = 64 * 1024
const MAX_FILL_MS = 500
const MAX_WORK = 4 * 1024 * 1024
/** No `capture`, which doubles text past every limit, and nothing that reads files or prints by another way than `{{ }}`. */
const TAGS = new Set(['if', 'unless', 'case', 'for', 'assign'])

/** Values that break every text they are put into without care. */
const HOSTILE = '"\\\n\u2028}],{[&=#%+\' </>'

/** Reads a template, or gives the sentence that follows its setting's name: what is wrong, with line and column. */
export function readTemplate(code: string, escaping: Escaping): Template | { mistake: string } {
  const liquid = engines[escaping]
  try {
    const parsed = liquid.parse(code)
    const used = liquid.globalVariableSegmentsSync(parsed, { partials: false })
    const variables = new Set(used.map(([name]) => String(name)))
    const unknown = [...variables].find((name) => !(NAMES as string[]).includes(name))
    if (unknown !== undefined) return { mistake: `has an unknown variable ${unknown}; there are ${NAMES.join(', ')}` }
    const template: Template = { variables, fill: (values) => String(liquid.renderSync(parsed, values)) }
    const keys = used.flatMap(([name, key]) => (name === 'params' && typeof key === 'string' ? [key] : []))
    for (const sample of samples(keys)) {
      const filled = template.fill(sample)
      if (escaping === 'json' && !isJson(filled)) {
        const fix = 'write values in quotes as in "{{ text }}", or without as in {{ text | json }}'
        return { mistake: `is no JSON when filled in; ${fix}` }
      }
    }
    return template
  } catch (error) {
    if (!LiquidError.is(error)) throw error
    const [line, column] = error.token.getPosition()
    const why = error.originalError?.message ?? error.message.replace(/, line:\d+.*$/s, '')
    return { mistake: `is no Liquid at line ${line}, column ${column}: ${why}` }
  }
}

/** A delivery as its gateway's templates see it. */
export function variablesOf({ id, messageId, address, content }: Parcel): Variables {
  const { content: text, sign, templateData } = content as SmsContent
  return {
    address,
    phone: address.replace(/^\+86/, ''),
    text: text ?? null,
    sign: sign ?? null,
    templateId: templateData?.templateId ?? null,
    params: templateData?.paramData ?? {},
    id,
    messageId,
  }
}

/** Whether `text` is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** An SMS that has everything, with hostile text, and one that has only what every SMS has. */
function samples(keys: string[]): Variables[] {
  const id = '0199c0ffee0070008000000000000001'
  const always = { address: '+8613800000000', phone: '13800000000', id, messageId: id }
  const params = Object.fromEntries(keys.map((key) => [key, HOSTILE]))
  return [
    { ...always, text: HOSTILE, sign: HOSTILE, templateId: HOSTILE, params },
    { ...always, text: null, sign: null, templateId: null, params },
  ]
}

const jsonOf = (value: unknown) => JSON.stringify(value ?? null)
/** A list or object prints as its JSON, since `[object Object]` would help nobody. */
const textOf = (value: unknown) => (typeof value === 'object' && value !== null ? jsonOf(value) : String(value ?? ''))

const escapes: Record<Escaping, (value: unknown) => string> = {
  json: (value) => jsonOf(textOf(value)).slice(1, -1),
  url: (value) => encodeURIComponent(textOf(value).toWellFormed()),
  none: textOf,
}

function engine(escaping: Escaping): Liquid {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    // `{% if params.code %}` asks whether it was given; only printing it needs it.
    lenientIf: true,
    parseLimit: MAX_TEMPLATE_LENGTH,
    renderLimit: MAX_FILL_MS,
    memoryLimit: MAX_WORK,
    // Nothing to include, and without a mapping it would look into the working directory.
    templates: {},
    outputEscape: escapes[escaping],
  })
  for (const name of Object.keys(liquid.tags)) if (!TAGS.has(name)) delete liquid.tags[name]
  delete liquid.filters['raw']
  // A JSON value with its own quotes: there it stands as it is, elsewhere it is text to escape like any other.
  liquid.registerFilter('json', { raw: escaping === 'json', handler: jsonOf })
  return liquid
}

const engines = { json: engine('json'), url: engine('url'), none: engine('none') } satisfies Record<Escaping, Liquid>
