/** Who changed what. */
import type { Example } from '../examples.ts'

export const auditExamples: Example[] = [
  {
    title: '谁改了什么 · Who changed what',
    viewer: 'admin',
    query: `query WhoChangedWhat {
  auditEntries(first: 20) {
    edges {
      node {
        at
        actor
        operator
        act
        subject
        before
        after
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`,
  },
]
