import { describe, expect, it } from 'vitest'
import { readContent } from '../src/delivery/content.ts'

const chat = (value: unknown) => readContent('chat', value, 'channelData.1004')

describe('chat content', () => {
  it('is kept as it is, without blanks, and with numbers as the directory writes them', () => {
    const words = '**停电** <b> {{ x }}\n第二行 '
    expect(
      chat({
        title: ' 通知\n今晚 ',
        content: words,
        website: ' https://host/a ',
        atMobiles: ['186 6088 6275', '+8618660886275', '', '+85251234567'],
        atAll: true,
      }),
    ).toEqual({
      title: '通知 今晚',
      content: words,
      website: 'https://host/a',
      atMobiles: ['+8618660886275', '+85251234567'],
      atAll: true,
    })
    const blank = { title: ' ', content: 'x', website: '', atMobiles: ['', ' '], atAll: null }
    expect(JSON.stringify(chat(blank))).toBe('{"content":"x"}')
  })

  it('must say something, within 20 KiB', () => {
    for (const content of [undefined, null, '', ' \n', 5])
      expect(() => chat({ title: 'x', content })).toThrow(/channelData\.1004\.content: (is required|must)/)
    expect(chat({ content: 'a'.repeat(20 * 1024) }).content).toHaveLength(20 * 1024)
    expect(() => chat({ content: '字'.repeat(6_827) })).toThrow(/1004\.content: is over the limit of 20 KiB/)
  })

  it('links to addresses only, since a chat has no pages of its own', () => {
    for (const website of ['/tasks/1', 'javascript:alert(1)', 'host/a'])
      expect(() => chat({ content: 'x', website })).toThrow(/1004\.website: must be an http\(s\) address/)
  })

  it.each([
    [['18660886275', 'liwei'], /1004\.atMobiles\.1: is no mobile number/],
    [Array.from({ length: 101 }, () => '18660886275'), /1004\.atMobiles: has more than 100 entries/],
    ['18660886275', /1004\.atMobiles: must be an array/],
  ])('mentions at most 100 mobile numbers, each of which is one', (atMobiles, why) => {
    expect(() => chat({ content: 'x', atMobiles })).toThrow(why)
  })

  it('mentions everybody for true only', () => {
    for (const atAll of ['true', 1])
      expect(() => chat({ content: 'x', atAll })).toThrow(/1004\.atAll: must be a boolean/)
  })
})
