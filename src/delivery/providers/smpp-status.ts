/** What an SMSC says in `command_status`, and what follows from it. Numbers and names: SMPP 3.4, section 5.1.3, and 5.0. */
import type { Outcome, RetryCause } from '../channel.ts'

export const ESME_ROK = 0x00
export const ESME_RINVCMDID = 0x03
export const ESME_RINVBNDSTS = 0x04
export const ESME_RX_T_APPN = 0x64

type Verdict = RetryCause | 'INVALID_ADDRESS' | 'INVALID_CONTENT' | 'REFUSED_BY_PROVIDER'

/** The name of each status, what it means for a message, and what somebody here can do about it. Others are `temporary`. */
const STATUSES: Record<number, [name: string, verdict: Verdict, hint?: string]> = {
  0x01: ['ESME_RINVMSGLEN', 'INVALID_CONTENT'],
  0x02: ['ESME_RINVCMDLEN', 'INVALID_CONTENT'],
  0x03: ['ESME_RINVCMDID', 'unavailable', 'it takes no messages from this bind'],
  0x04: ['ESME_RINVBNDSTS', 'unavailable', "check bind= in the channel's URL"],
  0x05: ['ESME_RALYBND', 'unavailable', 'another session has this login; ask the carrier how many it may have'],
  0x06: ['ESME_RINVPRTFLG', 'temporary'],
  0x07: ['ESME_RINVREGDLVFLG', 'unavailable', "it gives no receipts; write bind=transmitter in the channel's URL"],
  0x08: ['ESME_RSYSERR', 'temporary'],
  0x0a: ['ESME_RINVSRCADR', 'unavailable', "check from= in the channel's URL"],
  0x0b: ['ESME_RINVDSTADR', 'INVALID_ADDRESS'],
  0x0d: ['ESME_RBINDFAIL', 'unavailable'],
  0x0e: ['ESME_RINVPASWD', 'unavailable', "check user and password in the channel's URL"],
  0x0f: ['ESME_RINVSYSID', 'unavailable', "check user and password in the channel's URL"],
  0x14: ['ESME_RMSGQFUL', 'throttled'],
  0x15: ['ESME_RINVSERTYP', 'temporary'],
  0x43: ['ESME_RINVESMCLASS', 'INVALID_CONTENT', "for long texts try long=payload in the channel's URL"],
  0x45: ['ESME_RSUBMITFAIL', 'temporary'],
  0x48: ['ESME_RINVSRCTON', 'unavailable', "check fromTon= in the channel's URL"],
  0x49: ['ESME_RINVSRCNPI', 'unavailable', "check fromNpi= in the channel's URL"],
  0x50: ['ESME_RINVDSTTON', 'INVALID_ADDRESS', "check to= in the channel's URL"],
  0x51: ['ESME_RINVDSTNPI', 'INVALID_ADDRESS', "check to= in the channel's URL"],
  0x53: ['ESME_RINVSYSTYP', 'unavailable', "check systemType= in the channel's URL"],
  0x58: ['ESME_RTHROTTLED', 'throttled'],
  0x64: ['ESME_RX_T_APPN', 'temporary'],
  0x65: ['ESME_RX_P_APPN', 'REFUSED_BY_PROVIDER'],
  0x66: ['ESME_RX_R_APPN', 'REFUSED_BY_PROVIDER'],
  0xc0: ['ESME_RINVOPTPARSTREAM', 'INVALID_CONTENT'],
  0xc1: ['ESME_ROPTPARNOTALLWD', 'INVALID_CONTENT', "for long texts try long=udh in the channel's URL"],
  0xc2: ['ESME_RINVPARLEN', 'INVALID_CONTENT'],
  0xc3: ['ESME_RMISSINGOPTPARAM', 'INVALID_CONTENT'],
  0xc4: ['ESME_RINVOPTPARAMVAL', 'INVALID_CONTENT'],
  0xfe: ['ESME_RDELIVERYFAILURE', 'temporary'],
  0xff: ['ESME_RUNKNOWNERR', 'temporary'],
  0x100: ['ESME_RSERTYPUNAUTH', 'unavailable', 'ask the carrier what this login may send'],
  0x101: ['ESME_RPROHIBITED', 'REFUSED_BY_PROVIDER'],
  0x104: ['ESME_RINVDCS', 'INVALID_CONTENT', "try encoding=ucs2 in the channel's URL"],
}

/** Refusals of a bind that trying again does not mend; too many of them and a carrier locks the login. */
const LOGIN_REFUSED = [0x0e, 0x0f, 0x53]

/** The status by its name, with what to do about it; one that no specification knows by its number. */
export function wordsFor(status: number): string {
  const number = `0x${status.toString(16).toUpperCase().padStart(2, '0')}`
  const [name, , hint] = STATUSES[status] ?? []
  return `${name === undefined ? `status ${number}` : `${name} (${number})`}${hint === undefined ? '' : `: ${hint}`}`
}

/** What a refusal of one message comes to. */
export function outcomeOf(status: number): Outcome {
  const verdict = STATUSES[status]?.[1] ?? 'temporary'
  const why = wordsFor(status)
  return isCause(verdict) ? { outcome: 'retry', cause: verdict, why } : { outcome: 'failed', reason: verdict, why }
}

export function isLoginRefused(status: number): boolean {
  return LOGIN_REFUSED.includes(status)
}

function isCause(verdict: Verdict): verdict is RetryCause {
  return verdict === verdict.toLowerCase()
}
