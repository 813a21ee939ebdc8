import type { z } from 'zod'
import type { ContentKind } from './content.ts'

/**
 * What a provider attempt came to. `sent`: the provider took it. `failed`: it never will, for this recipient or content.
 * `retry`: it may work later, and `cause` tells how. A throw counts as an `ambiguous` retry, since nobody can know.
 */
export type Outcome = (
  | { outcome: 'sent'; receipt?: string; why?: string }
  | { outcome: 'retry'; cause: RetryCause; why: string; afterSeconds?: number }
  | { outcome: 'failed'; reason: string; why: string }
) & {
  /** Of a provider that asks others (failover): who gave this outcome, as the scheme of its URL. */
  via?: string
}

/**
 * Why an attempt is to be repeated; each has its own back-off (retries.ts).
 * `throttled`: the provider asks us to slow down, perhaps by `afterSeconds`. `temporary`: it answers, and will not take
 * this one now. `unavailable`: nobody gets through to it, or our own login is refused; nothing was taken. `ambiguous`: no
 * answer came, so it may have taken this one. The last two count against its circuit breaker.
 */
export type RetryCause = 'throttled' | 'temporary' | 'unavailable' | 'ambiguous'

/** One delivery as a provider gets it. `id` is also the dedupe key wherever the provider takes one. */
export type Parcel = {
  id: string
  messageId: string
  address: string
  content: Record<string, unknown>
  /** 1 for the first attempt: a provider may then send together what has equal contents. */
  attempt: number
  /** Of a mail: the https address at which one click switches the like of it off (RFC 8058). */
  unsubscribe?: string
  /** `via` of the last ambiguous attempt, where that is known: who may have taken it already. */
  maybeVia?: string
  /** An earlier attempt may have sent it, through nobody knows whom: a worker died at it. */
  maybeAnyone?: true
}

/** A provider at work with its settings: what `open` returns. */
export type Carrier = {
  /** One attempt. When `signal` aborts nobody waits any more: what has not gone out by then must not go out after it. */
  send(parcel: Parcel, signal: AbortSignal): Promise<Outcome>
  /** One call for up to `most` parcels of one message, all at their first attempt; gives an outcome for each, in order. */
  batch?: { most: number; send(parcels: Parcel[], signal: AbortSignal): Promise<Outcome[]> }
  /**
   * Reads what the provider sent to `/callbacks/<channel id>`: proves that it comes from there, tells of which deliveries
   * it speaks, and how it wants to be answered. A throw answers 400 and changes nothing.
   */
  readReceipts?(call: Callback): Promise<CallbackAnswer> | CallbackAnswer
  /** Called when the worker starts: whoever hears receipts over a connection of its own opens it now, and waits for nothing. */
  wake?(): void
  close(): Promise<void>
}

/** What became of something that a provider had taken. Of which delivery: by its id, or by receipt, with or without address. */
export type Receipt = ({ deliveryId: string } | { receipt: string; address?: string }) & {
  state: 'delivered' | 'undelivered'
  /** The provider's own words or code. */
  why?: string
  /** When it happened, by the provider's clock. */
  at?: Date
}

/** A request to `/callbacks/<channel id>`, at most 1 MiB. Header names are lower case. */
export type Callback = {
  method: string
  query: URLSearchParams
  headers: Record<string, string | undefined>
  body: Buffer
}

/** `isGenuine` false: the answer is 401 and nothing changes. `body` and `contentType` are what the provider wants to hear. */
export type CallbackAnswer =
  | { isGenuine: false }
  | { isGenuine: true; receipts: Receipt[]; status?: number; contentType?: string; body: string }

/** What keeps a provider from being overrun. Every channel may set its own behind the `#` of its URL. */
export type Limits = {
  /** Calls under way at once, on each node. */
  concurrency: number
  /** Deliveries a second, over all nodes together. Undefined: as fast as it goes. */
  rate: number | undefined
  /** An attempt without an answer by then is ambiguous. */
  timeoutSeconds: number
  /** Attempts until a delivery is dead. */
  attempts: number
}

/**
 * The kind of thing behind a channel. One file each in providers/, one line in providers/index.ts; configuration,
 * checks and docs/channels.md follow from it.
 */
export type Provider<Settings = unknown> = {
  /** The URL schemes that choose it, e.g. `smtp` and `smtps`. */
  schemes: readonly string[]
  /** For the docs. What it is stands in the first sentence, of which their table is made. */
  summary: string
  example: string
  /** The contents it can carry; the first is what a channel of it carries unless its id says otherwise. */
  kinds: readonly [ContentKind, ...ContentKind[]]
  /** Of an SMS: which forms it can send. Undefined: either. A push that has only the other one is refused. */
  takes?: (settings: Settings) => SmsForm | undefined
  /** How many bytes a content becomes there, and how many it may: a push that is over that is refused. Undefined: any. */
  measure?: (content: object, settings: Settings) => Size
  /** The key by which its callbacks prove to be genuine, if it takes any: two members of a failover need two. */
  callbackKey?: (settings: Settings) => string | undefined
  /** Reads the URL's parts; its messages tell what to write instead. */
  settings: z.ZodType<Settings, ChannelUrl>
  /** Where its limits differ from the usual ones. */
  limits?: Partial<Limits>
  /** Of a provider made of others, written `scheme(…)`: what follows from those. */
  composed?: (settings: Settings) => { kinds: readonly ContentKind[]; limits: Partial<Limits> }
  /**
   * `hear` takes receipts that come by another way than a callback. It resolves once they are stored, and rejects after a
   * few seconds when they could not be: let the provider send them again. `limits` are the channel's, where they are known.
   */
  open(
    settings: Settings,
    log: CarrierLog,
    hear?: (receipts: Receipt[]) => Promise<void>,
    limits?: Pick<Limits, 'concurrency'>,
  ): Carrier
}

export const USUAL_LIMITS: Limits = { concurrency: 10, rate: undefined, timeoutSeconds: 20, attempts: 12 }

/** The two forms that an SMS may have in the documented content: `templateData`, or its own words in `content`. */
export type SmsForm = 'templateData' | 'content'

export type Size = { bytes: number; limit: number }

export type CarrierLog = { info(fields: Record<string, unknown>, text: string): void }

/** A channel URL in parts, decoded but for what is `written`. */
export type ChannelUrl = {
  scheme: string
  host: string
  port: number | undefined
  user: string | undefined
  password: string | undefined
  path: string
  query: Record<string, string>
  /** Path and query as they stand in the URL, for whom it is a URL to be called. The query is without its `?`. */
  written: { path: string; query: string }
}

/** A configured way out: id, what it carries, and who carries it. */
export type Channel = {
  id: string
  kind: ContentKind
  provider: Provider
  settings: unknown
  limits: Limits
}

/** Lets the list of providers hold providers of different settings; the settings are checked by their own schema. */
export function provider<Settings>(definition: Provider<Settings>): Provider {
  return definition as unknown as Provider
}
