import { createTransport } from 'nodemailer'
import { z } from 'zod'
import { provider, type ChannelUrl, type Outcome } from '../channel.ts'
import type { MailContent } from '../content.ts'

/** nodemailer waits ten minutes by default; a worker's lease is half a minute. */
const SOCKET_TIMEOUT_MS = 20_000
const CONNECT_TIMEOUT_MS = 5_000
const MAX_CONNECTIONS = 5

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  if (url.host === '') mistake('names no mail server; write smtp://host:port?from=name@host')
  const from = url.query['from'] ?? ''
  if (!z.email().safeParse(from).success) mistake('needs a sender; add ?from=name@your.host')
  return {
    secure: url.scheme === 'smtps',
    host: url.host,
    port: url.port ?? (url.scheme === 'smtps' ? 465 : 25),
    auth: url.user === undefined ? undefined : { user: url.user, pass: url.password ?? '' },
    from,
    fromName: url.query['fromName'],
  }
})

/** Mail over SMTP: one envelope per recipient, HTML with a text form, `Message-ID` from the delivery id. */
export const smtp = provider({
  schemes: ['smtp', 'smtps'],
  summary: 'E-mail through an SMTP server (`smtps`: TLS from the start; `smtp`: STARTTLS when offered).',
  example: 'smtps://user:password@mail.example.org:465?from=posthouse@example.org&fromName=Posthouse',
  kinds: ['mail'],
  settings,
  open: ({ from, fromName, ...server }) => {
    const transport = createTransport({
      ...server,
      pool: true,
      maxConnections: MAX_CONNECTIONS,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      // Content is text from callers: it must never name a file or an address to read.
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    const host = from.slice(from.lastIndexOf('@') + 1)
    return {
      async send(parcel) {
        const content = parcel.content as MailContent
        try {
          const info = await transport.sendMail({
            messageId: `<${parcel.id}@${host}>`,
            from: { name: fromName ?? '', address: from },
            // An object, never a string: nodemailer would read a second recipient out of one.
            to: { name: '', address: parcel.address },
            subject: content.title,
            html: content.content,
            text: content.text,
          })
          return { outcome: 'sent', receipt: info.response }
        } catch (error) {
          return read(error as SmtpError)
        }
      },
      async close() {
        transport.close()
      },
    }
  },
})

type SmtpError = Error & { responseCode?: number; response?: string; code?: string }

/** 5xx to this mail is final; anything else (4xx, no connection, a time-out, our own login refused) may pass. */
function read(error: SmtpError): Outcome {
  const why = error.response ?? error.message
  const isFinal = (error.responseCode ?? 0) >= 500 && error.code !== 'EAUTH'
  return isFinal ? { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why } : { outcome: 'retry', why }
}
