/** What it means that a mail did not get through: by how far it came, and by what the server replied. */
import type { Outcome, RetryCause } from '../channel.ts'
import { NO_SMTPUTF8, type SmtpError, type Stage } from './smtp-connections.ts'

/** Of a reply so much is kept: servers explain themselves at length, with links. */
const WORDS_LENGTH = 300

/**
 * A reply as RFC 5321 (code) and RFC 3463 (enhanced status) divide it. `status` is without its class, which the code tells
 * already: `1.1` of `550 5.1.1`. Empty where the server gives none.
 */
type Reply = { code: number; status: string; words: string; command: string }
/** A retry by its cause, or in capitals the reason why it is final. */
type Verdict = RetryCause | Uppercase<string>
type Row = { verdict: Verdict; code?: RegExp; status?: RegExp; words?: RegExp; command?: RegExp }

/**
 * Asked to slow down, said in words. The codes are NetEase's and those of Coremail, whose software it is: connections, mails
 * a connection, mails a time, orders a time (https://help.mail.163.com/faq.do?m=list&categoryID=90).
 */
const SLOW_DOWN =
  /too (?:many|much|fast|quickly|frequent)|rate|throttl|slow down|frequen(?:t|cy)|quota|limit|busy|频|\b(?:HL:I[CF]C|HL:IFQ|HL:REP|(?:MI|RP):(?:DMC|DRC|SFQ|STC|CCL|CEL))\b/i
/** The same in a reply that is wrongly final, as QQ Mail (`550 Domain frequency limited`) and Google (`550 5.4.5`) give it. */
const OVER_OUR_QUOTA = /frequency limit|(?:sending|daily|hourly)(?: \w+)* (?:quota|limit)|rate limit|HL:I(?:CC|F[CQ])/i

