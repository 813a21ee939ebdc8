/** A real SMTP server for tests: keeps what arrives, parsed, and can be told to refuse. */
import { callbackify } from 'node:util'
import { simpleParser, type ParsedMail } from 'mailparser'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { SMTPServer, type SMTPServerDataStream, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server'

export type Arrived = { from: string; to: string[]; user: string | undefined; isSecure: boolean; mail: ParsedMail }

/** Starts one on a free port of 127.0.0.1, without TLS or login unless `options` say otherwise. */
export async function mailServer(options: SMTPServerOptions = {}) {
  const arrived: Arrived[] = []
  async function keep(stream: SMTPServerDataStream, session: SMTPServerSession) {
    const source = Buffer.concat(await stream.toArray()).toString()
    const { mailFrom, rcptTo } = session.envelope
    const user = session.user as string | undefined
    const to = rcptTo.map(({ address }) => address)
    arrived.push({
      from: mailFrom ? mailFrom.address : '',
      to,
      user,
      isSecure: session.secure,
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
