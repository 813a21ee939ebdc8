import { printParseErrorCode, visit } from 'jsonc-parser'
import { checkText } from './check.ts'
import { badInput, Refusal } from './errors.ts'

/** Slips that word processors and keyboards make, seen in the document's own samples. */
const FULL_WIDTH: Record<string, string> = {
  '，': ',',
  '、': ',',
  '：': ':',
  '“': '"',
  '”': '"',
  '｛': '{',
  '｝': '}',
  '［': '[',
  '］': ']',
  '\u3000': ' ',
}
/** Far deeper than any body of ours; the walk that looks for a mistake calls itself once a level. */
const MAX_DEPTH = 200

/**
 * Bytes to a value: UTF-8 (one BOM allowed), JSON, no NUL, no half surrogates. A refusal names line and column and,
 * for full-width punctuation and trailing commas, the slip itself. Nothing is repaired. Of a key given twice the last
 * counts, as JSON readers have it.
 */
export function readJson(bytes: Uint8Array): unknown {
  const value = parse(decode(bytes))
  checkText(value)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new Refusal('BAD_INPUT', { path: '(body)', zh: '不是 UTF-8 编码', en: 'is not UTF-8', cause })
  }
}

function parse(text: string): unknown {
  if (text.trim() === '') throw badInput('(body)', '为空，应为 JSON 对象', 'is empty: it must be a JSON object')
  try {
    return JSON.parse(text)
  } catch (error) {
    refuseFirstMistake(text)
    throw badInput('(body)', 'JSON 格式错误', `is not JSON: ${(error as Error).message}`)
  }
}

/** JSON.parse often does not say where; this says it, for a text already known to be wrong. */
function refuseFirstMistake(text: string): void {
  let depth = 0
  const deeper = () => {
    depth += 1
    if (depth > MAX_DEPTH) throw badInput('(body)', `嵌套超过 ${MAX_DEPTH} 层`, `is nested deeper than ${MAX_DEPTH}`)
  }
  const back = () => void (depth -= 1)
  visit(
    text,
    {
      onObjectBegin: deeper,
      onObjectEnd: back,
      onArrayBegin: deeper,
      onArrayEnd: back,
      // Ends the walk: what follows the first mistake is usually its echo.
      onError(code, offset, _length, line, column) {
        throw at(text, offset, line, column, printParseErrorCode(code))
      },
    },
    { disallowComments: true, allowTrailingComma: false },
  )
}

function at(text: string, offset: number, line: number, column: number, code: string): Refusal {
  const found = String.fromCodePoint(text.codePointAt(offset) ?? 0x20)
  const meant = FULL_WIDTH[found]
  const where = { zh: `第 ${line + 1} 行第 ${column + 1} 列`, en: `line ${line + 1}, column ${column + 1}` }
  if (meant !== undefined) {
    return badInput(
      '(body)',
      `${where.zh}：全角“${found}”，应为半角“${meant}”`,
      `${where.en}: full-width ${found}, should be ${meant}`,
    )
  }
  if (/[}\]]/.test(found) && text.slice(0, offset).trimEnd().endsWith(',')) {
    return badInput('(body)', `${where.zh}：${found} 前多余的逗号`, `${where.en}: trailing comma before ${found}`)
  }
  return badInput('(body)', `${where.zh}：JSON 格式错误`, `${where.en}: not JSON (${code})`)
}
