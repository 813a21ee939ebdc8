import { createHmac } from 'node:crypto'
import { Agent as PlainAgent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import { z } from 'zod'
import { provider, type ChannelUrl, type Outcome, type Parcel } from '../channel.ts'
import { makeGuard, readAllowed, type Guard } from './address-guard.ts'
import { madeAt } from './delivery-id.ts'
import { exchange, type Lost, type Reply, type Request } from './http-exchange.ts'
import { afterSeconds, CAUSES } from './http-status.ts'
import { wordsFor } from './webhook-words.ts'

const OPTIONS = ['secret', 'allow']
/** Standard Webhooks asks for 24 to 64 bytes. */
const SECRET_BYTES = { least: 24, most: 64 }
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/
/** A receiver that has moved says so with one of these, which keep method and body. */
const REDIRECTS = [307, 308]
const REDIRECTS_AT_MOST = 3
/** Ours to mend, in the receiver's settings or in the URL: nobody's deliveries get through meanwhile. */
const OURS = [401, 403, 404]
/** A receiver that fails over a delivery may have acted on it before; and it drops repeats by `webhook-id`. */
const FAILED_OVER_IT = 500
/** A firewall forgets connections that are idle, and what is then sent over them waits for an answer in vain. */
const IDLE_MS = 5_000

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  const { secret = '', allow } = url.query
  if (url.host === '') mistake(`names no receiver; write ${url.scheme}://hooks.example.org/path?secret=whsec_…`)
  const secrets = secret.split(',').map((one) => keyOf(one.trim()))
  if (url.host !== '' && secrets.includes(undefined))
    mistake(
      'needs ?secret=whsec_… (several with commas while you rotate); make one with `echo whsec_$(openssl rand -base64 32)`, `+` written as %2B',
    )
  const allowed = allow === undefined ? { networks: [], hosts: [] } : readAllowed(allow)
  if (allowed === undefined)
    mistake(`has an unusable allow=${allow}; write networks or names, e.g. allow=10.2.0.0/16,hooks.internal`)
  if (url.user !== undefined || url.password !== undefined)
    mistake('has a user, which webhooks do not use; the signature proves who calls')
  const target = targetOf(url)
  if (url.host !== '' && target === undefined)
    mistake(`names a host that is none, ${url.host}; write ${url.scheme}://hooks.example.org/path?secret=whsec_…`)
  return {
    target: target ?? new URL('https://localhost'),
    secrets: secrets.filter((one) => one !== undefined),
    allowed: allowed ?? { networks: [], hosts: [] },
  }
})

/** Whom to call, path and query as they were written, since the receiver may read them to the letter; without our own. */
function targetOf({ scheme, host, port, written }: ChannelUrl): URL | undefined {
  const theirs = written.query.split('&').filter((one) => !OPTIONS.some((name) => new URLSearchParams(one).has(name)))
  const query = theirs.join('&')
  const origin = `${scheme.replace('webhook+', '')}://${host}${port === undefined ? '' : `:${port}`}`
  return URL.parse(`${origin}${written.path}${query === '' ? '' : `?${query}`}`) ?? undefined
}

/** A POST of each delivery to a URL, signed as Standard Webhooks has it, with the delivery id as `webhook-id`. */
export const webhook = provider({
  schemes: ['webhook+https', 'webhook+http'],
  summary:
    'A signed POST of each delivery to a URL of yours (Standard Webhooks). The body is ' +
    '`{"type":"posthouse.delivery","timestamp":…,"data":{"deliveryId":…,"messageId":…,"address":…,"content":…}}`, without an address for a ' +
    'group chat; `webhook-id` is the delivery id, the same at every attempt, for the receiver to drop repeats by. `secret=whsec_<base64>` ' +
    'signs (24 to 64 bytes; two with a comma between them while you rotate; `%2B` for `+`); path and all other parameters are the receiver’s, as written. 2xx is ' +
    'sent, 410 and other 4xx are final, but for 401, 403 and 404, which are ours to mend, and 408, 425, 429; after 500, 502 and 504 it may have taken the delivery, and gets it again. Addresses of this machine, of private networks ' +
    'and of cloud metadata are not called, whatever a name resolves to or a redirect says, unless `allow=10.2.0.0/16,hooks.internal` names them. ' +
    'It carries SMS as channel 1001 and mail as 1003; as any other it is a post, one a message.',
  example: 'webhook+https://hooks.example.org/posthouse?secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  kinds: ['chat', 'sms', 'mail'],
  settings,
  open: ({ target, secrets, allowed }) => {
    const guard = makeGuard(allowed)
    // Of its own: a connection that somebody else has opened without the guard must not be reused.
    const agents = {
      'https:': new TlsAgent({ keepAlive: true, timeout: IDLE_MS, lookup: guard.lookup }),
      'http:': new PlainAgent({ keepAlive: true, timeout: IDLE_MS, lookup: guard.lookup }),
    }
    return {
      async send(parcel, signal) {
        const request = signed(bodyOf(parcel), parcel.id, secrets)
        const reply = await post(target, request, guard, agents, signal)
        return read(reply, parcel)
      },
      async close() {
        for (const agent of Object.values(agents)) agent.destroy()
      },
    }
  },
})

