/** What `npm start` prints: what is open, and what to do next. Tokens are made only for development on loopback. */
import { createHmac } from 'node:crypto'
import { findApp, putKey } from './apps/apps.ts'
import { bearerKey, sha256 } from './apps/authenticate.ts'
import { inboxToken } from './apps/tokens.ts'
import type { Context } from './context.ts'
import { person } from './directory/directory.ts'
import type { GraphiqlViewer } from './graphiql.ts'

/** The app and the person that the document's samples name. */
const SAMPLE_APP = '102343444'
const SAMPLE_USER = 'USER001'
const TOKEN_SECONDS = 86_400

/**
 * Ready tokens for the sample app, a sample person and the admin; none unless the secrets were made for development.
 * The app's key follows from the admin's, so that it stays the same over restarts and for nodes that share the secrets.
 */
export async function development(context: Context): Promise<GraphiqlViewer[]> {
  const { config, secrets, db } = context
  if (!config.isLoopback || !secrets.areMade) return []
  const admin = { name: 'admin', label: 'Admin', token: secrets.adminKey }
  if ((await findApp(db, SAMPLE_APP)) === undefined || (await person(db, SAMPLE_USER)) === undefined) return [admin]
  const secret = createHmac('sha256', secrets.adminKey).update('key of the sample app').digest('hex')
  const keyId = `development${sha256(secrets.adminKey).slice(0, 8)}`
  await putKey(db, { keyId, appId: SAMPLE_APP, secretSha256: sha256(secret) })
  const { token } = await inboxToken(secrets.inboxJwtSecret, SAMPLE_USER, TOKEN_SECONDS)
  return [
    { name: 'app', label: `App ${SAMPLE_APP}`, token: bearerKey(keyId, secret) },
    { name: 'user', label: `User ${SAMPLE_USER}`, token },
    admin,
  ]
}

/** Says what is open and what to try. */
export function introduce(context: Context, url: string, viewers: GraphiqlViewer[], say: (line: string) => void): void {
  const { config, channels, store } = context
  const outward = [...channels.values()].map(({ id, kind, provider }) => `${id} ${kind} (${provider.schemes[0]})`)
  say('')
  const showsGraphiql = config.GRAPHIQL ?? config.isLoopback
  say(`  GraphQL    ${url}/graphql${showsGraphiql ? '   (open it in a browser: GraphiQL, with examples)' : ''}`)
  say(`  REST       ${url}/api/openApi/message/push/channel`)
  say(`  Channels   ${outward.join(' · ')}`)
  if (store.kind === 'pglite') {
    say(`  Database   embedded, in ${config.DATA_DIR}; it survives kill -9 but not a power cut. For production:`)
    say('             DATABASE_URL=postgres://user:password@host:5432/posthouse npm start')
  }
  say(`  Open to    ${config.isLoopback ? 'this machine alone' : 'whoever reaches it'}, by key or token`)
  say(`             GraphiQL and introspection ${showsGraphiql ? 'open' : 'closed'} (GRAPHIQL)`)
  say(`             pages of ${['its own host', ...config.ALLOWED_ORIGINS].join(', ')} (ALLOWED_ORIGINS)`)
  say(`             callers named by ${config.TRUSTED_PROXIES.join(', ') || 'no proxy'} (TRUSTED_PROXIES)`)
  const user = viewers.find(({ name }) => name === 'user')
  if (user === undefined) return
  say(`  Legacy     app ${SAMPLE_APP} may push from this machine with its appId alone (development)`)
  say('')
  say(`Watch the inbox of ${SAMPLE_USER}:`)
  say('')
  say(`  curl -N ${url}/graphql -H 'Accept: text/event-stream' -H 'Content-Type: application/json' \\`)
  say(`    -H 'Authorization: Bearer ${user.token}' \\`)
  say(
    `    -d '{"query":"subscription { inboxChanges { __typename ... on ItemChanged { counts { unread } item { title text } } } }"}'`,
  )
  say('')
  say('Push to it:')
  say('')
  say(`  curl ${url}/api/openApi/message/push/channel -H 'Content-Type: application/json' \\`)
  say(
    `    -d '{"appId":"${SAMPLE_APP}","receiverType":"specified","receiverData":{"user":["${SAMPLE_USER}"]},"channelData":{"1002":{"title":"发工资了","content":"你好，您的工资已发，请及时查收！"}}}'`,
  )
  say('')
}
