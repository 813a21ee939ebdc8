import { describe, expect, it } from 'vitest'
import { contentKinds, readContent, type ContentKind } from '../src/delivery/content.ts'
import { sanitiseMail, sanitiseSite } from '../src/delivery/sanitise.ts'
import { Refusal } from '../src/errors.ts'

const site = (value: unknown) => readContent('site', value, 'channelData.1002')
const sms = (value: unknown) => readContent('sms', value, 'channelData.1001')
const mail = (value: unknown) => readContent('mail', value, 'channelData.1003')
const siteHtml = (html: string) => sanitiseSite(html, 'p').html
const mailHtml = (html: string) => sanitiseMail(html, 'p').html

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

describe('the sample of the document', () => {
  it('is read as it stands', () => {
    const sample = {
      sign: '东华医为',
      templateData: { templateId: 'T100101', paramData: { code: 1001, time: 5 } },
      content: '这是我的第一条短信消息',
    }
    expect(sms(sample)).toEqual({
      ...sample,
      templateData: { templateId: 'T100101', paramData: { code: '1001', time: '5' } },
    })
    const text = '你好，您的工资已发，请及时查收！'
    expect(site({ title: '发工资了', content: text, website: 'http://xxxx' })).toEqual({
      title: '发工资了',
      content: text,
      text,
      website: 'http://xxxx',
    })
    expect(mail({ title: '邮件标题', content: '邮件内容' })).toEqual({
      title: '邮件标题',
      content: '邮件内容',
      text: '邮件内容',
    })
  })
})

describe('every kind', () => {
  it.each(Object.keys(contentKinds) as ContentKind[])('of content refuses what is no object: %s', (kind) => {
    for (const value of [undefined, null, 'x', 5, ['x']])
      expect(refusal(() => readContent(kind, value, 'channelData.X')).path).toBe('channelData.X')
  })

  it.each(Object.keys(contentKinds) as ContentKind[])('ignores unknown members: %s', (kind) => {
    const given = JSON.parse('{"content": "x", "colour": 5, "__proto__": {"title": "polluted"}, "constructor": null}')
    const content = readContent(kind, given, 'p') as Record<string, unknown>
    const isPlain = kind === 'sms' || kind === 'chat'
    expect(Object.keys(content).toSorted()).toEqual(isPlain ? ['content'] : ['content', 'text', 'title'])
    expect(content['title']).not.toBe('polluted')
  })

  it.each(Object.keys(contentKinds) as ContentKind[])('refuses text that cannot be stored: %s', (kind) => {
    expect(refusal(() => readContent(kind, { content: 'a\0' }, 'p')).path).toBe('p.content')
    expect(refusal(() => readContent(kind, { content: '\ud83d' }, 'p')).path).toBe('p.content')
  })

  it('says which members are HTML', () => {
    expect(Object.entries(contentKinds).map(([kind, { htmlFields }]) => [kind, htmlFields])).toEqual([
      ['site', ['content']],
      ['sms', []],
      ['mail', ['content']],
      ['chat', []],
    ])
  })
})

describe('a title', () => {
  it('falls back to the first 40 code points of the text, never through an emoji', () => {
    expect(site({ content: `<p>${'你'.repeat(39)}😀😀</p>` }).title).toBe(`${'你'.repeat(39)}😀`)
    expect(mail({ title: null, content: '😀'.repeat(41) }).title).toBe('😀'.repeat(40))
    expect(site({ title: ' ', content: '第一行\n\n第二行' }).title).toBe('第一行 第二行')
  })

  it('is one line', () => {
    for (const read of [site, mail]) {
      expect(read({ title: '通知\r\nBcc: x@y.z\u2028末\t尾\n', content: 'x' }).title).toBe('通知 Bcc: x@y.z 末 尾')
    }
  })

  it('has at most 200 code points', () => {
    expect(site({ title: '😀'.repeat(200), content: 'x' }).title).toBe('😀'.repeat(200))
    const refused = refusal(() => mail({ title: '😀'.repeat(201), content: 'x' }))
    expect(refused.zh).toBe('参数有误：channelData.1003.title: 超过上限 200 个字符')
  })

  it('is plain text, whatever it looks like', () => {
    expect(site({ title: '<b>1 & 2</b>', content: 'x' }).title).toBe('<b>1 & 2</b>')
  })

  it('must be text', () => {
    expect(refusal(() => site({ title: 5, content: 'x' })).path).toBe('channelData.1002.title')
  })
})

