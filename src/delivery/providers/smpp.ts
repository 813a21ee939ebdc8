import { phone } from '../../directory/address.ts'
import { provider, type Outcome, type Parcel } from '../channel.ts'
import type { SmsContent } from '../content.ts'
import { keepLink } from './smpp-link.ts'
import { listen, together } from './smpp-listen.ts'
import { rememberParts, type Sending } from './smpp-parts.ts'
import { asKept } from './smpp-receipt.ts'
import { openSession, type Fields, type Session } from './smpp-session.ts'
import { smppSettings, type SmppSettings } from './smpp-settings.ts'
import { ESME_ROK, outcomeOf } from './smpp-status.ts'
import { encode, withHeader } from './smpp-text.ts'

const MAINLAND = '+86'
/** Types of number and numbering plan of the recipient (SMPP 3.4, 5.2.5 and 5.2.6). */
const INTERNATIONAL = 1
const NATIONAL = 2
const ISDN = 1
/** `esm_class`: the text begins with a header (SMPP 3.4, 5.2.12). */
const HAS_HEADER = 0x40

/** SMS straight to a carrier's SMSC, over one session that is kept. */
export const smpp = provider<SmppSettings>({
  schemes: ['smpp', 'smpps'],
  summary:
    "SMS through a carrier's SMSC over SMPP 3.4; `smpp` has port 2775 unless given, `smpps` is TLS (port 3550 unless given, with `tls=insecure` any certificate " +
    'will do). `systemType` is that of the bind, for carriers that want one. Sends `content`, as `【sign】text` when there is a signature (`sign` is that of contents that name none), in GSM ' +
    '03.38 or UCS-2 (`encoding=ucs2`: always), long texts in parts (`long=payload`: in one piece, as `message_payload`). `from` is ' +
    "the sender, the carrier's own unless given; `fromTon` and `fromNpi` follow from it; `to=national` leaves out the 86 of " +
    'mainland numbers. One session is opened at the start, or without receipts at the first message, and kept, with an `enquire_link` every 30 seconds ' +
    '(`keepalive`): `bind=transceiver`, `transmitter` (no receipts) or `separate` (a transmitter and a receiver). Messages ' +
    'unanswered at once are never more than `concurrency`. `receiptIds=decimal` or `hex` says how receipts write message ids ' +
    'whose answers had the other notation, `zone=%2B08:00` in which offset their times are. SMPP has no dedupe key: ' +
    '`user_message_reference` and the reference of the parts are the same at every attempt, and what the carrier does with ' +
    'them is its own affair; parts that it has taken are not sent again by this node. A message in parts is delivered when all ' +
    'are; after a restart, or on another node, when its last part is.',
  example: 'smpp://SYSTEM_ID:PASSWORD@smsc.example.org:2775?from=10690000&sign=东华医为',
  kinds: ['sms'],
  takes: () => 'content',
  settings: smppSettings,
  open: (settings, log, hear, limits) => {
    const mostUnanswered = limits?.concurrency ?? Number.POSITIVE_INFINITY
    const [sender, receiver] = settings.binds
    const parts = rememberParts()
    const underWay = new Set<Promise<unknown>>()
    const heard = listen(settings, parts, underWay, log, hear && together(hear))
    const link = keepLink((lost, closing) => openSession(settings.session, sender, heard, lost, closing), log, sender)
    const hearing =
      receiver && hear
        ? keepLink((lost, closing) => openSession(settings.session, receiver, heard, lost, closing), log, receiver)
        : undefined

    /** Submits one part; whenever the answer comes, what it says of the part is kept. */
    function submit(session: Session, sending: Sending, at: number, fields: Fields) {
      const reference = session.takesTlvs ? { user_message_reference: referenceOf(sending, at) } : {}
      const answering = session.submit({ ...fields, ...reference })?.then((answer) => {
        if (answer === 'lost') return answer
        const { command, command_status: status, message_id: id } = answer
        if (status === ESME_ROK && command !== 'submit_sm_resp') return 'lost'
        if (status === ESME_ROK) parts.taken(sending, at, asKept(typeof id === 'string' ? id : '', settings.receiptIds))
        return status
      })
      if (answering === undefined) return undefined
      underWay.add(answering)
      return answering.finally(() => underWay.delete(answering))
    }

    return {
      async send(parcel, signal) {
        const message = prepare(settings, parcel, hear !== undefined)
        if ('outcome' in message) return message
        hearing?.wake()
        const sending = parts.sending(parcel.id, message.length)
        const stop = aborted(signal)
        for (const [at, fields] of message.entries()) {
          if (sending.ids[at] !== undefined) continue
          let session = await link.session(stop)
          // Attempts that were given up still count with the SMSC. Looked at anew after each wait: others wait as well.
          while (underWay.size >= mostUnanswered) {
            if ((await Promise.race([stop, ...underWay])) === undefined)
              return cannot('unavailable', `the SMSC owes the answers to ${mostUnanswered} earlier messages`)
            session = await link.session(stop)
          }
          if ('outcome' in session) return session
          const answering = submit(session, sending, at, fields)
          if (answering === undefined) return cannot('unavailable', 'the session with the SMSC is ending')
          const status = await Promise.race([answering, stop])
          if (status === undefined) return cannot('ambiguous', 'the SMSC did not answer in time')
          if (status === 'lost') return cannot('ambiguous', 'the session ended before the SMSC had answered')
          if (status !== ESME_ROK) return outcomeOf(status)
        }
        const receipt = sending.ids.at(-1)
        return receipt ? { outcome: 'sent', receipt } : { outcome: 'sent' }
      },
      ...(settings.wantsReceipts && hear ? { wake: () => (hearing ?? link).wake() } : {}),
      async close() {
        await Promise.all([link.close(), hearing?.close()])
      },
    }
  },
})

