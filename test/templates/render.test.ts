import { describe, expect, it } from 'vitest'
import type { ContentKind } from '../../src/delivery/content.ts'
import { Refusal } from '../../src/errors.ts'
import { renderVersion, variablesOf } from '../../src/templates/render.ts'
import { readVariables } from '../../src/templates/variables.ts'

const kinds: Record<string, ContentKind> = { '1001': 'sms', '1002': 'site', '1003': 'mail' }
const kindOf = (channelId: string) => kinds[channelId]
const render = (contents: Record<string, unknown>, variables: Record<string, string> = {}) =>
  renderVersion({ contents, locales: {}, variables: null }, kindOf, variables).contents
const sms = (content: string, variables: Record<string, string> = {}) =>
  (render({ '1001': { content } }, variables)['1001'] as { content: string }).content

/** The refusal that `act` ends in; anything else that is thrown is thrown on. */
function refusal(act: () => unknown): Refusal {
  try {
    act()
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  throw new Error('was not refused')
}

/** The refusal of a hostile template, with the promise that it came soon and took no memory to speak of. */
function boundedRefusal(code: string, variables: Record<string, string> = {}): Refusal {
  const heapBefore = process.memoryUsage().heapUsed
  const start = performance.now()
  const refused = refusal(() => sms(code, variables))
  expect(performance.now() - start).toBeLessThan(3_000)
  expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(150 * 1024 * 1024)
  return refused
}

describe('renderVersion', () => {
  it('renders every string of every channel, nested ones too, and keeps the rest', () => {
    const contents = {
      '1001': {
        sign: '{{ hospital }}',
        templateData: { templateId: 'T1', paramData: { code: '{{ code }}', list: ['{{ code }}', 5, null] } },
      },
      '1002': {
        title: '你好，{{ 姓名 }}',
        content: '<p>{{ 姓名 }}的验证码：{{ code }}</p>',
        website: '/codes/{{ code }}',
      },
    }
    expect(render(contents, { hospital: '东华医为', code: '1001', 姓名: '张三😀' })).toEqual({
      '1001': {
        sign: '东华医为',
        templateData: { templateId: 'T1', paramData: { code: '1001', list: ['1001', 5, null] } },
      },
      '1002': { title: '你好，张三😀', content: '<p>张三😀的验证码：1001</p>', website: '/codes/1001' },
    })
    expect(contents['1001'].sign).toBe('{{ hospital }}')
  })

  it('escapes values in HTML fields and leaves them alone in plain text', () => {
    const variables = { name: `<b onclick="x">O'Neil & Co</b>` }
    const rendered = render(
      {
        '1001': { content: '{{ name }}' },
        '1002': { title: '{{ name }}', content: '<i>{{ name }}</i>' },
        '1003': { title: '{{ name }}', content: '{{ name }}' },
      },
      variables,
    )
    const escaped = '&lt;b onclick=&#34;x&#34;&gt;O&#39;Neil &amp; Co&lt;/b&gt;'
    expect(rendered).toEqual({
      '1001': { content: variables.name },
      '1002': { title: variables.name, content: `<i>${escaped}</i>` },
      '1003': { title: variables.name, content: escaped },
    })
  })

  it('escapes what assign and filters made of a value', () => {
    const content = '{% assign x = name | append: "<i>" %}{{ x }}{{ x | upcase }}'
    expect(render({ '1002': { content } }, { name: '<b>' })).toEqual({
      '1002': { content: '&lt;b&gt;&lt;i&gt;&lt;B&gt;&lt;I&gt;' },
    })
  })

  it('never reads a value as Liquid', () => {
    expect(sms('{{ a }}', { a: '{{ b }}{% if %}', b: 'no' })).toBe('{{ b }}{% if %}')
  })

  it('knows if, for, assign and the everyday filters', () => {
    const code =
      '{% assign parts = list | split: "," %}{% for part in parts %}{% if part != "b" %}[{{ part | upcase }}]{% else %}-{% endif %}{% endfor %}'
    expect(sms(code, { list: 'a,b,c' })).toBe('[A]-[C]')
  })

  it('names all missing variables, each once, in both languages', () => {
    const refused = refusal(() =>
      render(
        { '1001': { content: '{{ a }}{{ b }}{{ 姓名 }}' }, '1002': { content: '{% if c == "1" %}{{ a }}{% endif %}' } },
        { b: '' },
      ),
    )
    expect(refused.path).toBe('channelParamData')
    expect(refused.zh).toBe('参数有误：channelParamData: 缺少变量 a, 姓名, c')
    expect(refused.message).toContain('lacks the variables a, 姓名, c')
  })

  it('asks for a variable that only some branches assign', () => {
    const refused = refusal(() => sms('{% if a == "1" %}{% assign b = "x" %}{% endif %}{{ b }}', { a: '2' }))
    expect(refused.zh).toContain('channelParamData: 缺少变量 b')
  })

  it('finds nothing on prototypes', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(refusal(() => sms(`{{ ${name} }}`)).zh).toContain(`缺少变量 ${name}`)
      expect(sms(`{{ ${name} }}`, readVariables(JSON.parse(`{"${name}": "x"}`)))).toBe('x')
    }
    expect(refusal(() => sms('{{ a.constructor.name }}', { a: 'x' })).kind.status).toBe(400)
    expect(refusal(() => sms('{{ a | constructor }}', { a: 'x' })).kind.status).toBe(400)
  })

  it('keeps a key named __proto__ a key', () => {
    const contents = JSON.parse(
      '{"1001": {"templateData": {"templateId": "T", "paramData": {"__proto__": "{{ a }}"}}}}',
    )
    expect(JSON.stringify(render(contents, { a: 'x' }))).toBe(
      '{"1001":{"templateData":{"templateId":"T","paramData":{"__proto__":"x"}}}}',
    )
  })

  it('renders a channel of unknown kind as plain text', () => {
    expect(render({ '1009': { content: '{{ a }}' } }, { a: '<' })).toEqual({ '1009': { content: '<' } })
  })
})

