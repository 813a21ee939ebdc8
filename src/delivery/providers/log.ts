import { z } from 'zod'
import { provider, type ChannelUrl } from '../channel.ts'

const settings = z.custom<ChannelUrl>().transform(({ host, path }, context) => {
  const isKnown = host === '' && ['', 'sms', 'mail'].includes(path)
  if (!isKnown)
    context.addIssue({ code: 'custom', message: `cannot carry "${host || path}"; write log:, log:sms or log:mail` })
  return {}
})

/** For development: says in the log that something would have gone out. What and to whom, GraphQL tells app and admin. */
export const log = provider({
  schemes: ['log'],
  summary:
    'Sends nothing; writes a line to the log. For development and for trying out. `log:sms` or `log:mail` where the id does not tell.',
  example: 'log:',
  kinds: ['sms', 'mail'],
  settings,
  open: (_settings, logger) => ({
    async send({ id, messageId }) {
      logger.info({ deliveryId: id, messageId }, 'log: would go out now; query message(id) to read it')
      return { outcome: 'sent', receipt: `log-${id}` }
    },
    close: async () => {},
  }),
})
