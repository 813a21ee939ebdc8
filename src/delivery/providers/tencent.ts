import { createHash, createHmac } from 'node:crypto'
import { z } from 'zod'
import { phone } from '../../directory/address.ts'
import { provider, type ChannelUrl, type Outcome } from '../channel.ts'
import type { SmsContent } from '../content.ts'
import { callJson, readEndpoint, textIn } from './http-call.ts'

const STANDARD_HOST = 'sms.tencentcloudapi.com'
const STANDARD_REGION = 'ap-guangzhou'
const ALGORITHM = 'TC3-HMAC-SHA256'
const CONTENT_TYPE = 'application/json; charset=utf-8'
const MAINLAND = '+86'

const HOUR_SECONDS = 3_600
/** A daily limit ends at midnight; four of these are a day, so one of them falls behind it before the delivery is too old. */
const DAY_SECONDS = 6 * HOUR_SECONDS

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  const { app = '', sign, region } = url.query
  if (!url.user || !url.password)
    mistake('has no secret; write tencent://SECRET_ID:SECRET_KEY@default?app=1400…&sign=…')
  if (!/^\d+$/.test(app)) mistake('names no SMS application; add ?app= with its SDK AppID, e.g. app=1400006666')
  return {
    secretId: url.user ?? '',
    secretKey: url.password ?? '',
    endpoint: url.host === '' ? undefined : readEndpoint(url, STANDARD_HOST, mistake),
    app,
    sign: sign || undefined,
    region: region || STANDARD_REGION,
  }
})

/** SMS through Tencent Cloud's SendSms (2021-01-11), one number a call, with the delivery id as `SessionContext`. */
export const tencent = provider({
  schemes: ['tencent'],
  summary:
    'SMS through Tencent Cloud (SendSms). Sends approved templates only: `templateData`, whose variables have numbers there, so ' +
    'name them `"1"`, `"2"` and so on (a single one may have any name). `app` is the SDK AppID, `sign` the signature of contents ' +
    'that name none; `region` is ap-guangzhou unless given.',
  example: 'tencent://SECRET_ID:SECRET_KEY@default?app=1400006666&sign=东华医为',
  kinds: ['sms'],
  takes: () => 'templateData',
  settings,
  open: ({ secretId, secretKey, endpoint = new URL(`https://${STANDARD_HOST}`), app, sign, region }) => ({
    async send(parcel, signal) {
      const number = phone(parcel.address)
      if (number === undefined) return { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'is no mobile number' }
      const content = parcel.content as SmsContent
      const signName = content.sign ?? sign
      const { templateData } = content
      if (templateData === undefined) return unfit('has no templateData, and Tencent sends only that')
      // Elsewhere operators show a sender of their own, and the signature is optional.
      if (signName === undefined && number.startsWith(MAINLAND))
        return unfit("has no signature: give sign with the content, or add sign= to the channel's URL")
      const parameters = inOrder(templateData.paramData)
      if (parameters === undefined)
        return unfit('has variables without an order: name them "1", "2" and so on in templateData.paramData')

      const body = JSON.stringify({
        PhoneNumberSet: [number],
        SmsSdkAppId: app,
        SignName: signName,
        TemplateId: templateData.templateId,
        TemplateParamSet: parameters,
        SessionContext: parcel.id,
      })
      const timestamp = Math.floor(Date.now() / 1000)
      const headers = {
        'content-type': CONTENT_TYPE,
        authorization: authorization(endpoint.host, body, timestamp, secretId, secretKey),
        'x-tc-action': 'SendSms',
        'x-tc-version': '2021-01-11',
        'x-tc-region': region,
        'x-tc-timestamp': String(timestamp),
      }
      const reply = await callJson(endpoint, { method: 'POST', headers, body }, signal)
      return 'outcome' in reply ? reply : read(reply.answer)
    },
    close: async () => {},
  }),
})

function unfit(why: string): Outcome {
  return { outcome: 'failed', reason: 'INVALID_CONTENT', why }
}

