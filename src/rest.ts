/** The documented door: `/api/openApi/…`. One envelope, one way in; the calls themselves are the slices'. */
import { createHash } from 'node:crypto'
import type { App } from './apps/apps.ts'
import { authenticateApp } from './apps/authenticate.ts'
import { enforceGrant } from './apps/grants.ts'
import { appCalls } from './apps/rest.ts'
import { checkText, codePoints } from './check.ts'
import type { Context } from './context.ts'
import type { Compat } from './db/tables.ts'
import { Refusal, refusals } from './errors.ts'
import { readJson } from './json.ts'
import { readAppId, readBody } from './messages/input.ts'
import { messageCalls } from './messages/rest.ts'

/** `msg` is varchar(100) in the document. */
const MSG_LIMIT = 100
const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,255}$/

/** One call of the documented kind, made by an app: JSON or a query in, the envelope out. */
export type RestCall = {
  method: 'POST' | 'GET'
  path: string
  /**
   * Who may make it, enforced here before it acts: `app`, any app that has proved itself; or one with that grant.
   * What depends on the input (channels, broadcasts) the call checks itself.
   */
  rule: 'app' | { grant: string }
  act(context: Context, app: App, input: Record<string, unknown>, around: RestAround): Promise<RestDone>
}

export type RestAround = {
  requestId: string
  idempotency: { key: string; bodySha256: string } | undefined
  /** The `X-Posthouse-Confirmation` header. */
  confirmation?: string | undefined
}
/** `msgId` and, for calls of ours, `data` go into the body; everything extra travels in headers. */
export type RestDone = { msgId?: string; data?: Record<string, unknown>; headers?: Record<string, string> }

/** Every documented call and ours of the same kind. */
export const restCalls: readonly RestCall[] = [...messageCalls, ...appCalls]

export type RestRequest = {
  method: string
  path: string
  /** Path and query as sent, which a signature covers. */
  target?: string
  /** What stands behind the `?`. */
  query?: URLSearchParams
  headers: Record<string, string | undefined>
  /** Reads the body; refuses one that is too large. */
  body(): Promise<Uint8Array>
  /** The caller's address; undefined when a proxy stands between, whose word nobody has vouched for. */
  address: string | undefined
  requestId: string
}

export type RestResponse = { status: number; headers: Record<string, string>; body: Record<string, unknown> }

/** Answers a call. Never throws: whatever goes wrong becomes an envelope, and what is our bug goes to `onBug`. */
export async function answer(
  context: Context,
  request: RestRequest,
  onBug: (error: unknown) => void,
): Promise<RestResponse> {
  let compat: Compat = {}
  try {
    const call = find(request)
    const { input, idempotency, bytes } = call.method === 'GET' ? readQuery(request) : await readPost(request)
    const { authorization } = request.headers
    const { method, target = '', address } = request
    const sent = { method, target, body: bytes }
    const app = await authenticateApp(context, readAppId(input), { authorization, address, sent })
    compat = app.compat
    if (call.rule !== 'app') enforceGrant(app, call.rule.grant)
    const {
      msgId,
      data,
      headers = {},
    } = await call.act(context, app, input, {
      requestId: request.requestId,
      idempotency,
      confirmation: request.headers['x-posthouse-confirmation'],
    })
    return envelope(compat, 200, 200, '操作成功', { ...(msgId ? { msgId } : {}), ...(data ? { data } : {}) }, headers)
  } catch (error) {
    if (!(error instanceof Refusal)) onBug(error)
    const refusal = error instanceof Refusal ? error : new Refusal('INTERNAL')
    const { status, restCode } = refusal.kind
    const { retryAfterSeconds } = refusal
    const headers: Record<string, string> =
      retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }
    if (refusal.code === 'METHOD_NOT_ALLOWED') headers['allow'] = methodsOf(request.path)
    const isParameter = refusals[refusal.code].status === 400
    const code = isParameter ? (compat.paramErrorCode ?? restCode) : restCode
    return envelope(compat, isParameter ? code : status, code, refusal.zh, {}, headers)
  }
}

function envelope(
  compat: Compat,
  status: number,
  code: number,
  msg: string,
  more: Record<string, unknown>,
  headers: Record<string, string>,
): RestResponse {
  return {
    status: compat.httpStatus === 'always200' ? 200 : status,
    headers,
    body: { code: compat.codeAsString ? String(code) : code, msg: cut(msg), ...more },
  }
}

/** At most so many code points, and none of them half of one, however the text was put together. */
function cut(given: string): string {
  const text = given.toWellFormed()
  if (codePoints(text) <= MSG_LIMIT) return text
  return [...text].slice(0, MSG_LIMIT - 1).join('') + '…'
}

function find({ method, path }: RestRequest): RestCall {
  const there = restCalls.filter((one) => one.path === path)
  if (there.length === 0) throw new Refusal('NOT_FOUND')
  const call = there.find((one) => one.method === method)
  if (call !== undefined) return call
  throw new Refusal('METHOD_NOT_ALLOWED', { zh: `请使用 ${methodsOf(path)}`, en: `use ${methodsOf(path)}` })
}

function methodsOf(path: string): string {
  return restCalls
    .filter((one) => one.path === path)
    .map(({ method }) => method)
    .join(', ')
}

type Input = { bytes: Uint8Array; input: Record<string, unknown>; idempotency: RestAround['idempotency'] }

function readQuery({ query = new URLSearchParams() }: RestRequest): Input {
  const input = readBody(Object.fromEntries(query))
  checkText(input)
  return { bytes: new Uint8Array(), input, idempotency: undefined }
}

async function readPost(request: RestRequest): Promise<Input> {
  checkMediaType(request.headers)
  const bytes = await request.body()
  const input = readBody(readJson(bytes))
  return { bytes, input, idempotency: readIdempotencyKey(request, bytes) }
}

/** JSON only, uncompressed: a web page cannot send that across origins without asking. */
function checkMediaType(headers: RestRequest['headers']): void {
  const [type = '', ...parameters] = (headers['content-type'] ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  const isUtf8 = parameters.every((parameter) => parameter === '' || /^charset="?utf-?8"?$/.test(parameter))
  if (type !== 'application/json' || !isUtf8) {
    throw new Refusal('UNSUPPORTED_MEDIA_TYPE', {
      path: 'Content-Type',
      zh: '应为 application/json; charset=utf-8',
      en: 'must be application/json; charset=utf-8',
    })
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new Refusal('UNSUPPORTED_MEDIA_TYPE', {
      path: 'Content-Encoding',
      zh: '不支持压缩，请发送未压缩的内容',
      en: 'must not be there: send the body uncompressed',
    })
  }
}

/** The key stands for this body on this call: the same body on another one is another request. */
function readIdempotencyKey({ headers, path }: RestRequest, bytes: Uint8Array): RestAround['idempotency'] {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new Refusal('BAD_INPUT', {
      path: 'Idempotency-Key',
      zh: '应为 1 到 255 个可打印字符',
      en: 'must be 1 to 255 printable characters',
    })
  }
  return { key, bodySha256: createHash('sha256').update(`${path}\n`).update(bytes).digest('hex') }
}
