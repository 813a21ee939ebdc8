/** A real SMTP server for tests: keeps what arrives, parsed, and can be told to refuse. */
import { callbackify } from 'node:util'
import { simpleParser, type ParsedMail } from 'mailparser'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { SMTPServer, type SMTPServerDataStream, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server'

export type Arrived = {
  from: string
  to: string[]
  user: string | undefined
  isSecure: boolean
  /** As it came, byte by byte. */
  source: Buffer
  mail: ParsedMail
}

/** Starts one on a free port of 127.0.0.1, without TLS or login unless `options` say otherwise. */
export async function mailServer(options: SMTPServerOptions = {}) {
  const arrived: Arrived[] = []
  async function keep(stream: SMTPServerDataStream, session: SMTPServerSession) {
    const source = Buffer.concat(await stream.toArray())
    const { mailFrom, rcptTo } = session.envelope
    const user = session.user as string | undefined
    const to = rcptTo.map(({ address }) => address)
    arrived.push({
      from: mailFrom ? mailFrom.address : '',
      to,
      user,
      isSecure: session.secure,
      source,
      mail: await simpleParser(source),
    })
  }
  const server = new SMTPServer({
    authOptional: true,
    hideSTARTTLS: true,
    disableReverseLookup: true,
    onAuth: ({ username, password }, _session, done) => done(null, { user: `${username} ${password}` }),
    onData: callbackify(keep),
    ...options,
  })
  // What clients do wrong is theirs to report.
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.server.address() as AddressInfo
  return { port, arrived, stop: () => new Promise<void>((resolve) => server.close(() => resolve())) }
}

/** An error by which an smtp-server handler refuses, with that reply. */
export function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode })
}

/** A server that speaks to each connection as `act` says, for what a well-behaved one never does. */
export async function rawServer(act: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    act(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    stop: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** What a scripted server says at a point of the conversation, or does instead of saying anything. */
export type Turn = string | ((socket: Socket) => void)
type Point = 'greeting' | 'EHLO' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'content' | 'end' | 'RSET' | 'QUIT'

const USUAL: Partial<Record<Point, Turn>> = {
  greeting: '220 mail.example ESMTP',
  EHLO: '250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000000',
  AUTH: '235 2.7.0 Authentication successful',
  DATA: '354 End data with <CR><LF>.<CR><LF>',
  end: '250 2.0.0 Ok: queued as 4F2A1',
  QUIT: (socket) => socket.end('221 2.0.0 Bye\r\n'),
}

/**
 * Speaks SMTP as `script` says, as usual where it says nothing. `content` is the moment at which the first part of a mail
 * has come. Keeps the commands, the mails that came whole, and the connections.
 */
export async function scriptedServer(script: Partial<Record<Point, Turn>> = {}, { delay = 0 } = {}) {
  const mails: string[] = []
  const commands: string[] = []
  const opened: Socket[] = []
  const server = await rawServer((socket) => {
    opened.push(socket)
    let rest = ''
    let isContent = false
    let hasSender = false
    let hasRecipient = false
    const isTaken = (turn: Turn) => typeof turn === 'function' || turn.startsWith('250')
    const take = (point: Point) => {
      const turn = script[point] ?? USUAL[point] ?? '250 2.0.0 Ok'
      let act = turn
      // As Postfix answers what was sent along with a command that it refused.
      if (point === 'RCPT' && !hasSender) act = '503 5.5.1 Error: need MAIL command'
      if (point === 'DATA' && !hasRecipient && typeof turn === 'string') act = '554 5.5.1 Error: no valid recipients'
      if (point === 'MAIL') [hasSender, hasRecipient] = [isTaken(act), false]
      if (point === 'RCPT') hasRecipient = isTaken(act)
      if (point === 'DATA') isContent = String(act).startsWith('354')
      setTimeout(() => {
        if (typeof act === 'function') act(socket)
        else if (socket.writable) socket.write(`${act}\r\n`)
      }, delay)
    }
    const read = (chunk: string) => {
      if (isContent && rest === '' && script.content !== undefined) take('content')
      rest += chunk
      const end = isContent ? '\r\n.\r\n' : '\r\n'
      const at = rest.indexOf(end)
      if (at < 0) return
      const [part, after] = [rest.slice(0, at), rest.slice(at + end.length)]
      rest = ''
      if (isContent) {
        isContent = false
        mails.push(part)
        take('end')
      } else {
        commands.push(part)
        take(part.split(' ')[0] as Point)
      }
      if (after !== '') read(after)
    }
    take('greeting')
    socket.setEncoding('utf8').on('data', read)
  })
  return { ...server, mails, commands, opened }
}
