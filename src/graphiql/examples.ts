/** Jobs, ready to run: what GraphiQL offers. Each query holds one named operation; the name is the tab's title. */
import { appsExamples } from './examples/apps.ts'
import { auditExamples } from './examples/audit.ts'
import { deliveryExamples } from './examples/delivery.ts'
import { directoryExamples } from './examples/directory.ts'
import { inboxExamples } from './examples/inbox.ts'
import { messagesExamples } from './examples/messages.ts'
import { preferencesExamples } from './examples/preferences.ts'
import { templatesExamples } from './examples/templates.ts'

export type Example = {
  /** What it does, in both languages; becomes the comment above the query. */
  title: string
  /** Who would do this. */
  viewer: 'app' | 'user' | 'admin'
  query: string
  variables?: Record<string, unknown>
}

export type ExampleArea = {
  /** What the menu calls it, in both languages. */
  name: string
  /** Whether its examples stand in tabs from the start: those of a first visit. */
  inTabs: boolean
  examples: Example[]
}

/** In the order of a first visit. */
export const exampleAreas: ExampleArea[] = [
  { name: '消息 Messages', inTabs: true, examples: messagesExamples },
  { name: '收件箱 Inbox', inTabs: true, examples: inboxExamples },
  { name: '投递 Deliveries', inTabs: true, examples: deliveryExamples },
  { name: '模板 Templates', inTabs: false, examples: templatesExamples },
  { name: '应用 Apps', inTabs: false, examples: appsExamples },
  { name: '偏好 Preferences', inTabs: false, examples: preferencesExamples },
  { name: '通讯录 Directory', inTabs: false, examples: directoryExamples },
  { name: '审计 Audit', inTabs: false, examples: auditExamples },
]

export const examples: Example[] = exampleAreas.flatMap((area) => area.examples)
