/** Calls of ours about apps, in the documented envelope. */
import { z } from 'zod'
import { check } from '../check.ts'
import type { RestCall } from '../rest.ts'
import { grantInboxToken, TOKEN_SECONDS } from './tokens.ts'

const tokenInput = z.object({
  user: z.string().min(1).max(128),
  ttlSeconds: z.int().min(1).max(TOKEN_SECONDS.most).nullish(),
})

export const appCalls: RestCall[] = [
  {
    method: 'POST',
    path: '/api/openApi/inbox/token',
    rule: { grant: 'token' },
    async act(context, app, input) {
      const { user, ttlSeconds } = check(tokenInput, input, '')
      const { token, expiresAt } = await grantInboxToken(context, app, user, ttlSeconds)
      return { data: { token, expiresAt: expiresAt.toISOString() } }
    },
  },
]
