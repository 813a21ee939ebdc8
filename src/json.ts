import { printParseErrorCode, visit } from 'jsonc-parser'
import { checkText } from './check.ts'
import { badInput, Refusal } from './errors.ts'


/** Slips that word processors and keyboards make, seen in the document's own samples. */
const FULL_WIDTH: Record<string, string> = { '，': ',', '“': '"', '”': '"', '：': ':', '｛': '{', '｝': '}', '［': '[', '］': ']', '、': ',' }

/**
 * Bytes to a value: UTF-8 (one BOM allowed), JSON, no NUL, no half surrogates. A refusal names line and column and,
 * for full-width punctuation and trailing commas, the slip itself. Nothing is repaired.
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
  try {
    return JSON.parse(text)
  } catch (error) {
    throw describe(text) ?? badInput('(body)', 'JSON 格式错误', `is not JSON: ${(error as Error).message}`)
  }
}

/** JSON.parse often does not say where; this says it, for a text already known to be wrong. */
function describe(text: string): Refusal | undefined {
  let refusal: Refusal | undefined
  visit(
    text,
    {
      onError(code, offset, _length, line, column) {
        // Only the first one: what follows is usually its echo.
        refusal ??= at(text, offset, line, column, printParseErrorCode(code))
      },
    },
    { disallowComments: true, allowTrailingComma: false },
  )
  return refusal
}

function at(text: string, offset: number, line: number, column: number, code: string): Refusal {
  const found = String.fromCodePoint(text.codePointAt(offset) ?? 0x20)
  const meant = FULL_WIDTH[found]
  const where = { zh: `第 ${line + 1} 行第 ${column + 1} 列`, en: `line ${line + 1}, column ${column + 1}` }
  if (meant !== undefined) {
    return badInput('(body)', `${where.zh}：全角“${found}”，应为半角“${meant}”`, `${where.en}: full-width ${found}, should be ${meant}`)
  }
  if (/[}\]]/.test(found) && /,\s*$/.test(text.slice(0, offset))) {
    return badInput('(body)', `${where.zh}：${found} 前多余的逗号`, `${where.en}: trailing comma before ${found}`)
  }
  return badInput('(body)', `${where.zh}：JSON 格式错误`, `${where.en}: not JSON (${code})`)
}
