import { createHash, createHmac } from 'node:crypto'
import { z } from 'zod'
import { phone } from '../../directory/address.ts'
import { provider, type ChannelUrl, type Outcome, type Parcel, type Receipt } from '../channel.ts'
import type { SmsContent } from '../content.ts'
import { isGenuine, readCallbackKey, readEntries, told } from './cloud-receipts.ts'
import { isMainland, secretsOf, sendTogether, without, type Order, type OutcomeOf, type Sms } from './cloud-sms.ts'
import { callJson, readEndpoint, textIn } from './http-call.ts'
import { refuseUnknown } from './known-options.ts'
import { readAnswer } from './tencent-answer.ts'

const STANDARD_HOST = 'sms.tencentcloudapi.com'
const STANDARD_REGION = 'ap-guangzhou'
const ALGORITHM = 'TC3-HMAC-SHA256'
const CONTENT_TYPE = 'application/json; charset=utf-8'

/** Numbers in one call, by the document of SendSms. */
const NUMBERS_AT_MOST = 200
/** What Tencent wants to hear when it has told what became of SMS; anything else, and it tells again. */
const HEARD = JSON.stringify({ result: 0, errmsg: 'OK' })

const OPTIONS = ['app', 'sign', 'region', 'endpoint', 'callbackKey']

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  refuseUnknown(url, OPTIONS, mistake)
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
    callbackKey: readCallbackKey(url.query, mistake),
  }
})

/** SMS through Tencent Cloud's SendSms (2021-01-11), with the delivery id as `SessionContext`; what says the same goes in one call. */
export const tencent = provider({
  schemes: ['tencent'],
  summary:
    'SMS through Tencent Cloud (SendSms). Sends approved templates only: `templateData`, whose variables have numbers there, so ' +
    'name them `"1"`, `"2"` and so on (a single one may have any name). `app` is the SDK AppID, `sign` the signature of contents ' +
    'that name none; `region` is ap-guangzhou unless given. `default` is sms.tencentcloudapi.com; another host ' +
    'may stand in its place, or `endpoint=https://host:port` behind it. Up to 200 recipients of a message go in one call. With ' +
    '`callbackKey=<at least 16 characters>` it takes receipts: enter `https://your.host/callbacks/<channel id>?key=<that key>` as the ' +
    'address for delivery reports in its console. Tencent has no key by which it would drop a repeat.',
  example:
    'tencent://SECRET_ID:SECRET_KEY@default?app=1400006666&sign=东华医为&callbackKey=6f1d2c3b4a5968778695a4b3c2d1e0f0',
  kinds: ['sms'],
  takes: () => 'templateData',
  callbackKey: ({ callbackKey }) => callbackKey,
  settings,
  open: ({ secretId, secretKey, endpoint = new URL(`https://${STANDARD_HOST}`), app, sign, region, callbackKey }) => {
    async function call({ numbers, words, id }: Order<Words>, signal: AbortSignal): Promise<OutcomeOf> {
      const body = JSON.stringify({ PhoneNumberSet: numbers, SmsSdkAppId: app, ...words, SessionContext: id })
      const timestamp = Math.floor(Date.now() / 1000)
      const headers = {
        'content-type': CONTENT_TYPE,
        authorization: authorization(endpoint.host, body, timestamp, secretId, secretKey),
        'x-tc-action': 'SendSms',
        'x-tc-version': '2021-01-11',
        'x-tc-region': region,
        'x-tc-timestamp': String(timestamp),
      }
      const hidden = secretsOf([secretId, secretKey], numbers)
      const reply = await callJson(endpoint, { method: 'POST', headers, body }, signal, hidden)
      if ('outcome' in reply) return () => reply
      const answer = readAnswer(reply.answer, numbers.length)
      return (number) => without(answer(number), hidden)
    }

    const sendAll = (parcels: Parcel[], signal: AbortSignal) =>
      sendTogether(
        parcels,
        (parcel) => read(parcel, sign),
        (order) => call(order, signal),
      )
    return {
      async send(parcel, signal) {
        const [outcome] = await sendAll([parcel], signal)
        return outcome ?? { outcome: 'retry', cause: 'temporary', why: 'was not sent' }
      },
      batch: { most: NUMBERS_AT_MOST, send: sendAll },
      readReceipts: (callback) =>
        isGenuine(callbackKey, callback)
          ? {
              isGenuine: true,
              receipts: readEntries(callback).flatMap(receiptOf),
              contentType: 'application/json',
              body: HEARD,
            }
          : { isGenuine: false },
      close: async () => {},
    }
  },
})

/** The members of a call that all its numbers share. */
type Words = { SignName?: string; TemplateId: string; TemplateParamSet: string[] }

function read(parcel: Parcel, sign: string | undefined): Sms<Words> | Outcome {
  const number = phone(parcel.address)
  if (number === undefined) return { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'is no mobile number' }
  const content = parcel.content as SmsContent
  const signName = content.sign ?? sign
  const { templateData } = content
  if (templateData === undefined) return unfit('has no templateData, and Tencent sends only that')
  // Elsewhere operators show a sender of their own, and the signature is optional.
  if (signName === undefined && isMainland(number))
    return unfit("has no signature: give sign with the content, or add sign= to the channel's URL")
  const parameters = inOrder(templateData.paramData)
  if (parameters === undefined)
    return unfit('has variables without an order: name them "1", "2" and so on in templateData.paramData')
  const words = { TemplateId: templateData.templateId, TemplateParamSet: parameters }
  return { number, words: signName === undefined ? words : { SignName: signName, ...words } }
}

/** One entry of a delivery report; `sid` is the SerialNo of the answer. One that names nothing of ours tells nothing. */
function receiptOf(entry: Record<string, unknown>): Receipt[] {
  const receipt = textIn(entry, 'sid')
  const [country, mobile] = [textIn(entry, 'nationcode'), textIn(entry, 'mobile')]
  if (receipt === undefined || country === undefined || mobile === undefined) return []
  return [
    {
      receipt,
      address: `+${country}${mobile}`,
      state: entry['report_status'] === 'SUCCESS' ? 'delivered' : 'undelivered',
      ...told([textIn(entry, 'errmsg'), textIn(entry, 'description')], textIn(entry, 'user_receive_time')),
    },
  ]
}

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
