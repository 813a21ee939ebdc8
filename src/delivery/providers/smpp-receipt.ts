/** Delivery receipts as they come in `deliver_sm`: their text (SMPP 3.4, appendix B) and their TLVs (5.3.2). */
import type { Pdu } from 'smpp'
import type { Receipt } from '../channel.ts'

/** `esm_class`: bits 2 to 5 are the type of message, and this one is a receipt (SMPP 3.4, 5.2.12). */
const TYPE_BITS = 0x3c
const RECEIPT_TYPE = 0x04

type State = Receipt['state']

/** By the word in the text. Any other, such as ENROUTE or ACCEPTD, is on the way and tells nothing yet. */
const BY_WORD: Record<string, State> = {
  DELIVRD: 'delivered',
  UNDELIV: 'undelivered',
  EXPIRED: 'undelivered',
  REJECTD: 'undelivered',
  DELETED: 'undelivered',
  UNKNOWN: 'undelivered',
  // Not of the specification, but some write the words whole.
  DELIVERED: 'delivered',
  REJECTED: 'undelivered',
}
/** `message_state` as the words of the text. */
const WORDS = ['SCHEDULED', 'ENROUTE', 'DELIVRD', 'EXPIRED', 'DELETED', 'UNDELIV', 'ACCEPTD', 'UNKNOWN', 'REJECTD']

/** How the ids of the receipts are written when not as in the answers to `submit_sm`, which then use the other notation. */
export type IdNotation = 'same' | 'hex' | 'decimal'

/** What a receipt says; `state` undefined: on the way. */
export type PartReceipt = { id: string; state: State | undefined; why?: string; at?: Date }

export function isReceipt(pdu: Pdu): boolean {
  return ((pdu['esm_class'] as number) & TYPE_BITS) === RECEIPT_TYPE
}

/** Reads a receipt; undefined when it does not tell of which message. `offset`, as `+08:00`, is the zone of its times. */
export function readReceipt(pdu: Pdu, notation: IdNotation, offset: string | undefined): PartReceipt | undefined {
  const text = textOf(pdu)
  // A TLV has the id as it was given out; only the text is known to turn it into the other notation.
  const fromTlv = printable(pdu['receipted_message_id'])
  const id = fromTlv === '' ? asGivenOut(/\bid:\s*(\S+)/i.exec(text)?.[1] ?? '', notation) : fromTlv
  if (id === '') return undefined
  const number = pdu['message_state']
  const word = (typeof number === 'number' ? WORDS[number] : undefined) ?? /\bstat:\s*(\w+)/i.exec(text)?.[1] ?? ''
  const state = BY_WORD[word.toUpperCase()]
  const error = /\berr:\s*(\w+)/i.exec(text)?.[1]
  const at =
    offset === undefined ? undefined : timeOf(/\bdone ?date:\s*(\d{14}|\d{12}|\d{10})\b/i.exec(text)?.[1] ?? '', offset)
  return {
    id,
    state,
    ...(state === 'undelivered' ? { why: error === undefined ? word : `${word} err:${error}` } : {}),
    ...(at === undefined ? {} : { at }),
  }
}

/** The form under which a message id is kept: the one in which it is given out, without the freedom its notation leaves. */
export function asKept(id: string, notation: IdNotation): string {
  if (notation === 'decimal' && /^[\da-f]+$/i.test(id)) return BigInt(`0x${id}`).toString(16)
  if (notation === 'hex' && /^\d+$/.test(id)) return BigInt(id).toString()
  return id
}

/** An id from the text of a receipt, turned into the notation of the answers. */
function asGivenOut(id: string, notation: IdNotation): string {
  if (notation === 'decimal' && /^\d+$/.test(id)) return BigInt(id).toString(16)
  if (notation === 'hex' && /^[\da-f]+$/i.test(id)) return BigInt(`0x${id}`).toString()
  return id
}

/** Without the first words of the message at its end, which can say anything. */
function textOf(pdu: Pdu): string {
  const bytes = [pdu['short_message'], pdu['message_payload']].find((part) => Buffer.isBuffer(part) && part.length > 0)
  return Buffer.isBuffer(bytes) ? bytes.toString('latin1').replace(/\btext:.*$/is, '') : ''
}

/** Up to the first control character: where the end of a TLV's text is not marked, the package reads on into the next. */
function printable(value: unknown): string {
  return typeof value === 'string' ? (/^[\x21-\x7e]*/.exec(value)?.[0] ?? '') : ''
}

/** `YYMMDDhhmm`, with seconds or with the century before it. */
function timeOf(digits: string, offset: string): Date | undefined {
  const full = digits.length === 14 ? digits : `20${digits.padEnd(12, '0')}`
  const iso = full.replace(/^(....)(..)(..)(..)(..)(..)$/, `$1-$2-$3T$4:$5:$6${offset}`)
  const at = new Date(iso)
  return Number.isNaN(at.getTime()) ? undefined : at
}
