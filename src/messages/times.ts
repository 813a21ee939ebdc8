/** The times that a push names. */
import { Temporal } from 'temporal-polyfill'
import { badInput } from '../errors.ts'

const LOCAL = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:[0-5]\d)$/
/** Java leaves out seconds that are zero, and some formats the colon of the offset. */
const WITH_OFFSET = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/
const A_YEAR_HOURS = 366 * 24

/**
 * Reads `sendTime`: `yyyy-MM-dd HH:mm:ss` in `zone`, or ISO 8601 with an offset. Undefined: now, for nothing given.
 * A local time in a gap of the zone moves forward, one in an overlap is the first. The past is allowed and due at once.
 * Refuses everything else, impossible dates included: neither `Date` nor PostgreSQL would.
 */
export function readSendTime(value: unknown, zone: string): Date | undefined {
  const time = readTime('sendTime', value, zone)
  if (time === undefined) return undefined
  if (isFurtherThan(1, time)) throw badInput('sendTime', '不能晚于一年后', 'is more than a year ahead')
  // PostgreSQL has no year 0; of the past only that it is past matters.
  return new Date(Math.max(time.epochMilliseconds, 0))
}

/**
 * Reads `expiresAt`, written as a `sendTime` is. Undefined: never, for nothing given. Refuses a time at which the message
 * would be over before it is sent (`dueAt`; undefined: now).
 */
export function readExpiresAt(value: unknown, zone: string, dueAt: Date | undefined): Date | undefined {
  const time = readTime('expiresAt', value, zone)
  if (time === undefined) return undefined
  if (time.epochMilliseconds <= Math.max(Date.now(), dueAt?.getTime() ?? 0))
    throw badInput('expiresAt', '应晚于现在和 sendTime', 'must be later than now and than sendTime')
  if (isFurtherThan(2, time)) throw badInput('expiresAt', '不能晚于两年后', 'is more than two years ahead')
  return new Date(time.epochMilliseconds)
}

function readTime(path: string, value: unknown, zone: string): Temporal.Instant | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const instant = typeof value === 'string' ? parse(value.trim(), zone) : undefined
  if (instant !== undefined) return instant
  throw badInput(
    path,
    '应为 yyyy-MM-dd HH:mm:ss 或带时区的 ISO 8601 时间',
    'is no time: write yyyy-MM-dd HH:mm:ss, or ISO 8601 with an offset',
  )
}

function isFurtherThan(years: number, time: Temporal.Instant): boolean {
  return Temporal.Instant.compare(time, Temporal.Now.instant().add({ hours: years * A_YEAR_HOURS })) > 0
}

function parse(text: string, zone: string): Temporal.Instant | undefined {
  try {
    const local = LOCAL.exec(text)
    if (local) {
      const time = Temporal.PlainDateTime.from(`${local[1]}T${local[2]}`, { overflow: 'reject' })
      return time.toZonedDateTime(zone, { disambiguation: 'compatible' }).toInstant()
    }
    // Temporal.Instant alone would clip nothing, but accepts more forms than the contract.
    return WITH_OFFSET.test(text) ? Temporal.Instant.from(text) : undefined
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
