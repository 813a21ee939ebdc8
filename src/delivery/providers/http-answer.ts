/** What a gateway says, in an answer or in a callback, and the little language in which settings say what it means. */
import type { Reply } from './http-exchange.ts'

/** `json` is undefined when the text is none. */
export type Said = { text: string; json: unknown }
export type Answer = Said & { status: number }
/** Undefined: there is nothing where it looks. */
export type Test = (said: Said) => boolean | undefined
export type Extract = (said: Said) => string | undefined

/** Member names joined by dots; a list's entries by number. `$.` in front tells a member `text` from the text itself. */
const PATH = /^(?:\$\.)?[^\s.=^!~<>|[\]$]+(?:\.[^\s.=^!~<>|[\]$]+)*$/

/**
 * Reads a test: `code=0|200` (a member of the JSON answer is one of these), `text=OK` (the whole text is), `text^=OK` or
 * `code^=2` (begins with). Undefined when it is none of these.
 */
export function readTest(source: string): Test | undefined {
  const [, path = '', operator, list = ''] = /^(.*?)(\^?=)(.*)$/s.exec(source) ?? []
  const values = list.split('|')
  if (!PATH.test(path) || values.some((value) => value === '' || value.startsWith('='))) return undefined
  return (said) => {
    const found = textAt(said, path)
    if (found === undefined) return undefined
    return values.some((value) => (operator === '=' ? found === value : found.startsWith(value)))
  }
}

/** Reads where the receipt stands: `data.msgId`, `text` (all of it), `text^=OK:` (what follows this). Undefined when it is none. */
export function readExtract(source: string): Extract | undefined {
  const [, path = source, start = ''] = /^(.*?)\^=(.+)$/s.exec(source) ?? []
  if (!PATH.test(path)) return undefined
  return (said) => {
    const found = textAt(said, path)
    return found?.startsWith(start) ? found.slice(start.length).trim() || undefined : undefined
  }
}

/** Reads a member's path alone: `data.reports`. Undefined when it is none. */
export function readPath(source: string): ((said: Said) => unknown) | undefined {
  return PATH.test(source) && source !== 'text' ? ({ json }) => valueAt(json, source) : undefined
}

/** An answer as the tests see it; one that broke off, as far as it came. */
export function readAnswer({ status, headers, body }: Reply): Answer {
  const text = textOf(body, headers['content-type']).trim()
  return { status, text, json: parse(text) }
}

/** Bytes as text, in the charset that the content type names. */
export function textOf(bytes: Buffer, contentType: string | undefined): string {
  return decoderFor(contentType).decode(bytes)
}

/** Local gateways often answer in GBK. */
function decoderFor(contentType: string | undefined): TextDecoder {
  const [, charset = 'utf-8'] = /;\s*charset="?([^\s";]+)/i.exec(contentType ?? '') ?? []
  try {
    return new TextDecoder(charset)
  } catch {
    return new TextDecoder()
  }
}

/** A JSON value, or undefined when the text is none. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text, exactNumber)
  } catch {
    return undefined
  }
}

/** Message ids are often numbers too long for one: those stay the digits they were sent as, where Node tells them. */
function exactNumber(_key: string, value: unknown, context?: { source?: string }): unknown {
  const isInexact = typeof value === 'number' && !Number.isSafeInteger(value)
  return isInexact ? (context?.source ?? value) : value
}

function textAt({ text, json }: Said, path: string): string | undefined {
  if (path === 'text') return text
  const found = valueAt(json, path)
  return found === undefined || found === null || typeof found === 'object' ? undefined : String(found)
}

function valueAt(json: unknown, path: string): unknown {
  let at = json
  for (const name of path.replace(/^\$\./, '').split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  return at
}
