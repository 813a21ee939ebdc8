/** One bound session with an SMSC, from connecting to its end: requests and their answers, keepalive, what the SMSC sends. */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Pdu, Session as Wire } from 'smpp'
import { loadSmpp } from './smpp-wire.ts'
import { ESME_RINVBNDSTS, ESME_RINVCMDID, ESME_ROK, ESME_RX_T_APPN, isLoginRefused, wordsFor } from './smpp-status.ts'

const CONNECT_TIMEOUT_MS = 5_000
const BIND_TIMEOUT_MS = 10_000
/** Much longer than an attempt: an answer that comes too late for its attempt still tells that the message was taken. */
const ANSWER_TIMEOUT_MS = 60_000
const UNBIND_TIMEOUT_MS = 2_000
/** SMPP 3.4, the version from which there are transceivers and TLVs. */
const VERSION = 0x34

export type Bind = 'bind_transceiver' | 'bind_transmitter' | 'bind_receiver'
export type Fields = Record<string, unknown>

export type SessionSettings = {
  host: string
  port: number
  tls: { rejectUnauthorized: boolean } | undefined
  login: { system_id: string; password: string; system_type: string }
  keepaliveSeconds: number
}

export type Session = {
  /** Whether the SMSC said that it understands TLVs; one that does not must not be sent any (SMPP 3.4, 3.4). */
  takesTlvs: boolean
  /** Sends at once. Undefined: nothing went out, since the session is at its end. `lost`: it ended before the answer came. */
  submit(fields: Fields): Promise<Pdu | 'lost'> | undefined
  /** Says goodbye, and is closed when it resolves. */
  close(): Promise<void>
}

/** The SMSC does not let us in, and will not before somebody mends the login. */
export class LoginRefused extends Error {}

/**
 * Connects and binds; rejects with the reason when that fails. `heard` takes each `deliver_sm` and `data_sm`, and gives
 * the status to answer with. `lost` is called once, after a session that stood has ended; not after `close`. All ends at
 * once when `closing` aborts.
 */
