/** A text as short messages carry it: GSM 03.38 or UCS-2, and in parts when it is long (3GPP TS 23.038 and 23.040). */

/** `data_coding` of SMPP: the SMSC's default alphabet, and UCS-2. */
const GSM = 0
const UCS2 = 8

/** The basic alphabet in the order of its codes. 0x1B is the escape to the extension, and no character of its own. */
const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà'
const ESCAPE = 0x1b
/** The extension: each of these takes two places, the escape and this code. */
const EXTENSION: Record<string, number> = {
  '\f': 0x0a,
  '^': 0x14,
  '{': 0x28,
  '}': 0x29,
  '\\': 0x2f,
  '[': 0x3c,
  '~': 0x3d,
  ']': 0x3e,
  '|': 0x40,
  '€': 0x65,
}
const CODES = new Map<string, number[]>([
  ...[...BASIC].flatMap((character, code): [string, number[]][] => (code === ESCAPE ? [] : [[character, [code]]])),
  ...Object.entries(EXTENSION).map(([character, code]): [string, number[]] => [character, [ESCAPE, code]]),
])

/**
 * How many bytes a message holds, alone and as one part of several. GSM: SMPP has a byte for each of the 160 or 153
 * seven-bit characters, and the SMSC packs them. UCS-2: 70 or 67 characters of two bytes.
 */
const ROOM = { [GSM]: { alone: 160, part: 153 }, [UCS2]: { alone: 140, part: 134 } }

export type Encoding = 'auto' | 'ucs2'
/** `parts` are one when the text fits into one message; `whole` is the same in one piece. */
type Encoded = { dataCoding: number; whole: Buffer; parts: Buffer[] }

/** GSM when every character is in it, unless UCS-2 is asked for. No part ends within a surrogate pair or an escape. */
export function encode(text: string, encoding: Encoding): Encoded {
  const characters = [...text.toWellFormed()]
  const isGsm = encoding === 'auto' && characters.every((character) => CODES.has(character))
  const dataCoding = isGsm ? GSM : UCS2
  const units = characters.map((character) => (isGsm ? Buffer.from(CODES.get(character) ?? []) : bigEndian(character)))
  const whole = Buffer.concat(units)
  const { alone, part } = ROOM[dataCoding]
  return { dataCoding, whole, parts: whole.length <= alone ? [whole] : split(units, part) }
}

/**
 * A part with the header by which handsets put the parts together: 8-bit reference, number of parts, this one's number
 * from 1 (TS 23.040, 9.2.3.24.1).
 */
export function withHeader(part: Buffer, reference: number, total: number, number: number): Buffer {
  return Buffer.concat([Buffer.of(5, 0, 3, reference & 0xff, total, number), part])
}

function bigEndian(character: string): Buffer {
  return Buffer.from(character, 'utf16le').swap16()
}

function split(units: Buffer[], room: number): Buffer[] {
  const parts: Buffer[][] = [[]]
  let used = 0
  for (const unit of units) {
    if (used + unit.length > room) {
      parts.push([])
      used = 0
    }
    parts.at(-1)?.push(unit)
    used += unit.length
  }
  return parts.map((part) => Buffer.concat(part))
}
