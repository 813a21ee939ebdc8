import { createHmac } from 'node:crypto'
import { provider, type Outcome } from '../channel.ts'
import { titleFrom, type ChatContent } from '../content.ts'
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

const STANDARD_HOST = 'oapi.dingtalk.com'
/** Its own words for more are "message too long, exceed 20000 bytes". */
const MESSAGE_BYTES = 20_000
/** It takes 20 a minute; a little less, so that an uneven network cannot push 21 into one. */
const POSTS_A_MINUTE = 18
/** Who exceeds it is kept out so long, says "自定义机器人接入" at open.dingtalk.com. */
const KEPT_OUT_SECONDS = 600

/** Posts through the webhook of a DingTalk group's own robot. Codes: "自定义机器人发送群消息" at open.dingtalk.com. */
export const dingtalk = provider({
  schemes: ['dingtalk'],
  summary:
    'One post into a DingTalk group (钉钉) through its custom robot. `ACCESS_TOKEN` is that of the webhook, `SECRET` that of ' +
    'its signature (加签) if it has one; with keywords instead, every content must hold one of them. Sent as Markdown, at most ' +
    '20,000 bytes, 18 a minute. `endpoint=https://host:port` names another place ' +
    'than oapi.dingtalk.com, such as a proxy. DingTalk knows no dedupe key: a post whose answer was lost may come twice.',
  example: 'dingtalk://ACCESS_TOKEN:SECRET@default',
  kinds: ['chat'],
  limits: { concurrency: 1, rate: POSTS_A_MINUTE / 60 },
  settings: robotSettings(STANDARD_HOST, 'dingtalk://ACCESS_TOKEN:SECRET@default'),
  measure: (content) => sizeOf(message(content as ChatContent)),
  open: ({ token, secret, endpoint }) => ({
    async send(parcel, signal) {
      const body = message(parcel.content as ChatContent)
      const unfit = tooLarge(sizeOf(body))
      if (unfit !== undefined) return unfit
      const url = new URL('/robot/send', endpoint)
      url.searchParams.set('access_token', token)
      if (secret !== undefined) {
        const timestamp = Date.now()
        url.searchParams.set('timestamp', String(timestamp))
        url.searchParams.set('sign', signature(timestamp, secret))
      }
      return postAs(token, url, body, signal, read)
    },
    close: async () => {},
  }),
})

function message({ title, content, website, atMobiles = [], atAll = false }: ChatContent) {
  const mobiles = atMobiles.map(memberNumber)
  const text = join('\n\n', [
    title && `### ${title}`,
    // In Markdown a line break alone is none, and plain text is to keep its lines.
    content.replaceAll(/\r?\n/g, '  \n'),
    website && link(website),
    // Who is not mentioned in the text as well is not called.
    join(
      ' ',
      mobiles.map((mobile) => `@${mobile}`),
    ),
  ])
  return {
    msgtype: 'markdown',
    // The title is what the list of chats and the notification show.
    markdown: { title: title ?? titleFrom(content), text },
    at: { atMobiles: mobiles, isAtAll: atAll },
  }
}

function sizeOf(body: object) {
  return { bytes: Buffer.byteLength(JSON.stringify(body)), limit: MESSAGE_BYTES }
}

/** Of `timestamp` in milliseconds, with which it is sent; good for an hour. */
function signature(timestamp: number, secret: string): string {
  return createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64')
}

const TOO_FAST: Verdict = { cause: 'throttled', afterSeconds: KEPT_OUT_SECONDS }
const VERDICTS: Record<number, Verdict> = {
  [-1]: { cause: 'temporary' },
  130101: TOO_FAST,
  410100: TOO_FAST,
  // The token is unknown, the robot stopped or removed, the group gone.
  300001: ROBOT_REFUSED,
  300005: ROBOT_REFUSED,
  400013: ROBOT_REFUSED,
  400101: ROBOT_REFUSED,
  400102: ROBOT_REFUSED,
  400106: ROBOT_REFUSED,
}
/** The robot's security settings are not met: one code for keywords, signature, clock and address. */
const NOT_SECURE = 310_000
const ABOUT_KEYWORDS = /keyword|关键词/i
/** It has had several codes for this. */
const SAYS_TOO_FAST = /too fast|限流/i
/** `status` of the firewall in front of it, which then answers without a code. */
const FIREWALL_DENIES = 1111

/** Always HTTP 200. */
function read(answer: Record<string, unknown>): Outcome {
  const { errcode: code, status } = answer
  const words = textIn(answer, 'errmsg') ?? ''
  if (code === 0) return { outcome: 'sent' }
  if (typeof code !== 'number')
    return status === FIREWALL_DENIES ? refusal(status, 'kept out for now', TOO_FAST) : unreadable('DingTalk')
  if (code === NOT_SECURE) return refusal(code, words, ABOUT_KEYWORDS.test(words) ? undefined : ROBOT_REFUSED)
  return refusal(code, words, VERDICTS[code] ?? (SAYS_TOO_FAST.test(words) ? TOO_FAST : undefined))
}