describe('a hostile template', () => {
  const hostile: Record<string, [string, Record<string, string>?]> = {
    'nests loops': ['{% for i in (1..100000) %}{% for j in (1..100000) %}{% endfor %}{% endfor %}'],
    'counts to a number that a value names': ['{% for i in (1..n) %}x{% endfor %}', { n: '999999999999' }],
    'loops over one list in itself': [
      `{% assign l = "${'x,'.repeat(200)}" | split: "," %}${'{% for i in l %}'.repeat(8)}${'{% endfor %}'.repeat(8)}`,
    ],
    'doubles a string': [`{% assign s = "0123456789" %}${'{% assign s = s | append: s %}'.repeat(30)}{{ s }}`],
    'doubles a string by replacing': [
      `{% assign s = "aaaaaaaaaa" %}${'{% assign s = s | replace: "a", "aa" %}'.repeat(25)}{{ s }}`,
    ],
    'prints its own text over and over': [`{% for i in (1..100000) %}${'x'.repeat(900)}{% endfor %}`],
    'prints a long value over and over': ['{% for i in (1..100000) %}{{ v }}{% endfor %}', { v: 'x'.repeat(100_000) }],
    'prints a list of long entries': [
      '{% assign l = v | split: "," %}{% for i in (1..1000) %}{{ l }}{% endfor %}',
      { v: `${'x'.repeat(1_000)},`.repeat(300) },
    ],
    'pads a date': ['{{ "now" | date: "%999999999Y" }}'],
    'chains filters over a long value': [`{{ v${' | slice: 1, 400000'.repeat(500)} }}`, { v: 'x'.repeat(500_000) }],
  }

  for (const [what, [code, variables]] of Object.entries(hostile)) {
    it(`that ${what} is refused`, () => {
      expect(boundedRefusal(code, variables).path).toBe('templateCode')
    })
  }

  it('has one budget for all its strings', () => {
    const item = '{% for i in (1..90) %}{{ v }}{% endfor %}'
    const variables = { v: 'x'.repeat(1_000) }
    expect(sms(item, variables)).toHaveLength(90_000)
    const paramData = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`p${index}`, item]))
    const refused = refusal(() => render({ '1001': { templateData: { templateId: 'T', paramData } } }, variables))
    expect(refused.path).toBe('templateCode')
  })
})

