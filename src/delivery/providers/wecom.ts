import { provider, type Outcome } from '../channel.ts'
import type { ChatContent } from '../content.ts'
import { textIn } from './http-call.ts'
import {
  join,
  link,
  memberNumber,
  postAs,
  refusal,
  ROBOT_REFUSED,
  robotSettings,
  tooLarge,
  unreadable,
  type Verdict,
} from './robot.ts'

const STANDARD_HOST = 'qyapi.weixin.qq.com'
/** These limits, and that only text can mention people: developer.work.weixin.qq.com/document/path/91770. */
const TEXT_BYTES = 2_048
const MARKDOWN_BYTES = 4_096
/** It takes 20 a minute; a little less, so that an uneven network cannot push 21 into one. */
const POSTS_A_MINUTE = 18
const MINUTE_SECONDS = 60

/** Posts through the webhook of a WeCom group's robot. Codes: developer.work.weixin.qq.com/document/path/90313. */
export const wecom = provider({
  schemes: ['wecom'],
  summary:
    'One post into a WeCom group (企业微信) through its robot. `KEY` is that of the webhook. Sent as Markdown, at most 4,096 ' +
    'bytes; with `atMobiles` or `atAll` as plain text, at most 2,048 bytes, since only that can mention anybody. 18 a minute. ' +
    '`endpoint=https://host:port` names another place than qyapi.weixin.qq.com, such as a proxy. ' +
    'WeCom knows no dedupe key: a post whose answer was lost may come twice.',
  example: 'wecom://KEY@default',
  kinds: ['chat'],
  limits: { concurrency: 1, rate: POSTS_A_MINUTE / 60 },
  settings: robotSettings(STANDARD_HOST, 'wecom://KEY@default'),
  measure: (content) => message(content as ChatContent).size,
  open: ({ token, endpoint }) => ({
    async send(parcel, signal) {
      const { body, size } = message(parcel.content as ChatContent)
      const unfit = tooLarge(size)
      if (unfit !== undefined) return unfit
      const url = new URL('/cgi-bin/webhook/send', endpoint)
      url.searchParams.set('key', token)
      return postAs(token, url, body, signal, read)
    },
    close: async () => {},
  }),
})

function message({ title, content, website, atMobiles = [], atAll }: ChatContent) {
  const mentioned = [...atMobiles.map(memberNumber), ...(atAll ? ['@all'] : [])]
  if (mentioned.length > 0) {
    const text = join('\n', [title, content, website])
    const body = { msgtype: 'text', text: { content: text, mentioned_mobile_list: mentioned } }
    return { body, size: { bytes: Buffer.byteLength(text), limit: TEXT_BYTES } }
  }
  const text = join('\n', [title && `### ${title}`, content, website && link(website)])
  const body = { msgtype: 'markdown', markdown: { content: text } }
  return { body, size: { bytes: Buffer.byteLength(text), limit: MARKDOWN_BYTES } }
}

const VERDICTS: Record<number, Verdict> = {
  [-1]: { cause: 'temporary' },
  45009: { cause: 'throttled', afterSeconds: MINUTE_SECONDS },
  // Too many calls at once: over in a moment.
  45033: { cause: 'throttled' },
  // The key is unknown or the robot removed.
  93000: ROBOT_REFUSED,
}
/** Behind its words WeCom adds a trace id, our address and where to read more. */
const TRACE = /,? hint: .*$/s

/** Always HTTP 200. */
function read(answer: Record<string, unknown>): Outcome {
  const code = answer['errcode']
  if (typeof code !== 'number') return unreadable('WeCom')
  if (code === 0) return { outcome: 'sent' }
  return refusal(code, (textIn(answer, 'errmsg') ?? '').replace(TRACE, ''), VERDICTS[code])
}
