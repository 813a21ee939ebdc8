import { z } from 'zod'
import { provider, type ChannelUrl } from '../channel.ts'

/** For development: says in the log that something would have gone out. The content stays readable to the admin only. */
export const log = provider({
  schemes: ['log'],
  summary: 'Sends nothing; writes a line to the log. For development and for trying out. `log:sms` or `log:mail` where the id does not tell.',
  example: 'log:',
  kinds: ['sms', 'mail'],
  settings: z.custom<ChannelUrl>().transform(() => ({})),
  open: (_settings, logger) => ({
    async send(parcel) {
      logger.info({ deliveryId: parcel.id, messageId: parcel.messageId, address: parcel.address }, 'log: delivery')
      return { outcome: 'sent', receipt: `log-${parcel.id}` }
    },
    close: async () => {},
  }),
})
