import { z } from 'zod'
import { provider, type ChannelUrl } from '../channel.ts'
import { refuseUnknown } from './known-options.ts'

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  const { host, path } = url
  const isKnown = host === '' && ['', 'sms', 'mail', 'chat'].includes(path)
  if (!isKnown) mistake(`cannot carry "${host || path}"; write log:, log:sms, log:mail or log:chat`)
  refuseUnknown(url, [], mistake)
  return {}
})

/** For development: says in the log that something would have gone out. What and to whom, GraphQL tells app and admin. */
export const log = provider({
  schemes: ['log'],
  summary:
    'Sends nothing; writes a line to the log. For development and for trying out. `log:sms`, `log:mail` or `log:chat` where the id does not tell.',
  example: 'log:',
  kinds: ['sms', 'mail', 'chat'],
  settings,
  open: (_settings, logger) => ({
    async send({ id, messageId }, signal) {
      if (signal.aborted) return { outcome: 'retry', cause: 'temporary', why: 'no time was left' }
      logger.info({ deliveryId: id, messageId }, 'log: would go out now; query message(id) to read it')
      return { outcome: 'sent' }
    },
    close: async () => {},
  }),
})
