/** What the URL of an e-mail channel says, read once at the start. */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { domainToASCII } from 'node:url'
import { z } from 'zod'
import type { ChannelUrl } from '../channel.ts'
import { refuseUnknown } from './known-options.ts'
import { mailbox } from './smtp-mail.ts'

const OPTIONS = ['from', 'fromName', 'tls', 'dkim', 'dkimDomain', 'dkimKeyFile', 'unsubscribe', 'unsubscribeMailto']
const LOOPBACK = /^(localhost|127(\.\d+){3}|::1)$/i
/** A selector is labels of a domain name (RFC 6376, section 3.1). */
const SELECTOR = /^[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)*$/i
/** Verifiers must not accept less (RFC 8301, section 3.2). */
const DKIM_KEY_BITS = 1024

export type SmtpSettings = {
  server: {
    secure: boolean
    host: string
    port: number
    auth: { user: string; pass: string } | undefined
    ignoreTLS: boolean
    requireTLS: boolean
    tls: { rejectUnauthorized: boolean }
  }
  /** ASCII throughout. */
  from: string
  fromName: string | undefined
  dkim: { domainName: string; keySelector: string; privateKey: string } | undefined
  unsubscribe: { template: string | undefined; mailto: string | undefined }
}

type Mistake = (message: string) => void

export const settings = z.custom<ChannelUrl>().transform((url, context): SmtpSettings => {
  const mistake: Mistake = (message) => context.addIssue({ code: 'custom', message })
  refuseUnknown(url, OPTIONS, mistake)
  const server = readServer(url, mistake)
  const from = mailbox(url.query['from'] ?? '')
  if (from === undefined || !isAscii(from)) mistake('needs a sender; add ?from=name@your.host')
  return {
    server,
    from: from ?? '',
    fromName: url.query['fromName'],
    dkim: readDkim(url, from ?? '', mistake),
    unsubscribe: readUnsubscribe(url, mistake),
  }
})

function readServer(url: ChannelUrl, mistake: Mistake): SmtpSettings['server'] {
  const secure = url.scheme === 'smtps'
  const { tls } = url.query
  const host = url.host.replace(/^\[(.*)\]$/, '$1')
  if (host === '') mistake(`names no mail server; write ${url.scheme}://host:port?from=name@host`)
  if (url.user !== undefined && url.password === undefined)
    mistake(`has a user without a password; write ${url.scheme}://user:password@host`)
  if (tls !== undefined && tls !== 'insecure' && (tls !== 'off' || secure)) {
    mistake(
      `has an unknown tls=${tls}; write tls=insecure to accept any certificate${secure ? '' : ', or tls=off for a plain connection'}`,
    )
  }
  const auth = url.user === undefined ? undefined : { user: url.user, pass: url.password ?? '' }
  return {
    secure,
    host,
    port: url.port ?? (secure ? 465 : 25),
    auth,
    ignoreTLS: tls === 'off',
    // A password never crosses a network in clear unless somebody wrote that it may.
    requireTLS: !secure && auth !== undefined && tls !== 'off' && !LOOPBACK.test(host),
    tls: { rejectUnauthorized: tls !== 'insecure' },
  }
}

function readDkim({ query }: ChannelUrl, from: string, mistake: Mistake): SmtpSettings['dkim'] {
  const { dkim: selector, dkimDomain = from.slice(from.lastIndexOf('@') + 1), dkimKeyFile: file } = query
  if (selector === undefined) {
    if (file !== undefined || query['dkimDomain'] !== undefined)
      mistake('has DKIM settings without a selector; add dkim=<the selector under which the public key is published>')
    return undefined
  }
  if (!SELECTOR.test(selector))
    mistake(`has dkim=${selector}, which is no selector; write the name in front of ._domainkey, e.g. dkim=posthouse`)
  const domainName = domainToASCII(dkimDomain)
  if (query['dkimDomain'] !== undefined && !domainName.includes('.'))
    mistake(`has dkimDomain=${dkimDomain}, which is no domain; write e.g. dkimDomain=example.org, or leave it out`)
  if (file === undefined) {
    mistake('has dkim without a key; add dkimKeyFile=/path/to/private.pem')
    return undefined
  }
  const privateKey = readKey(file, mistake)
  return privateKey === undefined ? undefined : { domainName, keySelector: selector, privateKey }
}

/** Checked here because a key that cannot sign would let mail out unsigned, without a word. */
function readKey(file: string, mistake: Mistake): string | undefined {
  let pem: string
  try {
    pem = readFileSync(file, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    mistake(
      `cannot read dkimKeyFile=${file} (${code ?? message}); name a file that the user Posthouse runs as can read`,
    )
    return undefined
  }
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    mistake(
      `finds no private key in PEM without a passphrase in dkimKeyFile=${file}; make one with: openssl genrsa -out ${file} 2048`,
    )
    return undefined
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (key.asymmetricKeyType === 'rsa' && bits >= DKIM_KEY_BITS) return pem
  const found =
    key.asymmetricKeyType === 'rsa' ? `an RSA key of ${bits} bits` : `a key of type ${key.asymmetricKeyType}`
  mistake(
    `finds ${found} in dkimKeyFile=${file}, and signs with RSA of ${DKIM_KEY_BITS} bits or more; make one with: openssl genrsa -out ${file} 2048`,
  )
  return undefined
}

/** `{id}` has to be there: the address must tell the recipient (RFC 8058, section 3.1). */
function readUnsubscribe({ query }: ChannelUrl, mistake: Mistake): SmtpSettings['unsubscribe'] {
  const { unsubscribe: template, unsubscribeMailto: mailto } = query
  if (template !== undefined && !isUnsubscribeTemplate(template)) {
    mistake(
      `has unsubscribe=${template}, which is no https URL with {id} in it ({messageId} may be there too, and nothing else in braces); ` +
        'write unsubscribe=https://your.host/unsubscribe?d={id}, with %26 for &',
    )
  }
  const address = mailto === undefined ? undefined : mailbox(mailto)
  if (mailto !== undefined && (address === undefined || !isAscii(address)))
    mistake(`has unsubscribeMailto=${mailto}, which is no mail address; write unsubscribeMailto=name@your.host`)
  return { template, mailto: address }
}

function isUnsubscribeTemplate(template: string): boolean {
  const filled = template.replaceAll('{id}', '0').replaceAll('{messageId}', '0')
  // It stands between angle brackets in a header: nothing may end it early.
  return template.includes('{id}') && /^https:\/\/[^/][!-;=?-z|~]*$/i.test(filled) && URL.canParse(filled)
}

function isAscii(text: string): boolean {
  return /^[!-~]*$/.test(text)
}
