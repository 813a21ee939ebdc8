/**
 * Keeps calls away from addresses that no stranger's URL may reach: this machine, the hospital's own network, cloud
 * metadata. What counts is the address that the socket connects to, after DNS, so that a name that changes its mind
 * between a check and the call gains nothing.
 */
import dns, { type LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/**
 * IANA's special-purpose address registries (RFC 6890 and its updates); 100.64/10 holds Aliyun's metadata, fd00::/8 AWS's,
 * and 168.63.129.16 is Azure's, public by its number only. An IPv4 address in IPv6 form (::ffff:0:0/96) counts as what it
 * is: BlockList sees to that. Its older forms, compatible (::/96) and translated (::ffff:0:0:0/96), reach nobody in public.
 */
const SPECIAL = (
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 ' +
  '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 168.63.129.16/32 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 ' +
  '::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 ' +
  '5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8'
).split(' ')

/** As `dns.lookup` answers when it is asked for all addresses. */
export type Ask = (
  hostname: string,
  options: dns.LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, all: LookupAddress[]) => void,
) => void

export type Allowed = { networks: string[]; hosts: string[] }

export type Guard = {
  /** Why a URL's host may not be called, as far as it shows without asking DNS. Names are for `lookup`. */
  refuses(hostname: string): string | undefined
  /** For sockets: as the system's, but gives only addresses that may be called, or an error that says why there are none. */
  lookup: LookupFunction
}

/** A guard that lets through, besides ordinary addresses, what is `allowed`. `ask` is the system's DNS unless given. */
export function makeGuard({ networks, hosts }: Allowed, ask: Ask = dns.lookup): Guard {
  const special = listOf(SPECIAL)
  const allowed = listOf(networks)
  const isFree = (address: string) => {
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    return allowed.check(address, family) || !special.check(address, family)
  }
  const refuse = (what: string) =>
    `${what} is no public address; if it is meant, add allow=${what} to the channel's URL`
  const isNamed = (hostname: string) => hosts.includes(hostname.toLowerCase())

  return {
    refuses(hostname) {
      const address = hostname.replace(/^\[(.*)\]$/, '$1')
      return isIP(address) === 0 || isFree(address) ? undefined : refuse(address)
    },
    lookup(hostname, options, callback) {
      ask(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
        if (error) return callback(error, '', 0)
        const free = isNamed(hostname) ? found : found.filter(({ address }) => isFree(address))
        const [first] = free
        if (first === undefined) return callback(new Error(`${hostname}: ${refuse(found[0]?.address ?? 'it')}`), '', 0)
        // Node asks for all of them where it tries several.
        if (options.all) return (callback as (error: null, all: LookupAddress[]) => void)(null, free)
        callback(null, first.address, first.family)
      })
    },
  }
}

/** Reads `allow=10.2.0.0/16,hooks.internal`; undefined when a part is neither a network, an address nor a name. */
export function readAllowed(text: string): Allowed | undefined {
  const parts = text.split(',').map((part) => part.trim().toLowerCase())
  const networks = parts.filter(isNetwork)
  const hosts = parts.filter((part) => !isNetwork(part))
  return hosts.every((host) => /^[a-z\d_-]+(\.[a-z\d_-]+)*$/.test(host) && !/^[\d.]+$/.test(host))
    ? { networks, hosts }
    : undefined
}

function isNetwork(part: string): boolean {
  const [address = '', length] = part.split('/')
  const family = isIP(address)
  if (family === 0 || length === undefined) return family !== 0
  return /^\d{1,3}$/.test(length) && Number(length) <= (family === 6 ? 128 : 32)
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', length] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(length ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return list
}
