/** How long a text message is, as operators count and charge it. */
import type { SmsContent } from './content.ts'
import { encode } from './providers/smpp-text.ts'

export type SmsLength = {
  /** `GSM`: 160 characters in one segment, 153 in each of several. `UCS2`, with anything Chinese: 70 and 67. */
  encoding: 'GSM' | 'UCS2'
  /** As that encoding counts them: `€` is two in GSM, most emoji two in UCS-2. */
  characters: number
  segments: number
}

/** With the signature in front, as it arrives. Undefined: a template of the provider's, whose words only it knows. */
export function smsLength({ sign, content }: SmsContent): SmsLength | undefined {
  if (content === undefined) return undefined
  const text = sign === undefined ? content : `【${sign}】${content}`
  const { dataCoding, whole, parts } = encode(text, 'auto')
  return dataCoding === 0
    ? { encoding: 'GSM', characters: whole.length, segments: parts.length }
    : { encoding: 'UCS2', characters: whole.length / 2, segments: parts.length }
}
