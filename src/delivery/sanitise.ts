/**
 * HTML from callers, made safe before it is stored: an allow-list each for the inbox and for mail, and their text forms.
 * One table says which attribute a tag may carry and what it must look like; everything else is dropped.
 */
import { compile, type HtmlToTextOptions } from 'html-to-text'
import sanitizeHtml from 'sanitize-html'
import { badInput } from '../errors.ts'

/** Real mails nest tables some forty deep. Beyond this, parsers and browsers turn quadratic or run out of stack. */
const MAX_DEPTH = 100
/** Every level indents all lines below it in the text form, so that depth multiplies length. Word goes down to nine. */
const MAX_LIST_DEPTH = 10
/** Some 10 µs a tag: the largest mail may keep the process busy for a fifth of a second, not for three. */
const MAX_TAGS = 20_000
const MAX_STYLE_LENGTH = 4_000
/** So many are told of what is dropped. */
const MAX_UNSAFE_PARTS = 20
/** The largest mail allowed. Only indented lists make text longer than its HTML, and the rest of those can go. */
const MAX_TEXT_LENGTH = 512 * 1024
/** Of text only these say something; a content of nothing but the others is empty to whoever reads it. */
const VISIBLE = /[^\s\p{Default_Ignorable_Code_Point}]/u

/** What may stand in an attribute; given the trimmed value. */
type Allowed = (value: string) => boolean

const like =
  (pattern: RegExp): Allowed =>
  (value) =>
    pattern.test(value)
