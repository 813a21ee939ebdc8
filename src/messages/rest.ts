/** The documented calls that push, and ours about a message. */
import type { RestCall, RestDone } from '../rest.ts'
import type { Accepted } from './accept.ts'
import { readNamed, readRecall, readUsers } from './input.ts'
import { previewAnswer, previewPush } from './preview.ts'
import { pushChannelMessage, pushTemplateMessage } from './push.ts'
import { markRead } from './read.ts'
import { recallAnswer } from './recall.ts'
import { readPaging, statusOf } from './status.ts'

export const messageCalls: RestCall[] = [
  {
    method: 'POST',
    path: '/api/openApi/message/push/channel',
    rule: 'app',
    act: async (context, app, input, around) => done(await pushChannelMessage(context, app, input, around)),
  },
  {
    method: 'POST',
    path: '/api/openApi/message/push/template',
    rule: 'app',
    act: async (context, app, input, around) => done(await pushTemplateMessage(context, app, input, around)),
  },
  {
    method: 'POST',
    path: '/api/openApi/message/preview/channel',
    rule: { grant: 'preview' },
    act: async (context, app, input, { requestId }) => ({
      data: previewAnswer(await previewPush(context, app, 'channel', input, requestId)),
    }),
  },
  {
    method: 'POST',
    path: '/api/openApi/message/preview/template',
    rule: { grant: 'preview' },
    act: async (context, app, input, { requestId }) => ({
      data: previewAnswer(await previewPush(context, app, 'template', input, requestId)),
    }),
  },
  {
    method: 'GET',
    path: '/api/openApi/message/status',
    rule: 'app',
    act: async ({ db }, app, input) => ({ data: await statusOf(db, app.id, readNamed(input), readPaging(input)) }),
  },
  {
    method: 'POST',
    path: '/api/openApi/message/read',
    rule: 'app',
    act: async (context, app, input) => ({
      data: { marked: await markRead(context, app.id, readNamed(input), readUsers(input['user'])) },
    }),
  },
  {
    method: 'POST',
    path: '/api/openApi/message/recall',
    rule: { grant: 'recall' },
    act: async (context, app, input) => ({
      data: await recallAnswer(context, app.id, readNamed(input), readRecall(input)),
    }),
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
