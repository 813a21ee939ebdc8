/** The request samples of the document, byte for byte as they stand there. */
import { readFileSync } from 'node:fs'

const document = readFileSync(new URL('../fixtures/message-push-api.zh.txt', import.meta.url), 'utf8')

export const samples = {
  /** 示例1: to users, depts, posts and roles, on all three channels. */
  specified: cut('请求消息完整示例', '示例1'),
  /** 示例2: to custom accounts. */
  custom: cut('请求消息完整示例', '示例2'),
  /** The template push, with the full-width comma that makes it no JSON. */
  template: cut('请求信息完整示例', '示例'),
}

/** The first `{` after these headings, to the `}` that matches it. */
function cut(...headings: string[]): string {
  const after = headings.reduce((from, heading) => {
    const at = document.indexOf(heading, from)
    if (at < 0) throw new Error(`The document has no ${heading}`)
    return at + heading.length
  }, 0)
  const start = document.indexOf('{', after)
  let depth = 0
  let inString = false
  for (let end = start; end < document.length; end++) {
    const character = document[end]
    if (character === '"') inString = !inString
    if (inString) continue
    if (character === '{') depth++
    if (character === '}' && --depth === 0) return document.slice(start, end + 1)
  }
  throw new Error(`The sample after ${headings.join(', ')} has no end`)
}
