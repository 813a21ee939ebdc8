/**
 * The door behind the link of a mail. A look changes nothing, since programs that check mail for bad links look too; one
 * click is a POST (RFC 8058), from a mail program or from the button of the page, and does nothing twice.
 */
import type { Context } from '../context.ts'
import { Refusal } from '../errors.ts'
import { readLinked, switchByLink } from './linked.ts'
import { page, PAGE_HEADERS, type Shown } from './page.ts'
import { readUnsubscribing } from './unsubscribe-link.ts'

const HTML = 'text/html; charset=utf-8'

/** A request as the server has it: the body is read only if somebody wants it, and refused when it is too large. */
export type UnsubscribeCall = {
  method: string
  headers: Record<string, string | undefined>
  body(): Promise<Uint8Array>
}

type UnsubscribeAnswer = { status: number; contentType: string; headers: Record<string, string>; body: string }

/** Answers with a page, whatever happens. */
export async function unsubscribe(context: Context, token: string, call: UnsubscribeCall): Promise<UnsubscribeAnswer> {
  const { method } = call
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST')
    return answer(405, { state: 'unreadable' }, { allow: 'GET, HEAD, POST' })
  const link = await readUnsubscribing(context, token)
  if (link === undefined) return answer(404, { state: 'unknown' })
  try {
    const wanted = method === 'POST' ? await readWanted(call) : undefined
    if (wanted === null) return answer(400, { state: 'unreadable' })
    if (wanted !== undefined) await switchByLink(context.db, link, wanted)
    const found = await readLinked(context.db, link)
    if (found === undefined) return answer(404, { state: 'unknown' })
    const { isMandatory, isOn, name } = found
    const state = isMandatory ? 'mandatory' : isOn ? 'on' : 'off'
    const kind = context.channels.get(link.channelId)?.kind
    return answer(200, { state, msgType: name ?? link.msgType, kind, isBack: wanted === true })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return answer(error.kind.status, { state: 'unreadable' })
  }
}

/** Whether a POST wants it on again (true), or off. Null: it says neither. */
async function readWanted({ headers, body }: UnsubscribeCall): Promise<boolean | null> {
  const bytes = (await body()) as Uint8Array<ArrayBuffer>
  const type = headers['content-type'] ?? 'application/x-www-form-urlencoded'
  const form = await new Response(bytes, { headers: { 'content-type': type } }).formData().catch(() => undefined)
  if (form?.get('List-Unsubscribe') === 'One-Click') return false
  return form?.get('act') === 'on' ? true : null
}

function answer(status: number, shown: Shown, more: Record<string, string> = {}): UnsubscribeAnswer {
  return { status, contentType: HTML, headers: { ...PAGE_HEADERS, ...more }, body: page(shown) }
}