/**
 * Values by the numbers that name them. Undefined for several variables with other names: a store that keeps members by
 * name has no order of theirs, and a guess would put a name where the amount belongs.
 */
function inOrder(paramData: Record<string, string>): string[] | undefined {
  const names = Object.keys(paramData)
  const isNumbered = names.every((name) => /^(0|[1-9]\d{0,3})$/.test(name))
  if (!isNumbered && names.length > 1) return undefined
  return names.toSorted((a, b) => Number(a) - Number(b)).map((name) => paramData[name] ?? '')
}

/** The `Authorization` of a POST of this body to `/` at `timestamp` (seconds), content type and host signed with it. */
export function authorization(
  host: string,
  body: string,
  timestamp: number,
  secretId: string,
  secretKey: string,
): string {
  const date = new Date(timestamp * 1000).toISOString().slice(0, 10)
  const scope = `${date}/sms/tc3_request`
  const request = `POST\n/\n\ncontent-type:${CONTENT_TYPE}\nhost:${host}\n\ncontent-type;host\n${sha256(body)}`
  const key = ['sms', 'tc3_request'].reduce(hmac, hmac(`TC3${secretKey}`, date))
  const signature = hmac(key, `${ALGORITHM}\n${timestamp}\n${scope}\n${sha256(request)}`).toString('hex')
  return `${ALGORITHM} Credential=${secretId}/${scope}, SignedHeaders=content-type;host, Signature=${signature}`
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Limits that pass, with the seconds to wait. */
const WAIT_SECONDS: Record<string, number> = {
  'LimitExceeded.PhoneNumberThirtySecondLimit': 30,
  'LimitExceeded.DeliveryFrequencyLimit': 60,
  'LimitExceeded.PhoneNumberOneHourLimit': HOUR_SECONDS,
  'LimitExceeded.PhoneNumberDailyLimit': DAY_SECONDS,
  'LimitExceeded.PhoneNumberSameContentDailyLimit': DAY_SECONDS,
  'LimitExceeded.AppDailyLimit': DAY_SECONDS,
  'LimitExceeded.DailyLimit': DAY_SECONDS,
  // Advertising goes out from 8 to 22 only.
  'FailedOperation.MarketingSendTimeConstraint': 2 * HOUR_SECONDS,
}
const ABOUT_OUR_CLOCK = /^(AuthFailure\.SignatureExpire|InternalError\.RequestTimeException)$/
/** Our key or its rights are refused: ours to mend, not the end of the message. */
const ABOUT_OUR_KEY = /^(AuthFailure|UnauthorizedOperation\.Request|IpInBlacklist|IpNotInWhitelist|InternalError\.Sig)/
/** Only more numbers in a call than it may have is a limit that never passes. */
const MAY_PASS =
  /^(InternalError|LimitExceeded(?!\.PhoneNumberCountLimit)|RequestLimitExceeded|ResourceUnavailable|ServiceUnavailable)/

/** Everything is answered with HTTP 200: `Error` for the call as a whole, else a status for our one number. */
function read({ Response: response }: Record<string, unknown>): Outcome {
  const { Error: error, SendStatusSet: set } = members(response)
  const status = members(error ?? (Array.isArray(set) ? set[0] : undefined))
  const code = textIn(status, 'Code')
  if (code === undefined) return { outcome: 'retry', why: 'Tencent answered without a Code' }
  const receipt = textIn(status, 'SerialNo')
  if (code === 'Ok') return receipt === undefined ? { outcome: 'sent' } : { outcome: 'sent', receipt }
  if (ABOUT_OUR_CLOCK.test(code)) return { outcome: 'retry', why: `${code}: check the clock of this machine` }
  if (ABOUT_OUR_KEY.test(code)) return { outcome: 'retry', why: `${code}: check the secret in the channel's URL` }
  const why = `${code}: ${textIn(status, 'Message') ?? ''}`
  const afterSeconds = WAIT_SECONDS[code]
  if (afterSeconds !== undefined) return { outcome: 'retry', why, afterSeconds }
  if (MAY_PASS.test(code)) return { outcome: 'retry', why }
  return { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
}

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
