/**
 * A full sync: a run that is begun, takes batches (`upsert` with its id), and is finished. What it did not name is disabled then,
 * unless that is suspiciously much. Nothing is disabled before, so a run that nobody finishes harms nothing. At most one is open.
 */
import { eq, sql } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { json, query, type Db } from '../db/client.ts'
import { directoryRuns, type DirectoryKind } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { countMissing, disableMissing, forgetNamed, type Missing } from './vanish.ts'

/** A run that nobody has touched for so long does not stand in the way of another. */
const ABANDONED_AFTER = sql`interval '1 hour'`
const KINDS: readonly DirectoryKind[] = ['dept', 'post', 'role', 'user']
const RUN_ID = /^[\w.:-]{1,64}$/

export type Run = typeof directoryRuns.$inferSelect

export type BeginHow = {
  /** The caller's own id; the same again goes on with the run. */
  run: string
  /** What the run names all of; everything unless told. */
  covers?: readonly DirectoryKind[] | null | undefined
  /** Disable what is missing at the end. */
  isFull: boolean
  /** How many rows are to come, if that is known. */
  expected?: number | undefined
}

/**
 * Begins a run, or goes on with the open one of that id, and says how far it is. Refuses an id whose run is over, and a second full
 * run beside one that was touched within the hour.
 */
export async function begin(db: Db, by: By, { run, covers, isFull, expected }: BeginHow): Promise<Run> {
  if (!RUN_ID.test(run))
    throw badInput('runId', '应为 1 到 64 个字母、数字或 _ . : -', 'must be 1 to 64 of A–Z a–z 0–9 _ . : -')
  const kinds = KINDS.filter((kind) => covers == null || covers.includes(kind))
  if (kinds.length === 0) throw badInput('covers', '不能为空', 'must not be empty')
  if (isFull) await abandonOld(db, by, run)
  await query(
    db,
    sql`
    with begun as (
      insert into directory_runs (id, state, is_full, covers, expected)
      values (${run}, 'open', ${isFull}::boolean, ${json(kinds)}::jsonb, ${expected ?? null}::integer)
      on conflict do nothing
      returning id, to_jsonb(covers) as covers
    ),
    audited as (${auditing(by, 'directory.begin', sql`select id as subject, null::jsonb as before, jsonb_build_object('covers', covers) as after from begun`)})
    select id from begun`,
  )
  const found = await findRun(db, run)
  if (found === undefined) throw await busy(db)
  if (found.state !== 'open' && found.state !== 'finishing')
    throw badInput(
      'runId',
      `${run} 已结束（${found.state}），请换一个`,
      `${run} is over (${found.state}): take another`,
    )
  if (found.isFull !== isFull || json(found.covers) !== json(kinds))
    throw badInput('covers', `${run} 开始时与此不同`, `is not what ${run} was begun with`)
  return found
}

/** A run by its id. */
export async function findRun(db: Db, run: string): Promise<Run | undefined> {
  const [found] = await db.select().from(directoryRuns).where(eq(directoryRuns.id, run))
  return found
}

export type FinishHow = {
  /** Disable them even if they are more than the guard lets pass. */
  confirm?: boolean | null | undefined
  guardPercent: number
}

/**
 * Ends a run: disables in a full one what it did not name, and says so. Refuses, and leaves it open, when of any kind more than
 * `guardPercent` of the enabled ones would go, unless confirmed. Cut off half-way it may be called again, also when it is over.
 */
