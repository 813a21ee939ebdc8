/**
 * What the group robots of chat vendors have in common: a webhook whose token is its key, at most a signature besides,
 * refusals that come with HTTP 200 and a code, and nothing by which a post sent twice would be recognised.
 */
import { z } from 'zod'
import type { ChannelUrl, Outcome, RetryCause, Size } from '../channel.ts'
import { callJson, readEndpoint } from './http-call.ts'
import { refuseUnknown } from './known-options.ts'

const MAINLAND = '+86'
/** A shorter beginning of a token is no part of it that anybody could use. */
const TELLING_LENGTH = 4

export type Robot = { token: string; secret: string | undefined; endpoint: URL }

/** Reads `scheme://TOKEN:SECRET@default?endpoint=…`; `form` is how to write it, and tells whether there is a secret. */
export function robotSettings(standardHost: string, form: string): z.ZodType<Robot, ChannelUrl> {
  return z.custom<ChannelUrl>().transform((url, context) => {
    const mistake = (message: string) => context.addIssue({ code: 'custom', message })
    refuseUnknown(url, ['endpoint'], mistake)
    if (!url.user) mistake(`has no token; write ${form}`)
    if (url.password && !form.includes(':SECRET@')) mistake(`has a secret, which these robots do not; write ${form}`)
    const endpoint = url.host === '' ? undefined : readEndpoint(url, standardHost, mistake)
    return {
      token: url.user ?? '',
      secret: url.password || undefined,
      endpoint: endpoint ?? new URL(`https://${standardHost}`),
    }
  })
}

/** Posts `body`; `read` judges the answer. No word of it, be it the vendor's or of a proxy, gives the token away. */
export async function postAs(
  token: string,
  url: URL,
  body: object,
  signal: AbortSignal,
  read: (answer: Record<string, unknown>) => Outcome,
): Promise<Outcome> {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  const reply = await callJson(url, { method: 'POST', headers, body: JSON.stringify(body) }, signal)
  const outcome = 'outcome' in reply ? reply : read(reply.answer)
  return outcome.outcome === 'sent' ? outcome : { ...outcome, why: hide(token, outcome.why) }
}

/** What a code means that is not final: for how long, and whose matter it is. */
export type Verdict = { cause: RetryCause; afterSeconds?: number }

/** The robot or its URL is not right (any more): ours to mend, so that nothing is lost meanwhile. */
export const ROBOT_REFUSED: Verdict = { cause: 'unavailable' }

/** A refusal: with a verdict to be repeated, else for good. */
export function refusal(code: number, words: string, verdict: Verdict | undefined): Outcome {
  const why = `${code}: ${words}`
  if (verdict === undefined) return { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
  const advice = verdict === ROBOT_REFUSED ? "; check the robot's settings in the chat and the channel's URL" : ''
  return { outcome: 'retry', ...verdict, why: why + advice }
}

/** An answer that tells neither yes nor no. */
export function unreadable(vendor: string): Outcome {
  return { outcome: 'retry', cause: 'ambiguous', why: `${vendor} answered without a code` }
}

/** The end of a post that another robot could have taken: it was accepted before the channel became this one. */
export function tooLarge({ bytes, limit }: Size): Outcome | undefined {
  if (bytes <= limit) return undefined
  return { outcome: 'failed', reason: 'INVALID_CONTENT', why: `makes ${bytes} bytes, and this robot takes ${limit}` }
}

/** As the vendors' directories have it: Chinese numbers without their country code. */
export function memberNumber(number: string): string {
  return number.startsWith(MAINLAND) ? number.slice(MAINLAND.length) : number
}

/** A link in Markdown; the vendors all end its address at the first bracket. */
export function link(website: string): string {
  const address = new URL(website).href.replaceAll('(', '%28').replaceAll(')', '%29')
  return `[查看详情](${address})`
}

/** The parts that there are, with `between` them. */
export function join(between: string, parts: (string | undefined)[]): string {
  return parts.filter((part) => part).join(between)
}

/** Also where an excerpt was cut within the token. */
function hide(token: string, text: string): string {
  const hidden = text.replaceAll(token, '***')
  for (let length = token.length - 1; length >= TELLING_LENGTH; length--)
    if (hidden.endsWith(token.slice(0, length))) return `${hidden.slice(0, -length)}***`
  return hidden
}
