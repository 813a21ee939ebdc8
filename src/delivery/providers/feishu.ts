import { createHmac } from 'node:crypto'
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

const STANDARD_HOST = 'open.feishu.cn'
/** The limit of a request is 20 KB; the 480 bytes more that those may mean are left to the signature. */
const MESSAGE_BYTES = 20_000
/** It takes 100 a minute and 5 a second; a little less, so that an uneven network cannot exceed it. */
const POSTS_A_MINUTE = 90
const MINUTE_SECONDS = 60

/** Posts through the webhook of a Feishu group's custom bot: open.feishu.cn/document/client-docs/bot-v3/add-custom-bot. */
export const feishu = provider({
  schemes: ['feishu'],
  summary:
    'One post into a Feishu group (飞书) through its custom bot. `TOKEN` is the end of the webhook, `SECRET` that of its ' +
    'signature (签名校验) if it has one; for Lark write `open.larksuite.com` instead of `default`; `endpoint=https://host:port` names any other ' +
    'place, such as a proxy. Sent as a card with Markdown, ' +
    'at most 20,000 bytes, 90 a minute. `atAll` mentions everybody; Feishu mentions nobody by phone, so `atMobiles` are only ' +
    'written below the text. It knows no dedupe key: a post whose answer was lost may come twice.',
  example: 'feishu://TOKEN:SECRET@default',
  kinds: ['chat'],
  limits: { concurrency: 1, rate: POSTS_A_MINUTE / 60 },
  settings: robotSettings(STANDARD_HOST, 'feishu://TOKEN:SECRET@default'),
  measure: (content) => sizeOf(message(content as ChatContent)),
  open: ({ token, secret, endpoint }) => ({
    async send(parcel, signal) {
      const body = message(parcel.content as ChatContent)
      const unfit = tooLarge(sizeOf(body))
      if (unfit !== undefined) return unfit
      const url = new URL(`/open-apis/bot/v2/hook/${encodeURIComponent(token)}`, endpoint)
      return postAs(token, url, secret === undefined ? body : { ...signed(secret), ...body }, signal, read)
    },
    close: async () => {},
  }),
})

function message({ title, content, website, atMobiles = [], atAll }: ChatContent) {
  const text = join('\n\n', [
    content,
    website && link(website),
    join(' ', [atAll ? '<at id=all></at>' : '', ...atMobiles.map((mobile) => `@${memberNumber(mobile)}`)]),
  ])
  return {
    msg_type: 'interactive',
    card: {
      config: { wide_screen_mode: true },
      ...(title === undefined ? {} : { header: { title: { tag: 'plain_text', content: title } } }),
      elements: [{ tag: 'markdown', content: text }],
    },
  }
}

function sizeOf(body: object) {
  return { bytes: Buffer.byteLength(JSON.stringify(body)), limit: MESSAGE_BYTES }
}

/** The secret is in the key here, and what is signed is empty. Good for an hour around `timestamp`, in seconds. */
function signed(secret: string) {
  const timestamp = String(Math.floor(Date.now() / 1000))
  return { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).digest('base64') }
}

/** Either window, of a second or a minute, has passed then. */
const TOO_FAST: Verdict = { cause: 'throttled', afterSeconds: MINUTE_SECONDS }
const VERDICTS: Record<number, Verdict> = {
  11232: TOO_FAST,
  99991400: TOO_FAST,
  // The token is unknown, the bot switched off; the signature or our clock is wrong; our address is not let in.
  19001: ROBOT_REFUSED,
  19007: ROBOT_REFUSED,
  19021: ROBOT_REFUSED,
  19022: ROBOT_REFUSED,
}
/** 9499 is a bad request, or one too many. */
const SAYS_TOO_FAST = /too many request|frequency limit/i

/** HTTP 200 or 400. `StatusCode` stands for `code` in old answers, and is 0 beside the `code` of new refusals. */
function read(answer: Record<string, unknown>): Outcome {
  const code = answer['code'] ?? answer['StatusCode']
  if (typeof code !== 'number') return unreadable('Feishu')
  if (code === 0) return { outcome: 'sent' }
  const words = textIn(answer, 'msg') ?? textIn(answer, 'StatusMessage') ?? ''
  return refusal(code, words, VERDICTS[code] ?? (SAYS_TOO_FAST.test(words) ? TOO_FAST : undefined))
}
