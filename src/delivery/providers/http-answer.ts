/** What a gateway answered, and the little language in which settings say what it means. */

/** Of an answer so much is read. */
const MAX_ANSWER_BYTES = 64 * 1024

/** `json` is undefined when the text is none. */
export type Answer = { status: number; text: string; json: unknown }
export type Test = (answer: Answer) => boolean
export type Extract = (answer: Answer) => string | undefined

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
  return (answer) => {
    const found = valueAt(answer, path)
    if (found === undefined) return false
    return values.some((value) => (operator === '=' ? found === value : found.startsWith(value)))
  }
}

/** Reads where the receipt stands: `data.msgId`, `text` (all of it), `text^=OK:` (what follows this). Undefined when it is none. */
export function readExtract(source: string): Extract | undefined {
  const [, path = source, start = ''] = /^(.*?)\^=(.+)$/s.exec(source) ?? []
  if (!PATH.test(path)) return undefined
  return (answer) => {
    const found = valueAt(answer, path)
    return found?.startsWith(start) ? found.slice(start.length).trim() || undefined : undefined
  }
}

/** Reads what comes of an answer, up to a limit; what breaks off or is over the limit is judged by what did come. */
export async function readAnswer(response: Response, signal: AbortSignal): Promise<Answer> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= MAX_ANSWER_BYTES) break
    }
  } catch (error) {
    if (signal.aborted) throw error
  }
  const bytes = Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES)
  const text = decoderFor(response.headers.get('content-type')).decode(bytes).trim()
  return { status: response.status, text, json: parse(text) }
}

/** Local gateways often answer in GBK. */
function decoderFor(contentType: string | null): TextDecoder {
  const [, charset = 'utf-8'] = /;\s*charset="?([^\s";]+)/i.exec(contentType ?? '') ?? []
  try {
    return new TextDecoder(charset)
  } catch {
    return new TextDecoder()
  }
}

function parse(text: string): unknown {
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

function valueAt({ text, json }: Answer, path: string): string | undefined {
  if (path === 'text') return text
  let at = json
  for (const name of path.replace(/^\$\./, '').split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  return typeof at === 'object' && at !== null ? undefined : String(at)
}
