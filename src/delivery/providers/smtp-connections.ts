/**
 * Connections to one mail server that outlive the mail they were opened for. As many as there are mails under way, which
 * the channel's limit bounds: no mail ever waits here, so none can go out after its attempt was given up.
 */
import { Readable } from 'node:stream'
import SMTPConnection from 'nodemailer/lib/smtp-connection'
import type { SmtpSettings } from './smtp-settings.ts'

const CONNECT_TIMEOUT_MS = 5_000
/** From the first packet until the login is taken. After that an attempt's own deadline decides. */
const HANDSHAKE_TIMEOUT_MS = 10_000
/** Servers wait five minutes for the next mail if they keep to RFC 5321 (section 4.5.3.2.7); many do not, and firewalls forget. */
const IDLE_MS = 30_000
/** Many servers allow so many mails on a connection, and count against the sender what comes after. */
const MAX_MAILS = 100
/** To say QUIT, and to hear that RSET was done. */
const COURTESY_MS = 1_000
/** Small enough that a mail counts as wholly handed over only when its last part has left. */
const CHUNK_BYTES = 16 * 1024

/** How far an attempt came. Only at `answer` the final dot may have left: before it nobody can have taken the mail. */
export type Stage = 'connecting' | 'envelope' | 'content' | 'answer'
/** An error of nodemailer's: `response` is the server's reply, if that was the trouble, and `command` what it replied to. */
export type SmtpError = Error & { code?: string; response?: string; responseCode?: number; command?: string }
export type Mail = { from: string; to: string; bytes: Buffer }
export type Answer = { reply: string } | { error: SmtpError; stage: Stage }

/** What nodemailer calls the loss of a connection. */
const LOST = ['ECONNECTION', 'ESOCKET', 'ETIMEDOUT']
/** The code of a mail that this server cannot carry: its address needs an extension that is not offered. */
export const NO_SMTPUTF8 = 'ENOSMTPUTF8'

type Connection = { smtp: SMTPConnection; offersUtf8: boolean; mails: number; idle: NodeJS.Timeout | undefined }

export type Connections = {
  /** One mail over one connection. Never rejects; at `signal` its connection is cut, with whatever has not left by then. */
  send(mail: Mail, signal: AbortSignal): Promise<Answer>
  /** Says goodbye on the idle ones; those in use do it when they are done. */
  close(): Promise<void>
}

/** Opens nothing before the first mail. */
export function connections(server: SmtpSettings['server']): Connections {
  const idle = new Set<Connection>()
  let isClosed = false

  function keep(connection: Connection) {
    if (isClosed || connection.smtp.destroyed || connection.mails >= MAX_MAILS) return void leave(connection)
    idle.add(connection)
    connection.idle = setTimeout(() => void leave(connection), IDLE_MS)
    connection.idle.unref()
  }

  function takeIdle(): Connection | undefined {
    const connection = [...idle].at(-1)
    if (connection !== undefined) forget(connection)
    return connection
  }

  function forget(connection: Connection) {
    idle.delete(connection)
    clearTimeout(connection.idle)
  }

  function leave(connection: Connection): Promise<void> {
    forget(connection)
    return goodbye(connection.smtp)
  }

  async function open(signal: AbortSignal): Promise<Connection> {
    const smtp = await logIn(server, signal)
    // Set right after the greeting, and never again before the first command.
    const connection: Connection = { ...smtp, mails: 0, idle: undefined }
    connection.smtp.once('end', () => forget(connection))
    return connection
  }

  /** A connection stays where it answered and knows where it stands; a server that says "not now" may mean the connection. */
  function release(connection: Connection, answer: Answer) {
    connection.mails++
    if ('reply' in answer) return keep(connection)
    const { error, stage } = answer
    if (stage === 'content' || isLost(error)) return connection.smtp.close()
    if ((error.responseCode ?? 500) < 500) return void leave(connection)
    const reset = (done: Done<boolean>) => connection.smtp.reset(done)
    step(connection.smtp, AbortSignal.timeout(COURTESY_MS), reset).then(
      () => keep(connection),
      () => connection.smtp.close(),
    )
  }

  return {
    async send(mail, signal) {
      for (;;) {
        const old = takeIdle()
        let connection: Connection
        try {
          connection = old ?? (await open(signal))
        } catch (error) {
          return { error: error as SmtpError, stage: 'connecting' }
        }
        const answer = await handOver(connection, mail, signal)
        release(connection, answer)
        // The server had ended it meanwhile. It ends with the idle ones: the last try is over a new connection.
        const wasStale = old !== undefined && 'error' in answer && answer.stage === 'envelope' && isLost(answer.error)
        if (!wasStale || signal.aborted) return answer
      }
    },
    async close() {
      isClosed = true
      await Promise.all([...idle].map(leave))
    },
  }
}

