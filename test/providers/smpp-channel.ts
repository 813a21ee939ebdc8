/** A channel to a carrier, for tests: opened by its URL, closed after each test. */
import { afterEach } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel, Receipt } from '../../src/delivery/channel.ts'
import { eventually } from '../kit/posthouse.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

/** The same, stopped after the test. */
export function closing<Server extends { stop(): Promise<void> }>(server: Server): Server {
  closers.push(server.stop)
  return server
}

/** The carrier that this channel URL opens, and what it wrote to the log. */
export function open(url: string, hear?: (receipts: Receipt[]) => Promise<void>, said: string[] = []): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1001: url })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1001')
  const log = {
    info: (fields: Record<string, unknown>, text: string) => said.push(`${text} ${JSON.stringify(fields)}`),
  }
  const carrier = channel?.provider.open(channel.settings, log, hear, channel.limits) as Carrier
  closers.push(() => carrier.close())
  return carrier
}

export const at = ({ port }: { port: number }, options = 'from=10690000', scheme = 'smpp') =>
  `${scheme}://hospital:s3cret@127.0.0.1:${port}?${options}`

export const ID = '0199c0ffee0070008000000000001234'
/** A different one for each number. */
export const idOf = (number: number) => ID.slice(0, -4) + number.toString(16).padStart(4, '0')

export const parcel = (content: unknown = 'Your results are ready', more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  messageId: ID,
  address: '+8618660886275',
  content: typeof content === 'string' ? { content } : (content as Record<string, unknown>),
  attempt: 1,
  ...more,
})

export const send = (carrier: Carrier, what = parcel(), milliseconds = 10_000): Promise<Outcome> =>
  carrier.send(what, AbortSignal.timeout(milliseconds))

/** Tries until it has been sent. */
export const sentAtLast = (carrier: Carrier, what = parcel()): Promise<Outcome> =>
  eventually(async () => {
    const outcome = await send(carrier, what, 1_000)
    return outcome.outcome === 'sent' ? outcome : undefined
  })

/** Three parts of UCS-2. */
export const LONG = '您的检验报告已出，请到门诊二楼自助机打印。'.repeat(8)
