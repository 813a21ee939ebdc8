import { createHash, createHmac, randomUUID } from 'node:crypto'
import { z } from 'zod'
import { phone } from '../../directory/address.ts'
import { provider, type ChannelUrl, type Outcome, type Parcel, type Receipt } from '../channel.ts'
import type { SmsContent } from '../content.ts'
import { readAnswer } from './aliyun-answer.ts'
import { isGenuine, readCallbackKey, readEntries, told } from './cloud-receipts.ts'
import { readId, secretsOf, sendTogether, without, type Order, type OutcomeOf, type Sms } from './cloud-sms.ts'
import { callJson, readEndpoint, textIn } from './http-call.ts'
import { refuseUnknown } from './known-options.ts'

const STANDARD_HOST = 'dysmsapi.aliyuncs.com'
const ALGORITHM = 'ACS3-HMAC-SHA256'
const MAINLAND = '+86'
/** Numbers in one call, by the document of SendSms. */
const NUMBERS_AT_MOST = 1_000
/** What Aliyun wants to hear when it has told what became of SMS; anything else, and it tells again. */
const HEARD = JSON.stringify({ code: 0, msg: '成功' })

const OPTIONS = ['sign', 'region', 'endpoint', 'callbackKey']

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  refuseUnknown(url, OPTIONS, mistake)
  if (!url.user || !url.password) mistake('has no access key; write aliyun://ACCESS_KEY_ID:SECRET@default?sign=…')
  return {
    keyId: url.user ?? '',
    secret: url.password ?? '',
    endpoint: url.host === '' ? undefined : readEndpoint(url, STANDARD_HOST, mistake),
    sign: url.query['sign'] || undefined,
    region: url.query['region'] || undefined,
    callbackKey: readCallbackKey(url.query, mistake),
  }
})

/** SMS through Aliyun's SendSms (2017-05-25), with the delivery id as `OutId`; what says the same goes in one call. */
export const aliyun = provider({
  schemes: ['aliyun'],
  summary:
    'SMS through Aliyun (Alibaba Cloud SMS, SendSms). Sends approved templates only: `templateData`, with the variables by name. ' +
    '`sign` is the signature of contents that name none; `region` is rarely needed. `default` is dysmsapi.aliyuncs.com; another ' +
    'host may stand in its place, or `endpoint=https://host:port` behind it. Up to 1,000 recipients of a message ' +
    'go in one call; where that is refused, each goes alone. With `callbackKey=<at least 16 characters>` it takes receipts: enter ' +
    '`https://your.host/callbacks/<channel id>?key=<that key>` as the address of SmsReport in its console. Aliyun has no key by which it would drop a repeat.',
  example: 'aliyun://ACCESS_KEY_ID:SECRET@default?sign=东华医为&callbackKey=6f1d2c3b4a5968778695a4b3c2d1e0f0',
  kinds: ['sms'],
  takes: () => 'templateData',
  callbackKey: ({ callbackKey }) => callbackKey,
  settings,
  open: ({ keyId, secret, endpoint = new URL(`https://${STANDARD_HOST}`), sign, region, callbackKey }) => {
    async function call({ numbers, words, id }: Order<Words>, signal: AbortSignal): Promise<OutcomeOf> {
      const query: Record<string, string> = { ...words, PhoneNumbers: numbers.map(written).join(','), OutId: id }
      if (region !== undefined) query['RegionId'] = region
      const url = new URL(endpoint)
      url.search = canonicalQuery(query)
      const headers = {
        host: url.host,
        'x-acs-action': 'SendSms',
        'x-acs-version': '2017-05-25',
        'x-acs-date': new Date(Date.now()).toISOString().replace(/\.\d+/, ''),
        'x-acs-signature-nonce': randomUUID(),
        'x-acs-content-sha256': sha256(''),
      }
      const signed = { ...headers, authorization: authorization(query, headers, keyId, secret) }
      const hidden = secretsOf([keyId, secret], numbers)
      const request = { method: 'POST', headers: { ...signed, accept: 'application/json' } }
      const reply = await callJson(url, request, signal, hidden)
      const outcome = 'outcome' in reply ? reply : without(readAnswer(reply.answer, numbers.length), hidden)
      return () => outcome
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
type Words = Record<string, string>

function read(parcel: Parcel, sign: string | undefined): Sms<Words> | Outcome {
  const number = phone(parcel.address)
  if (number === undefined) return { outcome: 'failed', reason: 'INVALID_ADDRESS', why: 'is no mobile number' }
  const content = parcel.content as SmsContent
  const signName = content.sign ?? sign
  const { templateData } = content
  if (templateData === undefined)
    return { outcome: 'failed', reason: 'INVALID_CONTENT', why: 'has no templateData, and Aliyun sends only that' }
  if (signName === undefined) {
    const why = "has no signature: give sign with the content, or add sign= to the channel's URL"
    return { outcome: 'failed', reason: 'INVALID_CONTENT', why }
  }
  const hasParams = Object.keys(templateData.paramData).length > 0
  return {
    number,
    words: {
      SignName: signName,
      TemplateCode: templateData.templateId,
      ...(hasParams ? { TemplateParam: JSON.stringify(templateData.paramData) } : {}),
    },
  }
}

/** As Aliyun writes numbers: mainland ones without country code, others with it and no plus. */
function written(number: string): string {
  return number.startsWith(MAINLAND) ? number.slice(MAINLAND.length) : number.slice(1)
}

/** One entry of SmsReport. One that names nothing of ours tells nothing. */
function receiptOf(entry: Record<string, unknown>): Receipt[] {
  const id = readId(textIn(entry, 'out_id') ?? '')
  const receipt = textIn(entry, 'biz_id')
  const number = textIn(entry, 'phone_number')
  const said = {
    state: entry['success'] === true ? ('delivered' as const) : ('undelivered' as const),
    ...told([textIn(entry, 'err_code'), textIn(entry, 'err_msg')], textIn(entry, 'report_time')),
  }
  if ('deliveryId' in id) return [{ deliveryId: id.deliveryId, ...said }]
  if (receipt === undefined || number === undefined) return []
  return [{ receipt, address: id.isAbroad ? `+${number}` : MAINLAND + number, ...said }]
}

/** The `Authorization` of a POST to `/` without a body. All `headers` are signed: lower-case names, `x-acs-…` and `host`. */
export function authorization(
  query: Record<string, string>,
  headers: Record<string, string>,
  keyId: string,
  secret: string,
): string {
  const names = Object.keys(headers).toSorted()
  const lines = names.map((name) => `${name}:${headers[name]?.trim()}\n`).join('')
  const signedHeaders = names.join(';')
  const request = ['POST', '/', canonicalQuery(query), lines, signedHeaders, sha256('')].join('\n')
  const signature = createHmac('sha256', secret)
    .update(`${ALGORITHM}\n${sha256(request)}`)
    .digest('hex')
  return `${ALGORITHM} Credential=${keyId},SignedHeaders=${signedHeaders},Signature=${signature}`
}

/** Sorted by name; escaped as RFC 3986 has it, which is stricter than `encodeURIComponent` and no form encoding. */
function canonicalQuery(query: Record<string, string>): string {
  const escape = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
  return Object.keys(query)
    .toSorted()
    .map((name) => `${escape(name)}=${escape(query[name] ?? '')}`)
    .join('&')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
