/** An expected "no" to a SCIM client, in the form of RFC 7644 §3.12. */
import { Refusal, type RefusalCode } from '../../errors.ts'

export type ScimType =
  | 'invalidFilter'
  | 'invalidPath'
  | 'invalidSyntax'
  | 'invalidValue'
  | 'mutability'
  | 'noTarget'
  | 'tooMany'
  | 'uniqueness'

/** What a SCIM client cannot have, and why. */
export class ScimProblem extends Error {
  readonly status: number
  readonly scimType: ScimType | undefined

  constructor(status: number, scimType: ScimType | undefined, detail: string) {
    super(detail)
    this.name = 'ScimProblem'
    this.status = status
    this.scimType = scimType
  }
}

/** Bad input: status 400, with what kind of bad. */
export function wrong(scimType: ScimType, detail: string): ScimProblem {
  return new ScimProblem(400, scimType, detail)
}

/** There is no such resource, or no more. */
export function notFound(what: string): ScimProblem {
  return new ScimProblem(404, undefined, `There is no ${what}`)
}

/** The answer to a refusal; undefined: it was no refusal but a bug of ours. */
export function problemOf(error: unknown): ScimProblem | undefined {
  if (error instanceof ScimProblem) return error
  if (!(error instanceof Refusal)) return undefined
  const { code, kind, path, message } = error
  // In the documented calls both are 401.
  const status = code === 'FORBIDDEN' ? 403 : kind.status
  return new ScimProblem(status, typeOf(code, path), message)
}

function typeOf(code: RefusalCode, path: string | undefined): ScimType | undefined {
  if (code !== 'BAD_INPUT') return undefined
  return path === '(body)' ? 'invalidSyntax' : 'invalidValue'
}
