/** When quiet hours end, by the clock of the place: over midnight, over weekends, over changes of the clock. */
import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, it } from 'vitest'
import { EVERY_DAY, quietUntil, readQuietHours } from '../../src/preferences/quiet.ts'
import type { QuietHours } from '../../src/db/tables.ts'

const at = (text: string) => Temporal.ZonedDateTime.from(text)
const every = (from: string, to: string): QuietHours => ({ from, to, days: [...EVERY_DAY] })
const on = (days: number[], from: string, to: string): QuietHours => ({ from, to, days })

/** When the quiet time ends, as written there. */
function end(windows: QuietHours[], now: string): string | undefined {
  const { timeZoneId } = at(now)
  return quietUntil(windows, timeZoneId, at(now).toInstant())
    ?.toZonedDateTimeISO(timeZoneId)
    .toString({ timeZoneName: 'never', smallestUnit: 'minute' })
}

describe('quiet hours', () => {
  const nights = [every('22:00', '07:00')]
  // 27 November 2026 is a Friday.
  it.each([
    ['2026-11-27T21:59:59.999+08:00[Asia/Shanghai]', undefined],
    ['2026-11-27T22:00+08:00[Asia/Shanghai]', '2026-11-28T07:00+08:00'],
    ['2026-11-28T00:00+08:00[Asia/Shanghai]', '2026-11-28T07:00+08:00'],
    ['2026-11-28T06:59:59.999+08:00[Asia/Shanghai]', '2026-11-28T07:00+08:00'],
    ['2026-11-28T07:00+08:00[Asia/Shanghai]', undefined],
    ['2026-11-28T03:00+05:45[Asia/Kathmandu]', '2026-11-28T07:00+05:45'],
  ])('from 22:00 to 07:00, at %s, end at %s', (now, then) => {
    expect(end(nights, now)).toBe(then)
  })

  it.each([
    [
      'begins on Friday and lasts into Saturday',
      [on([5], '22:00', '07:00')],
      '2026-11-28T01:00Z[UTC]',
      '2026-11-28T07:00Z',
    ],
    ['does not begin on Thursday', [on([5], '22:00', '07:00')], '2026-11-27T01:00Z[UTC]', undefined],
    ['lasts a whole day', [on([6], '00:00', '00:00')], '2026-11-28T23:59Z[UTC]', '2026-11-29T00:00Z'],
    [
      'goes on in the next one',
      [on([6, 7], '00:00', '00:00'), every('22:00', '07:00')],
      '2026-11-27T23:00Z[UTC]',
      '2026-11-30T07:00Z',
    ],
    [
      'is longer where two overlap',
      [every('20:00', '23:00'), every('22:00', '23:30')],
      '2026-11-27T22:30Z[UTC]',
      '2026-11-27T23:30Z',
    ],
  ] as [string, QuietHours[], string, string | undefined][])('one that %s', (_name, windows, now, then) => {
    expect(end(windows, now)?.replace('+00:00', 'Z')).toBe(then)
  })

  it.each([
    // In Berlin the clock goes from 02:00 to 03:00 on 29 March 2026, and back from 03:00 to 02:00 on 25 October.
    [
      'ends where the clock leaves its end out',
      [every('22:00', '02:30')],
      '2026-03-29T01:59+01:00[Europe/Berlin]',
      '2026-03-29T03:30+02:00',
    ],
    [
      'begins where the clock leaves its beginning out',
      [every('02:15', '05:00')],
      '2026-03-29T03:10+02:00[Europe/Berlin]',
      undefined,
    ],
    [
      'is an hour shorter in spring',
      [every('22:00', '07:00')],
      '2026-03-28T22:00+01:00[Europe/Berlin]',
      '2026-03-29T07:00+02:00',
    ],
    [
      'ends at the first of two',
      [every('22:00', '02:30')],
      '2026-10-25T02:29+02:00[Europe/Berlin]',
      '2026-10-25T02:30+02:00',
    ],
    [
      'does not begin again at the second',
      [every('22:00', '02:30')],
      '2026-10-25T02:15+01:00[Europe/Berlin]',
      undefined,
    ],
  ] as [string, QuietHours[], string, string | undefined][])('one that %s', (_name, windows, now, then) => {
    expect(end(windows, now)).toBe(then)
  })

  it('end in the future, where it is not quiet any more', () => {
    const clock = fc
      .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
      .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))
    const windows = fc.array(
      fc.record({ from: clock, to: clock, days: fc.subarray([...EVERY_DAY], { minLength: 1 }) }),
      { minLength: 1, maxLength: 10 },
    )
    const zone = fc.constantFrom(
      'Asia/Shanghai',
      'Europe/Berlin',
      'America/St_Johns',
      'Australia/Lord_Howe',
      'Africa/Casablanca',
      'Pacific/Apia',
      'America/Havana',
    )
    const instant = fc.date({ min: new Date('2000-01-01'), max: new Date('2040-01-01'), noInvalidDate: true })
    const readable = (given: QuietHours[]) => {
      try {
        return readQuietHours(given, 'quietHours').length > 0
      } catch {
        return false
      }
    }
    fc.assert(
      fc.property(windows.filter(readable), zone, instant, (given, zone, date) => {
        const now = Temporal.Instant.fromEpochMilliseconds(date.getTime())
        const until = quietUntil(given, zone, now) ?? now
        const waited = until.since(now).total('hours')
        expect(waited).toBeGreaterThanOrEqual(0)
        expect(waited).toBeLessThan(8 * 24)
        expect(quietUntil(given, zone, until)).toBeUndefined()
      }),
      { numRuns: 150 },
    )
  })

  it.each([
    ['quietHours.0.from', [{ from: '24:00', to: '07:00' }]],
    ['quietHours.0.to', [{ from: '22:00', to: '7:00' }]],
    ['quietHours.0.days', [{ from: '22:00', to: '07:00', days: [] }]],
    ['quietHours', Array.from({ length: 11 }, () => ({ from: '01:00', to: '02:00' }))],
    // All the week, and all of it but half an hour.
    ['quietHours', [{ from: '12:00', to: '12:00' }]],
    ['quietHours', [{ from: '12:00', to: '11:30' }]],
  ])('that are none are refused at %s', (path, given) => {
    expect(() => readQuietHours(given, 'quietHours')).toThrow(expect.objectContaining({ code: 'BAD_INPUT', path }))
  })

  it('leave an hour of the week', () => {
    expect(readQuietHours([{ from: '12:00', to: '11:00' }], 'quietHours')).toHaveLength(1)
    expect(readQuietHours([{ from: '00:00', to: '00:00', days: [7, 6, 7] }], 'quietHours')).toEqual([
      { from: '00:00', to: '00:00', days: [6, 7] },
    ])
  })
})
