import dns from 'node:dns'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Parcel, Provider } from '../../src/delivery/channel.ts'
import { writtenAs } from '../../src/delivery/channel-url.ts'
import { contentKinds } from '../../src/delivery/content.ts'
import { limitRules } from '../../src/delivery/limits.ts'
import { providers } from '../../src/delivery/providers/index.ts'

/** Takes no place that the defaults have: of the inbox there may be one only. */
const ID = '1009'
const load = (url: string) => loadConfig({ CHANNEL_1002: 'off', [`CHANNEL_${ID}`]: url })

/** Something for each kind, whatever form its provider wants. */
const parcel: Omit<Parcel, 'address'> = {
  id: '0199c0ffee0070008000000000000001',
  messageId: '0199c0ffee0070008000000000000002',
  content: {
    sign: '东华医为',
    templateData: { templateId: '1', paramData: { '1': '1' } },
    title: '标题',
    content: '<p>内容</p>',
    text: '内容',
  },
  attempt: 1,
}
const ADDRESSES: Record<string, string> = { mail: 'somebody@example.org', sms: '+8618660886275' }

/** With a misspelt option; for `http` it is one of ours, since all others are the gateway's, as all are of a webhook. */
function withUnknown(example: string): string {
  if (example.endsWith(')')) return `${example}#posthouse.sgin=x`
  return `${example}${example.includes('?') ? '&' : '?'}posthouse.sgin=x`
}

/** Every host in an example is a name, so whoever sends has to ask for its address first. */
const asked: string[] = []
const isAway = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
for (const ask of ['lookup', 'resolve', 'resolve4', 'resolve6'] as const) {
  vi.spyOn(dns, ask).mockImplementation(((host: string, ...rest: unknown[]) => {
    asked.push(host)
    ;(rest.at(-1) as (error: Error) => void)(isAway)
  }) as never)
}

const carriers: Carrier[] = []
afterEach(async () => {
  asked.length = 0
  for (const carrier of carriers.splice(0)) await carrier.close()
})

/** Opened by its example. `said` is what it wrote to the log. */
function open(provider: Provider) {
  const said: string[] = []
  const channel = load(provider.example).config?.channels.get(ID)
  const carrier = provider.open(channel?.settings, { info: (_fields, text) => said.push(text) }, async () => {})
  carriers.push(carrier)
  return { carrier, said, parcel: { ...parcel, address: ADDRESSES[channel?.kind ?? ''] ?? '*' } }
}

describe.each(providers.map((provider) => ({ provider, name: provider.schemes[0] ?? '' })))(
  'the provider $name',
  ({ provider }) => {
    it('declares what the docs are made of', () => {
      expect(provider.schemes.length).toBeGreaterThan(0)
      for (const scheme of provider.schemes) expect(scheme).toMatch(/^[a-z][a-z0-9+.-]*$/)
      expect(provider.summary).toMatch(/^[A-Z][^.]{10,200}\..*(?<=\.)$/)
      expect(provider.summary).not.toMatch(/ {2}|\n/)
      expect(writtenAs(provider).some((form) => provider.example.startsWith(form.replace(/…\)$/, '')))).toBe(true)
      // It stands in single quotes there, for a shell.
      expect(provider.example).not.toMatch(/'|\n/)
      expect(provider.kinds.length).toBeGreaterThan(0)
      expect(new Set(provider.kinds).size).toBe(provider.kinds.length)
      for (const kind of provider.kinds) expect(Object.keys(contentKinds)).toContain(kind)
    })

    it('has limits that could be written behind its URL', () => {
      const limits = load(provider.example).config?.channels.get(ID)?.limits
      for (const { sets, read } of Object.values(limitRules)) {
        const value = limits?.[sets]
        if (value === undefined) expect(sets).toBe('rate')
        else expect(read(String(Number(value.toFixed(6))))).toBeCloseTo(value)
      }
    })

    it('is chosen by its own example, which its settings accept', () => {
      const { config, mistakes } = load(provider.example)
      expect(mistakes).toEqual([])
      const channel = config?.channels.get(ID)
      expect(channel?.provider).toBe(provider)
      expect(channel?.kind).toBe(provider.kinds[0])
    })

    it('sees nothing of the limits behind its URL', () => {
      const plain = load(provider.example).config?.channels.get(ID)
      const parse = vi.spyOn(provider.settings, 'safeParse')
      const limited = load(`${provider.example}#timeout=7&attempts=3`).config?.channels.get(ID)
      const seen = parse.mock.calls.map(([url]) => url)
      parse.mockRestore()
      expect(limited?.limits).toEqual({ ...plain?.limits, timeoutSeconds: 7, attempts: 3 })
      expect(seen).not.toEqual([])
      expect(JSON.stringify(seen)).not.toMatch(/attempts|timeout=7/)
    })

    it('takes limits that are none for a mistake', () => {
      for (const wrong of ['', 'concurency=5', 'timeout=0'])
        expect(load(`${provider.example}#${wrong}`).mistakes).toEqual([
          expect.stringMatching(new RegExp(`^CHANNEL_${ID} .*#.*; write `)),
        ])
    })

    it('opens by its example and closes, twice if need be, without having sent anything', async () => {
      const { carrier, said } = open(provider)
      await expect(carrier.close()).resolves.toBeUndefined()
      await expect(carrier.close()).resolves.toBeUndefined()
      expect(said).toEqual([])
      expect(asked).toEqual([])
    })

    it('sends nothing when nobody waits any more, and says that it did not', async () => {
      const { carrier, said, parcel } = open(provider)
      const outcome = await carrier.send(parcel, AbortSignal.abort())
      expect(outcome).toMatchObject({ outcome: provider.kinds[0] === 'site' ? 'failed' : 'retry', why: /./ })
      expect(asked).toEqual([])
      expect(said).toEqual([])
    })

    it('would have sent it otherwise', async () => {
      const { carrier, said, parcel } = open(provider)
      await carrier.send(parcel, AbortSignal.timeout(2_000))
      expect(asked.length + said.length > 0).toBe(provider.kinds[0] !== 'site')
    })

    it('takes an option that it does not know for a mistake, and names those that it does', () => {
      const { mistakes } = load(withUnknown(provider.example))
      const isReceivers = provider.schemes.some((scheme) => scheme.startsWith('webhook+'))
      const what = provider.composed === undefined ? String.raw`an unknown posthouse\.sgin\b` : 'something unknown'
      expect(mistakes ?? []).toEqual(isReceivers ? [] : [expect.stringMatching(new RegExp(` has ${what}.*; write `))])
    })

    it('tells of every option in the docs', () => {
      const [, known = ''] = /; write one of (.*)/.exec(load(withUnknown(provider.example)).mistakes?.[0] ?? '') ?? []
      for (const name of known.split(', '))
        expect(provider.summary).toContain(name.replace(/^posthouse\./, '').replace('<name>', ''))
    })

    it.each(provider.schemes)('answers %s:nonsense with the setting and what to write instead', (scheme) => {
      const { mistakes } = load(`${scheme}:nonsense`)
      expect(mistakes?.length).toBeGreaterThan(0)
      for (const mistake of mistakes ?? [])
        expect(mistake).toMatch(new RegExp(`^CHANNEL_${ID} .*(write ${scheme.replaceAll(/[.+]/g, '\\$&')}[:(]|add )`))
    })
  },
)

it('has no scheme twice: the URL alone chooses the provider', () => {
  const schemes = providers.flatMap((provider) => provider.schemes)
  expect(new Set(schemes).size).toBe(schemes.length)
})
