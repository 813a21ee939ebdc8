/** The documented calls that push, and ours about a message. */
import type { RestCall, RestDone } from '../rest.ts'
import type { Accepted } from './accept.ts'
import { pushChannelMessage, pushTemplateMessage } from './push.ts'

export const messageCalls: RestCall[] = [
  {
    path: '/api/openApi/message/push/channel',
    grant: undefined,
    act: async (context, app, body, around) => done(await pushChannelMessage(context, app, body, around)),
  },
  {
    path: '/api/openApi/message/push/template',
    grant: undefined,
    act: async (context, app, body, around) => done(await pushTemplateMessage(context, app, body, around)),
  },
]

/** The document's callers fail on unknown members: whatever else there is to say goes into headers. */
function done({ messageId, warnings, isReplay }: Accepted): RestDone {
  return {
    msgId: messageId,
    headers: {
      ...(isReplay ? { 'idempotency-replayed': 'true' } : {}),
      ...(warnings.length > 0 ? { 'x-posthouse-warning': warnings.join('; ') } : {}),
    },
  }
}
