/** Receipts from a gateway that says in a form of its own what became of messages: by HTTP call, read by configuration alone. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { phone } from '../../directory/address.ts'
import type { Callback, CallbackAnswer, Receipt } from '../channel.ts'
import { parse, readExtract, readPath, readTest, textOf, type Extract, type Said, type Test } from './http-answer.ts'

export type ReceiptSettings = {
  key: string
  keyHeader: string | undefined
  list: (said: Said) => unknown
  id: Extract
  receipt: Extract
  phone: Extract
  delivered: Test
  undelivered: Test
  pending: Test
  why: Extract
  answer: string
}

const PREFIX = 'posthouse.receipts.'
/** What may stand behind `posthouse.receipts.`. */
const OPTIONS = [
  'key',
  'keyHeader',
  'list',
  'id',
  'receipt',
  'phone',
  'delivered',
  'undelivered',
  'pending',
  'why',
  'answer',
]
/** Whoever guesses the key can say of any message that it arrived. */
const KEY_LENGTH = 16
const DELIVERY_ID = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i

const TESTS =
  'status=DELIVRD|0 for a member or a field of the receipt (a.b goes deeper), or status^=DELIV for how it begins'
const PLACES = 'msgId for a member or a field of the receipt, a.b for one further in'

/** What else the gateway's URL tells, as far as receipts need it. */
type Sending = { sendsId: boolean; keepsReceipt: boolean }

/** Reads a gateway's `posthouse.receipts.…`; undefined when there are none, and then nobody is to call. */
export function readReceiptSettings(
  query: Readonly<Record<string, string>>,
  { sendsId, keepsReceipt }: Sending,
  mistake: (message: string) => void,
): ReceiptSettings | undefined {
  const given = Object.keys(query).filter((name) => name.startsWith(PREFIX))
  if (given.length === 0) return undefined
  const option = (name: string) => query[PREFIX + name]
  for (const name of given)
    if (!OPTIONS.includes(name.slice(PREFIX.length)))
      mistake(`has an unknown ${name}; write one of ${OPTIONS.map((one) => PREFIX + one).join(', ')}`)

  function understood<Read>(name: string, reader: (source: string) => Read | undefined, otherwise: Read, fix: string) {
    const source = option(name)
    if (source === undefined) return otherwise
    const found = reader(source)
    if (found === undefined) mistake(`has ${PREFIX}${name}=${source}, which says nothing; write ${fix}`)
    return found ?? otherwise
  }
  const nothing = () => undefined
  const extract = (name: string) => understood<Extract>(name, readExtract, nothing, PLACES)
  const test = (name: string, otherwise: Test) => understood(name, readTest, otherwise, TESTS)

  const { key = '', keyHeader } = { key: option('key'), keyHeader: option('keyHeader') }
  if (key.length < KEY_LENGTH) {
    const what = key === '' ? 'no key, without which anybody could send receipts' : 'a key that could be guessed'
    mistake(
      `has ${what}; add ${PREFIX}key= with the output of \`openssl rand -hex 16\`, and ?key= to the URL they call`,
    )
  }
  if (keyHeader !== undefined && !/^[\w-]+$/.test(keyHeader))
    mistake(`has ${PREFIX}keyHeader=${keyHeader}, which names no header; write X-Key or the like`)
  if (option('delivered') === undefined)
    mistake(`tells not which receipts are good ones; add ${PREFIX}delivered=status=DELIVRD`)
  if (option('id') === undefined && option('receipt') === undefined)
    mistake(
      `tells not of which message a receipt speaks; add ${PREFIX}receipt=msgId, or ${PREFIX}id= if they repeat ours`,
    )
  if (option('id') !== undefined && !sendsId)
    mistake(`has ${PREFIX}id, but does not tell the gateway our id; add {{ id }} to what it gets`)
  if (option('receipt') !== undefined && !keepsReceipt)
    mistake(`has ${PREFIX}receipt, but does not keep the gateway's id when it sends; add posthouse.receipt=data.id`)

  return {
    key,
    keyHeader: keyHeader?.toLowerCase(),
    list: understood('list', readPath, ({ json }) => json, 'data.reports for the member that holds the list'),
    id: extract('id'),
    receipt: extract('receipt'),
    phone: extract('phone'),
    delivered: test('delivered', nothing),
    undelivered: test('undelivered', () => true),
    pending: test('pending', () => false),
    // Without words of its own, the code that was tested.
    why: option('why') === undefined ? (readExtract(pathOf(option('delivered'))) ?? nothing) : extract('why'),
    answer: option('answer') ?? 'OK',
  }
}

