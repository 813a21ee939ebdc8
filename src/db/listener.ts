import type { Sql } from 'postgres'

/** How often a node sends itself a beat over the database, and looks for it. */
const BEAT_MS = 1_000
/** Without a beat for this long the connection is taken for dead, also when its socket says nothing (half-open peer). */
const SILENCE_MS = 4_000

/**
 * Hears NOTIFY on one connection of its own, and replaces that connection when it falls silent. Notices sent in between
 * are lost for good, so `onGap` tells whenever hearing starts anew.
 */
export async function listen(
  connect: () => Sql,
  on: {
    onPayload: (payload: string) => void
    onGap: () => void
    beat: () => Promise<void>
    onTrouble: (what: string) => void
  },
): Promise<() => Promise<void>> {
  let client: Sql | undefined
  let heardAt = Date.now()

  const open = async () => {
    const mine = connect()
    client = mine
    heardAt = Date.now()
    const hear = (payload: string) => {
      heardAt = Date.now()
      if (payload !== '') on.onPayload(payload)
    }
    await mine.listen('posthouse', hear, () => {
      if (client !== mine) return
      heardAt = Date.now()
      on.onGap()
    })
  }

  const close = async () => {
    const old = client
    client = undefined
    await old?.end({ timeout: 0 }).catch(() => {})
  }

  const watch = setInterval(() => {
    on.beat().catch(() => {})
    if (client !== undefined && Date.now() - heardAt < SILENCE_MS) return
    on.onTrouble('the listening connection fell silent')
    void close()
      .then(open)
      .catch(() => close())
  }, BEAT_MS)
  watch.unref()

  await open().catch(() => close())
  return async () => {
    clearInterval(watch)
    await close()
  }
}