export async function finish(db: Db, by: By, run: string, { confirm, guardPercent }: FinishHow): Promise<Run> {
  const closed = await close(db, run)
  if (closed === undefined) {
    const found = await findRun(db, run)
    if (found?.state === 'finished') return found
    throw notOpen(run, found)
  }
  if (closed.isFull) {
    if (!confirm) await guard(db, run, closed.covers, guardPercent)
    for (const kind of closed.covers.toReversed())
      while ((await disableMissing(db, by, run, kind)) > 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return end(db, by, run, 'finished')
}

/** Ends a run without disabling anybody. */
export function abandon(db: Db, by: By, run: string): Promise<Run> {
  return end(db, by, run, 'abandoned')
}

/** Ends a run that cannot go on. `why` is for whoever looks at it later. */
export function fail(db: Db, by: By, run: string, why: string): Promise<Run> {
  return end(db, by, run, 'failed', why)
}

/** From then on it takes no batch; whoever is putting one is waited for. Only what is looked at after it sees all of them. */
async function close(db: Db, run: string): Promise<Pick<Run, 'isFull' | 'covers'> | undefined> {
  const [closed] = await query<Pick<Run, 'isFull' | 'covers'>>(
    db,
    sql`
    update directory_runs set state = 'finishing', touched_at = now()
    where id = ${run} and state in ('open', 'finishing')
    returning is_full as "isFull", covers`,
  )
  return closed
}

async function guard(db: Db, run: string, covers: readonly DirectoryKind[], percent: number): Promise<void> {
  const missing = await countMissing(db, run, covers)
  const tooMany = missing.filter(({ missing, enabled }) => missing * 100 > enabled * percent)
  if (tooMany.length === 0) return
  await query(db, sql`update directory_runs set state = 'open' where id = ${run} and state = 'finishing'`)
  const words = (say: (one: Missing) => string) => tooMany.map(say).join('; ')
  throw badInput(
    'confirm',
    `将停用 ${words((one) => `${one.missing}/${one.enabled} ${one.kind}（${one.examples.join('、')}）`)}，超过 ${percent}%；确认无误请传 confirm: true`,
    `${words((one) => `${one.missing} of ${one.enabled} enabled ${one.kind}s would be disabled (${one.examples.join(', ')} …)`)}, more than ${percent} %: say confirm: true if that is right`,
  )
}

async function end(
  db: Db,
  by: By,
  run: string,
  state: 'finished' | 'abandoned' | 'failed',
  why: string | null = null,
): Promise<Run> {
  const ended = await query(
    db,
    sql`
    with was as materialized (select * from directory_runs where id = ${run} and state in ('open', 'finishing') for update),
    ended as (
      update directory_runs set state = ${state}, failure = ${why}::text, finished_at = now(), touched_at = now()
      from was where directory_runs.id = was.id
      returning directory_runs.id, was.state as before, directory_runs.state, directory_runs.disabled
    ),
    audited as (${auditing(
      by,
      `directory.${state === 'finished' ? 'finish' : state === 'failed' ? 'fail' : 'abandon'}`,
      sql`
        select id as subject, jsonb_build_object('state', before) as before,
          jsonb_build_object('state', state, 'disabled', disabled) as after
        from ended`,
    )})
    select id from ended`,
  )
  const found = await findRun(db, run)
  if (found === undefined || ended.length === 0) throw notOpen(run, found)
  await forgetNamed(db, run)
  return found
}

async function abandonOld(db: Db, by: By, next: string): Promise<void> {
  const old = await query<{ id: string }>(
    db,
    sql`
    select id from directory_runs
    where is_full and state in ('open', 'finishing') and id <> ${next} and touched_at < now() - ${ABANDONED_AFTER}`,
  )
  for (const { id } of old) await abandon(db, by, id)
}

async function busy(db: Db) {
  const [other] = await query<{ id: string; since: Date }>(
    db,
    sql`select id, touched_at as since from directory_runs where is_full and state in ('open', 'finishing')`,
  )
  const id = other?.id ?? ''
  return badInput(
    'runId',
    `另一同步 ${id} 正在进行，请先完成或放弃它`,
    `another sync is open, ${id}: finish or abandon that first; one that nobody touches for an hour is abandoned`,
  )
}

function notOpen(run: string, found: Run | undefined) {
  if (found === undefined) return badInput('runId', `没有 ${run}`, `there is no run ${run}: begin it first`)
  return badInput('runId', `${run} 已结束（${found.state}）`, `${run} is over (${found.state})`)
}