export async function openSession(
  settings: SessionSettings,
  bind: Bind,
  heard: (pdu: Pdu) => Promise<number>,
  lost: (why: string) => void,
  closing: AbortSignal,
): Promise<Session> {
  const smpp = await loadSmpp()
  closing.throwIfAborted()
  const socket = await connected(settings, closing)
  const wire: Wire = new smpp.Session({ socket })
  const pending = new Map<number, (answer: Pdu | 'lost') => void>()
  let isBound = false
  let isEnding = false
  let ended: string | undefined
  let keepalive: NodeJS.Timeout | undefined = undefined

  function end(why: string) {
    if (ended !== undefined) return
    ended = why
    clearInterval(keepalive)
    socket.destroy()
    for (const settle of pending.values()) settle('lost')
    pending.clear()
    if (isBound) lost(why)
  }

  function request(command: string, fields: Fields, milliseconds: number): Promise<Pdu | 'lost'> | undefined {
    if (ended !== undefined) return undefined
    const pdu = new smpp.PDU(command, fields)
    if (!wire.send(pdu)) return undefined
    const number = pdu.sequence_number
    return new Promise((resolve) => {
      const settle = (answer: Pdu | 'lost') => {
        clearTimeout(timer)
        pending.delete(number)
        resolve(answer)
      }
      const timer = setTimeout(() => settle('lost'), milliseconds)
      pending.set(number, settle)
    })
  }

  function reply(pdu: Pdu, status: number) {
    if (ended === undefined) wire.send(pdu.response({ command_status: status }))
  }

  const answers: Record<string, (pdu: Pdu) => void> = {
    enquire_link: (pdu) => reply(pdu, ESME_ROK),
    deliver_sm: (pdu) => void answerHeard(pdu),
    data_sm: (pdu) => void answerHeard(pdu),
    // These want no answer.
    outbind: () => {},
    alert_notification: () => {},
    unbind: (pdu) => {
      reply(pdu, ESME_ROK)
      goAway()
    },
  }

  async function answerHeard(pdu: Pdu) {
    // It comes again after this status (SMPP 3.4, 5.1.3).
    const status = await heard(pdu).catch(() => ESME_RX_T_APPN)
    reply(pdu, status)
  }

  /** No request goes out any more; the answers that are on their way get a moment. */
  function goAway() {
    isEnding = true
    wire.close()
    setTimeout(() => end('it unbound'), UNBIND_TIMEOUT_MS).unref()
  }

  function take(pdu: Pdu) {
    if (pdu.isResponse()) return pending.get(pdu.sequence_number)?.(pdu)
    const answer = answers[pdu.command]
    if (answer !== undefined) return answer(pdu)
    const { sequence_number } = pdu
    wire.send(new smpp.PDU('generic_nack', { command_status: ESME_RINVCMDID, sequence_number }))
  }

  // Without these listeners whatever the other side does wrong would end the process.
  wire.on('error', (error: Error) => end(error.message))
  wire.on('close', () => end(isEnding ? 'it unbound' : 'it closed the connection'))
  wire.on('pdu', (pdu: Pdu) => {
    try {
      take(pdu)
    } catch (error) {
      end(`could not answer ${pdu.command}: ${(error as Error).message}`)
    }
  })

  const answer = await request(bind, { ...settings.login, interface_version: VERSION }, BIND_TIMEOUT_MS)
  if (answer === undefined || answer === 'lost') {
    end('no answer to the bind')
    throw new Error(ended)
  }
  const { command, command_status: status } = answer
  if (status !== ESME_ROK) {
    const words = `bind refused with ${wordsFor(status)}`
    end(words)
    throw isLoginRefused(status) ? new LoginRefused(words) : new Error(words)
  }
  if (command !== `${bind}_resp`) end(`it answered the bind with ${command}`)
  if (ended !== undefined) throw new Error(ended)
  isBound = true

  const period = settings.keepaliveSeconds * 1_000
  keepalive = setInterval(() => {
    void request('enquire_link', {}, period)?.then((alive) => alive === 'lost' && end('it no longer answers'))
  }, period)

  return {
    takesTlvs: Number(answer['sc_interface_version'] ?? 0) >= VERSION,
    submit: (fields) =>
      isEnding
        ? undefined
        : request('submit_sm', fields, ANSWER_TIMEOUT_MS)?.then((answer) => {
            // It has forgotten the bind, though not the connection.
            if (answer !== 'lost' && answer.command_status === ESME_RINVBNDSTS) end('it says that nothing is bound')
            return answer
          }),
    async close() {
      isBound = false
      isEnding = true
      await request('unbind', {}, UNBIND_TIMEOUT_MS)
      end('closed')
    },
  }
}

/** A socket that is through, TLS included. */
function connected({ host, port, tls }: SessionSettings, closing: AbortSignal): Promise<Socket> {
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = tls === undefined ? connect({ host, port }) : connectTls({ host, port, ...servername, ...tls })
  socket.setNoDelay(true)
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('no connection in time')))
  const giveUp = () => socket.destroy(new Error('closed'))
  closing.addEventListener('abort', giveUp)
  return new Promise((resolve, reject) => {
    socket.once('close', () => {
      closing.removeEventListener('abort', giveUp)
      reject(new Error('it closed the connection'))
    })
    // Stays: an error that nobody hears would end the process.
    socket.on('error', (error) => reject(new Error(error.message + hintFor(error, tls !== undefined))))
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      socket.setTimeout(0)
      resolve(socket)
    })
  })
}

function hintFor(error: Error, isTls: boolean): string {
  const { code = '' } = error as NodeJS.ErrnoException
  if (/CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(code))
    return "; to accept any certificate, add tls=insecure to the channel's URL"
  return isTls && /SSL|EPROTO|ECONNRESET/.test(code) ? '; without TLS, write smpp: instead of smpps:' : ''
}
