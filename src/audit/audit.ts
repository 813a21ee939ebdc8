/**
 * Who changed what: every act of an admin leaves an entry, written by the statement that makes the change, so that there is
 * no change without its entry and no entry of what did not happen. Entries are only ever added; see drizzle/0007.
 */
import { and, desc, eq, gte, lt, sql, type SQL } from 'drizzle-orm'
import { checkText } from '../check.ts'
import type { Asking } from '../context.ts'
import type { Db } from '../db/client.ts'
import { auditEntries } from '../db/tables.ts'
import { badInput } from '../errors.ts'

export type AuditEntry = typeof auditEntries.$inferSelect

/** Who makes a change. `actor`: `admin`, `app:<id>`, `user:<code>`, or what acts by itself. */
export type By = { actor: string; operator?: string | undefined; requestId: string }

/** The header with which the admin's own front end says who sits there, percent-encoded if it is not ASCII. */
export const OPERATOR = 'x-posthouse-operator'
const OPERATOR_LENGTH = 100

/** Who asks, as the audit log knows them. */
export function byOf({ viewer, requestId, operator }: Asking): By {
  return { actor: actorOf(viewer), operator, requestId }
}

function actorOf(viewer: Asking['viewer']): string {
  if (viewer.kind === 'app') return `app:${viewer.app.id}`
  return viewer.kind === 'user' ? `user:${viewer.code}` : viewer.kind
}

/** Reads the `X-Posthouse-Operator` header. It is believed as said: whoever holds the admin's key may say anything. */
export function readOperator(header: string | null | undefined): string | undefined {
  if (header === undefined || header === null || header.trim() === '') return undefined
  const name = decoded(header.trim())
  if (name === undefined || name.length > OPERATOR_LENGTH)
    throw badInput(
      'X-Posthouse-Operator',
      `应为不超过 ${OPERATOR_LENGTH} 个字符的百分号编码文本`,
      `must be percent-encoded text of at most ${OPERATOR_LENGTH} characters`,
    )
  checkText(name, 'X-Posthouse-Operator')
  return name
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/**
 * The part of a changing statement that writes its entries: `audited as (${auditing(by, 'user.upsert', changes)})`.
 * `changes` selects `subject` (text), `before` and `after` (jsonb; null: not there), a row for each thing that really
 * changed, without secrets.
 */
export function auditing({ actor, operator, requestId }: By, act: string, changes: SQL): SQL {
  return sql`
    insert into audit_entries (actor, operator, act, subject, before, after, request_id)
    select ${actor}::text, ${operator ?? null}::text, ${act}::text, subject, before, after, ${requestId}::text
    from (${changes}) as change`
}

export type AuditPage = {
  act?: string | null | undefined
  actor?: string | null | undefined
  subject?: string | null | undefined
  since?: Date | null | undefined
  until?: Date | null | undefined
  /** Only entries older than this one. */
  before: number | undefined
  limit: number
}

/** Entries, newest first. */
export function listAuditEntries(db: Db, page: AuditPage): Promise<AuditEntry[]> {
  const { act, actor, subject, since, until, before, limit } = page
  return db
    .select()
    .from(auditEntries)
    .where(
      and(
        act == null ? undefined : eq(auditEntries.act, act),
        actor == null ? undefined : eq(auditEntries.actor, actor),
        subject == null ? undefined : eq(auditEntries.subject, subject),
        since == null ? undefined : gte(auditEntries.at, since),
        until == null ? undefined : lt(auditEntries.at, until),
        before === undefined ? undefined : lt(auditEntries.seq, before),
      ),
    )
    .orderBy(sql`${desc(auditEntries.seq)} nulls first`)
    .limit(limit)
}