describe('a website', () => {
  it.each([
    'http://xxxx',
    'https://host/a?b=c#d',
    'HTTPS://HOST',
    'http://主机/路径',
    'http://host:8080/a@b',
    '/',
    '/tasks/1?x=//y',
    ' https://host ',
  ])('passes: %j', (website) => {
    expect(site({ content: 'x', website }).website).toBe(website.trim())
  })

  it.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    'data:text/html,x',
    'ftp://host',
    '//host',
    '/\\host',
    '/\t/host',
    '\\\\host',
    'http:/host',
    'http:\\\\host',
    'http://',
    'http://user:pw@host',
    'http://user@host',
    'http://@host',
    'http://good\\@evil',
    'host/path',
    '/a\u0085b',
  ])('is refused: %j', (website) => {
    const refused = refusal(() => site({ content: 'x', website }))
    expect(refused.path).toBe('channelData.1002.website')
    expect(refused.message).toContain('must be an http(s) address')
  })

  it('counts as absent when empty or null', () => {
    for (const website of ['', null, undefined]) expect(site({ content: 'x', website })).not.toHaveProperty('website')
  })

  it('has at most 2,048 characters', () => {
    expect(site({ content: 'x', website: `/${'a'.repeat(2_047)}` }).website).toHaveLength(2_048)
    expect(refusal(() => site({ content: 'x', website: `/${'a'.repeat(2_048)}` })).zh).toContain('超过上限 2048 个字符')
  })
})

describe('site and mail content', () => {
  it('is required and not empty', () => {
    for (const read of [site, mail]) {
      for (const content of [undefined, null, '', ' \n\u00a0\u200b', 5, {}]) {
        const refused = refusal(() => read({ title: 'x', content }))
        expect(refused.path).toMatch(/^channelData\.100[23]\.content$/)
      }
    }
  })

  it('is limited in bytes', () => {
    expect(site({ content: 'a'.repeat(64 * 1024) }).text).toHaveLength(64 * 1024)
    expect(refusal(() => site({ content: '字'.repeat(21_846) })).zh).toBe(
      '参数有误：channelData.1002.content: 超过上限 64 KiB',
    )
    expect(mail({ content: '字'.repeat(21_846) }).text).toHaveLength(21_846)
    expect(refusal(() => mail({ content: 'a'.repeat(512 * 1024 + 1) })).message).toContain(
      'channelData.1003.content: is over the limit of 512 KiB',
    )
  })

  it('is refused when sanitising leaves nothing to see', () => {
    for (const content of [
      '<script>alert(1)</script>',
      '<svg onload=alert(1)>',
      '<p><br></p>',
      '<img src="javascript:alert(1)">',
      '<!-- x -->',
      '<style>b{}</style>',
    ]) {
      const refused = refusal(() => site({ title: 'x', content }))
      expect(refused.zh).toBe('参数有误：channelData.1002.content: 去除不允许的标签后没有可显示的内容')
    }
  })

  it('may be nothing but a picture', () => {
    expect(site({ content: '<img src="https://h/a.png">' })).toEqual({
      title: '[图片]',
      text: '[图片]',
      content: '<img src="https://h/a.png" />',
    })
    expect(mail({ content: '<img src="cid:a1" alt="化验单">' })).toMatchObject({ title: '化验单', text: '化验单' })
  })
})

