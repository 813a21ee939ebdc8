import { z } from 'zod'
import type { ChannelUrl, SmsForm } from '../channel.ts'
import { readExtract, readTest, type Extract, type Test } from './http-answer.ts'
import { readReceiptSettings, type ReceiptSettings } from './http-receipts.ts'
import { readTemplate, type Escaping, type Template } from './http-template.ts'

export type HttpSettings = {
  method: 'POST' | 'GET'
  type: 'json' | 'form'
  /** Without its query. */
  address: string
  query: Named[]
  headers: Named[]
  body: Template | undefined
  login: string | undefined
  takes: SmsForm
  ok: Test
  permanent: Test
  throttled: Test
  unavailable: Test
  receipt: Extract
  receipts: ReceiptSettings | undefined
  /** Hidden when the gateway repeats them. */
  secrets: string[]
}
type Named = [name: string, value: Template]

const PREFIX = 'posthouse.'
const HEADER = 'posthouse.header.'
const RECEIPTS = 'posthouse.receipts.'
const OPTIONS = ['method', 'type', 'body', 'ok', 'receipt', 'permanent', 'throttled', 'unavailable', 'takes']
/** The connection's own. */
const RESERVED_HEADERS = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]
/** What is written out in query, headers or body and is this long may be a key; hiding shorter words would riddle answers. */
const KEY_LENGTH = 8
const PASSWORD_LENGTH = 4

const TESTS = 'code=0|200 for a member of the JSON answer (a.0.b goes deeper), text=OK, or text^=OK for how it begins'
const always: Test = () => true
const never: Test = () => false

/** Reads a gateway's URL: names that start with `posthouse.` are options, all others are the gateway's own query. */
export const httpSettings = z.custom<ChannelUrl>().transform((url, context): HttpSettings => {
  let isFine = true
  const mistake = (message: string): undefined => {
    isFine = false
    context.addIssue({ code: 'custom', message })
  }
  const option = (name: string) => url.query[PREFIX + name]

  function oneOf<const Words extends readonly [string, ...string[]]>(name: string, words: Words): Words[number] {
    const given = option(name)
    const found = words.find((word) => word.toLowerCase() === given?.toLowerCase())
    if (given !== undefined && found === undefined)
      mistake(`has an unknown ${PREFIX}${name}=${given}; write ${words.join(' or ')}`)
    return found ?? words[0]
  }

  function understood<Read>(name: string, reader: (source: string) => Read | undefined, otherwise: Read, fix: string) {
    const source = option(name)
    const found = source === undefined ? otherwise : reader(source)
    return found ?? mistake(`has ${PREFIX}${name}=${source}, which says nothing; write ${fix}`) ?? otherwise
  }

  function template(name: string, code: string, escaping: Escaping): Template | undefined {
    const read = readTemplate(code, escaping)
    return 'mistake' in read ? mistake(`has ${name}, which ${read.mistake}`) : read
  }

  function named(name: string, value: Template | undefined): Named[] {
    return value === undefined ? [] : [[name, value]]
  }

  const given = Object.entries(url.query)
  if (url.path.length <= 1 && given.length === 0)
    mistake(
      `has neither a path nor options; write ${url.scheme}://gateway.example.org/send, or add ?${PREFIX}ok=status if it is so`,
    )
  for (const [name] of given) {
    if (!name.startsWith(PREFIX) || name.startsWith(HEADER) || name.startsWith(RECEIPTS)) continue
    if (OPTIONS.includes(name.slice(PREFIX.length))) continue
    const known = [...OPTIONS.map((one) => PREFIX + one), `${HEADER}<Name>`, `${RECEIPTS}<name>`]
    mistake(`has an unknown ${name}; write one of ${known.join(', ')}`)
  }

  const method = oneOf('method', ['POST', 'GET'])
  const type = oneOf('type', ['json', 'form'])
  const takes = oneOf('takes', ['content', 'templateData'])
  const ownQuery = given.filter(([name]) => !name.startsWith(PREFIX))
  const ownHeaders = given
    .filter(([name]) => name.startsWith(HEADER))
    .map(([name, code]): [string, string] => [name.slice(HEADER.length), code])
  const query = ownQuery.flatMap(([name, code]) => named(name, template(`${name} in its query`, code, 'none')))
  const headers = ownHeaders.flatMap(([name, code]) => {
    if (!isHeader(name, code)) mistake(`has ${HEADER}${name}, which no request can carry; write a free name and ASCII`)
    return named(name, template(HEADER + name, code, 'url'))
  })
  if (method === 'GET')
    for (const name of ['body', 'type'].filter((name) => option(name) !== undefined))
      mistake(`has ${PREFIX}${name}, but a GET has no body; write ${PREFIX}method=POST, or use the query`)
  const code = option('body') ?? defaultBody(type, takes)
  const body = method === 'GET' ? undefined : template(`${PREFIX}body`, code, type === 'json' ? 'json' : 'url')

  const login = url.user === undefined && url.password === undefined ? undefined : basic(url)
  if (login !== undefined && ownHeaders.some(([name]) => name.toLowerCase() === 'authorization'))
    mistake(`has a user and ${HEADER}Authorization; write one of them only`)

  const parts = [...query, ...headers, ...named('', body)]
  const needs = (what: string, ...names: string[]) => {
    if (!isFine || parts.some(([, { variables }]) => names.some((name) => variables.has(name)))) return
    const place = method === 'GET' ? 'the query' : `${PREFIX}body`
    mistake(`tells the gateway no ${what}; add ${names.map((name) => `{{ ${name} }}`).join(' or ')} to ${place}`)
  }
  needs('recipient', 'phone', 'address')
  if (takes === 'content') needs('text', 'text')
  else needs('template', 'templateId', 'params')

  return {
    method,
    type,
    address: addressOf(url),
    query,
    headers,
    body,
    login,
    takes,
    ok: understood('ok', (source) => (source === 'status' ? always : readTest(source)), always, `status, or ${TESTS}`),
    permanent: understood('permanent', readTest, never, TESTS),
    throttled: understood('throttled', readTest, never, TESTS),
    unavailable: understood('unavailable', readTest, never, TESTS),
    receipt: understood(
      'receipt',
      readExtract,
      () => undefined,
      'data.id for a member of the JSON answer, text, or text^=OK: for what follows OK:',
    ),
    receipts: readReceiptSettings(
      url.query,
      {
        sendsId: parts.some(([, { variables }]) => variables.has('id')),
        keepsReceipt: option('receipt') !== undefined,
      },
      mistake,
    ),
    secrets: secretsOf(
      url,
      login,
      [...ownQuery, ...ownHeaders].map(([, code]) => code),
      code,
    ),
  }
})

