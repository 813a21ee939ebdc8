/** What the tests of the three group robots share: a robot opened by its URL, and a post for it. */
import { expect } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Channel, Outcome, Parcel } from '../../src/delivery/channel.ts'

const ID = '0199c0ffee0070008000000000000001'

/** The channel that a URL makes; what is wrong with the URL otherwise. */
export function channel(url: string): Channel {
  const { config, mistakes } = loadConfig({ CHANNEL_1004: url })
  return config?.channels.get('1004') ?? expect.fail(mistakes?.join('\n'))
}

export function mistakes(url: string): string[] {
  return loadConfig({ CHANNEL_1004: url }).mistakes
}

export function open(url: string): Carrier {
  const { provider, settings } = channel(url)
  return provider.open(settings, { info: () => {} })
}

export function post(carrier: Carrier, content: Record<string, unknown> = { content: '今晚停电' }): Promise<Outcome> {
  const parcel: Parcel = { id: ID, messageId: ID, address: '*', content, attempt: 1 }
  return carrier.send(parcel, AbortSignal.timeout(10_000))
}