describe('SMS content', () => {
  it('needs a template or words of its own', () => {
    for (const value of [{}, { sign: 'x' }, { templateData: null, content: '' }]) {
      expect(refusal(() => sms(value)).zh).toBe('参数有误：channelData.1001: templateData 和 content 至少填一项')
    }
    expect(sms({ content: 'x', sign: '' })).toEqual({ content: 'x' })
    expect(sms({ templateData: { templateId: 'T1', paramData: null } })).toEqual({
      templateData: { templateId: 'T1', paramData: {} },
    })
    expect(sms({ templateData: { templateId: 'T1' } })).toEqual({ templateData: { templateId: 'T1', paramData: {} } })
  })

  it('has at most 1,000 code points, and a sign of 50', () => {
    expect(sms({ content: '😀'.repeat(1_000) }).content).toBe('😀'.repeat(1_000))
    expect(refusal(() => sms({ content: '字'.repeat(1_001) })).zh).toContain(
      'channelData.1001.content: 超过上限 1000 个字符',
    )
    expect(refusal(() => sms({ content: 'x', sign: '字'.repeat(51) })).path).toBe('channelData.1001.sign')
  })

  it('keeps words as they are', () => {
    expect(sms({ content: '<b>1 & 2</b>\n{{ x }}' }).content).toBe('<b>1 & 2</b>\n{{ x }}')
  })

  it('takes only flat parameters', () => {
    const withParams = (paramData: unknown) => ({ templateData: { templateId: 'T1', paramData } })
    expect(sms(withParams({ a: 1001, b: true, c: 'x' })).templateData?.paramData).toEqual({
      a: '1001',
      b: 'true',
      c: 'x',
    })
    for (const bad of [null, {}, []]) {
      expect(refusal(() => sms(withParams({ a: 'x', code: bad }))).path).toBe(
        'channelData.1001.templateData.paramData.code',
      )
    }
    expect(refusal(() => sms(withParams(['x']))).path).toBe('channelData.1001.templateData.paramData')
    expect(JSON.stringify(sms(withParams(JSON.parse('{"__proto__": 1}'))))).toContain('{"__proto__":"1"}')
  })

  it('refuses a template without an id', () => {
    for (const templateId of [undefined, null, '', 5]) {
      expect(refusal(() => sms({ templateData: { templateId } })).path).toBe('channelData.1001.templateData.templateId')
    }
  })
})