/** The first row that fits decides. Statuses are those of RFC 3463 and the IANA registry that continues it. */
const VERDICTS: readonly Row[] = [
  // The session is out of step, which says nothing of the mail.
  { code: /^503/, verdict: 'temporary' },
  // Our login or the lack of one: it holds for every mail (RFC 4954, section 6).
  { code: /^(?:454|53[0458])/, verdict: 'unavailable' },
  { code: /^5/, status: /^(?:1\.[78]|7\.[89])$/, verdict: 'unavailable' },
  { code: /^4/, status: /^3\.2$/, verdict: 'unavailable' },
  // About this mailbox alone, even where it says that it gets too much.
  { code: /^4/, status: /^[12]\./, verdict: 'temporary' },
  { code: /^4/, words: /gr[ea]y-?list/i, verdict: 'temporary' },
  // It was tired of waiting for us.
  { code: /^421/, status: /^4\.2$/, verdict: 'temporary' },
  { code: /^421/, verdict: 'throttled' },
  { code: /^4/, status: /^(?:5\.3|7\.28)$/, verdict: 'throttled' },
  { code: /^45[0-2]/, words: SLOW_DOWN, verdict: 'throttled' },
  { code: /^4/, status: /^7\./, words: SLOW_DOWN, verdict: 'throttled' },
  { code: /^4/, verdict: 'temporary' },
  { words: OVER_OUR_QUOTA, verdict: 'throttled' },

  { status: /^(?:2\.3|3\.4)$/, verdict: 'TOO_LARGE' },
  { code: /^552/, command: /^MAIL/, verdict: 'TOO_LARGE' },
  { status: /^6\.(?:7|9|10)$/, verdict: 'SMTPUTF8_NOT_OFFERED' },
  // MAIL names nobody but our sender, so it is refused whoever the mail is for.
  { command: /^MAIL/, verdict: 'unavailable' },
  { status: /^1\.(?:1|6)$/, verdict: 'NO_SUCH_MAILBOX' },
  { status: /^(?:1\.2|1\.10|4\.4)$/, verdict: 'NO_SUCH_DOMAIN' },
  { status: /^1\.3$/, verdict: 'INVALID_ADDRESS' },
  { status: /^2\.1$/, verdict: 'MAILBOX_DISABLED' },
  { status: /^2\.2$/, verdict: 'MAILBOX_FULL' },
  { status: /^7\./, verdict: 'REJECTED_BY_POLICY' },

  // No status that tells: the code, and the usual words.
  {
    code: /^55[0-4]/,
    words: /spam|virus|blocked|black\s?list|policy|reputation|\brbl\b|content (?:denied|reject)/i,
    verdict: 'REJECTED_BY_POLICY',
  },
  {
    code: /^55[0-4]/,
    words:
      /(?:no such|unknown|invalid) (?:user|mailbox|recipient|account)|(?:user|mailbox|recipient|account)(?: is| was)? (?:unknown|not (?:found|exist|known))|mailbox unavailable(?! or access denied)|does(?: not|n't) exist|不存在/i,
    verdict: 'NO_SUCH_MAILBOX',
  },
  {
    code: /^55[0-4]/,
    words: /(?:user|mailbox|account)(?: is| has been)? (?:disabled|locked|suspended|inactive)/i,
    verdict: 'MAILBOX_DISABLED',
  },
  {
    code: /^55[0-4]/,
    words: /(?:mailbox|quota|storage)\b.*(?:full|exceed)|(?:over|exceed\w*) (?:\w+ )?(?:quota|storage)/i,
    verdict: 'MAILBOX_FULL',
  },
  { code: /^55[0-4]/, words: /size|too (?:large|big|long)/i, verdict: 'TOO_LARGE' },
  { code: /^551/, command: /^RCPT/, verdict: 'NO_SUCH_MAILBOX' },
  { code: /^552/, command: /^RCPT/, verdict: 'MAILBOX_FULL' },
  { code: /^553/, command: /^RCPT/, verdict: 'INVALID_ADDRESS' },
  // RFC 7504: a domain that takes no mail.
  { code: /^556/, verdict: 'NO_SUCH_DOMAIN' },
  { verdict: 'REFUSED_BY_PROVIDER' },
]

/** What nodemailer refuses by itself, before it asks the server: the mail is over the size that the server has announced. */
const OVER_ANNOUNCED_SIZE = 'EMESSAGE'

/** By where an attempt broke off without a reply. After the final dot it may have been taken; before it, never. */
const BROKEN_OFF: Record<Stage, RetryCause> = {
  connecting: 'unavailable',
  envelope: 'temporary',
  content: 'temporary',
  answer: 'ambiguous',
}

/** `hidden` are texts, such as the recipient's address, that servers repeat and that are to be left out. */
export function outcomeOf(error: SmtpError, stage: Stage, hidden: readonly string[]): Outcome {
  const why = wordsOf(error, hidden)
  if (error.code === NO_SMTPUTF8) return { outcome: 'failed', reason: 'SMTPUTF8_NOT_OFFERED', why }
  const reply = readReply(error)
  if (reply === undefined) {
    if (error.code === OVER_ANNOUNCED_SIZE && stage === 'envelope')
      return { outcome: 'failed', reason: 'TOO_LARGE', why }
    return { outcome: 'retry', cause: BROKEN_OFF[stage], why: why + hintFor(error) }
  }
  if (stage === 'connecting') return { outcome: 'retry', cause: causeBeforeMail(reply), why: why + hintFor(error) }
  const verdict = VERDICTS.find((row) => fits(row, reply))?.verdict ?? 'REFUSED_BY_PROVIDER'
  if (isCause(verdict)) return { outcome: 'retry', cause: verdict, why }
  return { outcome: 'failed', reason: verdict, why }
}

/** Too many connections for its taste is no outage: those that are open go on. */
function causeBeforeMail({ code, words, command }: Reply): RetryCause {
  return code < 500 && !command.startsWith('AUTH') && SLOW_DOWN.test(words) ? 'throttled' : 'unavailable'
}

/** Undefined when it replied nothing that is a refusal: then where it broke off decides. */
function readReply({ response = '', command = '' }: SmtpError): Reply | undefined {
  const [, code, status = ''] = /^([45]\d\d)(?:[ -](?:[45]\.(\d{1,3}\.\d{1,3})\b)?|$)/.exec(response) ?? []
  return code === undefined ? undefined : { code: Number(code), status, words: response, command }
}

function fits({ code, status, words, command }: Row, reply: Reply): boolean {
  return (
    (code === undefined || code.test(String(reply.code))) &&
    (status === undefined || status.test(reply.status)) &&
    (words === undefined || words.test(reply.words)) &&
    (command === undefined || command.test(reply.command))
  )
}

function isCause(verdict: Verdict): verdict is RetryCause {
  return ['throttled', 'temporary', 'unavailable', 'ambiguous'].includes(verdict)
}

function wordsOf(error: SmtpError, hidden: readonly string[]): string {
  // About TLS the server's own words ("command not recognised") tell nothing.
  const said = error.code === 'ETLS' ? error.message : (error.response ?? error.message)
  const line = said.replace(/\s*\r?\n\s*/g, ' / ')
  // Hidden before it is cut, or what the cut goes through would be left standing by half.
  const clean = hidden.reduce((text, secret) => text.replace(new RegExp(RegExp.escape(secret), 'gi'), '[hidden]'), line)
  return [...clean].slice(0, WORDS_LENGTH).join('')
}

function hintFor({ code, message }: SmtpError): string {
  if (/certificate/i.test(message)) return "; to accept it, add tls=insecure to the channel's URL"
  return code === 'ETLS' ? "; to do without TLS, add tls=off to the channel's URL" : ''
}
