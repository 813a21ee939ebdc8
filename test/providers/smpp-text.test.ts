import fc from 'fast-check'
import smpp from 'smpp'
import { describe, expect, it } from 'vitest'
import { encode, withHeader } from '../../src/delivery/providers/smpp-text.ts'

const GSM = '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./09:;<=>?¡AZÄÖÑÜ§¿azäöñüà'
const EXTENSION = '^{}\\[~]|€'
const ucs2 = (bytes: Buffer) => Buffer.from(bytes).swap16().toString('utf16le')

describe('the encoding', () => {
  it('is GSM for what the package for the other side also reads as GSM, and gives what it reads back', () => {
    const text = fc.string({ unit: fc.constantFrom(...GSM, ...EXTENSION), minLength: 1, maxLength: 1_000 })
    fc.assert(
      fc.property(text, (words) => {
        const { dataCoding, whole } = encode(words, 'auto')
        expect(dataCoding).toBe(0)
        expect(smpp.encodings['ASCII']?.decode(whole)).toBe(words)
        expect(smpp.encodings['ASCII']?.encode(words)).toEqual(whole)
      }),
    )
  })

  it.each(['您好', 'naïve', '`', '\t', '🙂', 'a\u001bb', '\ud83d'])('is UCS-2 for %j', (text) => {
    const { dataCoding, whole } = encode(text, 'auto')
    expect(dataCoding).toBe(8)
    expect(ucs2(whole)).toBe(text.toWellFormed())
  })

  it('is UCS-2 for everything where the URL says so', () => {
    expect(encode('hello', 'ucs2')).toMatchObject({ dataCoding: 8, whole: Buffer.from('\0h\0e\0l\0l\0o') })
  })
})

describe('the parts', () => {
  it.each([
    ['a', 160, [160]],
    ['a', 161, [153, 8]],
    ['a', 306, [153, 153]],
    ['a', 307, [153, 153, 1]],
    ['€', 80, [160]],
    ['€', 81, [152, 10]],
    ['您', 70, [140]],
    ['您', 71, [134, 8]],
    ['🙂', 35, [140]],
    ['🙂', 36, [132, 12]],
  ])('of %s times %i have %j bytes', (character, times, bytes) => {
    expect(encode(character.repeat(times), 'auto').parts.map(({ length }) => length)).toEqual(bytes)
  })

  it('are whole in themselves, and together the text', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '您', '🙂', '€'), minLength: 1, maxLength: 1_000 })
    fc.assert(
      fc.property(text, fc.constantFrom('auto' as const, 'ucs2' as const), (words, encoding) => {
        const { dataCoding, whole, parts } = encode(words, encoding)
        const read = (bytes: Buffer) =>
          dataCoding === 8 ? ucs2(bytes) : (smpp.encodings['ASCII']?.decode(bytes) ?? '')
        expect(Buffer.concat(parts)).toEqual(whole)
        expect(parts.map(read).join('')).toBe(words)
        expect(parts.every((part) => read(part).isWellFormed() && part.at(-1) !== 0x1b)).toBe(true)
      }),
    )
  })

  it('say to which message they belong', () => {
    expect(withHeader(Buffer.from('x'), 0x1234, 3, 2)).toEqual(Buffer.from('05000334030278', 'hex'))
  })
})
