/** Settling attempts: many in one statement, each fenced by its lease. */
import { sql } from 'drizzle-orm'
import { hot, json, type Store } from '../db/client.ts'
import type { DeliveryState } from '../db/tables.ts'
import { Refusal } from '../errors.ts'
import { keepOvertaken } from './earlier-receipts.ts'
import { inOrder, type Claimed } from './queue.ts'
import type { Settlement } from './retries.ts'
import { words } from './words.ts'

/** Settled in one statement. */
const AT_ONCE = 1_000
/** Statements at once: while one waits for the disk, the other is at work. */
const SIDE_BY_SIDE = 1
/** What has been sent should not be sent again because the database was away for a moment when it was to be noted. */
const RETRY_MS = 500
const TRIES = 4

/** One attempt that is over: which claim of which row, and where it goes. `via`: who carried it. */
export type Settling = { delivery: Pick<Claimed, 'id' | 'lease' | 'attempts'>; to: Settlement; via: string | undefined }

const isAgain = sql`(given.state = 'queued')`
/** Not tried again after a recall, nor when it would be too old by then. */
const isRecalled = sql`(${isAgain} and recall_requested)`
const isTooOld = sql`(${isAgain} and not recall_requested and expires_at < now() + make_interval(secs => coalesce(given.delay, 0)))`
const stateThen = sql`case when ${isRecalled} then 'cancelled' when ${isTooOld} then 'expired' else given.state end`
const reasonThen = sql`case
  when ${isRecalled} then case when maybe_sent or given."maybeSent" is true then 'MAY_HAVE_GONE_OUT' else 'RECALLED' end
  when ${isTooOld} then 'TOO_OLD' else given.reason end`

/**
 * Tells how many were settled, and of each only what is not as asked; when some lease no longer held, which did. Nearly
 * always that is one row instead of hundreds.
 */
const statement = hot<
  { id: string | null; state: DeliveryState; count: number },
  { settlings: string; asked: number }
>(sql`
  with given as (
    select wanted.*
    from jsonb_to_recordset(${sql.placeholder('settlings')}::jsonb) as wanted (
      id uuid, lease uuid, state text, reason text, error text, receipt text, delay float8, "maybeSent" boolean, via text
    )
    join deliveries on deliveries.id = wanted.id and deliveries.lease = wanted.lease and deliveries.state = 'queued'
    ${inOrder}
  ),
  done as (
    update deliveries
    set state = ${stateThen},
      reason = ${reasonThen},
      last_error = case when given.state = 'expired' then last_error else given.error end,
      receipt = given.receipt, lease = null, lease_until = null, losses = 0,
      maybe_sent = maybe_sent or given."maybeSent" is true,
      due_at = case when ${isAgain} then now() + make_interval(secs => coalesce(given.delay, 0)) else due_at end,
      settled_at = case when ${stateThen} = 'queued' then null else now() end,
      history = history || jsonb_strip_nulls(jsonb_build_object(
        'at', now(), 'state', ${stateThen}, 'attempt', attempts, 'provider', given.via, 'reason', ${reasonThen}, 'why', given.error
      ))
    from given
    where deliveries.id = given.id
    returning deliveries.id, deliveries.state, given.state as wanted
  ),
  told as (
    select count(*)::int as count from done
  )
  select null::uuid as id, null as state, count from told
  union all
  select id, state, count from done, told where state <> wanted or count < ${sql.placeholder('asked')}::int`)

/**
 * The same for what was sent, which is nearly all of it: a third of the work. Tells those whose lease still held, unless all did.
 *
 * Rows are locked in the order of the lists, which come sorted by id (`inOrder` in queue.ts): to lock them before, as the
 * others do, takes a fifth longer. For that order the lists have to lead a nested loop. `any(array[…])` is an equality that
 * cannot be hashed or merged, so that there is no other join. The state stands in a CASE: a condition on it alone is taken
 * for one that leaves next to nothing of a table that was never analysed (PGlite's never is), which would then lead.
 */
const sentStatement = hot<
  { id: string | null; count: number },
  { ids: string; leases: string; leaseAt: string; receipts: string; steps: string; stepAt: string; asked: number }
>(sql`
  with done as (
    update deliveries
    set state = 'sent', reason = null, last_error = null, receipt = given.receipt, lease = null, lease_until = null, losses = 0,
      settled_at = now(),
      history = history || ((
        select array_agg(step || jsonb_build_object('at', now()) order by place)
        from jsonb_array_elements(${sql.placeholder('steps')}::jsonb) with ordinality as wanted (step, place)
      ))[given.step_at]
    from unnest(
      string_to_array(${sql.placeholder('ids')}, ',')::uuid[],
      string_to_array(${sql.placeholder('leaseAt')}, ',')::int[],
      array(select jsonb_array_elements_text(${sql.placeholder('receipts')}::jsonb)),
      string_to_array(${sql.placeholder('stepAt')}, ',')::int[]
    ) as given (id, lease_at, receipt, step_at)
    where deliveries.id = any(array[given.id])
      and case when deliveries.state = 'queued' then deliveries.lease end = any(array[((select string_to_array(${sql.placeholder('leases')}, ',')::uuid[]))[given.lease_at]])
    returning deliveries.id
  ),
  told as (
    select count(*)::int as count from done
  )
  select null::uuid as id, count from told
  union all
  select id, count from done, told where count < ${sql.placeholder('asked')}::int`)

type Done = Map<string, DeliveryState>

