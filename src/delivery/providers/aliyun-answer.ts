/** What Aliyun's SendSms answers, and what it means for each number of the call. */
import type { Outcome } from '../channel.ts'
import { eachAlone, outcomeOf, type Meaning } from './cloud-sms.ts'
import { textIn } from './http-call.ts'

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3_600
/** A daily limit ends at midnight; four of these are a day, so one of them falls behind it before the delivery is too old. */
const DAY_SECONDS = 6 * HOUR_SECONDS

/**
 * By Aliyun's lists of error codes of the SMS service and of its interfaces at large. `isp.` is what it calls its own
 * faults, `isv.` ours; after one of its own an SMS may be on its way, since SendSms is not idempotent by its document.
 */
const MEANINGS: Meaning[] = [
  {
    code: /^(InvalidAccessKeyId|SignatureDoesNotMatch|IncompleteSignature|InvalidSecurityToken|Forbidden|NoPermission|isp\.RAM_PERMISSION_DENY)/,
    cause: 'unavailable',
    advice: "check the access key in the channel's URL",
  },
  // Nothing that leaves this account goes out until somebody has mended it, and then all of it may.
  {
    code: /^isv\.(AMOUNT_NOT_ENOUGH|OUT_OF_SERVICE)/,
    cause: 'unavailable',
    advice: 'top up the account with Aliyun',
  },
  {
    code: /^isv\.(ACCOUNT_|PRODUCT_UN)/,
    cause: 'unavailable',
    advice: 'check in its console that the account is in order and has the SMS service',
  },
  { code: /^InvalidTimeStamp/, cause: 'unavailable', advice: 'check the clock of this machine' },
  // For a number or for the account. The words tell whether it is by the minute, the hour or the day.
  { code: /^(isv\.)?(BUSINESS_LIMIT|DAY_LIMIT_CONTROL)/, cause: 'throttled' },
  { code: /^Throttling/, cause: 'throttled' },
  { code: /^ServiceUnavailable/, cause: 'unavailable' },
  // A nonce that was used: something on the way has sent the same request twice.
  { code: /^(isp\.|InternalError|SignatureNonceUsed)/, cause: 'ambiguous' },
]
const LIMITED = /^(isv\.)?(BUSINESS_LIMIT|DAY_LIMIT_CONTROL)/
/** The account's own limit for a day: it would refuse each number alone as well. */
const OF_ACCOUNT = /DAY_LIMIT_CONTROL/

/**
 * Whatever Aliyun has answered, be it with HTTP 200 or 4xx, says in `Code` what came of the call; one number that is
 * wrong (isv.MOBILE_NUMBER_ILLEGAL) or over its limit refuses it for all `numbers`.
 */
export function readAnswer(answer: Record<string, unknown>, numbers: number): Outcome {
  const code = textIn(answer, 'Code')
  if (code === undefined) return { outcome: 'retry', cause: 'ambiguous', why: 'Aliyun answered without a Code' }
  const receipt = textIn(answer, 'BizId')
  if (code === 'OK') return receipt === undefined ? { outcome: 'sent' } : { outcome: 'sent', receipt }
  const message = textIn(answer, 'Message')
  const isLimited = LIMITED.test(code)
  const refusal = outcomeOf(code, message, MEANINGS, isLimited ? limitSeconds(`${code}: ${message}`) : undefined)
  const mayBeOfOne = refusal.outcome === 'failed' || (isLimited && !OF_ACCOUNT.test(code))
  return numbers > 1 && refusal.outcome !== 'sent' && mayBeOfOne ? eachAlone(refusal) : refusal
}

function limitSeconds(why: string): number {
  if (/天|day/i.test(why)) return DAY_SECONDS
  return /小时|hour/i.test(why) ? HOUR_SECONDS : MINUTE_SECONDS
}
