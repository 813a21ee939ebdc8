/** What bench:delivery stands beside: a bare loop, pg-boss and graphile-worker, each over the same number of no-op jobs. */
import { randomUUID, randomUUIDv7 } from 'node:crypto'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { PgBoss } from 'pg-boss'
import postgres from 'postgres'

const BATCH = 500
/** Both libraries let several of their workers share a process. */
const BOSS_WORKERS = 4
const GRAPHILE_JOBS_AT_ONCE = 24
const PUT_AT_ONCE = 5_000
const PAYLOAD = { to: 'person@example.org' }

/** Does `jobs` jobs that are waiting already; gives how many a second. */
export type Contender = (url: string, jobs: number) => Promise<number>

/** The floor: claim 500 with SKIP LOCKED and a lease, settle them, no other work; one loop. */
export const bareLoop: Contender = async (url, jobs) => {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  await sql`drop table if exists bare`
  await sql`
    create table bare (
      id uuid primary key, payload jsonb not null, state text not null, due_at timestamptz not null, attempts int not null,
      lease uuid, lease_until timestamptz, settled_at timestamptz
    )`
  await sql`create index bare_due on bare (due_at) where state = 'queued'`
  await sql`
    insert into bare
    select id::uuid, '{"to": "person@example.org"}', 'queued', now(), 0
    from jsonb_array_elements_text(${sql.json(Array.from({ length: jobs }, () => randomUUIDv7()))}) as id`
  await sql`vacuum analyze bare`
  const startedAt = performance.now()
  for (let done = 0; done < jobs;) {
    const lease = randomUUID()
    const claimed = await sql<{ id: string }[]>`
      with due as (
        select id from bare where state = 'queued' and due_at <= now() order by due_at limit ${BATCH} for update skip locked
      )
      update bare set state = 'sending', attempts = attempts + 1, lease = ${lease}, lease_until = now() + interval '30 seconds'
      from due where bare.id = due.id
      returning bare.id, bare.payload`
    const ids = claimed.map(({ id }) => id)
    const settled = await sql`
      update bare set state = 'sent', lease = null, lease_until = null, settled_at = now()
      where id = any(${ids}::uuid[]) and lease = ${lease} and state = 'sending' returning id`
    done += settled.length
  }
  const seconds = (performance.now() - startedAt) / 1_000
  await sql.end()
  return jobs / seconds
}

/** As its documentation advises for throughput: large batches, fetched on while they come back full, several workers. */
export const pgBoss: Contender = async (url, jobs) => {
  const boss = new PgBoss({
    connectionString: url,
    schema: `boss_${randomUUID().slice(0, 8)}`,
    supervise: false,
    schedule: false,
  })
  boss.on('error', () => {})
  await boss.start()
  await boss.createQueue('jobs')
  for (let put = 0; put < jobs; put += PUT_AT_ONCE) {
    const some = Math.min(PUT_AT_ONCE, jobs - put)
    await boss.insert(
      'jobs',
      Array.from({ length: some }, () => ({ data: PAYLOAD })),
    )
  }
  let done = 0
  const all = Promise.withResolvers<void>()
  const startedAt = performance.now()
  const options = {
    batchSize: BATCH,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
    localConcurrency: BOSS_WORKERS,
  }
  await boss.work('jobs', options, async (some) => {
    done += some.length
    if (done >= jobs) all.resolve()
  })
  await all.promise
  const seconds = (performance.now() - startedAt) / 1_000
  await boss.stop({ graceful: false })
  return jobs / seconds
}

/** As its documentation advises for throughput: a local queue, and completions in batches. */
export const graphileWorker: Contender = async (url, jobs) => {
  const how = {
    connectionString: url,
    schema: `graphile_${randomUUID().slice(0, 8)}`,
    logger: new Logger(() => () => {}),
    preset: {
      worker: {
        maxPoolSize: 10,
        concurrentJobs: GRAPHILE_JOBS_AT_ONCE,
        localQueue: { size: BATCH },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  }
  const utils = await makeWorkerUtils(how)
  await utils.migrate()
  for (let put = 0; put < jobs; put += PUT_AT_ONCE) {
    const some = Math.min(PUT_AT_ONCE, jobs - put)
    await utils.addJobs(Array.from({ length: some }, () => ({ identifier: 'job', payload: PAYLOAD })))
  }
  let done = 0
  const all = Promise.withResolvers<void>()
  const job = async () => {
    if (++done === jobs) all.resolve()
  }
  const startedAt = performance.now()
  const runner = await run({ ...how, noHandleSignals: true, parsedCronItems: [], taskList: { job } })
  await all.promise
  const seconds = (performance.now() - startedAt) / 1_000
  await runner.stop()
  await utils.release()
  return jobs / seconds
}
