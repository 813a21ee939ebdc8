/** Ranges of addresses, as settings and admins write them: single ones or CIDR, IPv4 and IPv6. */
import { BlockList, isIP, isIPv6 } from 'node:net'

/** Whether it can stand in a list of ranges: 10.1.0.0/16, fd00::/8, 192.0.2.7. */
export function isRange(text: string): boolean {
  const [base = '', bits, ...rest] = text.split('/')
  const most = { 4: 32, 6: 128 }[isIP(base)]
  return (
    most !== undefined &&
    !base.includes('%') &&
    rest.length === 0 &&
    (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))
  )
}

/** Whether `address` is in one of `ranges`; an IPv4 address mapped into IPv6 counts as itself. */
export function includes(ranges: readonly string[], address: string): boolean {
  const list = lists.get(ranges) ?? listOf(ranges)
  lists.set(ranges, list)
  const plain = address.replace(/^::ffff:/i, '')
  return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

/** Made once for what was read of an app or a setting, not once a request. */
const lists = new WeakMap<readonly string[], BlockList>()

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    if (!isRange(range)) continue
    const [base = '', bits] = range.split('/')
    const family = isIPv6(base) ? 'ipv6' : 'ipv4'
    list.addSubnet(base, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family)
  }
  return list
}
