/**
 * How a file is encoded, decided before anything of it is used: UTF-8, or GB18030 as Excel saves it in China, or UTF-16 where
 * the first two bytes say so. All lines are looked at: a short text in GB18030 can pass as UTF-8, a long one cannot.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { badInput, type Refusal } from '../errors.ts'

export type Encoding = 'utf-8' | 'gb18030' | 'utf-16le' | 'utf-16be'
/** Gives the bytes from the start, each time it is called. */
export type Source = () => AsyncIterable<Uint8Array>

/** What people call them. */
const NAMES = new Map<string, Encoding>([
  ['utf-8', 'utf-8'],
  ['utf8', 'utf-8'],
  ['gb18030', 'gb18030'],
  ['gbk', 'gb18030'],
  ['gb2312', 'gb18030'],
  ['utf-16', 'utf-16le'],
  ['utf-16le', 'utf-16le'],
  ['utf-16be', 'utf-16be'],
])
/** The byte order marks, as Latin-1. */
const MARKS: [mark: string, encoding: Encoding][] = [
  ['\xef\xbb\xbf', 'utf-8'],
  ['\xff\xfe', 'utf-16le'],
  ['\xfe\xff', 'utf-16be'],
]
/** No line about a person or a group is longer; what has one is no table. */
const LINE_BYTES = 256 * 1024

/** Reads the name of an encoding as people write it; undefined when it is none that is known here. */
export function readEncoding(name: string): Encoding | undefined {
  return NAMES.get(name.trim().toLowerCase())
}

/**
 * The encoding of a file; a refusal names the first line that is in none. `wanted`: it is to be this one. When a file can be read
 * in two, it is the one in which its first line `isRight`.
 */
export async function decided(
  source: Source,
  wanted: Encoding | undefined,
  isRight: (header: string) => boolean,
): Promise<Encoding> {
  let possible: Encoding[] | undefined = wanted && [wanted]
  let header: Uint8Array | undefined
  let line = 0
  for await (const text of lines(source())) {
    line += 1
    possible ??= possibleAfter(text)
    if (possible[0]?.startsWith('utf-16')) return possible[0]
    const bytes = Buffer.from(text, 'latin1')
    if (header === undefined && text.trim() !== '') header = bytes
    if (isAscii(bytes)) continue
    const left: Encoding[] = possible.filter((encoding) => isIn(encoding, bytes))
    if (left.length === 0) throw unreadable(line, possible)
    possible = left
  }
  const all: Encoding[] = possible ?? ['utf-8']
  return all.find((encoding) => isRight(new TextDecoder(encoding).decode(header))) ?? all[0] ?? 'utf-8'
}

/** The text of a file, its line ends all `\n`, without a byte order mark. */
export async function* decoded(bytes: AsyncIterable<Uint8Array>, encoding: Encoding): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  // The `\n` of a `\r\n` may come with the next piece.
  let held = ''
  for await (const piece of bytes) {
    const text = held + decode(decoder, encoding, piece)
    held = text.endsWith('\r') ? '\r' : ''
    yield unixEnds(held === '' ? text : text.slice(0, -1))
  }
  yield unixEnds(held + decode(decoder, encoding))
}

function decode(decoder: TextDecoder, encoding: Encoding, piece?: Uint8Array): string {
  try {
    return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true })
  } catch {
    throw badInput('(file)', `不是 ${encoding} 编码`, `is not in ${encoding}`)
  }
}

function unixEnds(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text
}

/** By the byte order mark; without one it is UTF-8 or GB18030. */
function possibleAfter(firstLine: string): Encoding[] {
  const marked = MARKS.find(([mark]) => firstLine.startsWith(mark))
  return marked === undefined ? ['utf-8', 'gb18030'] : [marked[1]]
}

function isIn(encoding: Encoding, bytes: Uint8Array): boolean {
  if (encoding === 'utf-8') return isUtf8(bytes)
  try {
    new TextDecoder(encoding, { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

/** The lines, byte by byte as Latin-1. In both encodings the bytes of a line end are never part of another character. */
async function* lines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = ''
  let line = 1
  for await (const piece of bytes) {
    const text = rest + Buffer.from(piece).toString('latin1')
    // A `\r` at the very end: its `\n` may follow.
    const ended = text.split(/\r\n|\n|\r(?!$)/)
    rest = ended.pop() ?? ''
    for (const one of [...ended, rest])
      if (one.length > LINE_BYTES)
        throw badInput(
          '(file)',
          `第 ${line + ended.length} 行附近有一行超过 256 KiB，不像表格`,
          `has a line of more than 256 KiB near line ${line + ended.length}: it is no table`,
        )
    yield* ended
    line += ended.length
  }
  if (rest !== '') yield rest
}

function unreadable(line: number, possible: readonly Encoding[]): Refusal {
  const names = possible.join(' / ')
  return badInput(
    '(file)',
    `第 ${line} 行不是 ${names} 编码，请另存为 UTF-8`,
    `line ${line} is not in ${names}: save the file as UTF-8`,
  )
}
