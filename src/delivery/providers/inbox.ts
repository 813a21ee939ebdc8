import { z } from 'zod'
import { provider, type ChannelUrl } from '../channel.ts'

const settings = z.custom<ChannelUrl>().transform(({ host, path }, context) => {
  if (host + path !== '') context.addIssue({ code: 'custom', message: 'has something after the colon; write inbox:' })
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
