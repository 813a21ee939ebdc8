/** How a phone number and a mail address are written here, so that one person's address is one text however it came in. */
import parsePhoneNumber from 'libphonenumber-js/mobile'
import { z } from 'zod'

/** What people put between the digits, and the invisible marks that come along when a number is copied from a chat. */
const BETWEEN_DIGITS = /[\s\p{Pd}\p{Cf}]/gu
/** RFC 5321's limit for an address in an envelope. */
const EMAIL_LENGTH = 254

const strictEmail = z.email()

/**
 * A mobile number in E.164 (`+8618660886275`), or undefined when the text is none. Without a country code it is Chinese.
 * Mobile numbers only: with land lines allowed, an eight-digit staff number or a mistyped mobile would pass as a phone.
 */
export function phone(text: string): string | undefined {
  const digits = text.normalize('NFKC').replace(BETWEEN_DIGITS, '').replace(/^00/, '+')
  if (!/^\+?\d{5,20}$/.test(digits)) return undefined
  const number = parsePhoneNumber(digits, { defaultCountry: 'CN', extract: false })
  return number?.isValid() ? number.number : undefined
}

/** A bare mail address with its domain in lower case, or undefined when the text is anything else (a name, a list). */
export function email(text: string): string | undefined {
  const address = text.normalize('NFKC').trim()
  if (address.length > EMAIL_LENGTH || !strictEmail.safeParse(address).success) return undefined
  const at = address.lastIndexOf('@')
  return address.slice(0, at) + address.slice(at).toLowerCase()
}
