/** How many short messages a content makes: what an SMS provider charges for. */
import type { SmsContent } from './content.ts'
import { encode } from './providers/smpp-text.ts'

/**
 * Segments of one SMS to one recipient: 160 or 70 characters alone, 153 or 67 a part of several (GSM 03.38, UCS-2). The
 * sign counts, in the brackets that providers put it in. What only a provider's template says is not known here: one.
 */
export function segmentsOf({ sign, content }: SmsContent): number {
  if (content === undefined) return 1
  return encode(`${sign === undefined ? '' : `【${sign}】`}${content}`, 'auto').parts.length
}
