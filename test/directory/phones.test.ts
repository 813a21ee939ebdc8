import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { email, phone } from '../../src/directory/address.ts'

const digit = fc.integer({ min: 0, max: 9 })
/** A number that is somebody's: the ranges 130–139 and 180–189 are all mobile. */
const chinese = fc
  .tuple(fc.constantFrom('13', '18'), fc.array(digit, { minLength: 9, maxLength: 9 }))
  .map(([start, rest]) => start + rest.join(''))
/** What people and programs put between the digits. */
const between = fc.constantFrom('', '', '', ' ', '-', '\u00a0', '\u3000', '－', '–', '\u200b', '\u202c')
const country = fc.constantFrom('', '+86', '0086', '＋８６', '００８６', '+86 ', '0086-')
const fullWidth = (text: string) => text.replaceAll(/\d/g, (one) => String.fromCharCode(one.charCodeAt(0) + 0xfee0))

describe('phones, however they are written', () => {
  it('of one number come to one text', () => {
    const written = fc
      .tuple(chinese, country, fc.array(between, { minLength: 12, maxLength: 12 }), fc.boolean())
      .map(([number, before, gaps, isFull]) => {
        const text = gaps[0] + before + [...number].map((one, at) => one + gaps[at + 1]).join('')
        return { number, text: isFull ? fullWidth(text) : text }
      })
    fc.assert(
      fc.property(written, ({ number, text }) => {
        expect(phone(text)).toBe(`+86${number}`)
      }),
    )
  })

  it('of any text come to a number that is read as itself, or to none', () => {
    const likely = fc.string({ unit: fc.constantFrom(...'0123456789+- ８６', '\u202d', 'a'), maxLength: 25 })
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), likely), (text) => {
        const read = phone(text)
        if (read === undefined) return
        expect(read).toMatch(/^\+\d{5,15}$/)
        expect(phone(read)).toBe(read)
      }),
    )
  })

  it('with a digit too many or too few are none', () => {
    fc.assert(
      fc.property(chinese, digit, (number, more) => {
        expect(phone(number + more)).toBeUndefined()
        expect(phone(number.slice(0, -1))).toBeUndefined()
      }),
    )
  })
})

describe('mail addresses', () => {
  it('of any text come to one that is read as itself, or to none; never to two, nor to a header', () => {
    const likely = fc.string({ unit: fc.constantFrom(...'ab.@,;<>"', ' ', '\r', '\n', 'Ａ'), maxLength: 30 })
    fc.assert(
      fc.property(fc.oneof(fc.emailAddress(), fc.string({ unit: 'binary' }), likely), (text) => {
        const read = email(text)
        if (read === undefined) return
        expect(email(read)).toBe(read)
        expect(read).toMatch(/^[^\s,;<>@]+@[^\s,;<>@]+$/)
      }),
    )
  })
})
