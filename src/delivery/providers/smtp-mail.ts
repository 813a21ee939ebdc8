/** A parcel as a mail: the same bytes at every attempt, so that whoever receives two copies can tell that they are one. */
import { buffer } from 'node:stream/consumers'
import { domainToASCII } from 'node:url'
import DKIM from 'nodemailer/lib/dkim'
import MailComposer from 'nodemailer/lib/mail-composer'
import type { Parcel } from '../channel.ts'
import type { MailContent } from '../content.ts'
import type { SmtpSettings } from './smtp-settings.ts'
import { madeAt } from './delivery-id.ts'

/** RFC 5321, section 4.5.3.1: an address in an envelope, and what stands before its `@`. */
const ADDRESS_BYTES = 254
const LOCAL_PART_BYTES = 64
/** What directory/address.ts takes, and the letters of all languages (RFC 6531). */
const LOCAL_PART = /^(?!\.)(?!.*\.[.@])[\p{L}\p{M}\p{N}_'+.-]+(?<!\.)$/u
const DOMAIN = /^[\p{L}\p{M}\p{N}.·-]+$/u
const ASCII_DOMAIN = /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+(?:[a-z]{2,63}|xn--[a-z\d-]{1,59})$/

/** The two list headers must be signed (RFC 8058, section 3.1); nodemailer's own list lacks the second. */
const SIGNED_HEADERS =
  'From:To:Subject:Date:Message-ID:MIME-Version:Content-Type:Content-Transfer-Encoding:List-Unsubscribe:List-Unsubscribe-Post'

/**
 * One bare address as an envelope takes it: the domain in ASCII (IDNA), the local part as it stands. Undefined when the
 * text is anything else. A local part that is not ASCII needs a server that offers SMTPUTF8.
 */
export function mailbox(text: string): string | undefined {
  const [, local = '', domain = ''] = /^(.*)@(.*)$/s.exec(text.normalize('NFKC').trim()) ?? []
  if (!LOCAL_PART.test(local) || !DOMAIN.test(domain)) return undefined
  const asciiDomain = domainToASCII(domain)
  const address = `${local}@${asciiDomain}`
  const isShort = Buffer.byteLength(local) <= LOCAL_PART_BYTES && Buffer.byteLength(address) <= ADDRESS_BYTES
  return ASCII_DOMAIN.test(asciiDomain) && isShort ? address : undefined
}

/** The whole mail, signed where a key is set. Rejects when the content holds anything but text. */
export async function compose(parcel: Parcel, to: string, settings: SmtpSettings): Promise<Buffer> {
  const { from, fromName, dkim } = settings
  const content = parcel.content as MailContent
  const bytes = await new MailComposer({
    messageId: `<${parcel.id}@${from.slice(from.lastIndexOf('@') + 1)}>`,
    date: madeAt(parcel.id),
    baseBoundary: parcel.id,
    from: { name: fromName ?? '', address: from },
    // An object, never a string: nodemailer would read a second recipient out of one.
    to: { name: '', address: to },
    subject: content.title,
    html: withLineEnds(content.content),
    text: withLineEnds(content.text),
    headers: unsubscribeHeaders(parcel, settings),
    newline: 'windows',
    // Content is text from callers: it must never name a file or an address to read.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build()
  if (dkim === undefined) return bytes
  return buffer(new DKIM({ ...dkim, headerFieldNames: SIGNED_HEADERS }).sign(bytes))
}

/** A lone CR or LF is made CRLF on its way out at the latest, and after the signing that would break the signature. */
function withLineEnds(text: unknown): string {
  if (typeof text !== 'string') throw new TypeError('the content is no text')
  return text.replace(/\r\n?|\n/g, '\r\n')
}

/**
 * One click (RFC 8058) only with an https address: the channel's own where it has one, else that of this house. A mailto
 * address alone is for a program or a person to write to.
 */
function unsubscribeHeaders(
  { id, messageId, unsubscribe }: Parcel,
  { unsubscribe: { template, mailto } }: SmtpSettings,
) {
  const url = template?.replaceAll('{id}', id).replaceAll('{messageId}', messageId) ?? unsubscribe
  const ways = [url, mailto === undefined ? undefined : `mailto:${mailto}?subject=${id}`].filter(
    (way) => way !== undefined,
  )
  if (ways.length === 0) return undefined
  const list = { prepared: true, value: ways.map((way) => `<${way}>`).join(',\r\n ') }
  return {
    'List-Unsubscribe': list,
    ...(url === undefined ? {} : { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
  }
}
