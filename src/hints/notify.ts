import type { Driver } from '../db/client.ts'
import type { Hearing, Wire } from './hints.ts'

/** PostgreSQL refuses a NOTIFY payload of 8,000 bytes. */
const BYTES = 7_500

/** NOTIFY on the database itself: nothing more to run. Sent through the pool, heard on a connection of its own. */
export async function openNotify(driver: Driver, { onText, onUp }: Hearing): Promise<Wire> {
  const { isUp, close } = await driver.listen(onText, onUp)
  return { bytes: BYTES, send: (text) => driver.notify(text), isUp, close }
}
