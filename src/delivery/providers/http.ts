import { provider, type Outcome, type Parcel } from '../channel.ts'
import { readAnswer, type Answer } from './http-answer.ts'
import { httpSettings, type HttpSettings } from './http-settings.ts'
import { isJson, variablesOf } from './http-template.ts'

const WORDS_LENGTH = 300
const CONTENT_TYPES = {
  json: 'application/json; charset=utf-8',
  form: 'application/x-www-form-urlencoded; charset=utf-8',
}
/** What may pass: 401 and 407 are about our own login, which somebody can mend; the others say so by their meaning. */
const NOT_NOW = [401, 407, 408, 425, 429, 503]

/** SMS through a vendor's own HTTP API, told by configuration alone. */
export const http = provider<HttpSettings>({
  schemes: ['http', 'https'],
  summary:
    "SMS through a vendor's own HTTP API. The query is the gateway's, except for names that start with `posthouse.`: " +
    '`method` (POST or GET), `type` of the body (`json` or `form`), `body`, `header.<Name>`, `ok` (`status` for any 2xx, ' +
    '`code=0|200` for a member of the JSON answer, `text^=OK` for how a plain one begins), `permanent` (the same, for answers ' +
    'after which it is never tried again), `receipt` (`data.id`, or `text^=OK:` for what follows) and `takes` (`content` or ' +
    '`templateData`). Body, headers and query are Liquid with `phone` (without +86), `address` (with), `text`, `sign`, ' +
    '`templateId`, `params`, `id` (the same at every attempt, for the gateway to drop repeats by) and `messageId`, escaped for ' +
    'where they stand; `{{ params | json }}` gives JSON. `user:password@` becomes HTTP Basic; write `%26` for `&`, `%2B` for `+`, ' +
    '`%23` for `#`.',
  example:
    'https://user:password@gateway.example.org/send?posthouse.ok=code=0&posthouse.permanent=code=4001|4002' +
    '&posthouse.receipt=data.id&posthouse.body={"ref":"{{ id }}","mobile":"{{ phone }}","text":"【{{ sign }}】{{ text }}"}',
  kinds: ['sms'],
  takes: ({ takes }) => takes,
  settings: httpSettings,
  open: (settings) => ({
    async send(parcel, signal) {
      const request = requestFor(settings, parcel)
      if ('outcome' in request) return request
      try {
        // A redirect would carry the login and the patient's number to wherever the answer says.
        const response = await fetch(request.url, { ...request.init, redirect: 'manual', signal })
        return outcomeOf(settings, await readAnswer(response, signal), response.headers)
      } catch (error) {
        return { outcome: 'retry', why: hide(settings, whyOf(error as Error)) }
      }
    },
    async close() {},
  }),
})

function requestFor(settings: HttpSettings, parcel: Parcel): { url: string; init: RequestInit } | Outcome {
  const { method, type, address, query, headers, body, login, takes } = settings
  const variables = variablesOf(parcel)
  // The channel may have taken another form when the message was accepted.
  if ((takes === 'content' ? variables.text : variables.templateId) === null)
    return cannot(`has no ${takes}, and this gateway takes nothing else`)
  try {
    const sent = new Headers({ 'user-agent': 'Posthouse' })
    if (body !== undefined) sent.set('content-type', CONTENT_TYPES[type])
    if (login !== undefined) sent.set('authorization', `Basic ${login}`)
    for (const [name, value] of headers) sent.set(name, value.fill(variables))
    const pairs = query.map(([name, value]) => `${encode(name)}=${encode(value.fill(variables))}`)
    const url = pairs.length === 0 ? address : `${address}?${pairs.join('&')}`
    const filled = body?.fill(variables)
    if (filled === undefined) return { url, init: { method, headers: sent } }
    if (type === 'json' && !isJson(filled)) return cannot('makes posthouse.body something that is not JSON')
    // Of a form only the operator's own words are still as they were written.
    const payload = type === 'json' ? filled : filled.replace(/[^\x21-\x7e]+/gu, encode)
    return { url, init: { method, headers: sent, body: payload } }
  } catch (error) {
    return cannot(`does not fill the gateway's templates: ${(error as Error).message.split('\n')[0]}`)
  }
}

function cannot(why: string): Outcome {
  return { outcome: 'failed', reason: 'INVALID_CONTENT', why }
}

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

function outcomeOf(settings: HttpSettings, answer: Answer, headers: Headers): Outcome {
  const { status } = answer
  const isSuccess = status >= 200 && status < 300
  if (isSuccess && settings.ok(answer)) {
    const receipt = settings.receipt(answer)
    return receipt === undefined ? { outcome: 'sent' } : { outcome: 'sent', receipt }
  }
  const refused = (why: string): Outcome => ({ outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why })
  if (status >= 300 && status < 400) return refused(hide(settings, redirectWords(status, headers.get('location'))))
  // Hidden before it is cut, or a key that the cut goes through would be left standing by half.
  const words = [...hide(settings, answer.text)].slice(0, WORDS_LENGTH).join('')
  const why = `HTTP ${status}${words === '' ? ' without a word' : `: ${words}`}`
  if (!NOT_NOW.includes(status) && (settings.permanent(answer) || (status >= 400 && status < 500))) return refused(why)
  const afterSeconds = secondsUntil(headers.get('retry-after'))
  return { outcome: 'retry', why, ...(afterSeconds === undefined ? {} : { afterSeconds }) }
}

function redirectWords(status: number, location: string | null): string {
  const target = location === null ? '' : ` to ${location.replace(/[?#].*$/s, '').slice(0, WORDS_LENGTH)}`
  return `HTTP ${status} redirects${target}, and redirects are not followed; write the final address in the channel's URL`
}

/** `Retry-After` is a number of seconds or a date. */
function secondsUntil(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined
  const seconds = /^\s*\d+\s*$/.test(retryAfter)
    ? Number(retryAfter)
    : Math.ceil((Date.parse(retryAfter) - Date.now()) / 1_000)
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : undefined
}

function hide({ secrets }: HttpSettings, text: string): string {
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, '[hidden]'), text)
}

/** What `fetch` says is only that it failed; why, its cause tells. */
function whyOf(error: Error): string {
  const { message = '', code = '' } = (error.cause ?? {}) as { message?: string; code?: string }
  const hint = /CERT|SELF_SIGNED|ISSUER/.test(code)
    ? '; name its authority in a file and that in NODE_EXTRA_CA_CERTS'
    : ''
  return `no answer: ${message || code || error.message}${hint}`
}