async function logIn({ auth, ...server }: SmtpSettings['server'], signal: AbortSignal) {
  const smtp = new SMTPConnection({
    ...server,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    // Cut at once when it is closed: with a grace, what still lies in the buffer would go out after the attempt.
    socketCloseTimeout: 0,
  })
  // Whoever is waiting hears of it; without a listener it would end the process.
  smtp.on('error', () => {})
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(HANDSHAKE_TIMEOUT_MS)])
  try {
    await step(smtp, deadline, (done) => smtp.connect(done))
    const extensions = smtp.lastServerResponse || ''
    if (auth !== undefined) {
      if (!smtp.allowsAuth) throw new Error("the server offers no login; leave user:password@ out of the channel's URL")
      await step(smtp, deadline, (done) => smtp.login({ ...auth, credentials: auth }, done))
    }
    return { smtp, offersUtf8: /^250[ -]SMTPUTF8\b/im.test(extensions) }
  } catch (error) {
    smtp.close()
    throw error
  }
}

async function handOver(
  { smtp, offersUtf8 }: Connection,
  { from, to, bytes }: Mail,
  signal: AbortSignal,
): Promise<Answer> {
  if (!offersUtf8 && /[^\0-\x7f]/.test(to)) {
    const error = new Error('the server does not offer SMTPUTF8, which an address with other letters than ASCII needs')
    return { error: Object.assign(error, { code: NO_SMTPUTF8 }), stage: 'envelope' }
  }
  const content = Readable.from(chunksOf(bytes), { objectMode: false })
  try {
    const envelope = { from, to: [to], size: bytes.length }
    const info = await step<{ response: string }>(smtp, signal, (done) => smtp.send(envelope, content, done))
    return { reply: info?.response ?? '' }
  } catch (error) {
    // nodemailer reads the content when DATA is allowed, and writes the final dot when it has read to the end.
    const stage = content.readableEnded ? 'answer' : content.readableDidRead ? 'content' : 'envelope'
    return { error: error as SmtpError, stage }
  }
}

type Done<Result> = (error?: SmtpError | null, result?: Result) => void

/** One step of the conversation. Rejects when the connection ends in it, and ends the connection when `signal` aborts. */
function step<Result>(
  smtp: SMTPConnection,
  signal: AbortSignal,
  begin: (done: Done<Result>) => void,
): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const done: Done<Result> = (error, result) => {
      smtp.off('error', done).off('end', ended)
      signal.removeEventListener('abort', abort)
      if (error) reject(error)
      else resolve(result)
    }
    // The step's own error, which tells more, may come right after the end.
    const ended = () => setImmediate(() => done(lost('the connection was closed')))
    const abort = () => {
      done(lost('no answer in time'))
      smtp.close()
    }
    smtp.on('error', done).on('end', ended)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort)
    begin(done)
  })
}

function goodbye(smtp: SMTPConnection): Promise<void> {
  if (smtp.destroyed) return Promise.resolve()
  return step(smtp, AbortSignal.timeout(COURTESY_MS), (done) => {
    smtp.once('end', () => done())
    smtp.quit()
  }).then(
    () => {},
    () => smtp.close(),
  )
}

function lost(message: string): SmtpError {
  return Object.assign(new Error(message), { code: 'ECONNECTION' })
}

/** 421 announces the end of a connection, whatever it answers (RFC 5321, section 4.2). */
function isLost({ code = '', responseCode }: SmtpError): boolean {
  return responseCode === 421 || LOST.includes(code)
}

function* chunksOf(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}
