import { z } from 'zod'
import type { ChannelUrl } from '../channel.ts'
import { refuseUnknown } from './known-options.ts'
import type { IdNotation } from './smpp-receipt.ts'
import type { Bind, SessionSettings } from './smpp-session.ts'
import type { Encoding } from './smpp-text.ts'

/** As registered with IANA for SMPP, and the usual one for SMPP over TLS. */
const PORT = 2775
const TLS_PORT = 3550
/** Carriers close sessions that are silent for one to five minutes. */
const KEEPALIVE_SECONDS = 30
const MOST_KEEPALIVE_SECONDS = 3_600

/** Types of number and numbering plans (SMPP 3.4, 5.2.5 and 5.2.6). */
const UNKNOWN = 0
const INTERNATIONAL = 1
const ALPHANUMERIC = 5
const ISDN = 1
const MOST_TON = 6
const MOST_NPI = 18

const OPTIONS = [
  'from',
  'fromTon',
  'fromNpi',
  'to',
  'systemType',
  'bind',
  'sign',
  'encoding',
  'long',
  'receiptIds',
  'zone',
  'keepalive',
  'tls',
]

export type SmppSettings = {
  session: SessionSettings
  /** The session that sends, and the one that only receives where they are two. */
  binds: [sender: Bind, receiver?: Bind]
  from: { source_addr_ton: number; source_addr_npi: number; source_addr: string }
  /** Whether mainland numbers go without their country code. */
  isNational: boolean
  sign: string | undefined
  encoding: Encoding
  long: 'udh' | 'payload'
  wantsReceipts: boolean
  receiptIds: IdNotation
  zone: string | undefined
}

const BINDS: Record<string, SmppSettings['binds']> = {
  transceiver: ['bind_transceiver'],
  transmitter: ['bind_transmitter'],
  separate: ['bind_transmitter', 'bind_receiver'],
}

/** Reads a carrier's URL. What the protocol leaves to each carrier is an option, with what most of them want as default. */
export const smppSettings = z.custom<ChannelUrl>().transform((url, context): SmppSettings => {
  const { scheme, query } = url
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  const isTls = scheme === 'smpps'
  const host = url.host.replace(/^\[(.*)\]$/, '$1')

  function oneOf<const Words extends readonly [string, ...string[]]>(name: string, words: Words): Words[number] {
    const found = words.find((word) => word === query[name])
    if (query[name] !== undefined && found === undefined)
      mistake(`has an unknown ${name}=${query[name]}; write ${words.join(' or ')}`)
    return found ?? words[0]
  }

  function whole(name: string, least: number, most: number, otherwise: number): number {
    const text = query[name]
    const number = text === undefined ? otherwise : Number(text)
    if (text === undefined || (/^\d{1,5}$/.test(text) && number >= least && number <= most)) return number
    mistake(`has ${name}=${text}; write a whole number from ${least} to ${most}`)
    return otherwise
  }

  if (host === '') mistake(`names no SMSC; write ${scheme}://SYSTEM_ID:PASSWORD@host:${isTls ? TLS_PORT : PORT}`)
  else if (url.path.length > 1) mistake(`has a path after its host; write ${scheme}://…@${url.host}?…`)
  if (!url.user || !url.password) mistake(`has no login; write ${scheme}://SYSTEM_ID:PASSWORD@host`)
  for (const [name, value] of Object.entries({
    user: url.user,
    password: url.password,
    systemType: query['systemType'],
  }))
    if (!/^[\x20-\x7e]*$/.test(value ?? '')) mistake(`has a ${name} that SMPP cannot carry; write it in ASCII`)
  refuseUnknown(url, OPTIONS, mistake)
  const { tls, zone } = query
  if (tls !== undefined && (tls !== 'insecure' || !isTls))
    mistake(`has an unknown tls=${tls}; write smpps: for TLS, and tls=insecure with it to accept any certificate`)
  if (zone !== undefined && !/^[+-]\d\d:\d\d$/.test(zone))
    mistake(`has an unusable zone=${zone}; write an offset such as %2B08:00`)
  const from = sender(query['from'] ?? '')
  if (from === undefined)
    mistake(
      `has an unusable from=${query['from']}; write up to 20 digits (%2B before them: international) or 11 letters`,
    )

  const bind = oneOf('bind', ['transceiver', 'transmitter', 'separate'])
  return {
    session: {
      host,
      port: url.port ?? (isTls ? TLS_PORT : PORT),
      tls: isTls ? { rejectUnauthorized: tls !== 'insecure' } : undefined,
      login: { system_id: url.user ?? '', password: url.password ?? '', system_type: query['systemType'] ?? '' },
      keepaliveSeconds: whole('keepalive', 1, MOST_KEEPALIVE_SECONDS, KEEPALIVE_SECONDS),
    },
    binds: BINDS[bind] ?? ['bind_transceiver'],
    from: {
      source_addr_ton: whole('fromTon', 0, MOST_TON, from?.ton ?? UNKNOWN),
      source_addr_npi: whole('fromNpi', 0, MOST_NPI, from?.npi ?? UNKNOWN),
      source_addr: from?.address ?? '',
    },
    isNational: oneOf('to', ['international', 'national']) === 'national',
    sign: query['sign'] || undefined,
    encoding: oneOf('encoding', ['auto', 'ucs2']),
    long: oneOf('long', ['udh', 'payload']),
    wantsReceipts: bind !== 'transmitter',
    receiptIds: oneOf('receiptIds', ['same', 'hex', 'decimal']),
    zone,
  }
})

/** The sender's address with the type that it looks to be of; none: the carrier puts in its own. */
function sender(from: string): { ton: number; npi: number; address: string } | undefined {
  if (from === '') return { ton: UNKNOWN, npi: UNKNOWN, address: '' }
  if (/^\+\d{1,20}$/.test(from)) return { ton: INTERNATIONAL, npi: ISDN, address: from.slice(1) }
  if (/^\d{1,20}$/.test(from)) return { ton: UNKNOWN, npi: ISDN, address: from }
  if (/^[\x21-\x7e][\x20-\x7e]{0,10}$/.test(from)) return { ton: ALPHANUMERIC, npi: UNKNOWN, address: from }
  return undefined
}