describe('the code of a template', () => {
  it('says where a template does not parse', () => {
    const refused = refusal(() => variablesOf({ '1002': { content: '<p>你好</p>\n  {% if a %}' } }))
    expect(refused.path).toBe('contents.1002.content')
    expect(refused.zh).toContain('第 2 行第 3 列')
    expect(refused.message).toContain('line 2, column 3')
    expect(refused.message).toContain('{% if a %} not closed')
  })

  it.each(['{{ a', '{{ a | nosuch }}', '{% nosuch %}', '{% endif %}', '{{ a | append }', '{% for x %}{% endfor %}'])(
    'refuses %s',
    (code) => {
      expect(refusal(() => variablesOf({ '1001': { content: code } })).path).toBe('contents.1001.content')
    },
  )

  it.each([
    '{% raw %}{{ a }}{% endraw %}',
    '{% capture a %}x{% endcapture %}',
    '{% include "x" %}',
    '{% render "x" %}',
    '{% layout "x" %}',
    '{% liquid echo a %}',
    '{% echo a %}',
    '{% tablerow a in b %}{% endtablerow %}',
    '{{ a | raw }}',
    '{{ a | concat: b }}',
    '{{ a | where_exp: "x", "y" }}',
    '{{ a | strip_html }}',
  ])('refuses %s, which is left out on purpose', (code) => {
    expect(refusal(() => variablesOf({ '1002': { content: code } })).zh).toContain('contents.1002.content: 模板第 1 行')
  })

  it('refuses absurd nesting of tags and of expressions without running out of stack', () => {
    const tags = refusal(() => variablesOf({ '1001': { content: '{% if a %}'.repeat(200) } }))
    expect(tags.message).toContain('nests if and for deeper than 50')
    const expressions = refusal(() =>
      variablesOf({ '1001': { content: `{{ ${'a['.repeat(100_000)}0${']'.repeat(100_000)} }}` } }),
    )
    expect(expressions.kind.status).toBe(400)
  })

  it('refuses more template text than any content may have', () => {
    expect(refusal(() => variablesOf({ '1003': { content: 'x'.repeat(1024 * 1024), title: 'y' } })).path).toBe(
      'contents.1003.title',
    )
  })

  it('accepts contents without any Liquid', () => {
    expect(() => variablesOf({ '1002': { title: 'a } b', content: '<p>100 %</p>', website: null } })).not.toThrow()
  })
})

describe('variablesOf', () => {
  it('names what a push must give, not what the template makes itself', () => {
    const content =
      '{% assign total = price | times: 2 %}{% for i in (1..n) %}{{ i }}{{ forloop.index }}{{ total }}{% endfor %}{{ title.size }}'
    expect(variablesOf({ '1001': { content }, '1002': { content: '{{ price }}{% if 科室 %}x{% endif %}' } })).toEqual([
      'price',
      'n',
      'title',
      '科室',
    ])
  })

  it('is empty without contents', () => {
    expect(variablesOf({})).toEqual([])
  })
})

describe('readVariables', () => {
  it('makes text of numbers and booleans', () => {
    expect({ ...readVariables({ code: 1001, ok: true, rate: 0.5, name: '张三', empty: '' }) }).toEqual({
      code: '1001',
      ok: 'true',
      rate: '0.5',
      name: '张三',
      empty: '',
    })
  })

  it('takes absent and null as none', () => {
    expect({ ...readVariables(undefined) }).toEqual({})
    expect({ ...readVariables(null) }).toEqual({})
  })

  it.each([[null], [{ a: 1 }], [['a']]])('refuses %j as a value, at its key', (value) => {
    const refused = refusal(() => readVariables({ ok: 'x', bad: value }))
    expect(refused.path).toBe('channelParamData.bad')
    expect(refused.zh).toContain('只能是字符串、数字或布尔值')
  })

  it.each([['x'], [[]], [5], [true]])('refuses %j instead of a map', (value) => {
    expect(refusal(() => readVariables(value)).path).toBe('channelParamData')
  })

  it('has no prototype to reach', () => {
    const variables = readVariables(JSON.parse('{"__proto__": "p", "constructor": "c"}'))
    expect(Object.getPrototypeOf(variables)).toBeNull()
    expect(Object.entries(variables)).toEqual([
      ['__proto__', 'p'],
      ['constructor', 'c'],
    ])
    expect(({} as Record<string, unknown>)['p']).toBeUndefined()
  })
})
