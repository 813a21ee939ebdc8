/** What is counted and measured, as Prometheus reads it. A registry each, so that several Posthouses can run in one process. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { Context, Metrics } from './context.ts'
import { queueDepth } from './delivery/depth.ts'

const LANES = ['high', 'normal', 'low'] as const

/** Counts from now on. The gauges are read from the database when somebody looks; while it is away they are left out. */
export function makeMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name: `posthouse_${name}`, help, labelNames, registers: [registry] })
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name: `posthouse_${name}`, help, labelNames, registers: [registry] })

  const requests = counter(
    'http_requests_total',
    'HTTP requests that are over, by door and status; 499: the caller left.',
    ['door', 'status'],
  )
  const cut = counter(
    'slow_readers_cut_total',
    'Connections that were cut since the other side took nothing any more.',
    [],
  )
  const deliveries = counter('deliveries_total', 'Deliveries by the state that an attempt or a receipt led to.', [
    'channel',
    'outcome',
  ])
  const receipts = counter(
    'receipts_total',
    'Receipts from providers: applied; waiting for a delivery that is not yet noted as sent; ignored, since they say nothing new.',
    ['channel', 'outcome'],
  )
  const lane = ['channel', 'lane']
  const depth = gauge(
    'queue_depth',
    'Deliveries that wait, due or for another attempt later; of a lane at most 20,000 are counted.',
    lane,
  )
  const due = gauge('queue_due', 'Deliveries that are due and wait.', lane)
  const inFlight = gauge('queue_in_flight', 'Deliveries with a worker.', lane)
  const oldestDue = gauge('queue_oldest_seconds', 'For how long the longest has been due; 0 when none is.', lane)
  const oldest = gauge(
    'oldest_unfinished_seconds',
    'Age of the oldest delivery that is not finished; 0 without any.',
    [],
  )
  const circuits = gauge(
    'circuit_open',
    '1 while this node leaves the channel alone, since its provider does not answer.',
    ['channel'],
  )
  const users = gauge('connected_users', 'People with at least one live subscription on this node.', [])

  const hintBus = gauge(
    'hint_bus_up',
    '1 while this node hears what moved on the others; else it finds out within 2 s.',
    [],
  )

  async function look({ db, channels, log }: Context): Promise<void> {
    const lanes = await queueDepth(db).catch((error: Error) =>
      log.warn({ why: error.name }, 'metrics: the queue could not be looked at'),
    )
    for (const one of [depth, due, inFlight, oldestDue, oldest]) one.reset()
    // Zero would say that nothing waits.
    if (lanes === undefined) return oldest.remove()
    const outbound = [...channels.values()].filter(({ kind }) => kind !== 'site')
    for (const { id: channel } of outbound) {
      for (const lane of LANES) for (const one of [depth, due, inFlight, oldestDue]) one.set({ channel, lane }, 0)
    }
    for (const { channelId: channel, lane, ...row } of lanes) {
      depth.set({ channel, lane }, row.waiting)
      due.set({ channel, lane }, row.dueNow)
      inFlight.set({ channel, lane }, row.inFlight)
      oldestDue.set({ channel, lane }, row.oldestDueSeconds)
    }
    oldest.set(Math.max(0, ...lanes.map(({ oldestSeconds }) => oldestSeconds)))
  }

  return {
    deliverySettled: (channel, outcome, count = 1) => deliveries.inc({ channel, outcome }, count),
    receiptsHeard: (channel, outcome, count) => receipts.inc({ channel, outcome }, count),
    circuit: (channel, isOpen) => circuits.set({ channel }, Number(isOpen)),
    requestDone: (door, status) => requests.inc({ door, status }),
    readerCut: () => cut.inc(),
    async read(context) {
      await look(context)
      users.set(context.live.connected())
      hintBus.set(Number(context.hints.isUp()))
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}
