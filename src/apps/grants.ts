/** What an app may be allowed to do, as data: a grant that is not of one of these forms allows nothing, so it is refused. */
import { badInput, Refusal } from '../errors.ts'
import type { App } from './apps.ts'

type GrantForm = { form: RegExp; example: string; about: string }

export const grantForms: readonly GrantForm[] = [
  {
    form: /^channel:(\*|\d{1,10})$/,
    example: 'channel:1002',
    about: 'push on that channel; `channel:*`: on every one',
  },
  {
    form: /^broadcast:(\*|\d{1,10})$/,
    example: 'broadcast:1002',
    about: 'push to all (`receiverType: all`) on that channel; `broadcast:*`: on every one',
  },
  { form: /^preview$/, example: 'preview', about: 'look at what a push would come to' },
  { form: /^recall$/, example: 'recall', about: 'take its own messages back' },
  { form: /^token$/, example: 'token', about: "make tokens for people's inboxes" },
]

const MAX_GRANTS = 100

/** Whether the app may do that: by the grant itself (`channel:1002`, `token`) or by the one for all (`channel:*`). */
export function hasGrant(app: Pick<App, 'grants'>, grant: string): boolean {
  const colon = grant.indexOf(':')
  return app.grants.includes(grant) || (colon > 0 && app.grants.includes(`${grant.slice(0, colon)}:*`))
}

/** Refuses an app without that grant, naming it. */
export function enforceGrant(app: Pick<App, 'grants'>, grant: string): void {
  if (hasGrant(app, grant)) return
  throw new Refusal('FORBIDDEN', { zh: `应用缺少授权 ${grant}`, en: `this app lacks the grant ${grant}` })
}

/** The grants as given, each once; refuses one of no known form, naming them all. */
export function readGrants(given: readonly string[], path: string): string[] {
  if (given.length > MAX_GRANTS) throw badInput(path, `最多 ${MAX_GRANTS} 项`, `has more than ${MAX_GRANTS} entries`)
  for (const [at, grant] of given.entries()) {
    if (grantForms.some(({ form }) => form.test(grant))) continue
    const examples = grantForms.map(({ example }) => example).join(', ')
    throw badInput(
      `${path}.${at}`,
      `“${grant}”不是授权，可用形式：${examples}`,
      `"${grant}" is no grant: use ${examples}`,
    )
  }
  return [...new Set(given)]
}