/** The key in `whsec_<base64>`; undefined when it is none. */
function keyOf(secret: string): Buffer | undefined {
  const [, base64] = SECRET.exec(secret) ?? []
  const key = Buffer.from(base64 ?? '', 'base64')
  return key.length >= SECRET_BYTES.least && key.length <= SECRET_BYTES.most ? key : undefined
}

/** Every attempt has the same bytes: the time in it is that of the delivery, which its id begins with (UUIDv7). */
function bodyOf({ id, messageId, address, content }: Parcel): string {
  const timestamp = madeAt(id).toISOString()
  const whom = address === '*' ? {} : { address }
  return JSON.stringify({
    type: 'posthouse.delivery',
    timestamp,
    data: { deliveryId: id, messageId, ...whom, content },
  })
}

/** One signature a secret, over id, time and body. */
function signed(body: string, id: string, secrets: readonly Buffer[]): Request {
  const seconds = Math.floor(Date.now() / 1_000)
  const signatures = secrets.map((secret) => {
    const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64')
    return `v1,${signature}`
  })
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Posthouse',
      'webhook-id': id,
      'webhook-timestamp': String(seconds),
      'webhook-signature': signatures.join(' '),
    },
    body,
  }
}

type Agents = { 'https:': TlsAgent; 'http:': PlainAgent }

/** Calls, and follows where the receiver says it has moved: each place as guarded as the first, and none less private. */
async function post(
  url: URL,
  request: Request,
  guard: Guard,
  agents: Agents,
  signal: AbortSignal,
): Promise<Reply | Lost> {
  for (let at = url, hops = 0; ; hops++) {
    const refusal = guard.refuses(at.hostname)
    if (refusal !== undefined) return { cause: 'unavailable', why: refusal }
    const reply = await exchange(at, request, signal, agents[at.protocol as keyof Agents])
    if ('cause' in reply || !REDIRECTS.includes(reply.status)) return reply
    const next = URL.parse(reply.headers.location ?? '', at)
    if (next === null || !(next.protocol in agents)) return { cause: 'unavailable', why: 'redirects to nowhere' }
    if (at.protocol === 'https:' && next.protocol === 'http:')
      return { cause: 'unavailable', why: 'redirects from https to http, which is not followed' }
    if (hops === REDIRECTS_AT_MOST)
      return { cause: 'unavailable', why: `redirects more than ${REDIRECTS_AT_MOST} times` }
    at = next
  }
}

function read(reply: Reply | Lost, parcel: Parcel): Outcome {
  if ('cause' in reply) return { outcome: 'retry', cause: reply.cause, why: reply.why }
  const { status, headers, body } = reply
  if (status >= 200 && status < 300) return { outcome: 'sent' }
  const why = wordsFor(status, body.toString(), parcel)
  const retry = (cause: Extract<Outcome, { outcome: 'retry' }>['cause']): Outcome => ({
    outcome: 'retry',
    cause,
    why,
    ...afterSeconds(headers['retry-after']),
  })
  if (status >= 300 && status < 400) return retry('unavailable')
  if (OURS.includes(status)) return retry('unavailable')
  const cause = status === FAILED_OVER_IT ? 'ambiguous' : CAUSES[status]
  if (cause !== undefined) return retry(cause)
  return status >= 500 ? retry('temporary') : { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
}
