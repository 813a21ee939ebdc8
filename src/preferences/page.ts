/** The page behind the link of a mail, in Chinese and English: it needs no script and loads nothing. */
import { createHash } from 'node:crypto'
import type { ContentKind } from '../delivery/content.ts'

/** What to show. `isBack`: it was switched on again just now. */
export type Shown =
  | { state: 'on' | 'off' | 'mandatory'; msgType: string; kind: ContentKind | undefined; isBack: boolean }
  | { state: 'unknown' }
  | { state: 'unreadable' }

const STYLE = `
:root{color-scheme:light dark;--ink:#17212e;--soft:#5b6b7d;--ground:#f4f6f8;--card:#fff;--line:#d7dee6;--act:#0b62c4}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--soft:#9fb0c2;--ground:#10161d;--card:#18212b;--line:#2c3947;--act:#7cc4ff}}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--ground);color:var(--ink);
font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif}
main{box-sizing:border-box;width:min(34rem,100% - 2rem);margin:1rem;padding:2rem;background:var(--card);
border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 .25rem;font-size:1.25rem}
p{margin:0 0 .5rem}
p[lang=en],h1 [lang=en]{color:var(--soft)}
h1 [lang=en]{display:block;font-size:1rem;font-weight:400}
form{margin-top:1.5rem}
button{font:inherit;padding:.6rem 1.25rem;border:0;border-radius:.5rem;background:var(--act);color:var(--card);cursor:pointer}
button:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
`

const sha256 = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Nothing from elsewhere, in no frame, and its address, which is a key, goes nowhere. */
export const PAGE_HEADERS = {
  'content-security-policy': `default-src 'none'; style-src ${sha256(STYLE)}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'x-robots-tag': 'noindex',
}

type Words = { zh: string; en: string }
type Page = { title: Words; text: Words; button?: Words & { name: string; value: string } }

const WAYS: Partial<Record<ContentKind, Words>> = {
  sms: { zh: '短信', en: 'by SMS' },
  mail: { zh: '邮件', en: 'by e-mail' },
}

/** The whole page as HTML. */
export function page(shown: Shown): string {
  const { title, text, button } = pageOf(shown)
  const form =
    button === undefined
      ? ''
      : `<form method="post"><input type="hidden" name="${button.name}" value="${button.value}"><button>${button.zh} <span lang="en">${button.en}</span></button></form>`
  return `<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title.zh} · ${title.en}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title.zh} <span lang="en">${title.en}</span></h1>
<p>${text.zh}</p>
<p lang="en">${text.en}</p>
${form}
</main>
</body>
</html>
`
}

function pageOf(shown: Shown): Page {
  if (shown.state === 'unknown')
    return {
      title: { zh: '链接无效', en: 'This link is not valid' },
      text: {
        zh: '请从邮件中完整打开链接，或在消息中心的接收偏好中设置。',
        en: 'Open the whole link from the mail, or use the preferences of your message centre.',
      },
    }
  if (shown.state === 'unreadable')
    return {
      title: { zh: '没有任何变动', en: 'Nothing was changed' },
      text: { zh: '请重新打开邮件中的链接再试。', en: 'Open the link of the mail again, and try once more.' },
    }
  const { msgType, kind, isBack } = shown
  const type = escaped(msgType)
  const way = (kind && WAYS[kind]) ?? { zh: '此渠道', en: 'this way' }
  if (shown.state === 'mandatory')
    return {
      title: { zh: '此类消息不能退订', en: 'These messages cannot be switched off' },
      text: {
        zh: `“${type}”类消息为必达消息，会继续通过${way.zh}发送。`,
        en: `“${type}” is mandatory, and goes on coming ${way.en}.`,
      },
    }
  if (shown.state === 'off')
    return {
      title: { zh: '已退订', en: 'Switched off' },
      text: {
        zh: `不再通过${way.zh}向您发送“${type}”类消息；站内信不受影响。`,
        en: `“${type}” does not come ${way.en} any more. Your inbox still has everything.`,
      },
      button: { zh: '恢复接收', en: 'Switch on again', name: 'act', value: 'on' },
    }
  return {
    title: isBack
      ? { zh: '已恢复接收', en: 'Switched on again' }
      : { zh: '退订此类消息？', en: 'Switch these messages off?' },
    text: {
      zh: `“${type}”类消息会通过${way.zh}发送给您。退订后只停发这一类；站内信不受影响。`,
      en: `“${type}” comes to you ${way.en}. Switching it off stops only these, and nothing in your inbox.`,
    },
    button: { zh: '退订', en: 'Switch off', name: 'List-Unsubscribe', value: 'One-Click' },
  }
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
