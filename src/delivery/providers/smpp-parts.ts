/** Which part of which delivery the carrier has taken, so that an attempt goes on where the last one ended and receipts add up. */
import type { Receipt } from '../channel.ts'
import type { PartReceipt } from './smpp-receipt.ts'

/** Deliveries remembered; at a few hundred bytes each. Of older ones only the receipt of the last part is understood. */
const MAX_DELIVERIES = 20_000

/**
 * One delivery in parts. `ids` has a place for each part that was taken, empty where the carrier gave no id; `allIds` also
 * those of parts that were taken twice.
 */
export type Sending = {
  deliveryId: string
  total: number
  ids: string[]
  allIds: string[]
  delivered: Set<number>
  /** Once all parts have arrived or one has not, receipts of the others say nothing new. */
  end: Receipt['state'] | undefined
}

/** What a receipt comes to. `undo` forgets it again, for when nobody could take it. */
type Told = { receipt: Receipt | undefined; undo(): void }

export type Parts = ReturnType<typeof rememberParts>

/** In memory, for this node and until it stops; `most` deliveries. */
export function rememberParts(most = MAX_DELIVERIES) {
  const sendings = new Map<string, Sending>()
  const byId = new Map<string, { sending: Sending; at: number }>()

  function forget(sending: Sending) {
    sendings.delete(sending.deliveryId)
    for (const id of sending.allIds) byId.delete(id)
  }

  return {
    /** The delivery with the parts that an earlier attempt got through; anew after it did not arrive. */
    sending(deliveryId: string, total: number): Sending {
      const known = sendings.get(deliveryId)
      if (known !== undefined && known.total === total && known.end !== 'undelivered') return known
      if (known !== undefined) forget(known)
      const sending: Sending = { deliveryId, total, ids: [], allIds: [], delivered: new Set(), end: undefined }
      sendings.set(deliveryId, sending)
      const [oldest] = sendings.values()
      if (sendings.size > most && oldest !== undefined) forget(oldest)
      return sending
    },

    /** The carrier has taken the part at that place, under that id. A second time when an answer had come too late. */
    taken(sending: Sending, at: number, id: string): void {
      sending.ids[at] = id
      if (id === '' || sendings.get(sending.deliveryId) !== sending) return
      sending.allIds.push(id)
      byId.set(id, { sending, at })
    },

    isKnown(id: string): boolean {
      return byId.has(id)
    },

    /**
     * Delivered when all parts are, undelivered when one is not. Of a part that is not remembered: as the receipt of the
     * whole, which it is if it was the last part, whose id is the delivery's receipt.
     */
    tell({ id, state, ...more }: PartReceipt & { state: Receipt['state'] }): Told {
      const known = byId.get(id)
      if (known === undefined) return { receipt: { receipt: id, state, ...more }, undo: () => {} }
      const { sending, at } = known
      if (sending.end !== undefined) return { receipt: undefined, undo: () => {} }
      if (state === 'delivered') sending.delivered.add(at)
      const isEnd = state === 'undelivered' || sending.delivered.size === sending.total
      if (isEnd) sending.end = state
      return {
        receipt: isEnd ? { deliveryId: sending.deliveryId, state, ...more } : undefined,
        undo: () => {
          sending.end = undefined
          sending.delivered.delete(at)
        },
      }
    },
  }
}
