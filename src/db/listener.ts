import { connect } from './connect.ts'
import { keepLink, type Link } from './link.ts'

/** Also the question whether the connection is there: asking twice does no harm. */
const LISTEN = 'listen posthouse'

type Hearing = {
  onPayload: (payload: string) => void
  /** Notices may have been missed: hearing starts, for the first time or anew. */
  onGap: () => void
  onNews: (what: string) => void
}

/**
 * Hears NOTIFY on one connection of its own, and makes that connection anew whenever it is lost or falls silent. Returns
 * after the first try. Notices sent in between are lost for good, which `onGap` tells.
 */
export function listen(url: string, { onPayload, onGap, onNews }: Hearing): Promise<Link> {
  return keepLink({
    open(onLost) {
      const client = connect(url, { max: 1, statementTimeoutMs: 0, onNotify: onPayload, onClose: onLost })
      return { ask: () => client.sql.unsafe(LISTEN), destroy: client.destroy }
    },
    onUp: onGap,
    onNews: (why) => onNews(why === undefined ? 'hears notices again' : `hears no notices: ${why}`),
  })
}
