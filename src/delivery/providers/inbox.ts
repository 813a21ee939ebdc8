import { z } from 'zod'
import { provider, type ChannelUrl } from '../channel.ts'
import { refuseUnknown } from './known-options.ts'

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  if (url.host + url.path !== '') mistake('has something after the colon; write inbox:')
  refuseUnknown(url, [], mistake)
  return {}
})

/** The site channel: its deliveries are items in people's inboxes, put there by fan-out itself, so nothing is sent. */
export const inbox = provider({
  schemes: ['inbox'],
  summary: "The person's live inbox here in Posthouse. Exactly one channel may be an inbox.",
  example: 'inbox:',
  kinds: ['site'],
  settings,
  open: () => ({
    send: async () => ({ outcome: 'failed', reason: 'NOT_CARRIED', why: 'inbox items are not sent' }),
    close: async () => {},
  }),
})
