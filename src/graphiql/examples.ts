/** Jobs, ready to run: what GraphiQL offers. Each query holds one named operation; the name is the tab's title. */
import { appsExamples } from './examples/apps.ts'
import { auditExamples } from './examples/audit.ts'
import { deliveryExamples } from './examples/delivery.ts'
import { inboxExamples } from './examples/inbox.ts'
import { messagesExamples } from './examples/messages.ts'

export type Example = {
  /** What it does, in both languages; becomes the comment above the query. */
  title: string
  /** Who would do this. */
  viewer: 'app' | 'user' | 'admin'
  query: string
  variables?: Record<string, unknown>
}

/** By area, in the order of a first visit. */
export const examples: Example[] = [
  ...messagesExamples,
  ...inboxExamples,
  ...deliveryExamples,
  ...appsExamples,
  ...auditExamples,
]
