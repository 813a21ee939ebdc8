import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fits, parseFilter, parsePath, type Filter } from '../../src/directory/scim/filter.ts'
import { ScimProblem } from '../../src/directory/scim/problem.ts'

/** A filter as text again, fully bracketed. */
function written(filter: Filter): string {
  const texts: Record<string, () => string> = {
    and: () => (filter as { of: Filter[] }).of.map((one) => `(${written(one)})`).join(' and '),
    or: () => (filter as { of: Filter[] }).of.map((one) => `(${written(one)})`).join(' or '),
    not: () => `not (${written((filter as { of: Filter }).of)})`,
    has: () => `${name(filter)}[${written((filter as { where: Filter }).where)}]`,
    pr: () => `${name(filter)} pr`,
  }
  const compared = () => `${name(filter)} ${filter.op} ${JSON.stringify((filter as { value: unknown }).value)}`
  return (texts[filter.op] ?? compared)()
}
const name = (filter: object) => {
  const { attribute, sub } = (filter as { path: { attribute: string; sub?: string } }).path
  return [attribute, sub].filter(Boolean).join('.')
}

const word = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/).filter((one) => !/^(?:and|or|not)$/.test(one))
const path = fc.record({ attribute: word, sub: word }, { requiredKeys: ['attribute'] })
const value = fc.oneof(
  fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\0') && one.isWellFormed()),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
)
const comparison = fc.constantFrom('eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le')
const { filter } = fc.letrec<{ filter: Filter; leaf: Filter }>((tie) => ({
  leaf: fc.oneof(
    fc.record({ op: comparison, path, value }) as fc.Arbitrary<Filter>,
    fc.record({ op: fc.constant('pr'), path }) as fc.Arbitrary<Filter>,
  ),
  filter: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.record({
      op: fc.constantFrom('and', 'or'),
      of: fc.array(tie('filter'), { minLength: 2, maxLength: 3 }),
    }) as fc.Arbitrary<Filter>,
    fc.record({ op: fc.constant('not'), of: tie('filter') }) as fc.Arbitrary<Filter>,
    fc.record({ op: fc.constant('has'), path, where: tie('leaf') }) as fc.Arbitrary<Filter>,
  ),
}))
const PIECES = [
  '(',
  ')',
  '[',
  ']',
  ' ',
  '"',
  '\\',
  'a',
  'and ',
  'or ',
  'not ',
  'eq ',
  'pr',
  '.value',
  '1',
  '-',
  'urn:',
  ':',
  '"x" ',
  '“',
  '\n',
]
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 400 }).map((pieces) => pieces.join('')),
)
const outcome = (read: (text: string) => unknown, text: string) => {
  try {
    return typeof read(text)
  } catch (error) {
    return error instanceof ScimProblem ? error.status : error
  }
}

describe('a SCIM filter', () => {
  it('means the same when it is written out and read again', () => {
    fc.assert(
      fc.property(filter, (one) => {
        expect(parseFilter(written(one))).toEqual(one)
      }),
    )
  })

  it('is read or refused, whatever it says', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(['object', 400]).toContain(outcome(parseFilter, text))
        expect(['object', 400]).toContain(outcome(parsePath, text))
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['brackets', '('.repeat(100_000)],
    ['closed brackets', `${'('.repeat(4_000)}a pr${')'.repeat(4_000)}`],
    ['a value path in another', 'a['.repeat(3_000)],
    ['negations', 'not ('.repeat(1_900)],
    ['a text without end', `a eq "${'\\"'.repeat(50_000)}`],
    ['backslashes', `a eq "${'\\'.repeat(9_000)}`],
    ['terms', Array.from({ length: 1_000 }, () => 'a pr').join(' or ')],
    ['blanks', `a${' '.repeat(9_990)}`],
    ['a long name', 'a'.repeat(9_999)],
    ['dots', `${'a.'.repeat(4_000)}b eq 1`],
  ])('of nothing but %s is refused at once', (_what, text) => {
    const before = performance.now()
    expect([outcome(parseFilter, text), outcome(parsePath, text.slice(0, 9_000))]).toEqual([400, expect.anything()])
    expect(performance.now() - before).toBeLessThan(1_000)
  })

  it.each([
    ['userName Eq "a" AND active eq true', 'username eq "a" and active eq true'],
    ['a eq 1 or b eq 2 and c eq 3', 'a eq 1 or (b eq 2 and c eq 3)'],
    ['not(a pr)and(b pr)', '(not (a pr)) and b pr'],
    ['emails[type eq "work"].value eq "x"', 'emails[type eq "work" and value eq "x"]'],
    ['urn:ietf:params:scim:schemas:core:2.0:User:name.familyName pr', 'name.familyName pr'],
  ])('%s is %s', (one, other) => {
    expect(parseFilter(one)).toEqual(parseFilter(other))
  })

  it.each([
    ['', 1],
    ['userName', 9],
    ['userName eq', 12],
    ['userName eq bob', 13],
    ['userName like "bob"', 10],
    ['userName eq "bob', 13],
    ['userName eq "bob" and', 22],
    ['userName eq "bob" xor a pr', 19],
    ['(userName pr', 13],
    ['emails[type eq "work"', 22],
    ['a.b.c pr', 7],
    ['a eq "\\u0000"', 6],
    ['a eq "\\ud800"', 6],
  ])('%j is refused at character %i', (text, at) => {
    expect(() => parseFilter(text)).toThrow(`at character ${at}:`)
  })

  it('fits the values that it means', () => {
    const one = { value: 'A@x', type: 'work', primary: true }
    const cases: [string, boolean][] = [
      ['type eq "WORK"', true],
      ['type eq "home" or primary eq true', true],
      ['not (value sw "a@")', false],
      ['value co "@" and value ew "X"', true],
      ['display pr', false],
      ['type ne "home"', true],
      ['value gt "a"', true],
      ['value gt 1', false],
    ]
    for (const [text, is] of cases) expect([text, fits(parseFilter(text), one)]).toEqual([text, is])
  })
})

describe('the path of a PATCH', () => {
  it.each([
    ['active', { attribute: 'active' }],
    ['Name.GivenName', { attribute: 'name', sub: 'givenname' }],
    ['urn:ietf:params:scim:schemas:core:2.0:User:userName', { attribute: 'username' }],
    ['urn:a:b:c.d', { schema: 'urn:a:b', attribute: 'c', sub: 'd' }],
    [
      'emails[type eq "work"].value',
      { attribute: 'emails', sub: 'value', where: { op: 'eq', path: { attribute: 'type' }, value: 'work' } },
    ],
  ])('%s', (text, target) => {
    expect(parsePath(text)).toEqual(target)
  })

  it.each(['', 'a b', 'a[', 'a[b eq 1', 'a[b eq 1].', 'a.b.c', 'a[b eq 1].c.d', '[a eq 1]'])(
    '%j is refused',
    (text) => {
      expect(outcome(parsePath, text)).toBe(400)
    },
  )
})
