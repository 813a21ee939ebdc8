/** A mail server that shares no code with our client: aiosmtpd in Python, as Debian packages it. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { simpleParser } from 'mailparser'
import tlsOptions from 'smtp-server/lib/tls-options.js'

/** Debian's own: its packages are not for another Python that may be first in the path. */
const PYTHON = '/usr/bin/python3'
const SCRIPT = fileURLToPath(new URL('aiosmtpd-server.py', import.meta.url))

/** Whether it is here: `describe.skipIf(!hasAiosmtpd)` with the packages in the name. */
export const hasAiosmtpd = spawnSync(PYTHON, ['-c', 'import aiosmtpd, dkim']).status === 0
export const AIOSMTPD_PACKAGES = 'python3-aiosmtpd and python3-dkim'

type Options = { tls?: 'no' | 'starttls' | 'tls'; login?: string; utf8?: boolean; size?: number; dkimRecord?: string }
type Arrived = {
  sender: string
  recipients: string[]
  user: string | null
  isSecure: boolean
  isUtf8: boolean
  isSigned: boolean | null
  content: string
}

/** Starts one on a free port. `arrived` gives the mails in order, and waits for the next. */
export async function aiosmtpd(options: Options = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'posthouse-aiosmtpd-'))
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  // smtp-server brings a certificate of its own making, for tests.
  const own = tlsOptions({})
  writeFileSync(certificate, String(own.cert))
  writeFileSync(key, String(own.key))
  const all = { tls: 'no', utf8: false, size: 33_554_432, certificate, key, ...options }
  const child = spawn(PYTHON, [SCRIPT, JSON.stringify(all)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`aiosmtpd has ended:\n${complaints}`)
    return JSON.parse(value)
  }
  const { port } = (await next()) as { port: number }
  return {
    port,
    async arrived() {
      const mail = (await next()) as Arrived
      const source = Buffer.from(mail.content, 'base64')
      return { ...mail, source, mail: await simpleParser(source) }
    },
    async stop() {
      child.kill()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(folder, { recursive: true })
    },
  }
}
