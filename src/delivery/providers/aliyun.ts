import { createHash, createHmac, randomUUID } from 'node:crypto'
import { z } from 'zod'
import { phone } from '../../directory/address.ts'
import { provider, type ChannelUrl, type Outcome } from '../channel.ts'
import type { SmsContent } from '../content.ts'
import { callJson, readEndpoint, textIn } from './http-call.ts'

const STANDARD_HOST = 'dysmsapi.aliyuncs.com'
const ALGORITHM = 'ACS3-HMAC-SHA256'
const MAINLAND = '+86'

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3_600
/** A daily limit ends at midnight; four of these are a day, so one of them falls behind it before the delivery is too old. */
const DAY_SECONDS = 6 * HOUR_SECONDS

const settings = z.custom<ChannelUrl>().transform((url, context) => {
  const mistake = (message: string) => context.addIssue({ code: 'custom', message })
  if (!url.user || !url.password) mistake('has no access key; write aliyun://ACCESS_KEY_ID:SECRET@default?sign=…')
  return {
    keyId: url.user ?? '',
    secret: url.password ?? '',
    endpoint: url.host === '' ? undefined : readEndpoint(url, STANDARD_HOST, mistake),
    sign: url.query['sign'] || undefined,
    region: url.query['region'] || undefined,
  }
})

/** SMS through Aliyun's SendSms (2017-05-25), one number a call, with the delivery id as `OutId`. */
export const aliyun = provider({
  schemes: ['aliyun'],
  summary:
    'SMS through Aliyun (Alibaba Cloud SMS, SendSms). Sends approved templates only: `templateData`, with the variables by name. ' +
    '`sign` is the signature of contents that name none; `region` and `endpoint` are rarely needed.',
  example: 'aliyun://ACCESS_KEY_ID:SECRET@default?sign=东华医为',
  kinds: ['sms'],
  takes: () => 'templateData',
  settings,
  open: ({ keyId, secret, endpoint = new URL(`https://${STANDARD_HOST}`), sign, region }) => ({
    async send(parcel, signal) {
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
      const query: Record<string, string> = {
        PhoneNumbers: number.startsWith(MAINLAND) ? number.slice(MAINLAND.length) : number.slice(1),
        SignName: signName,
        TemplateCode: templateData.templateId,
        OutId: parcel.id,
      }
      if (Object.keys(templateData.paramData).length > 0)
        query['TemplateParam'] = JSON.stringify(templateData.paramData)
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
      const reply = await callJson(url, { method: 'POST', headers: { ...signed, accept: 'application/json' } }, signal)
      return 'outcome' in reply ? reply : read(reply.answer)
    },
    close: async () => {},
  }),
})

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

/** Our key or its rights are refused: ours to mend, not the end of the message. The words would repeat the whole request. */
const ABOUT_OUR_KEY =
  /^(InvalidAccessKeyId|SignatureDoesNotMatch|IncompleteSignature|InvalidSecurityToken|Forbidden|NoPermission|isp\.RAM_PERMISSION_DENY)/
const ABOUT_OUR_CLOCK = /^InvalidTimeStamp/
/** `isp.` is what Aliyun calls its own faults, `isv.` ours. */
const MAY_PASS = /^(isp\.|Throttling|SignatureNonceUsed|ServiceUnavailable|InternalError)/
/** For a number or for the account. The words tell whether it is by the minute, the hour or the day. */
const LIMITED = /^(isv\.)?(BUSINESS_LIMIT|DAY_LIMIT_CONTROL)/

/** Whatever Aliyun has answered, be it with HTTP 200 or 4xx, says in `Code` what came of it. */
function read(answer: Record<string, unknown>): Outcome {
  const code = textIn(answer, 'Code')
  if (code === undefined) return { outcome: 'retry', why: 'Aliyun answered without a Code' }
  const receipt = textIn(answer, 'BizId')
  if (code === 'OK') return receipt === undefined ? { outcome: 'sent' } : { outcome: 'sent', receipt }
  if (ABOUT_OUR_KEY.test(code)) return { outcome: 'retry', why: `${code}: check the access key in the channel's URL` }
  if (ABOUT_OUR_CLOCK.test(code)) return { outcome: 'retry', why: `${code}: check the clock of this machine` }
  const why = `${code}: ${textIn(answer, 'Message') ?? ''}`
  if (LIMITED.test(code)) return { outcome: 'retry', why, afterSeconds: limitSeconds(why) }
  if (MAY_PASS.test(code)) return { outcome: 'retry', why }
  return { outcome: 'failed', reason: 'REFUSED_BY_PROVIDER', why }
}

function limitSeconds(why: string): number {
  if (/天|day/i.test(why)) return DAY_SECONDS
  return /小时|hour/i.test(why) ? HOUR_SECONDS : MINUTE_SECONDS
}
