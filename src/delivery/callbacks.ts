/** The door for providers, `/callbacks/<channel id>`: what became of deliveries. Each proves itself and is answered in its own way. */
import type { Context } from '../context.ts'
import { Refusal } from '../errors.ts'
import type { Callback, CallbackAnswer } from './channel.ts'
import { hearReceipts } from './receipts.ts'

const TEXT = 'text/plain; charset=utf-8'
/** Some vendors call by GET, with everything in the query. */
const METHODS = ['POST', 'GET']

/** A request as the server has it: the body is read only if somebody wants it, and refused when it is too large. */
export type CallbackCall = Omit<Callback, 'body'> & { body(): Promise<Uint8Array> }

export type CallbackResponse = { status: number; contentType: string; body: string }

/**
 * Takes one call. 404: no such channel, or one whose provider calls nobody. 401: not proved genuine. 400: cannot be read.
 * 503: not stored, send it again. Otherwise every receipt in it is stored, and the provider hears what it wants to.
 * Never throws; nothing of the body reaches the log.
 */
export async function callback(context: Context, channelId: string, call: CallbackCall): Promise<CallbackResponse> {
  const { carrier } = context.channels.get(channelId) ?? {}
  if (carrier?.readReceipts === undefined) return plain(404, 'No receipts are taken here')
  if (!METHODS.includes(call.method)) return plain(405, `Use ${METHODS.join(' or ')}`)
  const log = context.log.child({ channelId })

  let answer: CallbackAnswer
  try {
    answer = await carrier.readReceipts({ ...call, body: Buffer.from(await call.body()) })
  } catch (error) {
    if (error instanceof Refusal) return plain(error.kind.status, error.message)
    log.warn(whereOf(error), 'callback: cannot be read; the provider may have changed what it sends')
    return plain(400, 'Cannot be read')
  }
  if (!answer.isGenuine) {
    log.warn('callback: refused, since nothing proves that the provider sent it; compare the secrets on both sides')
    return plain(401, 'Not genuine')
  }

  try {
    await hearReceipts(context, channelId, answer.receipts)
  } catch (error) {
    if (error instanceof Refusal) return plain(error.kind.status, error.message)
    log.error(whereOf(error), 'callback: a bug of ours; its receipts are not stored')
    return plain(500, 'Internal server error')
  }
  return { status: answer.status ?? 200, contentType: answer.contentType ?? TEXT, body: answer.body }
}

/** What was thrown, and where: not its message, which may quote the body. */
function whereOf(error: unknown): { why: string; at: string | undefined } {
  const { name, stack } = error instanceof Error ? error : new Error()
  return { why: name, at: /^\s+at (.*)$/m.exec(stack ?? '')?.[1] }
}

function plain(status: number, body: string): CallbackResponse {
  return { status, contentType: TEXT, body }
}