function defaultBody(type: 'json' | 'form', takes: SmsForm): string {
  const says: Record<string, string> =
    takes === 'content' ? { content: 'text' } : { templateId: 'templateId', params: 'params' }
  const members = Object.entries({ id: 'id', phone: 'phone', sign: 'sign', ...says })
  if (type === 'form') return members.map(([name, variable]) => `${name}={{ ${variable} }}`).join('&')
  return `{${members.map(([name, variable]) => `"${name}": {{ ${variable} | json }}`).join(', ')}}`
}

function addressOf({ scheme, host, port, path }: ChannelUrl): string {
  const address = new URL(`${scheme}://${host}`)
  address.port = port === undefined ? '' : String(port)
  // The path comes decoded: what would now read as code of the URL, or be dropped from it, is encoded again.
  address.pathname = path.replace(/[%\\\p{Cc}]/gu, encodeURIComponent)
  return address.href
}

function basic({ user = '', password = '' }: ChannelUrl): string {
  return Buffer.from(`${user}:${password}`).toString('base64')
}

function isHeader(name: string, value: string): boolean {
  try {
    new Headers([[name, value]])
    return !RESERVED_HEADERS.includes(name.toLowerCase()) && /^[\x20-\x7e]*$/.test(value)
  } catch {
    return false
  }
}

/** Whatever an operator wrote out rather than left to be filled in may be a key, whichever part the vendor wants it in. */
function secretsOf({ password = '' }: ChannelUrl, login: string | undefined, values: string[], body: string): string[] {
  const written = values.filter((code) => !code.includes('{')).flatMap((code) => [code, ...code.split(' ')])
  const inBody = [...body.matchAll(/[:=]\s*"?([^\s"&{}%,]+)/g)].map((match) => match[1] ?? '')
  const keys = [...written, ...inBody].filter((text) => text.length >= KEY_LENGTH)
  return [...(password.length >= PASSWORD_LENGTH ? [password] : []), ...(login === undefined ? [] : [login]), ...keys]
    .flatMap((secret) => [secret, encodeURIComponent(secret)])
    .toSorted((a, b) => b.length - a.length)
}
