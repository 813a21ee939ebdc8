/** A schedule: what is done, at random, to the inboxes of a few people, while their devices come and go; and the verdict. */
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { eventually } from '../kit/posthouse.ts'
import { act, nap, push, recall, revNow, sweep } from './callers.ts'
import type { Device } from './device.ts'
import { acts, arrive, change, countsOf, sweeps, type Act, type Inbox, type Sweep } from './model.ts'
import type { Nodes } from './nodes.ts'

/** After the last act, for a busy machine: the beat alone takes two seconds. */
const ALL_HEARD_MS = 20_000
/** Longer than a busy machine takes to hear of it: a time that is over is refused. */
const NAP_MS = 1_000
const PEOPLE = 2

/** `which`: of the messages so far, counted from the newest. */
export type Step =
  | { kind: 'push'; to: number[] }
  | { kind: 'act'; person: number; name: Act; which: number[] }
  | { kind: 'nap'; person: number; which: number }
  | { kind: 'sweep'; person: number; name: Sweep }
  | { kind: 'recall'; which: number }
  | { kind: 'broadcast' }
  | { kind: 'leave'; device: number }
  | { kind: 'pause'; milliseconds: number }

const person = fc.nat(PEOPLE - 1)
const which = fc.nat(4)
const one = <Kind extends Step['kind'], Rest extends object>(
  kind: Kind,
  rest: { [Key in keyof Rest]: fc.Arbitrary<Rest[Key]> },
) => fc.record({ kind: fc.constant(kind), ...rest }) as unknown as fc.Arbitrary<Step>

/** Steps at random, each kind about as often as in life. */
export const schedules: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: one('push', { to: fc.subarray([0, 1], { minLength: 1 }) }) },
    {
      weight: 24,
      arbitrary: one('act', {
        person,
        name: fc.constantFrom(...(Object.keys(acts) as Act[])),
        which: fc.array(which, { minLength: 1, maxLength: 3 }),
      }),
    },
    { weight: 2, arbitrary: one('nap', { person, which }) },
    { weight: 4, arbitrary: one('sweep', { person, name: fc.constantFrom(...(Object.keys(sweeps) as Sweep[])) }) },
    { weight: 4, arbitrary: one('recall', { which }) },
    { weight: 1, arbitrary: one('broadcast', {}) },
    { weight: 12, arbitrary: one('leave', { device: fc.nat(3) }) },
    { weight: 8, arbitrary: one('pause', { milliseconds: fc.nat(60) }) },
  ),
  { minLength: 6, maxLength: 24 },
)

/** Broadcasts reach the people of all schedules. Each is asked for, then accepted; then perhaps taken back. */
export type Broadcast = {
  msgId?: string
  askedAt: number
  acceptedAt?: number
  recallAskedAt?: number
  recalledAt?: number
}

/** Who lives in a schedule: people from `since` on, each with devices. */
export type Cast = { users: string[]; devices: Device[]; since: number }

