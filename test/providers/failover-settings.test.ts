/** How `failover(…)` is read, with the providers there are. */
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { dingtalk } from '../../src/delivery/providers/dingtalk.ts'
import { feishu } from '../../src/delivery/providers/feishu.ts'
import type { FailoverSettings } from '../../src/delivery/providers/failover-settings.ts'

const ALIYUN = 'aliyun://key:secret@default?sign=东华医为'
const GATEWAY = 'https://gateway.example.org/send?posthouse.ok=code=0'
const ROBOTS = [dingtalk.example, feishu.example] as const
const SMTP = 'smtp://mail?from=a@b.org'

function read(url: string, id = '2001') {
  const { config, mistakes } = loadConfig({ [`CHANNEL_${id}`]: url })
  expect(mistakes).toEqual([])
  return config!.channels.get(id)!
}
const membersOf = (url: string) => (read(url).settings as FailoverSettings).members

describe('members', () => {
  it.each([
    `failover(${ALIYUN}, ${GATEWAY})`,
    `failover(${ALIYUN},${GATEWAY})`,
    `  failover( ${ALIYUN} ,\n  ${GATEWAY}\n)\n`,
  ])('are whole channel URLs, each read by its provider: %j', (url) => {
    expect(membersOf(url)).toMatchObject([
      { name: 'aliyun', settings: { keyId: 'key', sign: '东华医为' } },
      { name: 'https', settings: { address: 'https://gateway.example.org/send' } },
    ])
  })

  it.each<[string, string[]]>([
    [`failover(${SMTP}&fromName=Doe, John, ${SMTP})`, ['smtp', 'smtp 2']],
    [`failover(${SMTP}&fromName=a,b:c, log:mail)`, ['smtp', 'log']],
    [`failover(log:, ${GATEWAY}&posthouse.body={"a":"{{ phone }}","b":"{{ text }}"})`, ['log', 'https']],
    [`failover(${SMTP}&fromName=(A), ${SMTP}&fromName=(B)#timeout=5)#rate=1`, ['smtp', 'smtp 2']],
    [`failover(log:, log:, ${ALIYUN}, log:)`, ['log', 'log 2', 'aliyun', 'log 3']],
    [`failover(${SMTP}&fromName=a%2Clog:, log:mail)`, ['smtp', 'log']],
  ])('may have commas and parentheses in them: %s', (url, names) => {
    expect(membersOf(url).map(({ name }) => name)).toEqual(names)
  })

  it('keep what is in them, up to the last character', () => {
    const [first, second] = membersOf(`failover(${SMTP}&fromName=Doe, (John), ${SMTP}&fromName=(B))`)
    expect(first?.settings).toMatchObject({ fromName: 'Doe, (John)' })
    expect(second?.settings).toMatchObject({ fromName: '(B)' })
  })
})

describe('what they carry', () => {
  it.each<[string, string, string]>([
    ['1001', `failover(${ALIYUN}, ${GATEWAY})`, 'sms'],
    ['1003', `failover(${SMTP}, ${SMTP})`, 'mail'],
    ['1003', `failover(log:, log:)`, 'mail'],
    ['1001', `failover(log:, log:)`, 'sms'],
    ['2001', `failover(log:, log:)`, 'sms'],
    ['2001', `failover(log:, ${SMTP})`, 'mail'],
    ['2001', `failover(log:, log:mail)`, 'mail'],
    ['1004', `failover(${ROBOTS.join(', ')})`, 'chat'],
    ['1001', `failover(log:mail, log:)`, 'mail'],
    ['1001', `failover(${SMTP}, log:)`, 'mail'],
  ])('is what all of them can, by path, by id, or the first: %s %s', (id, url, kind) => {
    expect(read(url, id).kind).toBe(kind)
  })
})

describe('limits', () => {
  it("are the strictest of the members', and the sum of their times", () => {
    expect(read(`failover(${SMTP}#timeout=7, log:mail)`).limits).toEqual({
      concurrency: 5,
      rate: undefined,
      timeoutSeconds: 27,
      attempts: 12,
    })
    expect(read(`failover(${ROBOTS.join(', ')})`).limits).toMatchObject({ concurrency: 1, rate: dingtalk.limits?.rate })
    const long = 'log:#timeout=50'
    expect(read(`failover(${long}, ${long}, ${long})`).limits.timeoutSeconds).toBe(120)
  })

  it('are given for the whole, and for a member its timeout', () => {
    const { limits, settings } = read(
      'failover(log:#timeout=3, log:)#rate=20/min&ambiguous=next&timeout=30&concurrency=50',
    )
    expect(limits).toEqual({ concurrency: 50, rate: 1 / 3, timeoutSeconds: 30, attempts: 12 })
    expect(settings).toMatchObject({ goesOn: true, members: [{ limits: { timeoutSeconds: 3 } }, {}] })
  })

  it('may be left out where it is only said what happens when no answer comes', () => {
    expect(read('failover(log:, log:)#ambiguous=next').settings).toMatchObject({ goesOn: true })
    expect(read('failover(log:, log:)').settings).toMatchObject({ goesOn: false })
  })
})

