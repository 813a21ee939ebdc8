/** What of a receiver's words may be kept: nothing of whom a delivery was for, or of what it said. */
import { phone } from '../../directory/address.ts'
import type { Parcel } from '../channel.ts'
import { wordsOf } from './http-status.ts'

/** So many bytes in a row, four characters of Chinese, are no chance: the answer repeats the content. What is shorter is hidden. */
const TELLING_BYTES = 12
/** A single character is in nearly every answer, and tells nothing. */
const SHORTEST_HIDDEN = 2
const MAINLAND = '+86'

/** An answer in words that can be stored, whoever may read them there. */
export function wordsFor(status: number, body: string, { address, content }: Parcel): string {
  const text = plain(body)
  const said = textsIn(content).map(plain)
  if (text.includes('posthouse.delivery') || repeats(text, said))
    return `HTTP ${status}, in words that repeat the request and so are not kept`
  const short = said.filter((one) => one.length >= SHORTEST_HIDDEN && Buffer.byteLength(one) < TELLING_BYTES)
  const hidden = [...spellings(address), ...short].toSorted((a, b) => b.length - a.length)
  return wordsOf(status, text, hidden)
}

/** Without the codes of JSON and of URLs, in which an answer may repeat something. */
function plain(text: string): string {
  return text
    .replace(/\\+u([\da-f]{4})/gi, (_code, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/(?:%[\da-f]{2})+/gi, (code) => {
      try {
        return decodeURIComponent(code)
      } catch {
        return code
      }
    })
}

/** Every text and number in a content, however deep. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value)]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}

/** Whether a telling piece of what was said stands in the text. */
function repeats(text: string, said: readonly string[]): boolean {
  const pieces = new Set(said.flatMap(piecesOf))
  return piecesOf(text).some((piece) => pieces.has(piece))
}

function piecesOf(text: string): string[] {
  const bytes = Buffer.from(text).toString('latin1')
  const count = Math.max(bytes.length - TELLING_BYTES + 1, 0)
  return Array.from({ length: count }, (_, at) => bytes.slice(at, at + TELLING_BYTES))
}

/** An address, and of a number what is left without `+` or country code. A post into a group has none to hide. */
function spellings(address: string): string[] {
  if (address === '*') return []
  const number = phone(address)
  if (number === undefined) return [address]
  const national = number.startsWith(MAINLAND) ? [number.slice(MAINLAND.length)] : []
  return [address, number, number.slice(1), ...national]
}
