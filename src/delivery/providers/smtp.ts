import { provider } from '../channel.ts'
import { connections } from './smtp-connections.ts'
import { compose, mailbox } from './smtp-mail.ts'
import { outcomeOf } from './smtp-outcome.ts'
import { settings, type SmtpSettings } from './smtp-settings.ts'

/** Connections at once, on each node: one a mail. Public mail services close the door on much more. */
const CONCURRENCY = 5
/** What is shorter stands in ordinary words as well, and would be cut out of them. */
const SECRET_LENGTH = 6

/** Mail over SMTP: one envelope per recipient, HTML with a text form, `Message-ID` from the delivery id. */
export const smtp = provider({
  schemes: ['smtp', 'smtps'],
  summary:
    'E-mail through an SMTP server. `from` is the sender and has to be there, `fromName` is the name beside it. `smtps`: TLS from the ' +
    'start, on port 465 unless given. `smtp`: port 25 unless given, STARTTLS when offered, and always before a password unless ' +
    'the server is on this machine. `tls=insecure` accepts any certificate, `tls=off` (smtp only) never encrypts. ' +
    '`dkim=<selector>` with `dkimKeyFile=/path/to/private.pem` (RSA) signs every mail, for the domain of `from` or for `dkimDomain`. ' +
    '`unsubscribe=https://your.host/path?d={id}` (`{id}` is the delivery, `{messageId}` the message; `%26` for `&`) offers one click to ' +
    'unsubscribe (RFC 8058) in place of the page that PUBLIC_URL gives, `unsubscribeMailto` an address for it.',
  example:
    'smtps://user:password@mail.example.org:465?from=posthouse@example.org&fromName=Posthouse&unsubscribe=https://example.org/unsubscribe?d={id}',
  kinds: ['mail'],
  settings,
  limits: { concurrency: CONCURRENCY },
  open: (mail) => {
    const { server, from } = mail
    const { send, close } = connections(server)
    const secrets = secretsOf(server.auth)
    return {
      async send(parcel, signal) {
        const to = mailbox(parcel.address)
        if (to === undefined) return { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'is no single mail address' }
        let bytes: Buffer
        try {
          bytes = await compose(parcel, to, mail)
        } catch (error) {
          return { outcome: 'failed', reason: 'INVALID_CONTENT', why: (error as Error).message }
        }
        const answer = await send({ from, to, bytes }, signal)
        if ('reply' in answer) return { outcome: 'sent', receipt: answer.reply }
        return outcomeOf(answer.error, answer.stage, [to, parcel.address, ...secrets])
      },
      close,
    }
  },
})

/** The password in the forms in which a login sends it: a server that understood nothing may repeat the line. */
function secretsOf(auth: SmtpSettings['server']['auth']): string[] {
  if (auth === undefined || auth.pass.length < SECRET_LENGTH) return []
  const forms = [`\0${auth.user}\0${auth.pass}`, auth.pass].map((text) => Buffer.from(text).toString('base64'))
  return [...forms, auth.pass]
}