describe('sanitised HTML', () => {
  it('keeps what people write with', () => {
    const html =
      '<h2>标题</h2><p style="color:#f00;text-align:center">a <strong>b</strong><br />c</p><ul><li>1</li></ul>' +
      '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table><blockquote>q</blockquote><pre><code>x &lt; y</code></pre>'
    expect(siteHtml(html)).toBe(html)
    expect(mailHtml(html)).toBe(html)
  })

  it('makes links of the inbox open apart and harmlessly', () => {
    expect(siteHtml('<a href="https://h/x?a=1&b=2" target="_self" rel="opener">x</a>')).toBe(
      '<a href="https://h/x?a=1&amp;b=2" rel="noopener noreferrer nofollow" target="_blank">x</a>',
    )
    for (const href of ['/a', 'a/b', '../a', '?x=1', 'mailto:a@b.c', 'tel:120'])
      expect(siteHtml(`<a href="${href}">x</a>`)).toContain(`href="${href}"`)
  })

  it.each([
    'javascript:alert(1)',
    ' JAVASCRIPT:alert(1)',
    'java\tscript:alert(1)',
    'java&#10;script:alert(1)',
    '&#106;avascript:alert(1)',
    'javascript&colon;alert(1)',
    '&#1;javascript:alert(1)',
    'vbscript:x',
    'data:text/html,<script>alert(1)</script>',
    '//host',
    '/\\host',
    '/&Tab;/host',
    'file:///etc/passwd',
  ])('drops the address of a link to %j', (href) => {
    expect(siteHtml(`<a href="${href}">x</a>`)).toBe('<a>x</a>')
    expect(mailHtml(`<a href="${href}">x</a>`)).toBe('<a>x</a>')
  })

  it('lets pictures in by web, inline bitmap (inbox) or cid (mail), and drops others with their tag', () => {
    const png = 'data:image/png;base64,iVBORw0KGgo='
    expect(siteHtml(`x<img src="${png}">`)).toBe(`x<img src="${png}" />`)
    expect(mailHtml(`x<img alt="a" src="cid:logo@x">`)).toBe('x<img src="cid:logo@x" alt="a" />')
    for (const src of [
      'data:image/svg+xml;base64,PHN2Zz4=',
      'data:text/html;base64,PHN2Zz4=',
      'javascript:alert(1)',
      '//h/x.png',
      'cid:a',
    ]) {
      expect(siteHtml(`x<img alt=">" src="${src}">y`)).toBe('xy')
    }
    expect(mailHtml(`x<img src="${png}">`)).toBe('x')
  })

  it('keeps harmless styles only', () => {
    const style =
      "color: red; background-color:rgba(0, 0, 0, .5); text-align:center; font-weight:700; position:fixed; background:url(//h); font-family:'宋体'; color:expression(alert(1)); color:\\75rl(x)"
    expect(siteHtml(`<span style="${style}">x</span>`)).toBe(
      '<span style="color:red;background-color:rgba(0, 0, 0, .5);text-align:center;font-weight:700">x</span>',
    )
    expect(
      mailHtml(
        `<td style="padding:1px 2px;font-family:'宋体',serif;background:url('//h');width:50%;position:fixed;font:'a;color:red">x</td>`,
      ),
    ).toBe(`<td style="padding:1px 2px;font-family:'宋体',serif;width:50%;color:red">x</td>`)
  })

  it('keeps the layout tables of mail', () => {
    const html =
      '<center><table width="600" align="center" bgcolor="#ffffff" border="0" cellpadding="0" cellspacing="0"><tr><td valign="top"><font color="red">x</font></td></tr></table></center>'
    expect(mailHtml(html).replaceAll(/<\/?tbody>/g, '')).toBe(html)
  })

  const hostile = [
    '<svg onload=alert(1)>x</svg>y',
    '<svg><style><img src=x onerror=alert(1)></style></svg>y',
    '<svg><animate attributeName=href values=javascript:alert(1) /><a id=x><text x=20 y=20>y</text></a></svg>y',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">y',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">y',
    '<p>y<style><style/><img src=x onerror=alert(1)>',
    '<textarea></textarea/><img src=x onerror=alert(1)>y</textarea>y',
    '<title><img src=x onerror=alert(1)></title>y',
    '<xmp><img src=x onerror=alert(1)></xmp>y',
    '<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>y',
    '<img src="x` `<script>alert(1)</script>"` `>y',
    '<img src=https://h/a onerror=alert(1) onload=alert(1)>y',
    '<a href="https://h" onclick=alert(1) onmouseover=alert(1)>y</a>',
    '<div/onclick=alert(1)>y</div>',
    '<scr<script>ipt>alert(1)</scr</script>ipt>y',
    '<<script>alert(1)//<</script>y',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>y',
    '<object data=javascript:alert(1)></object><embed src=javascript:alert(1)>y',
    '<base href=//evil><link rel=stylesheet href=//evil><meta http-equiv=refresh content="0;url=javascript:alert(1)">y',
    '<form action=javascript:alert(1)><input autofocus onfocus=alert(1)><button formaction=javascript:alert(1)>y</button></form>',
    '<b style="background:url(javascript:alert(1))" class=x id=y>y</b>',
    '<style>@import "//evil";</style>y',
    '<!--[if IE]><script>alert(1)</script><![endif]-->y',
    '<?xml version="1.0"?><!DOCTYPE x><![CDATA[<script>alert(1)</script>]]>y',
    '<template><img src=x onerror=alert(1)></template>y',
    '<select><option><img src=x onerror=alert(1)></option></select>y',
    '<video><source onerror=alert(1)></video><audio src onerror=alert(1)></audio>y',
    '<p title="y">y</p><x-custom onpointerenter=alert(1)>y</x-custom>',
  ]

  it.each(hostile)('is only what the list allows: %s', (html) => {
    for (const sanitise of [siteHtml, mailHtml]) {
      const safe = sanitise(`y${html}`)
      // Each `<` begins a tag of the list, and outside quotation marks no attribute but those of the list is left.
      for (const [tag] of safe.matchAll(/<[^>]*>?/g)) {
        expect(tag).toMatch(
          /^<\/?(a|img|p|div|b|table|tbody|tr|td)(\s(href|src|title|alt|rel|target|style|colspan)="[^"]*")*( \/)?>$/,
        )
      }
      expect(safe).not.toMatch(/<[^>]*(javascript:|evil)/i)
      // What came out goes in unchanged: nothing in it can turn into something else on another pass.
      expect(sanitise(safe)).toBe(safe)
    }
  })

  it('drops attributes that start numberings where no text form could follow', () => {
    expect(siteHtml('<ol type="i" start="99999"><li>x</li></ol>')).toBe('<ol><li>x</li></ol>')
    expect(siteHtml('<td colspan="1000000">x</td>')).toBe('<td>x</td>')
  })
})