/** Settles some; gives the states of those whose lease still held. For the others another worker's word counts. */
export async function settleAll(store: Pick<Store, 'run'>, settlings: readonly Settling[]): Promise<Done> {
  const [sent, others] = [settlings.filter(isPlainlySent), settlings.filter((one) => !isPlainlySent(one))]
  const done: Done = sent.length === 0 ? new Map() : await settleSent(store, sent)
  if (others.length > 0) for (const [id, state] of await settleOthers(store, others)) done.set(id, state)
  if (done.size < settlings.length) await keepOvertaken(store, overtaken(settlings, done))
  return done
}

/** What providers called those attempts that another word overtook. */
function overtaken(settlings: readonly Settling[], done: Done): { id: string; receipt: string }[] {
  return settlings.flatMap(({ delivery: { id }, to }) => {
    const receipt = done.has(id) ? null : words(to.receipt)
    return receipt === null ? [] : [{ id, receipt }]
  })
}

function isPlainlySent({ to }: Settling): boolean {
  return to.state === 'sent' && to.error === null
}

async function settleSent(store: Pick<Store, 'run'>, unsorted: readonly Settling[]): Promise<Done> {
  const settlings = unsorted.toSorted((one, other) => (one.delivery.id < other.delivery.id ? -1 : 1))
  const asked = settlings.length
  const leases = listOf(settlings.map(({ delivery }) => delivery.lease))
  const steps = listOf(
    settlings.map(({ via, delivery: { attempts } }) =>
      json({ state: 'sent', attempt: attempts, provider: via ?? null }),
    ),
  )
  const told = await sentStatement(store, {
    ids: settlings.map(({ delivery }) => delivery.id).join(),
    leases: leases.distinct.join(),
    leaseAt: leases.places.join(),
    receipts: json(settlings.map(({ to }) => words(to.receipt))),
    steps: `[${steps.distinct.join()}]`,
    stepAt: steps.places.join(),
    asked,
  })
  const ids =
    told[0]?.count === asked ? settlings.map(({ delivery }) => delivery.id) : told.flatMap(({ id }) => id ?? [])
  return new Map(ids.map((id) => [id, 'sent']))
}

/** Each once, and for every one given its place among them, from 1: hundreds of rows name a lease or two. */
function listOf(all: readonly string[]): { distinct: string[]; places: number[] } {
  const found = new Map<string, number>()
  const places = all.map((one) => {
    const place = found.get(one) ?? found.size + 1
    found.set(one, place)
    return place
  })
  return { distinct: [...found.keys()], places }
}

async function settleOthers(store: Pick<Store, 'run'>, settlings: readonly Settling[]): Promise<Done> {
  // Without what is not there: that is most of it, for a delivery that was sent.
  const rows = settlings.map(
    ({ delivery: { id, lease }, to: { state, reason, error, receipt, delay, maybeSent }, via }) => ({
      id,
      lease,
      state,
      via,
      ...(reason === null ? {} : { reason }),
      ...(error === null ? {} : { error: words(error) }),
      ...(receipt === null ? {} : { receipt: words(receipt) }),
      ...(delay === 0 ? {} : { delay }),
      ...(maybeSent ? { maybeSent } : {}),
    }),
  )
  const asked = rows.length
  const told = await statement(store, { settlings: json(rows), asked })
  const asAsked = told[0]?.count === asked ? rows.map(({ id, state }): [string, DeliveryState] => [id, state]) : []
  const otherwise = told.flatMap(({ id, state }): [string, DeliveryState][] => (id === null ? [] : [[id, state]]))
  return new Map([...asAsked, ...otherwise])
}

/** The states in which they are then. `undefined`: too late, another worker has it. */
export type Settle = (settlings: readonly Settling[]) => Promise<(DeliveryState | undefined)[]>

type Waiting = {
  settling: Settling
  tries: number
  resolve: (state: DeliveryState | undefined) => void
  reject: (error: unknown) => void
}

/**
 * Settles by natural batching: what comes while a statement is in flight goes together in the next. A row that cannot be
 * settled fails alone, after a few tries. While the database is away there is no limit to them until `isStopping`: then
 * the leases run out, and the attempts are made again elsewhere.
 */
export function makeSettler(store: Pick<Store, 'run'>, isStopping: () => boolean): Settle {
  const waiting: Waiting[] = []
  let underWay = 0

  async function settleSome(some: Waiting[]): Promise<void> {
    const settlings = some.map(({ settling }) => settling)
    const done = await settleAll(store, settlings).catch((error: unknown) => error as Error)
    if (done instanceof Map) for (const { settling, resolve } of some) resolve(done.get(settling.delivery.id))
    else if (isAway(done)) for (const one of some) tryAgain(one, done)
    else if (some.length === 1) for (const one of some) tryAgain(one, done)
    else for (const one of some) await settleSome([one])
  }

  function tryAgain(one: Waiting, error: Error): void {
    one.tries++
    if (one.tries >= TRIES && (isStopping() || !isAway(error))) one.reject(error)
    else setTimeout(() => add(one), RETRY_MS)
  }

  function add(one: Waiting): void {
    waiting.push(one)
    // What comes in the same tick goes together.
    if (underWay < SIDE_BY_SIDE) queueMicrotask(() => waiting.length > 0 && underWay < SIDE_BY_SIDE && void drain())
  }

  async function drain(): Promise<void> {
    underWay++
    while (waiting.length > 0) await settleSome(waiting.splice(0, AT_ONCE))
    underWay--
  }

  return (settlings) =>
    new Promise((resolve, reject) => {
      const states = Array.from<DeliveryState | undefined>({ length: settlings.length })
      let left = settlings.length
      for (const [at, settling] of settlings.entries()) {
        const settled = (state: DeliveryState | undefined) => {
          states[at] = state
          left--
          if (left === 0) resolve(states)
        }
        add({ settling, tries: 0, resolve: settled, reject })
      }
    })
}

function isAway(error: Error): boolean {
  return error instanceof Refusal && error.code === 'UNAVAILABLE'
}
