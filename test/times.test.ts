import { describe, expect, it } from 'vitest'
import { readSendTime } from '../src/messages/times.ts'

const read = (text: unknown, zone = 'Asia/Shanghai') => readSendTime(text, zone)?.toISOString()
const HOUR_MS = 3_600_000

describe('sendTime', () => {
  it.each([
    ['the documented form, in the configured zone', '2023-08-04 12:15:12', 'Asia/Shanghai', '2023-08-04T04:15:12.000Z'],
    ['surrounding blanks', ' 2023-08-04 12:15:12 ', 'Asia/Shanghai', '2023-08-04T04:15:12.000Z'],
    ['an ISO time in UTC', '2023-08-04T12:15:12Z', 'Asia/Shanghai', '2023-08-04T12:15:12.000Z'],
    ['an ISO time with an offset', '2023-08-04T12:15:12.5+08:00', 'America/New_York', '2023-08-04T04:15:12.500Z'],
    [
      'an ISO time without seconds, as Java writes it',
      '2023-08-04T12:15+08:00',
      'Asia/Shanghai',
      '2023-08-04T04:15:00.000Z',
    ],
    ['an offset without colon', '2023-08-04T12:15:12+0800', 'Asia/Shanghai', '2023-08-04T04:15:12.000Z'],
    ['a leap day', '2024-02-29 00:00:00', 'Asia/Shanghai', '2024-02-28T16:00:00.000Z'],
    ['a time in a gap, moved forward', '2023-03-12 02:30:00', 'America/New_York', '2023-03-12T07:30:00.000Z'],
    ['a time in an overlap, the first', '2023-11-05 01:30:00', 'America/New_York', '2023-11-05T05:30:00.000Z'],
    ['the year 1, which is past', '0001-01-01 00:00:00', 'Asia/Shanghai', '1970-01-01T00:00:00.000Z'],
  ])('reads %s', (_what, text, zone, instant) => {
    expect(read(text, zone)).toBe(instant)
  })

  it.each([[undefined], [null], ['']])('takes %j for now', (value) => {
    expect(read(value)).toBeUndefined()
  })

  it.each([
    ['30 February', '2023-02-30 12:00:00'],
    ['29 February of a common year', '2023-02-29 12:00:00'],
    ['month 13', '2023-13-01 12:00:00'],
    ['24:00', '2023-08-04 24:00:00'],
    ['a leap second', '2023-08-04 23:59:60'],
    ['an impossible ISO date', '2023-02-30T12:00:00Z'],
    ['an ISO time without offset', '2023-08-04T12:15:12'],
    ['a date alone', '2023-08-04'],
    ['no seconds', '2023-08-04 12:15'],
    ['slashes', '2023/08/04 12:15:12'],
    ['one digit', '2023-8-4 12:15:12'],
    ['full-width digits', '２０２３-08-04 12:15:12'],
    ['an epoch number', 1691122512000],
    ['an epoch number as text', '1691122512000'],
    ['blanks', '  '],
    ['words', 'tomorrow'],
    ['a boolean', true],
    ['an object', {}],
  ])('refuses %s', (_what, value) => {
    expect(() => read(value)).toThrow('sendTime: is no time: write yyyy-MM-dd HH:mm:ss')
  })

  it('takes a time up to a year ahead and refuses one beyond', () => {
    const ahead = (days: number) => new Date(Date.now() + days * 24 * HOUR_MS).toISOString()
    const allowed = ahead(364)
    expect(read(allowed)).toBe(allowed)
    expect(() => read(ahead(367))).toThrow('sendTime: is more than a year ahead')
  })
})
