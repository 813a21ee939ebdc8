/**
 * The blast-radius guard of an app: above so many recipients, or once the day's SMS segments are used up, a push needs the
 * confirmation that a preview gives out. How many recipients is weighed before the push; segments are counted by the
 * statement that accepts it, so that of pushes at the same moment no more go out than fit (accept.ts).
 */
import { sql } from 'drizzle-orm'
import { Temporal } from 'temporal-polyfill'
import type { App } from '../apps/apps.ts'
import type { Context } from '../context.ts'
import { query, type Db } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { Charge, Stopped } from './accept.ts'
import { isNotValid, readConfirmation } from './confirmation.ts'
import type { Prepared } from './push.ts'
import { reachOf, smsSegments, type Reach } from './reach.ts'

type Words = { zh: string; en: string }

/** What a push of this app needs to go out; undefined: nothing. Refuses one that needs a confirmation and has none. */
export async function passGuard(
  context: Context,
  app: App,
  body: Record<string, unknown>,
  prepared: Prepared,
  confirmation: string | undefined,
): Promise<Charge | undefined> {
  const { guard } = app
  if (guard === null) return undefined
  const reach = await reachOf(context, prepared)
  const confirmationId =
    confirmation === undefined ? null : await readConfirmation(context, app.id, body, reach.recipients, confirmation)
  const why = tooMany(app, reach)
  if (confirmationId === null && why !== undefined) throw needsConfirmation(why)
  const segments = guard.smsSegmentsPerDay === null ? 0 : smsSegments(reach)
  if (segments === 0 && confirmationId === null) return undefined
  return { segments, day: dayOf(context, prepared), limit: guard.smsSegmentsPerDay, confirmationId }
}

/** The refusal behind what accept.ts threw, with the numbers of this moment. */
export async function refusalOf({ db }: Context, app: App, charge: Charge, stopped: Stopped): Promise<Refusal> {
  if (stopped.message === 'confirmation') return isNotValid('已使用过', 'has been used')
  return needsConfirmation(overBudget(charge.segments, await usedOn(db, app.id, charge.day), charge.limit ?? 0))
}

/** Why a push would need a confirmation now; empty: it needs none. For a preview. */
export async function reasonsFor(context: Context, app: App, prepared: Prepared, reach: Reach): Promise<Words[]> {
  const many = tooMany(app, reach)
  const limit = app.guard?.smsSegmentsPerDay ?? null
  const segments = smsSegments(reach)
  const used = limit === null || segments === 0 ? 0 : await usedOn(context.db, app.id, dayOf(context, prepared))
  const isOver = limit !== null && segments > 0 && used + segments > limit
  return [...(many === undefined ? [] : [many]), ...(isOver ? [overBudget(segments, used, limit)] : [])]
}

function tooMany({ guard }: App, { recipients }: Reach): Words | undefined {
  const most = guard?.recipients ?? null
  if (most === null || recipients <= most) return undefined
  return {
    zh: `将发给 ${recipients} 人，超过 ${most} 人`,
    en: `reaches ${recipients} recipients, and above ${most} it needs a confirmation`,
  }
}

function overBudget(segments: number, used: number, limit: number): Words {
  return {
    zh: `需 ${segments} 条短信，当日已用 ${used}/${limit}`,
    en: `takes ${segments} SMS segments, and of that day's ${limit} already ${used} are used`,
  }
}

function needsConfirmation({ zh, en }: Words): Refusal {
  return new Refusal('CONFIRMATION_REQUIRED', {
    path: 'confirmation',
    zh: `${zh}，请先预览并带上确认码`,
    en: `${en}: preview the push and send the confirmation with it`,
  })
}

/** The day that a push falls on, in the configured zone. */
function dayOf({ config }: Context, { push }: Prepared): string {
  const at = Temporal.Instant.fromEpochMilliseconds(Math.max(push.dueAt?.getTime() ?? 0, Date.now()))
  return at.toZonedDateTimeISO(config.TIME_ZONE).toPlainDate().toString()
}

async function usedOn(db: Db, appId: string, day: string): Promise<number> {
  const [row] = await query<{ segments: number }>(
    db,
    sql`select segments from app_budgets where app_id = ${appId} and day = ${day}::date`,
  )
  return row?.segments ?? 0
}

/** Small enough that a statement stays far below its time limit. */
const FORGET_AT_ONCE = 5_000

/** Removes confirmations that could not be used again anyway, and budgets of more than a year ago. */
export async function forgetOldCharges(db: Db): Promise<void> {
  await query(
    db,
    sql`
    with old as (
      select id from used_confirmations where used_at < now() - interval '1 day' limit ${FORGET_AT_ONCE}::int
    )
    delete from used_confirmations using old where used_confirmations.id = old.id`,
  )
  await query(db, sql`delete from app_budgets where day < now() - interval '400 days'`)
}
