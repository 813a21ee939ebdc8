/** When a delivery came to be: its id is a UUIDv7, which begins with the milliseconds. The same at every attempt. */
export function madeAt(id: string): Date {
  return new Date(Number.parseInt(id.slice(0, 12), 16))
}
