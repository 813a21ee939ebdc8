/**
 * The table of refusals: every expected "no", once. A refusal is thrown by the slice that knows and worded for both
 * kinds of reader: Chinese for the documented calls, English for GraphQL. Anything else that is thrown is our bug and
 * reaches a caller only as INTERNAL. Each code has a page in docs/errors/.
 */

type RefusalKind = {
  /** HTTP status of the answer. */
  status: number
  /** `code` in the documented envelope, which knows only 200, 400, 401, 404 and 500. */
  restCode: 400 | 401 | 404 | 500
  zh: string
  en: string
  retryAfterSeconds?: number
}

export const refusals = {
  BAD_INPUT: { status: 400, restCode: 400, zh: '参数有误', en: 'Bad input' },
  BAD_CURSOR: { status: 400, restCode: 400, zh: '参数有误', en: 'Bad cursor' },
  UNAUTHENTICATED: { status: 401, restCode: 401, zh: '身份验证失败', en: 'Not authenticated' },
  FORBIDDEN: { status: 401, restCode: 401, zh: '身份验证失败', en: 'Not permitted' },
  NOT_FOUND: { status: 404, restCode: 404, zh: '请求资源不存在', en: 'Not found' },
  TEMPLATE_NOT_FOUND: { status: 404, restCode: 404, zh: '参数有误', en: 'Unknown template' },
  METHOD_NOT_ALLOWED: { status: 405, restCode: 400, zh: '请求方法不支持', en: 'Method not allowed' },
  IDEMPOTENCY_CONFLICT: { status: 422, restCode: 400, zh: '参数有误', en: 'Idempotency key reused' },
  CONFIRMATION_REQUIRED: { status: 409, restCode: 400, zh: '需要确认', en: 'Confirmation required' },
  CONFLICT: { status: 409, restCode: 400, zh: '参数有误', en: 'Changed meanwhile' },
  TOO_LARGE: { status: 413, restCode: 400, zh: '参数有误', en: 'Too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, restCode: 400, zh: '参数有误', en: 'Unsupported media type' },
  RATE_LIMITED: {
    status: 429,
    restCode: 400,
    zh: '请求过于频繁，请稍后重试',
    en: 'Too many requests',
    retryAfterSeconds: 1,
  },
  INTERNAL: { status: 500, restCode: 500, zh: '服务器内部错误', en: 'Internal server error' },
  UNAVAILABLE: {
    status: 503,
    restCode: 500,
    zh: '服务暂不可用，请稍后重试',
    en: 'Unavailable, try again shortly',
    retryAfterSeconds: 1,
  },
} satisfies Record<string, RefusalKind>

export type RefusalCode = keyof typeof refusals

/** What a refusal says beyond its code: where in the input, what is wrong there, in both languages, and how long to wait. */
export type RefusalDetail = { path?: string; zh?: string; en?: string; retryAfterSeconds?: number; cause?: unknown }

/** An expected "no" to a caller. */
export class Refusal extends Error {
  readonly code: RefusalCode
  readonly path: string | undefined
  readonly zh: string
  /** When it may go better. Undefined: waiting does not help. */
  readonly retryAfterSeconds: number | undefined

  constructor(code: RefusalCode, { path, zh, en, retryAfterSeconds, cause }: RefusalDetail = {}) {
    super(sentence(refusals[code].en, path, en, ': '), { cause })
    this.name = 'Refusal'
    this.code = code
    this.path = path
    this.retryAfterSeconds = retryAfterSeconds ?? this.kind.retryAfterSeconds
    this.zh = sentence(refusals[code].zh, path, zh, '：')
  }

  /** Its row in the table. */
  get kind(): RefusalKind {
    return refusals[this.code]
  }
}

/** Bad input at `path`: `参数有误：<path>: <zh>` for the documented calls, `Bad input: <path>: <en>` for GraphQL. */
export function badInput(path: string, zh: string, en: string): Refusal {
  return new Refusal('BAD_INPUT', { path, zh, en })
}

function sentence(head: string, path: string | undefined, detail: string | undefined, colon: string): string {
  const tail = [path, detail].filter(Boolean).join(': ')
  return tail ? `${head}${colon}${tail}` : head
}