describe('the keys of callbacks', () => {
  const KEY = '6f1d2c3b4a5968778695a4b3c2d1e0f0'
  const cloud = (key: string) => `${ALIYUN}&callbackKey=${key}`
  const tencent = (key: string) => `tencent://key:secret@default?app=1&sign=x&callbackKey=${key}`
  const receipts = 'posthouse.receipt=id&posthouse.receipts.receipt=id&posthouse.receipts.delivered=status=0'
  const gateway = (key: string) => `${GATEWAY}&${receipts}&posthouse.receipts.key=${key}`

  it.each([
    [cloud(KEY), cloud(KEY)],
    [cloud(KEY), tencent(KEY)],
    [gateway(KEY), tencent(KEY)],
    [gateway(KEY), gateway(KEY)],
  ])('are one for each member, since one would take the receipts of the other: %s, %s', (first, second) => {
    const { mistakes } = loadConfig({ CHANNEL_1001: `failover(${first}, log:, ${second})` })
    expect(mistakes).toEqual([
      expect.stringMatching(/has the same callback key in its members 1 and 3, .*; write a key/),
    ])
    expect(mistakes[0]).not.toContain(KEY)
  })

  it('may be missing, or each its own', () => {
    expect(membersOf(`failover(${cloud(KEY)}, ${tencent(KEY.toUpperCase())}, ${ALIYUN}, ${ALIYUN})`)).toHaveLength(4)
  })
})

describe('a mistake', () => {
  it.each<[string, RegExp]>([
    ['failover()', /fewer than two members; write failover\(first, second\)/],
    ['failover(log:)', /fewer than two members; write failover\(first, second\)/],
    ['failover:log:', /not how failover is written; write failover\(first, second\)/],
    ['failover://log', /not how failover is written; write failover\(first, second\)/],
    ['failover(log:, log:', /not a URL: it starts with one of .*failover\(…\)/],
    ['log(log:, log:)', /not how log is written; write log:…, without parentheses/],
    ['pigeon(log:, log:)', /unknown provider "pigeon": use one of .*failover\(…\)/],
    ['failover(log:, failover(log:, log:))', /failover inside of another; write all members in one list/],
    ['failover(failover(log:,log:),log:)', /failover inside of another; write all members in one list/],
    ['failover(log:, inbox:)', /in its member 2 has inbox:, which sends nothing; leave it out/],
    ['failover(log:, pigeon://loft)', /in its member 2 has an unknown provider "pigeon": use one of inbox:, log:/],
    ['failover(log:, aliyun:x)', /in its member 2 has no access key; write aliyun:/],
    ['failover(log:#rate=5, log:)', /in its member 1 limits its rate.*; write it behind the closing parenthesis/],
    ['failover(log:, log:#attempts=5)', /in its member 2 limits its attempts.*; write it behind/],
    ['failover(log:, log:#concurrency=5&timeout=1)', /in its member 2 limits its concurrency.*; write it behind/],
    ['failover(log:, log:#timeout=0)', /in its member 2 has an unusable timeout=0 .*; write seconds from 1 to 120/],
    ['failover(log:, log:#)', /in its member 2 has nothing behind its #; write /],
    ['failover(log:, log:)#', /nothing behind its #; write /],
    ['failover(log:, log:)#ambiguous=maybe', /behind its #; write ambiguous=next/],
    ['failover(log:, log:)#order=random', /behind its #; write ambiguous=next/],
    ['failover(log:, log:)#rate=0&ambiguous=next', /unusable rate=0/],
    [
      `failover(${SMTP}, ${ALIYUN})`,
      /nothing in common \(smtp: mail; aliyun: sms\); write members that carry the same/,
    ],
    [`failover(log:mail, log:sms)`, /nothing in common \(log: mail; log: sms\)/],
  ])('names the fix: %s', (url, mistake) => {
    const { mistakes } = loadConfig({ CHANNEL_2001: url })
    expect(mistakes).toEqual([expect.stringMatching(mistake)])
    expect(mistakes[0]).toMatch(/^CHANNEL_2001 (has|is|in its member \d (has|limits)) /)
  })

  it('in one member does not hide those in the others', () => {
    expect(loadConfig({ CHANNEL_2001: 'failover(aliyun:x, smtp://mail)#order=1' }).mistakes).toHaveLength(3)
  })
})
