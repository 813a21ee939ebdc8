/** An SMSC for tests: the server side of the package smpp, which answers as it is told. */
import type { AddressInfo } from 'node:net'
import getTLSOptions from 'smtp-server/lib/tls-options.js'
import smpp, { type Pdu, type Session } from 'smpp'

/** A certificate that nobody vouches for. */
const { key, cert } = getTLSOptions()
const CERTIFICATE = { key: String(key), cert: String(cert) }

/** To a `submit_sm`: taken under that id, refused with that status, or whatever an SMSC should not do. */
export type Answer = { id: string } | { status: number } | 'silence' | 'close' | Buffer

/** Starts one on a free port of 127.0.0.1. `answer` gets the number of the submit, from 1; `bind` gives the bind's status. */
export async function smsc({
  answer = (at) => ({ id: `m${at}` }),
  bind = () => 0,
  isSecure = false,
  tlvs = { sc_interface_version: 0x34 },
  takesEnquiries = true,
  port = 0,
}: {
  answer?: (at: number, pdu: Pdu) => Answer | Promise<Answer>
  bind?: (pdu: Pdu) => number | undefined
  isSecure?: boolean
  tlvs?: Record<string, unknown>
  takesEnquiries?: boolean
  port?: number
} = {}) {
  /** Everything that came, oldest first. */
  const arrived: Pdu[] = []
  const sessions: Session[] = []
  const server = smpp.createServer(isSecure ? CERTIFICATE : {}, (session) => {
    sessions.push(session)
    session.setMaxListeners(0)
    session.on('error', () => {})
    session.on('close', () => sessions.splice(sessions.indexOf(session), 1))
    session.on('pdu', (pdu: Pdu) => {
      arrived.push(pdu)
      if (pdu.isResponse()) return
      if (pdu.command === 'submit_sm') return void take(session, pdu, of('submit_sm').length)
      if (pdu.command === 'enquire_link' && !takesEnquiries) return
      if (!pdu.command.startsWith('bind_')) return void session.send(pdu.response())
      const status = bind(pdu)
      if (status !== undefined) session.send(pdu.response(status === 0 ? tlvs : { command_status: status }))
    })
  })

  async function take(session: Session, pdu: Pdu, at: number) {
    const said = await answer(at, pdu)
    if (said === 'silence') return
    if (said === 'close') session.destroy()
    else if (Buffer.isBuffer(said)) session.socket.write(said)
    else if ('status' in said) session.send(pdu.response({ command_status: said.status }))
    else session.send(pdu.response({ message_id: said.id }))
  }

  const of = (command: string) => arrived.filter((pdu) => pdu.command === command)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    arrived,
    sessions,
    of,
    /** Sends this on the newest session; gives the status of the answer, once there is one. */
    async say(command: string, fields: Record<string, unknown> = {}): Promise<number> {
      const session = sessions.at(-1)
      const pdu = new smpp.PDU(command, fields)
      const answered = Promise.withResolvers<number>()
      const listen = (answer: Pdu) => {
        if (answer.isResponse() && answer.sequence_number === pdu.sequence_number)
          answered.resolve(answer.command_status)
      }
      session?.on('pdu', listen)
      session?.send(pdu)
      return answered.promise.finally(() => session?.off('pdu', listen))
    },
    stop: () =>
      new Promise<void>((resolve) => {
        for (const session of sessions) session.destroy()
        server.close(() => resolve())
      }),
  }
}

export type Smsc = Awaited<ReturnType<typeof smsc>>

/** A receipt as SMSCs write it. */
export function receiptText(id: string, state: string, more = 'err:000 text:hello'): Buffer {
  return Buffer.from(`id:${id} sub:001 dlvrd:001 submit date:2511241530 done date:2511241531 stat:${state} ${more}`)
}
