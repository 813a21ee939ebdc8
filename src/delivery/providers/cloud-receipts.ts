/** What the callbacks of the SMS clouds have in common. Neither cloud signs them: a secret in the address proves them. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { Temporal } from 'temporal-polyfill'
import type { Callback } from '../channel.ts'

const KEY_LENGTH = 16

/** Reads `callbackKey` of a channel's URL; undefined, and every callback is refused, when there is none. */
export function readCallbackKey(query: Record<string, string>, mistake: (message: string) => void): string | undefined {
  const key = query['callbackKey'] || undefined
  if (key !== undefined && key.length < KEY_LENGTH)
    mistake(`has a callbackKey of fewer than ${KEY_LENGTH} characters; write e.g. what \`openssl rand -hex 16\` gives`)
  return key
}

/** Whether `?key=` of the call is the channel's key; takes the same time for every wrong one. */
export function isGenuine(callbackKey: string | undefined, { query }: Callback): boolean {
  if (callbackKey === undefined) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(query.get('key') ?? ''), digest(callbackKey))
}

/** The entries of a callback's body: a JSON list of objects. Throws for anything else. */
export function readEntries({ body }: Callback): Record<string, unknown>[] {
  const list: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  if (!Array.isArray(list)) throw new Error('is no list')
  return list.map((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) throw new Error('contains what is no object')
    return entry as Record<string, unknown>
  })
}

/** What a receipt says besides its state, as far as the cloud says anything: words, and the time in Beijing. */
export function told(words: (string | undefined)[], time: string | undefined): { why?: string; at?: Date } {
  const why = words.filter(Boolean).join(': ')
  const at = beijingTime(time)
  return { ...(why === '' ? {} : { why }), ...(at === undefined ? {} : { at }) }
}

/** `yyyy-MM-dd HH:mm:ss` in the zone of both clouds' consoles; undefined for anything else. */
function beijingTime(text: string | undefined): Date | undefined {
  try {
    const time = Temporal.PlainDateTime.from((text ?? '').replace(' ', 'T'), { overflow: 'reject' })
    return new Date(time.toZonedDateTime('Asia/Shanghai').epochMilliseconds)
  } catch {
    return undefined
  }
}
