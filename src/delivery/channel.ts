import type { z } from 'zod'
import type { ContentKind } from './content.ts'

/**
 * What a provider attempt came to. `retry`: it may work later (and may have worked already: a time-out tells nothing).
 * `failed`: it never will. A throw counts as `retry`, since nobody can know.
 */
export type Outcome =
  | { outcome: 'sent'; receipt?: string }
  | { outcome: 'retry'; why: string; afterSeconds?: number }
  | { outcome: 'failed'; reason: string; why: string }

/** One delivery as a provider gets it. `id` is also the dedupe key wherever the provider takes one. */
export type Parcel = {
  id: string
  messageId: string
  address: string
  content: Record<string, unknown>
}

/** A provider at work with its settings: what `open` returns. */
export type Carrier = {
  /** One attempt. When `signal` aborts nobody waits any more: what has not gone out by then must not go out after it. */
  send(parcel: Parcel, signal: AbortSignal): Promise<Outcome>
  close(): Promise<void>
}

/**
 * The kind of thing behind a channel. One file each in providers/, one line in providers/index.ts; configuration,
 * checks and docs/channels.md follow from it.
 */
export type Provider<Settings = unknown> = {
  /** The URL schemes that choose it, e.g. `smtp` and `smtps`. */
  schemes: readonly string[]
  /** One sentence for the docs. */
  summary: string
  example: string
  /** The contents it can carry; the first is what a channel of it carries unless its id says otherwise. */
  kinds: readonly [ContentKind, ...ContentKind[]]
  /** Of an SMS: which forms it can send. Undefined: either. A push that has only the other one is refused. */
  takes?: (settings: Settings) => SmsForm
  /** Reads the URL's parts; its messages tell what to write instead. */
  settings: z.ZodType<Settings, ChannelUrl>
  open(settings: Settings, log: CarrierLog): Carrier
}

/** The two forms that an SMS may have in the documented content: `templateData`, or its own words in `content`. */
export type SmsForm = 'templateData' | 'content'

export type CarrierLog = { info(fields: Record<string, unknown>, text: string): void }

/** A channel URL in parts, decoded. */
export type ChannelUrl = {
  scheme: string
  host: string
  port: number | undefined
  user: string | undefined
  password: string | undefined
  path: string
  query: Record<string, string>
}

/** A configured way out: id, what it carries, and who carries it. */
export type Channel = {
  id: string
  kind: ContentKind
  provider: Provider
  settings: unknown
}

/** Lets the list of providers hold providers of different settings; the settings are checked by their own schema. */
export function provider<Settings>(definition: Provider<Settings>): Provider {
  return definition as unknown as Provider
}
