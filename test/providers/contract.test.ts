import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { providers } from '../../src/delivery/providers/index.ts'

const KINDS = ['site', 'sms', 'mail']
/** Takes no place that the defaults have: of the inbox there may be one only. */
const ID = '1009'
const load = (url: string) => loadConfig({ CHANNEL_1002: 'off', [`CHANNEL_${ID}`]: url })

describe.each(providers.map((provider) => ({ provider, name: provider.schemes[0] ?? '' })))(
  'the provider $name',
  ({ provider }) => {
    it('declares what the docs are made of', () => {
      expect(provider.schemes.length).toBeGreaterThan(0)
      for (const scheme of provider.schemes) expect(scheme).toMatch(/^[a-z][a-z0-9+.-]*$/)
      expect(provider.summary).toMatch(/^[A-Z].*\.$/)
      expect(provider.kinds.length).toBeGreaterThan(0)
      for (const kind of provider.kinds) expect(KINDS).toContain(kind)
    })

    it('is chosen by its own example, which its settings accept', () => {
      const { config, mistakes } = load(provider.example)
      expect(mistakes).toEqual([])
      const channel = config?.channels.get(ID)
      expect(channel?.provider).toBe(provider)
      expect(channel?.kind).toBe(provider.kinds[0])
    })

    it('opens by its example and closes without having sent anything', async () => {
      const channel = load(provider.example).config?.channels.get(ID)
      const said: string[] = []
      const carrier = provider.open(channel?.settings, { info: (_fields, text) => said.push(text) })
      await expect(carrier.close()).resolves.toBeUndefined()
      expect(said).toEqual([])
    })

    it.each(provider.schemes)('answers %s:nonsense with the setting and what to write instead', (scheme) => {
      const { mistakes } = load(`${scheme}:nonsense`)
      expect(mistakes?.length).toBeGreaterThan(0)
      for (const mistake of mistakes ?? [])
        expect(mistake).toMatch(new RegExp(`^CHANNEL_${ID} .*(write ${scheme}:|add )`))
    })
  },
)

it('has no scheme twice: the URL alone chooses the provider', () => {
  const schemes = providers.flatMap((provider) => provider.schemes)
  expect(new Set(schemes).size).toBe(schemes.length)
})
