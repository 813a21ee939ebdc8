/** Pushes of all kinds, whom each is for, and a caller who pushes until he is answered. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Book } from './books.ts'

export const APPS = ['102343444', 'faults-1', 'faults-2']
/** What the sample hospital says of the departments that are pushed to, with those below them. */
const DEPARTMENTS: Record<string, string[]> = {
  DEPT001: ['001', '009', '010', '011', '012', '013', '014', '015', '016', '017', '018'],
  DEPT400: ['004', '030', '031', '032', '033', '034'],
  DEPT700: ['003', '041', '042'],
}
/** In DEPT001 as well: somebody who is named twice. */
const NAMED_TWICE = 'USER010'
/** Without a phone: skipped on the SMS channel. */
const NO_PHONE = 'USER042'
/** Named with their own accounts on the site channel. */
const ON_SITE = ['USER020', 'USER021', 'USER022']

/** A push, and what is to come of it. */
export type Push = {
  number: string
  appId: string
  body: Record<string, unknown>
  people: string[]
  /** Deliveries by channel, those that are skipped or have no valid account included. */
  deliveries: { channelId: string; recipients: number }[]
}

/** So many pushes: to departments, and to so many accounts of a phone and a mailbox each. */
export type Sizes = { departments: number; custom: readonly number[] }

export function makePushes({ departments, custom }: Sizes): Push[] {
  let serial = 0
  const digits = () => `138${String(serial++).padStart(8, '0')}`
  const toAccounts = custom.map((accounts, at) => {
    const phones = Array.from({ length: accounts }, digits)
    return customPush(
      at,
      phones,
      phones.map((phone) => `p${phone}@example.org`),
    )
  })
  const toDepartments = Array.from({ length: departments }, (_, at) => departmentsPush(custom.length + at))
  // Mixed, so that small ones have to get past large ones.
  const every = Math.max(1, Math.ceil(toDepartments.length / Math.max(1, toAccounts.length)))
  return toDepartments
    .flatMap((push, at) => [push, ...(at % every === 0 ? toAccounts.splice(0, 1) : [])])
    .concat(toAccounts)
}

function customPush(at: number, phones: string[], mailboxes: string[]): Push {
  const receiverData = { '1001': phones, '1002': ON_SITE, '1003': mailboxes }
  return push(at, { receiverType: 'custom', receiverData }, ON_SITE, [
    { channelId: '1001', recipients: phones.length },
    { channelId: '1003', recipients: mailboxes.length },
  ])
}

function departmentsPush(at: number): Push {
  const names = Object.keys(DEPARTMENTS)
  const dept = [names[at % names.length]!, ...(at % 2 === 0 ? [names[(at + 1) % names.length]!] : [])]
  const user = [NAMED_TWICE, NO_PHONE]
  const people = [...new Set([...user, ...dept.flatMap((one) => DEPARTMENTS[one]!.map((code) => `USER${code}`))])]
  return push(at, { receiverType: 'specified', receiverData: { dept, user } }, people.toSorted(), [
    { channelId: '1001', recipients: people.length },
    { channelId: '1003', recipients: people.length },
  ])
}

function push(at: number, to: Record<string, unknown>, people: string[], deliveries: Push['deliveries']): Push {
  const number = `fault-${at}`
  const appId = APPS[at % APPS.length]!
  const channelData = {
    '1001': { content: number },
    '1002': { title: number, content: number },
    '1003': { title: number, content: number },
  }
  const body = { appId, businessId: number, priority: 1 + (at % 3), ...to, channelData }
  return { number, appId, body, people, deliveries }
}

/** A caller may give up on a node that does not answer: it may be one that is stopped. */
const ANSWER_MS = 4_000
const AGAIN_MS = 150

/** Pushes with its own idempotency key, to one node after the other until one accepts it. */
export async function pushUntilAcked(
  { number, body, people }: Push,
  urlOf: (tries: number) => string,
): Promise<Book & { tries: number }> {
  const startedAt = performance.now()
  for (let tries = 1; ; tries++) {
    try {
      const response = await fetch(`${urlOf(tries)}/api/openApi/message/push/channel`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': number },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      const answer = (await response.json()) as { msgId?: string; code: number; msg: string }
      const milliseconds = performance.now() - startedAt
      const book = { businessId: number, people, contents: 3, milliseconds, tries }
      if (response.status === 200) return { ...book, outcome: 'acked', msgId: answer.msgId }
      if (response.status !== 503) throw new Error(`${number} was refused: ${JSON.stringify(answer)}`)
    } catch (error) {
      // Killed, stopped or not up yet; all else is a refusal.
      if (!isConnection(error as Error)) throw error
    }
    await sleep(AGAIN_MS)
  }
}

/** What `fetch` throws when no answer comes, or not all of it. */
function isConnection(error: Error): boolean {
  return error instanceof TypeError || error instanceof SyntaxError || error.name === 'TimeoutError'
}
