import { describe, expect, it } from 'vitest'
import { email, phone } from '../src/directory/address.ts'

describe('addresses', () => {
  it.each([
    '18660886275',
    ' 186 6088 6275 ',
    '186-6088-6275',
    '１８６６０８８６２７５',
    '＋８６　18660886275',
    '+86 18660886275',
    '0086-18660886275',
    '\u202d18660886275\u202c',
  ])('reads the phone %j as one number', (text) => {
    expect(phone(text)).toBe('+8618660886275')
  })

  it.each([
    '',
    '+',
    'USER001',
    '1866088627',
    '186608862750',
    '31234567',
    '01087654321',
    '12345678901',
    '18660886275,18660886834',
    'tel:18660886275',
  ])('finds no mobile number in %j', (text) => {
    expect(phone(text)).toBeUndefined()
  })

  it('reads a foreign mobile number by its country code', () => {
    expect(phone('+852 9123 4567')).toBe('+85291234567')
  })

  const SAME = ['zhaoli@126.com', 'zhaoli@126.com ', 'zhaoli@126.COM', 'ｚｈａｏｌｉ＠１２６．com']
  it.each(SAME)('reads the mail address %j as one', (text) => {
    expect(email(text)).toBe('zhaoli@126.com')
  })

  it('keeps the case of the part before the @, which is the receiving server’s to judge', () => {
    expect(email('Zhao.Li@Example.ORG')).toBe('Zhao.Li@example.org')
  })

  it.each([
    '',
    'USER001',
    'a@b',
    'a@b.com,c@d.com',
    'a@b.com\r\nBcc: c@d.com',
    '赵丽 <zhaoli@126.com>',
    '＜zhaoli@126.com＞',
    'a b@c.com',
    'a@b@c.com',
    `${'a'.repeat(250)}@b.com`,
  ])('finds no mail address in %j', (text) => {
    expect(email(text)).toBeUndefined()
  })
})