const words: Allowed = () => true
const token = like(/^[\w#%.-]{1,30}$/)
/** Three digits: browsers lay out a table of a million columns, and so would the text form. */
const count = like(/^\d{1,3}$/)
/** Control characters and backslashes are refused since browsers drop the former and read the latter as slashes. */
const noTricks = (value: string) => !/[\p{Cc}\\]/u.test(value)
const link: Allowed = (value) =>
  noTricks(value) && /^(?:https?:\/\/[^/?#]|mailto:|tel:|[/?#](?!\/)|[^:/?#\s]+(?:[/?#]|$))/i.test(value)
const siteImage: Allowed = (value) =>
  noTricks(value) && /^(?:https?:\/\/[^/?#]|data:image\/(?:png|jpeg|gif|webp);base64,[a-z\d+/=]+$)/i.test(value)
const mailImage: Allowed = (value) => noTricks(value) && /^(?:https?:\/\/[^/?#]|cid:[^\s<>]+$)/i.test(value)

const colour = like(/^(?:#[\da-f]{3,8}|[a-z]{1,30}|(?:rgb|hsl)a?\([\d\s.,%/-]{1,60}\))$/i)
/** No `url()`, no escapes, no comments, every quotation mark with its fellow: a value cannot reach out or run over. */
const plainStyle = like(
  /^(?:(?:rgb|hsl)a?\([\d\s.,%/-]{1,60}\)|"[\p{L}\p{N} _-]*"|'[\p{L}\p{N} _-]*'|[\p{L}\p{N}#%.,!+/ -])+$/iu,
)

const TEXT_TAGS = (
  'p br hr h1 h2 h3 h4 h5 h6 div span section article header footer b strong i em u s del ins sub sup small mark abbr ' +
  'q cite blockquote pre code kbd samp var a img ul ol li dl dt dd table caption colgroup col thead tbody tfoot tr th ' +
  'td figure figcaption ruby rt rp'
).split(' ')

/** Tags whose text is not for readers. `iframe` too: its fallback would be parsed again, level by level. */
const UNREAD_TAGS = 'script style textarea option xmp iframe noscript noembed noframes title svg math'.split(' ')

type Rules = {
  tags: readonly string[]
  schemes: { links: string[]; images: string[] }
  /** Tag → attribute → what it must look like, in the order they are written. `src` first: see `withoutBareImages`. */
  attributes: ReadonlyMap<string, Record<string, Allowed>>
  styles: ReadonlyMap<string, Allowed>
  /** Given to links that lead somewhere. */
  linkExtras: Record<string, string>
}

const cell = { colspan: count, rowspan: count }
const links = ['http', 'https', 'mailto', 'tel']

const site: Rules = {
  tags: TEXT_TAGS,
  schemes: { links, images: ['http', 'https', 'data'] },
  attributes: new Map<string, Record<string, Allowed>>([
    ['a', { href: link, title: words }],
    ['img', { src: siteImage, alt: words, title: words, width: token, height: token }],
    ['ol', { start: count }],
    ['td', cell],
    ['th', cell],
  ]),
  styles: new Map([
    ['color', colour],
    ['background-color', colour],
    ['text-align', like(/^(?:left|right|center|justify|start|end)$/i)],
    ['font-weight', like(/^(?:normal|bold|bolder|lighter|[1-9]00)$/i)],
  ]),
  linkExtras: { rel: 'noopener noreferrer nofollow', target: '_blank' },
}

const layout = { width: token, height: token, align: token, valign: token, bgcolor: token }

const mail: Rules = {
  tags: [...TEXT_TAGS, 'font', 'center'],
  schemes: { links, images: ['http', 'https', 'cid'] },
  attributes: new Map<string, Record<string, Allowed>>([
    ['a', { href: link, title: words }],
    ['img', { src: mailImage, alt: words, title: words, width: token, height: token, border: token, align: token }],
    ['ol', { start: count }],
    ['font', { color: token, size: token, face: plainStyle }],
    ['table', { ...layout, border: token, cellpadding: token, cellspacing: token }],
    ['tr', layout],
    ['td', { ...cell, ...layout }],
    ['th', { ...cell, ...layout }],
    ...['p', 'div', 'h1', 'h2', 'h3'].map((tag): [string, Record<string, Allowed>] => [tag, { align: token }]),
  ]),
  // No `position` and the like: a mail must not lay itself over the reader's own page.
  styles: new Map(
    (
      'color background background-color font font-family font-size font-style font-weight line-height letter-spacing ' +
      'text-align text-decoration text-indent text-transform vertical-align white-space word-break width height ' +
      'max-width min-width padding padding-top padding-right padding-bottom padding-left margin margin-top ' +
      'margin-right margin-bottom margin-left border border-top border-right border-bottom border-left border-collapse ' +
      'border-color border-radius border-spacing border-style border-width display list-style-type table-layout'
    )
      .split(' ')
      .map((property): [string, Allowed] => [property, plainStyle]),
  ),
  linkExtras: {},
}

/** HTML that is safe to show, and what it says as plain text. */
export type Sanitised = { html: string; text: string }

/** HTML for the inbox: text, lists, tables, links and pictures. Refuses at `path` what is left empty or nested absurdly. */
export function sanitiseSite(html: string, path: string): Sanitised {
  return sanitise(html, path, siteOptions, siteText)
}

/** HTML for mail: as for the inbox, with inline styles, layout tables and `cid:` pictures. The text form keeps URLs. */
export function sanitiseMail(html: string, path: string): Sanitised {
  return sanitise(html, path, mailOptions, mailText)
}

function sanitise(
  html: string,
  path: string,
  options: sanitizeHtml.IOptions,
  toText: (html: string) => string,
): Sanitised {
  // Limits are checked while parsing, and thrown from there: afterwards would be too late.
  const safe = withoutBareImages(sanitizeHtml(html, { ...options, ...shapeLimits(path) }))
  const text = cut((safe.includes('<') ? toText(safe).replaceAll(' \n', '\n') : unescape(safe)).trim())
  if (VISIBLE.test(text)) return { html: safe, text }
  if (safe.includes('<img ')) return { html: safe, text: '[图片]' }
  throw badInput(
    path,
    '去除不允许的标签后没有可显示的内容',
    'has neither text nor an image once unsafe tags are removed',
  )
}

/** What of this HTML would not be kept: `<script>`, `onclick` of `<p>`, `position` of `style` of `<div>`; each once, in order. */
export function unsafeParts(kind: 'site' | 'mail', html: string): { tag: string; attribute?: string; what: string }[] {
  const rules = kind === 'site' ? site : mail
  const found = new Map<string, { tag: string; attribute?: string; what: string }>()
  const note = (what: string, tag: string, attribute?: string) =>
    found.size < MAX_UNSAFE_PARTS && found.set(what, { tag, ...(attribute === undefined ? {} : { attribute }), what })
  sanitizeHtml(html, {
    allowedTags: [],
    onOpenTag(tag, given) {
      if (!rules.tags.includes(tag)) return void note(`<${tag}>`, tag)
      const kept = attributesOf(tag, given, rules)
      for (const name of Object.keys(given)) {
        if (name === 'style') {
          for (const property of lostStyles(given[name] ?? '', kept['style'] ?? ''))
            note(`${property} in style of <${tag}>`, tag, name)
        } else if (!Object.hasOwn(kept, name)) note(`${name} of <${tag}>`, tag, name)
      }
    },
  })
  return [...found.values()]
}

function lostStyles(given: string, kept: string): string[] {
  const properties = (style: string) => style.split(';').map((one) => one.split(':')[0]!.trim().toLowerCase())
  const remaining = new Set(properties(kept))
  return properties(given).filter((property) => property !== '' && !remaining.has(property))
}

function shapeLimits(path: string): Pick<sanitizeHtml.IOptions, 'onOpenTag' | 'onCloseTag'> {
  let tags = 0
  let depth = 0
  let listDepth = 0
  return {
    onOpenTag(name) {
      if (++tags > MAX_TAGS)
        throw badInput(path, `标签超过 ${MAX_TAGS} 个`, `has more than ${MAX_TAGS} tags; send less HTML`)
      if (++depth > MAX_DEPTH)
        throw badInput(path, `标签嵌套超过 ${MAX_DEPTH} 层`, `nests tags deeper than ${MAX_DEPTH}; flatten the HTML`)
      if (name === 'li' && ++listDepth > MAX_LIST_DEPTH)
        throw badInput(
          path,
          `列表嵌套超过 ${MAX_LIST_DEPTH} 层`,
          `nests lists deeper than ${MAX_LIST_DEPTH}; flatten them`,
        )
    },
    onCloseTag(name) {
      depth--
      if (name === 'li') listDepth--
    },
  }
}

function optionsOf(rules: Rules): sanitizeHtml.IOptions {
  const allowedAttributes: Record<string, string[]> = { '*': ['style'] }
  for (const [tag, attributes] of rules.attributes) allowedAttributes[tag] = Object.keys(attributes)
  allowedAttributes['a']?.push(...Object.keys(rules.linkExtras))
  return {
    allowedTags: [...rules.tags],
    allowedAttributes,
    allowedSchemes: rules.schemes.links,
    allowedSchemesByTag: { img: rules.schemes.images },
    allowProtocolRelative: false,
    nonTextTags: UNREAD_TAGS,
    // `styleOf` has done it: parsing tens of thousands of styles as CSS takes seconds.
    parseStyleAttributes: false,
    transformTags: { '*': (tagName, attribs) => ({ tagName, attribs: attributesOf(tagName, attribs, rules) }) },
  }
}

function attributesOf(tag: string, given: Record<string, string>, rules: Rules): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, isAllowed] of Object.entries(rules.attributes.get(tag) ?? {})) {
    const value = Object.hasOwn(given, name) ? given[name]?.trim() : undefined
    if (value !== undefined && isAllowed(value)) kept[name] = value
  }
  if (kept['href'] !== undefined) Object.assign(kept, rules.linkExtras)
  const style = Object.hasOwn(given, 'style') ? styleOf(given['style'] ?? '', rules.styles) : ''
  if (style !== '') kept['style'] = style
  return kept
}

function styleOf(style: string, allowed: Rules['styles']): string {
  if (style.length > MAX_STYLE_LENGTH) return ''
  const kept: string[] = []
  for (const declaration of style.split(';')) {
    const colon = declaration.indexOf(':')
    const property = declaration.slice(0, colon).trim().toLowerCase()
    const value = declaration.slice(colon + 1).trim()
    if (colon > 0 && allowed.get(property)?.(value)) kept.push(`${property}:${value}`)
  }
  return kept.join(';')
}

/** A picture without a source shows as a broken one. In sanitised HTML every `<` starts a tag, and `src` comes first. */
function withoutBareImages(safe: string): string {
  return safe.replace(/<img(?! src=)[^>]*>/g, '')
}

/** Undoes all the escaping there is in sanitised HTML without tags, so that its line breaks stay. */
function unescape(safe: string): string {
  return safe.replace(/\r\n?/g, '\n').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}

/** Never through a character: half a surrogate pair cannot be stored. */
function cut(text: string): string {
  return text.length > MAX_TEXT_LENGTH ? text.slice(0, MAX_TEXT_LENGTH).replace(/[\uD800-\uDBFF]$/, '') : text
}

function textOptions(linkOptions: { ignoreHref?: boolean; hideLinkHrefIfSameAsText?: boolean }): HtmlToTextOptions {
  return {
    wordwrap: false,
    baseElements: { selectors: [] },
    limits: { maxDepth: MAX_DEPTH + 1 },
    selectors: [
      { selector: 'a', options: linkOptions },
      // Its alternative text only: addresses of pictures say nothing to a reader.
      { selector: 'img', options: { pathRewrite: () => '' } },
      { selector: 'hr', options: { length: 3 } },
      { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
      ...['td', 'th'].map((selector) => ({ selector, format: 'inlineSurround', options: { suffix: ' ' } })),
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
      // Without the usual `> `, which would multiply as lists do.
      { selector: 'blockquote', format: 'block' },
      ...['dt', 'dd', 'section', 'figure', 'figcaption', 'caption', 'center'].map((selector) => ({
        selector,
        format: 'block',
      })),
    ],
  }
}

const siteOptions = optionsOf(site)
const mailOptions = optionsOf(mail)
const siteText = compile(textOptions({ ignoreHref: true }))
const mailText = compile(textOptions({ hideLinkHrefIfSameAsText: true }))
