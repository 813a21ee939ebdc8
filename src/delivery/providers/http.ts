import { provider, type Outcome, type Parcel, type RetryCause } from '../channel.ts'
import { readAnswer } from './http-answer.ts'
import { exchange, type Reply, type Request } from './http-exchange.ts'
import { readReceipts } from './http-receipts.ts'
import { httpSettings, type HttpSettings } from './http-settings.ts'
import { afterSeconds, CAUSES, hide, mayBeTaken, redirectWords, wordsOf } from './http-status.ts'
import { isJson, variablesOf } from './http-template.ts'

const CONTENT_TYPES = {
  json: 'application/json; charset=utf-8',
  form: 'application/x-www-form-urlencoded; charset=utf-8',
}
/**
 * SMS through a vendor's own HTTP API, told by configuration alone. Its address may be any, unlike a webhook's
 * (address-guard.ts): nobody but the operator can name or change it, and gateways often stand on the hospital's own network.
 */
export const http = provider<HttpSettings>({
  schemes: ['http', 'https'],
  summary:
    "SMS through a vendor's own HTTP API. The query is the gateway's, except for names that start with `posthouse.`: " +
    '`method` (POST or GET), `type` of the body (`json` or `form`), `body`, `header.<Name>`, `ok` (left out or `status`: any 2xx, ' +
    'so that a vendor that refuses under HTTP 200 needs another; ' +
    '`code=0|200` for a member of the JSON answer, `text^=OK` for how a plain one begins), `permanent` (the same, for answers ' +
    'after which it is never tried again), `throttled` (for "slower"), `unavailable` (for "nobody gets through": our login, our ' +
    'credit). An answer in which `ok` finds nothing to look at, and HTTP 500 unless its JSON has another value there, may mean that ' +
    'the SMS was taken: it is tried again, and no other member of a failover gets it. Further there are `receipt` (`data.id`, ' +
    'or `text^=OK:` for what follows) and `takes` (`content` or `templateData`). Body, headers and query are Liquid with `phone` (without +86), `address` (with), `text`, `sign`, ' +
    '`templateId`, `params`, `id` (the same at every attempt, for the gateway to drop repeats by) and `messageId`, escaped for ' +
    'where they stand; `{{ params | json }}` gives JSON. `user:password@` becomes HTTP Basic; write `%26` for `&`, `%2B` for `+`, ' +
    '`%23` for `#`. Receipts are read from what the gateway calls at `/callbacks/<channel id>?key=…` (JSON, a form or a query) once ' +
    'there are `posthouse.receipts.key` (or `keyHeader`, the header that carries the key instead), `receipt` (where its id ' +
    'stands) or `id` (where it repeats ours), and `delivered` (`status=DELIVRD|0`); `undelivered` and `pending` are tests as ' +
    'well, without which all others count as undelivered. `list` is where several stand (a list as the whole body is seen ' +
    'without it), `phone` where the number, `why` where the reason, `answer` what the gateway wants to hear (`OK`).',
  example:
    'https://user:password@gateway.example.org/send?posthouse.ok=code=0&posthouse.permanent=code=4001|4002' +
    '&posthouse.receipt=data.id&posthouse.receipts.key=RANDOM_32_CHARACTERS&posthouse.receipts.receipt=msgId' +
    '&posthouse.receipts.delivered=status=DELIVRD&posthouse.body={"ref":"{{ id }}","mobile":"{{ phone }}","text":"【{{ sign }}】{{ text }}"}',
  kinds: ['sms'],
  takes: ({ takes }) => takes,
  callbackKey: ({ receipts }) => receipts?.key,
  settings: httpSettings,
  open: (settings) => ({
    async send(parcel, signal) {
      const made = requestFor(settings, parcel)
      if ('outcome' in made) return made
      const hidden = [...settings.secrets, parcel.address, parcel.address.replace(/^\+86/, '')]
      // A redirect would carry the login and the patient's number to wherever the answer says, so none is followed.
      const reply = await exchange(made.url, made.request, signal)
      if ('cause' in reply) return { outcome: 'retry', cause: reply.cause, why: hide(reply.why, hidden) }
      return outcomeOf(settings, reply, hidden)
    },
    ...(settings.receipts === undefined ? {} : { readReceipts: readReceipts.bind(undefined, settings.receipts) }),
    async close() {},
  }),
})

function requestFor(settings: HttpSettings, parcel: Parcel): { url: URL; request: Request } | Outcome {
  const { method, type, address, query, headers, body, login, takes } = settings
  const variables = variablesOf(parcel)
  // The channel may have taken another form when the message was accepted.
  if ((takes === 'content' ? variables.text : variables.templateId) === null)
    return cannot(`has no ${takes}, and this gateway takes nothing else`)
  try {
    const sent: Record<string, string> = { 'user-agent': 'Posthouse', accept: '*/*' }
    if (body !== undefined) sent['content-type'] = CONTENT_TYPES[type]
    if (login !== undefined) sent['authorization'] = `Basic ${login}`
    for (const [name, value] of headers) sent[name.toLowerCase()] = value.fill(variables)
    const pairs = query.map(([name, value]) => `${encode(name)}=${encode(value.fill(variables))}`)
    const url = new URL(pairs.length === 0 ? address : `${address}?${pairs.join('&')}`)
    const filled = body?.fill(variables)
    if (filled === undefined) return { url, request: { method, headers: sent } }
    if (type === 'json' && !isJson(filled)) return cannot('makes posthouse.body something that is not JSON')
    // Of a form only the operator's own words are still as they were written.
    const payload = type === 'json' ? filled : filled.replace(/[^\x21-\x7e]+/gu, encode)
    return { url, request: { method, headers: sent, body: payload } }
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

/**
 * What an answer means. What the operator has named comes first, then what the status says by itself, then `ok`. Only a
 * gateway that clearly says no has not taken the message: a 2xx in which `ok` finds nothing to look at, or that broke
 * off, leaves that open, and so does a 500, unless its JSON has another value than that of success.
 */
function outcomeOf(settings: HttpSettings, reply: Reply, hidden: string[]): Outcome {
  const { status, headers, isWhole } = reply
  const answer = readAnswer(reply)
  const isSuccess = status >= 200 && status < 300
  const retry = (cause: RetryCause, why: string): Outcome => ({
    outcome: 'retry',
    cause,
    why,
    ...afterSeconds(headers['retry-after']),
  })
  if (status >= 300 && status < 400) return retry('unavailable', redirectWords(status, headers.location, hidden))
  const why = wordsOf(status, answer.text, hidden)
  if (settings.throttled(answer)) return retry('throttled', why)
  if (settings.unavailable(answer)) return retry('unavailable', why)
  const cause = CAUSES[status]
  if (cause !== undefined) return retry(cause, why)
  if (settings.permanent(answer) || (status >= 400 && status < 500))
    return { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
  const isOk = settings.ok(answer)
  if (!isSuccess) {
    const saysNo = isOk === false && typeof answer.json === 'object'
    return retry(mayBeTaken(status) && !saysNo ? 'ambiguous' : 'temporary', why)
  }
  if (isOk) {
    const receipt = settings.receipt(answer)
    return receipt === undefined ? { outcome: 'sent' } : { outcome: 'sent', receipt }
  }
  const saysNo = isWhole && isOk === false && answer.text !== ''
  return retry(saysNo ? 'temporary' : 'ambiguous', why)
}
