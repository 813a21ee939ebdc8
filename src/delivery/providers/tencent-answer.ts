/** What Tencent's SendSms answers, and what it means for each number of the call. */
import type { Outcome } from '../channel.ts'
import { outcomeOf, type Meaning, type OutcomeOf } from './cloud-sms.ts'
import { textIn } from './http-call.ts'

const HOUR_SECONDS = 3_600
/** A daily limit ends at midnight; four of these are a day, so one of them falls behind it before the delivery is too old. */
const DAY_SECONDS = 6 * HOUR_SECONDS

/** Of a number, of the app, and of the app for the mainland, abroad or one country. */
const BY_THE_DAY = /^LimitExceeded\..*DailyLimit$/
/** Other limits that pass, with the seconds to wait. */
const WAIT_SECONDS: Record<string, number> = {
  'LimitExceeded.PhoneNumberThirtySecondLimit': 30,
  'LimitExceeded.DeliveryFrequencyLimit': 60,
  'LimitExceeded.PhoneNumberOneHourLimit': HOUR_SECONDS,
  // Advertising goes out from 8 to 22 only.
  'FailedOperation.MarketingSendTimeConstraint': 2 * HOUR_SECONDS,
}

/** By Tencent's list of error codes of SendSms. What fits none is final. */
const MEANINGS: Meaning[] = [
  {
    code: /^(AuthFailure\.SignatureExpire|InternalError\.RequestTimeException)$/,
    cause: 'unavailable',
    advice: 'check the clock of this machine',
  },
  {
    code: /^(AuthFailure|UnauthorizedOperation\.Request|IpInBlacklist|IpNotInWhitelist|InternalError\.Sig)/,
    cause: 'unavailable',
    advice: "check the secret in the channel's URL",
  },
  // Nothing that leaves this account goes out until somebody has mended it, and then all of it may. `Serivce` is theirs.
  {
    code: /^(FailedOperation\.InsufficientBalanceInSmsPackage|UnauthorizedOperation\.Ser(iv|vi)ceSuspendDueToArrears)$/,
    cause: 'unavailable',
    advice: 'top up the account with Tencent',
  },
  {
    code: /^UnauthorizedOperation\.(SmsSdkAppIdVerifyFail|SdkAppIdIsDisabled)$/,
    cause: 'unavailable',
    advice: "check the app in the channel's URL, and in Tencent's console that it is enabled",
  },
  // Until the hours in which advertising may go out.
  { code: /^FailedOperation\.MarketingSendTimeConstraint$/, cause: 'temporary' },
  // Limits pass, but for two that are none of time: numbers in a call, and countries that the app may not send to.
  {
    code: /^(LimitExceeded(?!\.(PhoneNumberCountLimit|AppCountryOrRegionInBlacklist)$)|RequestLimitExceeded)/,
    cause: 'throttled',
  },
  { code: /^(ResourceUnavailable|ServiceUnavailable)/, cause: 'unavailable' },
  // A fault of theirs after which the SMS may be on its way.
  { code: /^InternalError/, cause: 'ambiguous' },
]

/**
 * Everything is answered with HTTP 200: `Error` for the call as a whole, else a status for each number, in any order. A
 * number that the answer does not name may have been taken.
 */
export function readAnswer({ Response: response }: Record<string, unknown>, numbers: number): OutcomeOf {
  const { Error: error, SendStatusSet: set } = members(response)
  if (error !== undefined) {
    const refused = outcomeOfStatus(members(error))
    return () => refused
  }
  const statuses = (Array.isArray(set) ? set : []).map((status: unknown) => members(status))
  const byNumber = new Map(statuses.map((status) => [textIn(status, 'PhoneNumber'), status]))
  // Of one number there can be no doubt, however Tencent writes it.
  if (numbers === 1) return () => outcomeOfStatus(statuses[0] ?? {})
  return (number) => outcomeOfStatus(byNumber.get(number) ?? {})
}

function outcomeOfStatus(status: Record<string, unknown>): Outcome {
  const code = textIn(status, 'Code')
  if (code === undefined) return { outcome: 'retry', cause: 'ambiguous', why: 'Tencent answered without a Code' }
  const receipt = textIn(status, 'SerialNo')
  if (code === 'Ok') return receipt === undefined ? { outcome: 'sent' } : { outcome: 'sent', receipt }
  return outcomeOf(code, textIn(status, 'Message'), MEANINGS, BY_THE_DAY.test(code) ? DAY_SECONDS : WAIT_SECONDS[code])
}

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
