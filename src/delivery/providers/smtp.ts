import { createTransport } from 'nodemailer'
import { z } from 'zod'
import { email } from '../../directory/address.ts'
import { provider, type ChannelUrl, type Outcome } from '../channel.ts'
import type { MailContent } from '../content.ts'

/** nodemailer waits ten minutes by default; an attempt here has a third of a minute (worker.ts). */
const SOCKET_TIMEOUT_MS = 15_000
const CONNECT_TIMEOUT_MS = 5_000
const MAX_CONNECTIONS = 5
/** A pooled connection that the server closed while it was idle is worth one new one; the queue does all other retries. */
const MAX_REQUEUES = 1

const LOOPBACK = /^(localhost|127(\.\d+){3}|::1)$/i

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  const secure = url.scheme === 'smtps'
  const { from = '', fromName, tls } = url.query
  const host = url.host.replace(/^\[(.*)\]$/, '$1')
  if (host === '') mistake(`names no mail server; write ${url.scheme}://host:port?from=name@host`)
  if (!z.email().safeParse(from).success) mistake('needs a sender; add ?from=name@your.host')
  if (url.user !== undefined && url.password === undefined)
    mistake(`has a user without a password; write ${url.scheme}://user:password@host`)
  if (tls !== undefined && tls !== 'insecure' && (tls !== 'off' || secure)) {
    mistake(
      `has an unknown tls=${tls}; write tls=insecure to accept any certificate${secure ? '' : ', or tls=off for a plain connection'}`,
    )
  }
  const auth = url.user === undefined ? undefined : { user: url.user, pass: url.password ?? '' }
  return {
    secure,
    host,
    port: url.port ?? (secure ? 465 : 25),
    auth,
    ignoreTLS: tls === 'off',
    // A password never crosses a network in clear unless somebody wrote that it may.
    requireTLS: !secure && auth !== undefined && tls !== 'off' && !LOOPBACK.test(host),
    tls: { rejectUnauthorized: tls !== 'insecure' },
    from,
    fromName,
  }
})

/** Mail over SMTP: one envelope per recipient, HTML with a text form, `Message-ID` from the delivery id. */
export const smtp = provider({
  schemes: ['smtp', 'smtps'],
  summary:
    'E-mail through an SMTP server. `smtps`: TLS from the start. `smtp`: STARTTLS when offered, and always before a password unless ' +
    'the server is on this machine. `tls=insecure` accepts any certificate, `tls=off` (smtp only) never encrypts.',
  example: 'smtps://user:password@mail.example.org:465?from=posthouse@example.org&fromName=Posthouse',
  kinds: ['mail'],
  settings,
  open: ({ from, fromName, ...server }) => {
    const transport = createTransport({
      ...server,
      pool: true,
      maxConnections: MAX_CONNECTIONS,
      maxRequeues: MAX_REQUEUES,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      // Content is text from callers: it must never name a file or an address to read.
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    const host = from.slice(from.lastIndexOf('@') + 1)
    return {
      async send(parcel, signal) {
        const address = email(parcel.address)
        if (address === undefined)
          return { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'is no single mail address' }
        const content = parcel.content as MailContent
        try {
          const info = await transport.sendMail({
            messageId: `<${parcel.id}@${host}>`,
            from: { name: fromName ?? '', address: from },
            // An object, never a string: nodemailer would read a second recipient out of one.
            to: { name: '', address },
            subject: content.title,
            html: content.content,
            text: content.text,
            signal,
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

/** What nodemailer calls a refusal of this mail (its sender, recipient or text), as opposed to one of us or our login. */
const ABOUT_THIS_MAIL = ['EENVELOPE', 'EMESSAGE']

/** 5xx to this mail is final; anything else (4xx, no connection, a time-out, our own login refused) may pass. */
function read(error: SmtpError): Outcome {
  // About TLS the server's own words ("command not recognised") tell nothing.
  const why = error.code === 'ETLS' ? error.message : (error.response ?? error.message)
  const isFinal = (error.responseCode ?? 0) >= 500 && ABOUT_THIS_MAIL.includes(error.code ?? '')
  if (isFinal) return { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
  return { outcome: 'retry', why: why + hintFor(error) }
}

function hintFor({ code, message }: SmtpError): string {
  if (/certificate/i.test(message)) return "; to accept it, add tls=insecure to the channel's URL"
  return code === 'ETLS' ? "; to do without TLS, add tls=off to the channel's URL" : ''
}
