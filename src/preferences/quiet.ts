/**
 * Quiet hours: when a person's SMS and e-mail wait, by the clock where the person is. A time that a change of the clock
 * leaves out moves forward, and one that it repeats is the first, as with a `sendTime`.
 */
import { Temporal } from 'temporal-polyfill'
import type { QuietHours } from '../db/tables.ts'
import { badInput } from '../errors.ts'

export const WINDOWS_LIMIT = 10
export const EVERY_DAY: readonly number[] = [1, 2, 3, 4, 5, 6, 7]
const TIME = /^([01]\d|2[0-3]):([0-5]\d)$/
const DAY = 24 * 60
const WEEK = 7 * DAY
/** So long a stretch of the week must not be quiet: what waits goes out within it, a little spread. */
const FREE_MINUTES = 60
/** Windows that follow each other are gone through so often at most: all that two weeks can hold. */
const STEPS = 2 * 7 * WINDOWS_LIMIT

/** Checks quiet hours as somebody gives them. Without days: every day. */
export function readQuietHours(
  windows: readonly { from: string; to: string; days?: readonly number[] | null | undefined }[],
  path: string,
): QuietHours[] {
  if (windows.length > WINDOWS_LIMIT)
    throw badInput(path, `最多 ${WINDOWS_LIMIT} 段`, `has more than ${WINDOWS_LIMIT} entries`)
  const read = windows.map(({ from, to, days }, at) => {
    for (const [name, text] of Object.entries({ from, to })) {
      if (!TIME.test(text))
        throw badInput(`${path}.${at}.${name}`, '应为 00:00 到 23:59', 'must be a time from 00:00 to 23:59')
    }
    if (days?.length === 0)
      throw badInput(`${path}.${at}.days`, '不能为空，每天请省略', 'must not be empty: leave it out for every day')
    return { from, to, days: [...new Set(days ?? EVERY_DAY)].toSorted((one, other) => one - other) }
  })
  if (longestFreeStretch(read) < FREE_MINUTES)
    throw badInput(
      path,
      '一周内至少要有连续一小时不在免打扰时段；如完全不想接收，请关闭渠道',
      'must leave an hour of the week free: to get nothing at all, switch the channel off',
    )
  return read
}

/** When the quiet time ends in which `now` lies, with all that follow on at once. Undefined: it lies in none. */
export function quietUntil(
  windows: readonly QuietHours[],
  zone: string,
  now: Temporal.Instant,
): Temporal.Instant | undefined {
  let until = now
  for (let step = 0; step < STEPS; step++) {
    const today = until.toZonedDateTimeISO(zone).toPlainDate()
    // Those that began yesterday may not be over yet.
    const begun = [today, today.subtract({ days: 1 })].flatMap((day) =>
      windows.filter(({ days }) => days.includes(day.dayOfWeek)).map((window) => ({ day, window })),
    )
    const end = begun
      .flatMap(({ day, window }) => endOf(window, day, zone, until) ?? [])
      .toSorted(Temporal.Instant.compare)
      .at(-1)
    if (end === undefined) break
    until = end
  }
  return until === now ? undefined : until
}

/** The end of the window that begins on this day, if `at` lies in it. */
function endOf(
  { from, to }: QuietHours,
  day: Temporal.PlainDate,
  zone: string,
  at: Temporal.Instant,
): Temporal.Instant | undefined {
  const instant = (day: Temporal.PlainDate, plainTime: string) =>
    day.toZonedDateTime({ timeZone: zone, plainTime }).toInstant()
  const end = instant(to <= from ? day.add({ days: 1 }) : day, to)
  if (Temporal.Instant.compare(at, end) >= 0) return undefined
  return Temporal.Instant.compare(instant(day, from), at) <= 0 ? end : undefined
}

/** In minutes, of a week without a change of the clock. */
function longestFreeStretch(windows: readonly QuietHours[]): number {
  const isQuiet = Array.from<boolean>({ length: WEEK }).fill(false)
  for (const { from, to, days } of windows) {
    const length = (minuteOf(to) - minuteOf(from) + DAY - 1) % DAY
    for (const day of days) {
      const start = (day - 1) * DAY + minuteOf(from)
      for (let minute = 0; minute <= length; minute++) isQuiet[(start + minute) % WEEK] = true
    }
  }
  let [longest, free] = [0, 0]
  // Twice round, since the week has no beginning.
  for (let minute = 0; minute < 2 * WEEK; minute++) {
    free = isQuiet[minute % WEEK] ? 0 : free + 1
    longest = Math.max(longest, free)
  }
  return longest
}

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number)
  return hours * 60 + minutes
}