/** Reads one call. Throws when it is genuine and yet nothing in it can be understood: the settings do not fit the gateway. */
export function readReceipts(settings: ReceiptSettings, call: Callback): CallbackAnswer {
  const { key, keyHeader, answer } = settings
  const shown = keyHeader === undefined ? call.query.get('key') : call.headers[keyHeader]
  if (!isSame(shown ?? '', key)) return { isGenuine: false }

  const said = saidIn(call)
  const items = itemsIn(settings, said)
  const receipts = items.map((json) => receiptIn(settings, { text: said.text, json }))
  if (items.length > 0 && receipts.every((one) => one === 'unreadable'))
    throw new Error('no receipt has its members where posthouse.receipts.… looks for them')
  return {
    isGenuine: true,
    receipts: receipts.filter((one) => typeof one === 'object'),
    contentType: parse(answer) === undefined ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8',
    body: answer,
  }
}

/** `nothing`: it speaks of no delivery of ours (others may use the account), or only of a state in between. */
function receiptIn(settings: ReceiptSettings, said: Said): Receipt | 'nothing' | 'unreadable' {
  const id = settings.id(said)
  const receipt = settings.receipt(said)
  const isDelivered = settings.delivered(said)
  if ((id === undefined && receipt === undefined) || isDelivered === undefined) return 'unreadable'
  if (!isDelivered && (settings.pending(said) || !settings.undelivered(said))) return 'nothing'
  const about = id !== undefined && DELIVERY_ID.test(id) ? { deliveryId: id } : receiptFor(settings, receipt, said)
  if (about === undefined) return 'nothing'
  if (isDelivered) return { ...about, state: 'delivered' }
  const why = settings.why(said)
  return { ...about, state: 'undelivered', ...(why === undefined ? {} : { why }) }
}

/** Numbers come with or without +86, and masked ones say nothing. */
function receiptFor(settings: ReceiptSettings, receipt: string | undefined, said: Said) {
  if (receipt === undefined) return undefined
  const address = phone(settings.phone(said) ?? '')
  return address === undefined ? { receipt } : { receipt, address }
}

/** The receipts of a call: the list, be it the whole body, or the one thing that it is. */
function itemsIn({ list }: ReceiptSettings, said: Said): unknown[] {
  const found = list(said)
  if (typeof found !== 'object' || found === null) throw new Error('holds nothing where posthouse.receipts.list looks')
  return Array.isArray(found) ? found : [found]
}

/** JSON, a form or a query. Vendors tend to get their own content types wrong, so the body is looked at. */
function saidIn({ method, query, headers, body }: Callback): Said {
  const text = textOf(body, headers['content-type'])
  if (method === 'GET' || text.trim() === '') return { text, json: fieldsOf(query) }
  return { text, json: parse(text) ?? fieldsOf(new URLSearchParams(text)) }
}

/** A field that holds JSON counts as what it holds: some vendors put their list into one. */
function fieldsOf(pairs: URLSearchParams): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null)
  for (const [name, value] of pairs) fields[name] = (/^\s*[[{]/.test(value) ? parse(value) : undefined) ?? value
  return fields
}

function pathOf(test = ''): string {
  return test.replace(/\^?=.*$/s, '')
}

/** Takes the same time wherever they differ. */
function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => createHash('sha256').update(text).digest())
  return a !== undefined && b !== undefined && timingSafeEqual(a, b)
}
