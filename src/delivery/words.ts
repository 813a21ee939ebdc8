/** Words of others, made fit to be stored and to be logged. */

/** Of a provider's words, receipts and addresses so much is kept. */
const LENGTH = 500

/** A provider's words as PostgreSQL can store them: a server may send anything, and a row must not fail to settle for it. */
export function words(text: string | null): string | null {
  return text === null ? null : text.replaceAll('\0', '').slice(0, LENGTH).toWellFormed()
}

/** What went wrong at the root: an error around it may carry the statement with its parameters, addresses among them. */
export function whyOf(error: unknown): string {
  const { cause, stack } = error as Error
  return cause instanceof Error ? whyOf(cause) : withoutAddresses(stack ?? String(error))
}

/** Providers repeat in their answers whom the delivery was for. */
export function withoutAddresses(text: string): string {
  return text.replace(/[^\s/]+@[^\s/]+|\+?\d{7,}/g, '[hidden]')
}