describe('the text form', () => {
  const siteText = (content: string) => site({ content }).text
  const mailText = (content: string) => mail({ content }).text

  it('keeps the line breaks of plain text, and undoes entities', () => {
    expect(siteText('第一行\r\n第二行\n\n  缩进 &lt;b&gt; &amp;lt; a < b & c')).toBe(
      '第一行\n第二行\n\n  缩进 <b> &lt; a < b & c',
    )
  })

  it('gives HTML lines where it has blocks', () => {
    expect(
      siteText(
        '<h1>Abc</h1>\n<p>a\nb<br>c</p><ul><li>1</li><li>2</li></ul><table><tr><td>x</td><td>y</td></tr><tr><td>z</td></tr></table>',
      ),
    ).toBe('Abc\n\na b\nc\n\n * 1\n * 2\n\nx y\nz')
  })

  it('keeps the addresses of links in mail only', () => {
    const html = '<p>见<a href="https://h/x">报告</a>，<a href="https://h/y">https://h/y</a></p>'
    expect(mailText(html)).toBe('见报告 [https://h/x]，https://h/y')
    expect(siteText(html)).toBe('见报告，https://h/y')
  })

  it('does not wrap', () => {
    expect(mailText(`<p>${'word '.repeat(100)}</p>`)).toBe('word '.repeat(100).trim())
  })
})

describe('hostile size and shape', () => {
  const SIZE = 512 * 1024
  const fill = (unit: string) => unit.repeat(Math.floor(SIZE / Buffer.byteLength(unit)))
  const refused: Record<string, [html: string, why: string]> = {
    'unclosed tags': [fill('<b>'), 'nests tags deeper than 100'],
    'deep blocks': ['<div>'.repeat(40_000) + 'x' + '</div>'.repeat(40_000), 'nests tags deeper than 100'],
    'deep unknown tags': [fill('<x-y>'), 'nests tags deeper than 100'],
    'deep lists': ['<ul><li>'.repeat(45) + 'x<br>'.repeat(10_000), 'nests lists deeper than 10'],
    'many tags': [fill('<p>x'), 'has more than 20000 tags'],
    'unclosed comments': [fill('<!--'), 'neither text nor an image'],
    'nested iframes': [fill('<iframe>'), 'neither text nor an image'],
    'zero-width text': [fill('\u200b'), 'neither text nor an image'],
  }
  it.each(Object.entries(refused))('is refused soon: %s', (_, [html, why]) => {
    const start = performance.now()
    const refused = refusal(() => mail({ content: html }))
    expect(performance.now() - start).toBeLessThan(3_000)
    expect(refused.path).toBe('channelData.1003.content')
    expect(refused.message).toContain(why)
  })

  const taken: Record<string, string> = {
    'only angle brackets': fill('<'),
    'only ampersands': fill('&'),
    'only line breaks': `<b>${'\n'.repeat(SIZE - 20)}</b>x`,
    'a hundred thousand attributes': `<b ${'a '.repeat(200_000)}>x</b>`,
    'one endless style': `<b style="${'color:red;'.repeat(40_000)}">x</b>`,
    'unmatched quotation marks in a style': `<b style="font-family:${`a'`.repeat(1_900)}">x</b>`,
    'closing tags without opening ones': `x${'</b>'.repeat(130_000)}`,
    'rules and numbers': `<ol>${'<li><hr>'.repeat(9_000)}x</ol>`,
    'preformatted lines deep in lists': `${'<ul><li>'.repeat(10)}<pre>${'x\n'.repeat(200_000)}</pre>`,
  }
  it.each(Object.entries(taken))('is read soon, and its text is not longer than a mail: %s', (_, html) => {
    const start = performance.now()
    const content = mail({ content: html })
    expect(performance.now() - start).toBeLessThan(3_000)
    expect(content.text.length).toBeLessThanOrEqual(SIZE)
    expect(content.content.length).toBeLessThanOrEqual(6 * SIZE)
  })
})
