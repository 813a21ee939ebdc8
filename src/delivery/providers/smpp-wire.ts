/** The package `smpp`, which turns PDUs into bytes and back, with what it does beyond that taken out. */
import type smpp from 'smpp'

/** The header alone: no PDU is shorter (SMPP 3.4, 3.2). */
const LEAST_LENGTH = 16

let loading: Promise<typeof smpp> | undefined

/** Loaded at the first session: a Posthouse without such a channel starts without it. */
export function loadSmpp(): Promise<typeof smpp> {
  loading ??= load()
  return loading
}

async function load(): Promise<typeof smpp> {
  const { default: loaded } = await import('smpp')
  for (const command of ['deliver_sm', 'data_sm']) keepBytes(loaded, command)
  const { id = 0 } = loaded.tlvs['message_payload'] ?? {}
  loaded.addTLV('message_payload', { id, type: loaded.types.tlv.buffer })
  refuseShortLengths(loaded)
  return loaded
}

/**
 * Leaves texts as they came: the package reads data coding 0 and 1 as GSM 03.38, and so makes `§` of each `_` in the ASCII
 * of a receipt. Times as well: one that it cannot read ends the session.
 */
function keepBytes(loaded: typeof smpp, command: string): void {
  const { id = 0, params = {} } = loaded.commands[command] ?? {}
  const unfiltered = Object.entries(params).map(([name, parameter]) => [name, { ...parameter, filter: undefined }])
  loaded.addCommand(command, { id, params: Object.fromEntries(unfiltered) as typeof params })
}

/** For the rest of a PDU of less than four bytes the package waits for ever, and does not even see the connection end. */
function refuseShortLengths({ PDU }: typeof smpp): void {
  const read = PDU.commandLength
  PDU.commandLength = (stream) => {
    const length = read(stream)
    if (length !== false && length < LEAST_LENGTH) throw new Error(`PDU length was too small (${length})`)
    return length
  }
}
