/** What the SMSC sends of its own accord: receipts, which are told, and messages, which nobody here waits for. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pdu } from 'smpp'
import type { CarrierLog, Receipt } from '../channel.ts'
import type { Parts } from './smpp-parts.ts'
import { isReceipt, readReceipt } from './smpp-receipt.ts'
import type { SmppSettings } from './smpp-settings.ts'
import { ESME_ROK, ESME_RX_T_APPN } from './smpp-status.ts'

/** A receipt may overtake the answer that says of which message it is, but not by much. */
const OVERTAKING_MS = 5_000

/**
 * Gives the status to answer with: well once it has been told, and so that it comes again when that failed. `underWay` are
 * the submits without an answer yet.
 */
export function listen(
  { receiptIds, zone }: SmppSettings,
  parts: Parts,
  underWay: ReadonlySet<Promise<unknown>>,
  log: CarrierLog,
  tell: ((receipt: Receipt) => Promise<void>) | undefined,
) {
  return async (pdu: Pdu): Promise<number> => {
    const receipt = isReceipt(pdu) ? readReceipt(pdu, receiptIds, zone) : undefined
    if (receipt === undefined) {
      const what = isReceipt(pdu) ? 'a receipt without an id' : 'a message'
      log.info({}, `smpp: ${what} came in; acknowledged, and not kept`)
      return ESME_ROK
    }
    const { state } = receipt
    if (state === undefined || tell === undefined) return ESME_ROK
    if (!parts.isKnown(receipt.id) && underWay.size > 0)
      await Promise.race([Promise.allSettled(underWay), sleep(OVERTAKING_MS, undefined, { ref: false })])
    const told = parts.tell({ ...receipt, state })
    try {
      if (told.receipt !== undefined) await tell(told.receipt)
      return ESME_ROK
    } catch {
      told.undo()
      return ESME_RX_T_APPN
    }
  }
}

/** One call of `hear` at a time, with all that came in during the last one: receipts come as fast as messages went out. */
export function together(hear: (receipts: Receipt[]) => Promise<void>): (receipt: Receipt) => Promise<void> {
  let next: { receipts: Receipt[]; heard: Promise<void> } | undefined
  let last = Promise.resolve()
  return (receipt) => {
    if (next === undefined) {
      const receipts: Receipt[] = []
      const heard = last
        .catch(() => {})
        .then(() => {
          next = undefined
          return hear(receipts)
        })
      next = { receipts, heard }
      last = heard
    }
    next.receipts.push(receipt)
    return next.heard
  }
}
