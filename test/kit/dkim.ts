/** A DKIM signature checked as RFC 6376 says, for relaxed/relaxed and rsa-sha256; written from the RFC, not from a signer. */
import { createHash, verify, type KeyObject } from 'node:crypto'

/** The fields that a valid first signature covers, in lower case; undefined when it is not valid. */
export function signedFields(
  mail: Buffer,
  key: KeyObject,
): { tags: Record<string, string>; fields: string[] } | undefined {
  const text = mail.toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  const headers = text.slice(0, end + 2).match(/[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*/g) ?? []
  const signature = headers.find((header) => /^dkim-signature:/i.test(header)) ?? ''
  const tags = Object.fromEntries(
    signature
      .slice(signature.indexOf(':') + 1)
      .split(';')
      .map((tag) => tag.split(/=(.*)/s).map((part) => part.replace(/\s/g, '')))
      .map(([name = '', value = '']) => [name, value]),
  )
  const body = relaxBody(text.slice(end + 4))
  if (tags['bh'] !== createHash('sha256').update(body, 'latin1').digest('base64')) return undefined
  const fields = (tags['h'] ?? '').toLowerCase().split(':')
  const left = [...headers]
  const covered = fields.map((field) => {
    const at = left.findLastIndex((header) => header.slice(0, header.indexOf(':')).toLowerCase().trim() === field)
    return at < 0 ? '' : relaxHeader(left.splice(at, 1)[0] ?? '')
  })
  const own = relaxHeader(signature.replace(/(;\s*b\s*=)[^;]*/s, '$1')).replace(/\r\n$/, '')
  const isValid = verify(
    'sha256',
    Buffer.from(covered.join('') + own, 'latin1'),
    key,
    Buffer.from(tags['b'] ?? '', 'base64'),
  )
  return isValid ? { tags, fields } : undefined
}

function relaxHeader(header: string): string {
  const [, name = '', value = ''] = /^([^:]+):(.*)$/s.exec(header) ?? []
  return `${name.trim().toLowerCase()}:${value
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .trim()}\r\n`
}

function relaxBody(body: string): string {
  const lines = body.split('\r\n').map((line) => line.replace(/[ \t]+/g, ' ').replace(/ $/, ''))
  const relaxed = lines.join('\r\n').replace(/(?:\r\n)+$/, '')
  return relaxed === '' ? '' : `${relaxed}\r\n`
}
