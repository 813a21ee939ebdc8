/** Which addresses a webhook may call. */
import { describe, expect, it } from 'vitest'
import { makeGuard, readAllowed, type Ask } from '../../src/delivery/providers/address-guard.ts'

/** A DNS that gives these addresses, one list a question. */
function dns(...answers: string[][]): Ask {
  return (_name, _options, done) =>
    done(
      null,
      (answers.shift() ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
}
const none = { networks: [], hosts: [] }
const ask = (guard: ReturnType<typeof makeGuard>, name: string, all = false) =>
  new Promise<unknown>((resolve) =>
    guard.lookup(name, { all }, (error, address) => resolve(error === null ? address : error.message)),
  )

describe('the guard of addresses', () => {
  it.each([
    '127.0.0.1',
    '127.8.8.8',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '100.100.100.200',
    '0.0.0.0',
    '192.0.2.1',
    '198.18.0.1',
    '203.0.113.9',
    '224.0.0.1',
    '255.255.255.255',
    '[::1]',
    '[::]',
    '[fe80::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[::ffff:127.0.0.1]',
    '[64:ff9b::a00:1]',
    '[2002:7f00:1::]',
    '[2001:0:1::1]',
    '[2001:db8::1]',
    '[::8.8.8.8]',
    '[::7f00:1]',
    '[::ffff:0:127.0.0.1]',
    '168.63.129.16',
  ])('lets nobody call %s', (host) => {
    expect(makeGuard(none).refuses(new URL(`http://${host}/`).hostname)).toMatch(/no public address.*allow=/)
  })

  it.each(['2130706433', '0x7f.1', '0177.0.0.1', '127.1', '0xa9fea9fe', '[0:0:0:0:0:0:0:1]', '[::ffff:7f00:1]'])(
    'knows an address however it is spelt: %s',
    (host) => {
      expect(makeGuard(none).refuses(new URL(`http://${host}/`).hostname)).toMatch(/no public address/)
    },
  )

  it.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '[2606:4700::1111]', '[::ffff:8.8.8.8]', 'hooks.example.org'])(
    'lets %s pass',
    (host) => {
      expect(makeGuard(none).refuses(new URL(`http://${host}/`).hostname)).toBeUndefined()
    },
  )

  it('judges a name by the addresses it has, at every connection anew', async () => {
    const guard = makeGuard(none, dns(['8.8.8.8'], ['127.0.0.1'], ['10.0.0.1', '8.8.4.4'], []))
    expect(await ask(guard, 'changes.example')).toBe('8.8.8.8')
    expect(await ask(guard, 'changes.example')).toMatch(/^changes\.example: 127\.0\.0\.1 is no public address/)
    expect(await ask(guard, 'mixed.example', true)).toEqual([{ address: '8.8.4.4', family: 4 }])
    expect(await ask(guard, 'nothing.example')).toMatch(/no public address/)
  })

  it('lets pass what the operator allows, by network or by name', async () => {
    const allowed = readAllowed('10.2.0.0/16, hooks.internal,127.0.0.1,fd00::/8')!
    const guard = makeGuard(allowed, dns(['192.168.7.7'], ['192.168.7.7'], ['10.2.3.4']))
    expect(guard.refuses('127.0.0.1')).toBeUndefined()
    expect(guard.refuses('[fd12::1]')).toBeUndefined()
    expect(guard.refuses('10.3.0.1')).toMatch(/no public/)
    expect(await ask(guard, 'Hooks.Internal')).toBe('192.168.7.7')
    expect(await ask(guard, 'other.internal')).toMatch(/no public/)
    expect(await ask(guard, 'in.network')).toBe('10.2.3.4')
  })

  it.each(['10.2.0.0/33', '10.2.0/16', 'a b', '', 'host:80', 'fd00::/129', '999.1.1.1'])('cannot read %j', (text) => {
    expect(readAllowed(text)).toBeUndefined()
  })
})
