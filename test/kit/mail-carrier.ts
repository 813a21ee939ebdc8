/** An e-mail channel as the worker has it, without a worker. */
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'

export const FROM = 'from=posthouse@hospital.example'
/** A UUIDv7 of 2025-10-07. */
export const ID = '0199c0ffee0070008000000000000001'

export const mistakesOf = (url: string) => loadConfig({ CHANNEL_1003: url }).mistakes

/** The carrier that this channel URL opens; `closers` gets what closes it. */
export function openCarrier(url: string, closers: (() => Promise<void>)[]): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1003: url })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1003')
  const carrier = channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
  closers.push(() => carrier.close())
  return carrier
}

export const parcel = (more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  messageId: ID,
  address: 'liwei@example.org',
  content: { title: '检验报告已出', content: '<p>您好，<b>李伟</b> 🙂</p>', text: '您好，李伟 🙂' },
  attempt: 1,
  ...more,
})
export const saying = (content: Record<string, unknown>) => parcel({ content: { ...parcel().content, ...content } })

/** One attempt, given up after so long. */
export const send = (carrier: Carrier, what = parcel(), milliseconds = 10_000): Promise<Outcome> =>
  carrier.send(what, AbortSignal.timeout(milliseconds))