/** Plays the steps, and gives every difference between what devices show and what they must. */
export async function play(
  nodes: Nodes,
  random: () => number,
  { users, devices, since }: Cast,
  steps: readonly Step[],
  broadcasts: Broadcast[],
): Promise<string[]> {
  const inboxes: Inbox[] = users.map(() => new Map())
  const messages: string[] = []
  // What is done to one message is done in order, on whichever node; all else happens at once.
  const chains = new Map<string, Promise<unknown>>()
  const underWay = new Set<Promise<unknown>>()
  const begin = (work: Promise<unknown>) => {
    underWay.add(work)
    work.then(
      () => underWay.delete(work),
      () => {},
    )
    return work
  }
  function chain(msgIds: readonly string[], does: () => Promise<unknown>) {
    const before = msgIds.map((msgId) => chains.get(msgId) ?? Promise.resolve())
    const work = begin(Promise.all(before).then(does))
    for (const msgId of msgIds) chains.set(msgId, work)
  }
  const named = (which: readonly number[]) =>
    [...new Set(which.map((back) => messages.at(-1 - back)))].filter((msgId) => msgId !== undefined)

  const plays: { [Kind in Step['kind']]: (step: Extract<Step, { kind: Kind }>) => Promise<unknown> | void } = {
    push({ to }) {
      void begin(
        push(
          nodes,
          random,
          to.map((at) => users[at] ?? ''),
        ).then((msgId) => {
          messages.push(msgId)
          for (const at of to) arrive(inboxes[at] ?? new Map(), msgId)
        }),
      )
    },
    act({ person, name, which }) {
      const ids = named(which)
      if (ids.length === 0) return
      chain(ids, async () => {
        await act(nodes, random, users[person] ?? '', name, ids)
        change(inboxes[person] ?? new Map(), ids, acts[name])
      })
    },
    nap({ person, which }) {
      const [msgId] = named([which])
      const inbox = inboxes[person]
      if (msgId === undefined || inbox === undefined || typeof inbox.get(msgId) !== 'object') return
      chain([msgId], async () => {
        if (typeof inbox.get(msgId) !== 'object') return
        await nap(nodes, random, users[person] ?? '', msgId, NAP_MS)
        change(inbox, [msgId], acts.snoozeItems)
        change(inbox, [msgId], acts.unsnoozeItems)
        // What is done to it next must not meet it asleep.
        await eventually(() => isAwake(nodes, users[person] ?? '', msgId), ALL_HEARD_MS)
      })
    },
    // Up to what one device has been told: those items and no others.
    async sweep({ person, name }) {
      await Promise.all(underWay)
      const device = devices.find(({ user }) => user === users[person])
      const upTo = device?.rev()
      if (device === undefined || upTo === undefined) return
      const ids = [...device.shows.keys()]
      await sweep(nodes, random, device.user, name, upTo)
      change(inboxes[person] ?? new Map(), ids, sweeps[name])
    },
    recall({ which }) {
      const [msgId] = named([which])
      if (msgId === undefined) return
      chain([msgId], async () => {
        await recall(nodes, random, msgId)
        for (const inbox of inboxes) change(inbox, [msgId], () => 'RECALLED')
      })
    },
    async broadcast() {
      const one: Broadcast = { askedAt: Date.now() }
      broadcasts.push(one)
      one.msgId = await push(nodes, random, 'all')
      one.acceptedAt = Date.now()
      if (random() < 0.5) return
      one.recallAskedAt = Date.now()
      await recall(nodes, random, one.msgId)
      one.recalledAt = Date.now()
    },
    leave: ({ device }) => devices[device % devices.length]?.goAway(),
    pause: ({ milliseconds }) => sleep(milliseconds),
  }

  for (const step of steps) await (plays[step.kind] as (step: Step) => Promise<unknown> | void)(step)
  await Promise.all(underWay)

  const verdicts = devices.map(async (device) => {
    const at = users.indexOf(device.user)
    const differences = await settled(() => hold(nodes, random, device, inboxes[at] ?? new Map(), broadcasts, since))
    return [...device.wrong, ...differences].map((what) => `${device.user}: ${what}`)
  })
  return (await Promise.all(verdicts)).flat()
}

async function isAwake({ admin }: Nodes, user: string, msgId: string): Promise<boolean> {
  const [item] = await admin`select snoozed_until from items where user_code = ${user} and message_id = ${msgId}`
  return item?.['snoozed_until'] === null
}

/** What is still different when there has been time enough to hear of everything. */
async function settled(look: () => Promise<string[]>): Promise<string[]> {
  const end = Date.now() + ALL_HEARD_MS
  for (;;) {
    const differences = await look()
    if (differences.length === 0 || Date.now() > end) return differences
    await sleep(20)
  }
}

/** What a device shows beside what it must, at a moment at which it has been told everything. */
async function hold(
  nodes: Nodes,
  random: () => number,
  device: Device,
  inbox: Inbox,
  broadcasts: readonly Broadcast[],
  since: number,
): Promise<string[]> {
  const from = Date.now()
  const rev = await revNow(nodes, random, device.user)
  if (device.rev() !== rev) return [`has got to ${device.rev()}, and the inbox to ${rev}`]
  const differences: string[] = []
  for (const [msgId, must] of inbox) {
    const shown = device.shows.get(msgId)
    if (JSON.stringify(shown) !== JSON.stringify(must))
      differences.push(`${msgId} must be ${JSON.stringify(must)} and is ${JSON.stringify(shown)}`)
  }
  for (const one of broadcasts) {
    const { msgId, askedAt, acceptedAt, recallAskedAt, recalledAt } = one
    if (msgId === undefined || acceptedAt === undefined || askedAt < since || acceptedAt > from) continue
    const shown = device.shows.get(msgId)
    if (recallAskedAt === undefined && typeof shown !== 'object' && shown !== 'DELETED')
      differences.push(`the broadcast ${msgId} must be there`)
    if (recalledAt !== undefined && recalledAt < from && typeof shown === 'object')
      differences.push(`the broadcast ${msgId} was recalled and is there`)
  }
  const asked = new Set(broadcasts.map(({ msgId }) => msgId))
  // One that is being accepted has no id here yet.
  const isQuiet = broadcasts.every(({ askedAt, acceptedAt }) => acceptedAt !== undefined || askedAt > from)
  for (const msgId of device.shows.keys())
    if (isQuiet && !inbox.has(msgId) && !asked.has(msgId)) differences.push(`${msgId} is not his`)
  const counted = countsOf(device.shows.values())
  const told = device.counts()
  if (told?.unread !== counted.unread || told.unseen !== counted.unseen)
    differences.push(
      `was told ${JSON.stringify({ unread: told?.unread, unseen: told?.unseen })} and shows ${JSON.stringify(counted)}`,
    )
  return differences
}
