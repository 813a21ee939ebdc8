/** What a preview shows, and what the checks find: with where it stands, and what to do. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const PREVIEW = `query ($input: PreviewTemplateInput!) {
  previewTemplate(input: $input) {
    problems { severity path line column en }
    variables { name type example }
    channels { channelId kind locale content text sms { encoding characters segments } }
  }
}`
type Found = { severity: string; path: string; line: number | null; column: number | null; en: string }

describe.each(stores)('a preview, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const ask = async (input: object) => {
    const { data, errors } = await posthouse.graphql(posthouse.adminKey, PREVIEW, { input })
    return { ...data?.['previewTemplate'], errors }
  }
  const preview = (contents: object, more: object = {}, around: object = {}) =>
    ask({ draft: { name: '试', contents, ...more }, ...around })
  const problems = async (contents: object, more: object = {}): Promise<Found[]> =>
    (await preview(contents, more)).problems
  const site = (content: string, title = '题') => ({ '1002': { title, content } })

  it('renders each channel as it would be stored, with examples, given values and made-up ones', async () => {
    const { problems, channels, variables } = await preview(
      {
        '1001': { sign: '东华', content: '{{ name }}，{{ code }}' },
        '1002': { title: '{{ name }}', content: '<p>{{ name }}<br>{{ code }} {{ more }}</p>' },
        '1003': { content: '<p>{{ name }} <a href="{{ link }}">报告</a></p>' },
      },
      {
        variables: [
          { name: 'name', example: '<张三>' },
          { name: 'code' },
          { name: 'more' },
          { name: 'link', type: 'URL' },
        ],
      },
      { variables: { code: 7 } },
    )
    expect(problems).toEqual([])
    expect(variables).toHaveLength(4)
    const [sms, inbox, mail] = channels
    expect(sms).toEqual({
      channelId: '1001',
      kind: 'sms',
      locale: null,
      content: { sign: '东华', content: '<张三>，7' },
      text: '<张三>，7',
      sms: { encoding: 'UCS2', characters: 10, segments: 1 },
    })
    expect(inbox.content).toEqual({
      title: '<张三>',
      content: '<p>&lt;张三&gt;<br />7 〈more〉</p>',
      text: '<张三>\n7 〈more〉',
    })
    expect(mail.text).toBe('<张三> 报告 [https://example.org/]')
  })

  it('is in the language asked for, or that of the person, channel by channel; else in the default', async () => {
    const locales = { en: site('Hello'), 'zh-hant-tw': { '1003': { content: '您好' } } }
    const contents = { ...site('你好'), '1003': { content: '你好' } }
    const inLocale = async (around: object) =>
      (await preview(contents, { locales }, around)).channels.map((one: { locale: string; text: string }) => one.text)
    expect(await inLocale({})).toEqual(['你好', '你好'])
    expect(await inLocale({ locale: 'en-US' })).toEqual(['Hello', '你好'])
    expect(await inLocale({ locale: 'EN' })).toEqual(['Hello', '你好'])
    expect(await inLocale({ locale: 'zh-Hant-TW-x-any' })).toEqual(['你好', '您好'])
    expect(await inLocale({ locale: 'fr' })).toEqual(['你好', '你好'])
    expect(await inLocale({ user: 'USER001' })).toEqual(['你好', '你好'])
    const [refused] = (await preview(contents, {}, { locale: 'no locale' })).errors
    expect(refused.extensions).toEqual({ code: 'BAD_INPUT', field: 'locale' })
  })

  it('shows a saved template, its draft or the version asked for', async () => {
    const text = async (input: object) => (await ask(input)).channels[0].text
    expect(await text({ code: 'MSG1002' })).toBe('2026-08-04 15:00:00，三楼会议室，请准时参加。')
    expect(await text({ code: 'MSG1002', version: 1 })).toBe('2026-08-04 15:00:00，会议室，请准时参加。')
    expect((await ask({ code: 'nosuch' })).errors[0].extensions.code).toBe('TEMPLATE_NOT_FOUND')
    expect((await ask({ code: 'MSG1002', version: 9 })).errors[0].extensions.field).toBe('version')
    expect((await ask({})).errors[0].extensions.field).toBe('code')
  })

  it('counts segments as operators do: 70 and 67 with anything Chinese, 160 and 153 without', async () => {
    const length = async (content: string, sign?: string) => {
      const [{ sms }] = (await preview({ '1001': { content, ...(sign ? { sign } : {}) } })).channels
      return [sms.encoding, sms.characters, sms.segments]
    }
    expect(await length('字'.repeat(70))).toEqual(['UCS2', 70, 1])
    expect(await length('字'.repeat(66), '某院')).toEqual(['UCS2', 70, 1])
    expect(await length('字'.repeat(71))).toEqual(['UCS2', 71, 2])
    expect(await length('字'.repeat(135))).toEqual(['UCS2', 135, 3])
    expect(await length('a'.repeat(160))).toEqual(['GSM', 160, 1])
    expect(await length(`${'a'.repeat(159)}€`)).toEqual(['GSM', 161, 2])
    // An emoji is two, and is never cut in two.
    expect(await length(`${'字'.repeat(66)}😀${'字'.repeat(66)}`)).toEqual(['UCS2', 134, 3])
    const [warning] = await problems({ '1001': { content: '字'.repeat(71) } })
    expect(warning).toMatchObject({ severity: 'WARNING', path: 'contents.1001.content' })
    expect(warning!.en).toContain('makes 2 segments of 67')
  })

  it('tells all that is wrong at once, each with its place', async () => {
    const found = await problems(
      { ...site('<p>\n  {% if a %}</p>'), '1001': { content: '{{ who }}' }, '1009': { content: '{{ a | nosuch }}' } },
      { variables: [{ name: 'a' }, { name: 'b' }], locales: { en: site('{{ a }}\n {{ wo }}') } },
    )
    expect(found).toEqual(
      [
        expect.objectContaining({ severity: 'ERROR', path: 'contents.1002.content', line: 2, column: 3 }),
        expect.objectContaining({ severity: 'ERROR', path: 'contents.1009.content', line: 1 }),
        expect.objectContaining({
          severity: 'ERROR',
          path: 'contents.1009',
          en: expect.stringContaining('1001, 1002'),
        }),
        expect.objectContaining({ severity: 'ERROR', path: 'contents.1001.content', line: 1, column: 4 }),
        expect.objectContaining({ severity: 'ERROR', path: 'locales.en.1002.content', line: 2, column: 5 }),
        expect.objectContaining({ severity: 'WARNING', path: 'variables.b' }),
      ].toSorted(
        (one, other) =>
          found.findIndex((problem) => one.asymmetricMatch(problem)) -
          found.findIndex((problem) => other.asymmetricMatch(problem)),
      ),
    )
    const { errors } = await posthouse.graphql(
      posthouse.adminKey,
      'mutation ($input: SaveTemplateDraftInput!) { saveTemplateDraft(input: $input) { template { code } } }',
      { input: { code: 'BAD', name: '坏', contents: { ...site('{{ a'), '1001': { content: '{{ b' } } } },
    )
    expect(errors![0]!.message).toMatch(/contents\.100\d\.content: does not parse at line 1.*\(and 1 more\)$/)
  })

  it('says which HTML would not arrive, and where it stands', async () => {
    const html =
      '<p onclick="x()">一</p>\n<script>x</script><div style="position:fixed;color:red"><a href="javascript:x">二</a></div><b>三</b>'
    expect((await problems(site(html))).map(({ severity, line, column, en }) => [severity, line, column, en])).toEqual([
      ['WARNING', 1, 1, 'onclick of <p> is not safe and will be removed'],
      ['WARNING', 2, 1, '<script> is not safe and will be removed'],
      ['WARNING', 2, 19, 'position in style of <div> is not safe and will be removed'],
      ['WARNING', 2, 57, 'href of <a> is not safe and will be removed'],
    ])
    expect(
      await problems({ '1003': { content: '<table style="width:9px"><tr><td bgcolor="red">一</td></tr></table>' } }),
    ).toEqual([])
  })

  it('holds the limits of each channel, and is unsure only where values are made up', async () => {
    const one = async (contents: object, more: object = {}) => {
      const [{ severity, path, en }] = (await problems(contents, more)) as [Found]
      return [severity, path, en]
    }
    expect(await one({ '1001': { content: '字'.repeat(1_001) } })).toEqual([
      'ERROR',
      'contents.1001.content',
      'is over the limit of 1000 characters',
    ])
    expect(await one(site('x'.repeat(65 * 1024)))).toEqual([
      'ERROR',
      'contents.1002.content',
      'is over the limit of 64 KiB',
    ])
    expect(await one(site('<script>x</script>'))).toMatchObject(['ERROR', 'contents.1002.content', /neither text nor/])
    const website = { '1002': { content: '一', website: '{{ to }}' } }
    expect(await one(website)).toMatchObject(['WARNING', 'contents.1002.website', /values that we made up/])
    const javascript = { variables: [{ name: 'to', example: 'javascript:x' }] }
    expect(await one(website, javascript)).toMatchObject(['ERROR', 'contents.1002.website', /must be an http/])
    expect(await problems(website, { variables: [{ name: 'to', type: 'URL' }] })).toEqual([])
    expect(
      await one(site('{{ n | divided_by: 0 | slice: "x" }}{% for i in (1..n) %}{{ i }}{% endfor %}'), {
        variables: [{ name: 'n', type: 'NUMBER', example: '999999999' }],
      }),
    ).toMatchObject(['ERROR', 'contents.1002.content', /limit exceeded/])
  })

  it.each([
    ['contents', { contents: {} }],
    ['contents', { contents: [] }],
    ['contents.1002', { contents: { '1002': 'text' } }],
    ['locales', { contents: site('一'), locales: { 'no language': site('一') } }],
    ['locales.zh-cn', { contents: site('一'), locales: { 'zh-CN': site('一'), 'zh-cn': site('一') } }],
    ['locales.en.1003', { contents: site('一'), locales: { en: { '1003': { content: 'x' } } } }],
    ['msgType', { contents: site('一'), msgType: 'nosuch' }],
    ['name', { contents: site('一'), name: ' ' }],
    ['name', { contents: site('一'), name: '名'.repeat(101) }],
    ['variables.1.name', { contents: site('一'), variables: [{ name: 'a' }, { name: 'a' }] }],
    ['variables.0.example', { contents: site('一'), variables: [{ name: 'a', type: 'DATE', example: '2026-02-30' }] }],
    ['variables.0.default', { contents: site('一'), variables: [{ name: 'a', type: 'NUMBER', default: 'x' }] }],
    ['contents.1002.content', { contents: site('一\u0000') }],
    ['contents.1002.content', { contents: site('一\uD800') }],
  ])('refuses what is no template, at %s', async (field, draft) => {
    const { errors } = await ask({ draft: { name: '试', ...draft } })
    expect(errors[0].extensions.code).toBe('BAD_INPUT')
    expect(errors[0].extensions.field.replace(/^variables\.input\.draft\./, '')).toBe(field)
  })
})

describe.each(stores.slice(0, 1))('a hostile draft, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const inAllLanguages = (content: string) => {
    const tags = 'de en fr es it pt nl da sv fi no pl cs sk hu ro bg hr sr sl et lv lt el tr ru uk be ar he'.split(' ')
    return Object.fromEntries(tags.map((tag) => [tag, { '1002': { content } }]))
  }
  const hostile: Record<string, object> = {
    'loops in every language': {
      contents: { '1002': { content: '一' } },
      locales: inAllLanguages('{% for i in (1..100000) %}{% for j in (1..100000) %}{% endfor %}{% endfor %}x'),
    },
    'prints much in every language': {
      contents: { '1002': { content: '一' } },
      locales: inAllLanguages(`{% for i in (1..100000) %}${'x'.repeat(900)}{% endfor %}`),
    },
    'nests tags in every language': {
      contents: { '1002': { content: '一' } },
      locales: inAllLanguages('<b>'.repeat(9_000)),
    },
    'begins tags that never end': { contents: { '1003': { content: `<p onx="1">${'<p '.repeat(100_000)}` } } },
    'has a style without end': { contents: { '1003': { content: `一<p style="${'a:b;'.repeat(80_000)}">x</p>` } } },
    'declares absurdly much': {
      contents: { '1002': { content: Array.from({ length: 20_000 }, (_, at) => `{{ v${at} }}`).join('') } },
    },
    'loops as far as an example says': {
      contents: { '1002': { content: '{% for i in (1..n) %}x{% endfor %}' } },
      variables: [{ name: 'n', example: '9999999999' }],
    },
    'hides in names': {
      contents: JSON.parse('{"1002": {"content": "{{ __proto__ }}{{ constructor }}"}, "__proto__": {"content": "x"}}'),
    },
  }

  it.each(Object.entries(hostile))('that %s is answered soon, and the process lives', async (_what, draft) => {
    const start = performance.now()
    const { errors } = await posthouse.graphql(posthouse.adminKey, PREVIEW, {
      input: { draft: { name: '恶', ...draft } },
    })
    expect(errors?.[0]?.extensions?.['code']).not.toBe('INTERNAL')
    expect(performance.now() - start).toBeLessThan(5_000)
    expect((await fetch(`${posthouse.url}/graphql?query={__typename}`)).status).toBe(200)
  })
})
