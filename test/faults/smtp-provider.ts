/** A mail server that misbehaves: as little of SMTP (RFC 5321) as a sender needs, on bare sockets, to cut them anywhere. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { fateOf, type Copy, type Fault, type Ledger } from './ledger.ts'
import { cut, listening, SLOW_MS, type FakeProvider } from './providers.ts'

const END_OF_MAIL = '\r\n.\r\n'

export async function mailServer(channelId: string, ledger: Ledger): Promise<FakeProvider> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    converse(socket, channelId, ledger)
  })
  await listening(server, 0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    // The login tells which process it is.
    urlFor: (node) => `smtp://${node}:password@127.0.0.1:${port}?from=posthouse@example.org&tls=off`,
    async down() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) cut(socket)
      await closed
    },
    up: () => listening(server, port),
  }
}

function converse(socket: Socket, channelId: string, ledger: Ledger): void {
  let node = ''
  let to = ''
  let fault: Fault | undefined
  let isMail = false
  let input = ''
  let last: Copy | undefined
  const say = (line: string) => socket.write(`${line}\r\n`)
  socket.on('close', () => last && ledger.gone(last))

  const commands: Record<string, (line: string) => void> = {
    EHLO: () => say('250-mail.example.org\r\n250-8BITMIME\r\n250 AUTH PLAIN'),
    AUTH(line) {
      node =
        Buffer.from(line.split(' ')[2] ?? '', 'base64')
          .toString()
          .split('\0')[1] ?? ''
      say('235 2.7.0 welcome')
    },
    MAIL() {
      fault = ledger.next(channelId)
      if (fault === 'failing') socket.end('421 4.3.2 shutting down\r\n')
      else say('250 2.1.0 ok')
    },
    RCPT(line) {
      to = /<(.*?)>/.exec(line)?.[1] ?? ''
      const fate = fateOf(to)
      if (fault === 'busy') say('451 4.3.0 try again later')
      else if (fate === 'never') say('550 5.1.1 no such user here')
      else if (fate === 'always busy') say('450 4.2.1 this mailbox is busy')
      else say('250 2.1.5 ok')
    },
    DATA() {
      isMail = true
      say('354 go ahead')
    },
    RSET: () => say('250 2.0.0 ok'),
    QUIT: () => socket.end('221 2.0.0 bye\r\n'),
  }

  function take(mail: string) {
    const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(mail)?.[1]?.trim() ?? ''
    const copy = ledger.take({
      channelId,
      key: header('Message-ID').replace(/^<|@.*$/g, ''),
      address: to,
      push: header('Subject'),
      hash: createHash('sha256').update(mail).digest('hex'),
      node,
    })
    last = copy
    const tell = () =>
      ledger.answer(copy, () => {
        if (!socket.destroyed) socket.write('250 2.0.0 taken\r\n', (error) => error ?? (copy.answeredAt = Date.now()))
      })
    if (fault === 'lost') return cut(socket)
    if (fault === 'cut') return void socket.write('25', () => cut(socket))
    if (fault === 'hang') return
    if (fault === 'slow') setTimeout(tell, SLOW_MS)
    else tell()
  }

  socket.setEncoding('latin1').on('data', (text) => {
    input += text
    while (!socket.destroyed) {
      if (isMail && fault === 'halfway') return cut(socket)
      const mark = isMail ? END_OF_MAIL : '\r\n'
      const end = input.indexOf(mark)
      if (end < 0) return
      const part = input.slice(0, end)
      input = input.slice(end + mark.length)
      if (isMail) {
        isMail = false
        take(part)
      } else (commands[part.slice(0, 4).toUpperCase()] ?? (() => say('502 5.5.1 what?')))(part)
    }
  })
  say('220 mail.example.org ESMTP')
}
