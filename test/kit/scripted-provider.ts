/** A provider that says what a test tells it to, for what others make of it. */
import { z } from 'zod'
import type { Carrier, ChannelUrl, Outcome, Parcel, Provider, Receipt } from '../../src/delivery/channel.ts'

/** An outcome by its cause or name, or whatever the provider does. */
export type Answer = keyof typeof OUTCOMES | Outcome | ((parcel: Parcel, signal: AbortSignal) => Promise<Outcome>)

const OUTCOMES = {
  sent: { outcome: 'sent' },
  failed: { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why: 'no such number' },
  throttled: { outcome: 'retry', cause: 'throttled', why: 'slow down' },
  temporary: { outcome: 'retry', cause: 'temporary', why: 'busy' },
  unavailable: { outcome: 'retry', cause: 'unavailable', why: 'connection refused' },
  ambiguous: { outcome: 'retry', cause: 'ambiguous', why: 'no answer' },
} satisfies Record<string, Outcome>

/** Gives `answers` in turn, the last one from then on. What it was asked to send is in `parcels`. */
export function scripted(scheme: string, answers: Answer[] = ['sent'], more: Partial<Provider & Carrier> = {}) {
  const parcels: Parcel[] = []
  const heard: (((receipts: Receipt[]) => Promise<void>) | undefined)[] = []
  let closed = 0
  const { readReceipts, ...rest } = more
  const provider: Provider = {
    schemes: [scheme],
    summary: 'Says what it is told to.',
    example: `${scheme}:`,
    kinds: ['sms'],
    settings: z.custom<ChannelUrl>(),
    ...rest,
    open: (_settings, _log, hear) => {
      heard.push(hear)
      return {
        async send(parcel, signal) {
          parcels.push(parcel)
          const answer = answers[Math.min(parcels.length, answers.length) - 1] ?? 'sent'
          if (typeof answer === 'function') return answer(parcel, signal)
          return typeof answer === 'string' ? OUTCOMES[answer] : answer
        },
        ...(readReceipts === undefined ? {} : { readReceipts }),
        async close() {
          closed++
        },
      }
    },
  }
  return {
    provider,
    parcels,
    heard,
    closed: () => closed,
    /** From now on. */
    say: (...next: Answer[]) => answers.splice(0, Number.POSITIVE_INFINITY, ...repeated(parcels.length), ...next),
  }
}

function repeated(times: number): Answer[] {
  return Array.from({ length: times }, (): Answer => 'sent')
}