/** The `submit_sm` of each part, the same bytes at every attempt; or why there can be none. */
function prepare(settings: SmppSettings, parcel: Parcel, isHeard: boolean): Fields[] | Outcome {
  const number = phone(parcel.address)
  if (number === undefined) return { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'is no mobile number' }
  const { content, sign = settings.sign } = parcel.content as SmsContent
  if (content === undefined)
    return { outcome: 'failed', reason: 'INVALID_CONTENT', why: 'has no content, and SMPP carries only that' }
  const isNational = settings.isNational && number.startsWith(MAINLAND)
  const { dataCoding, whole, parts } = encode(signed(content, sign), settings.encoding)
  const fields = {
    ...settings.from,
    dest_addr_ton: isNational ? NATIONAL : INTERNATIONAL,
    dest_addr_npi: ISDN,
    destination_addr: number.slice(isNational ? MAINLAND.length : 1),
    registered_delivery: settings.wantsReceipts && isHeard ? 1 : 0,
    data_coding: dataCoding,
  }
  if (parts.length === 1) return [{ ...fields, short_message: whole }]
  if (settings.long === 'payload') return [{ ...fields, message_payload: whole }]
  return parts.map((part, at) => ({
    ...fields,
    esm_class: HAS_HEADER,
    short_message: withHeader(part, lastBits(parcel.id), parts.length, at + 1),
  }))
}

function signed(text: string, sign: string | undefined): string {
  const signature = sign === undefined ? '' : `【${sign}】`
  return text.startsWith(signature) ? text : signature + text
}

/** Different for each part, or an SMSC that drops repeats by it would drop all but the first. */
function referenceOf({ deliveryId }: Sending, at: number): number {
  return (lastBits(deliveryId) + at) & 0xffff
}

/** The end of a delivery id is its random part. */
function lastBits(deliveryId: string): number {
  return Number.parseInt(deliveryId.slice(-4), 16)
}

/** Resolves when nobody waits any more. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

function cannot(cause: 'unavailable' | 'ambiguous', why: string): Outcome {
  return { outcome: 'retry', cause, why }
}
