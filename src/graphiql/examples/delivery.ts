/** What an operator looks at. */
import type { Example } from '../examples.ts'

export const deliveryExamples: Example[] = [
  {
    title: '发送队列 · What waits to be delivered',
    viewer: 'admin',
    query: `query Queue {
  queue {
    channelId
    lane
    waiting
    dueNow
    inFlight
    isAtLeast
    oldestDueSeconds
  }
}`,
  },
  {
    title: '未送达的，再试一次 · What did not arrive: look, then try again',
    viewer: 'admin',
    query: `mutation TryAgain {
  replayDeliveries(input: { filter: { state: DEAD } }) {
    replayed
    isMore
  }
}`,
  },
]
