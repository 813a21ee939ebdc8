import type { ChannelUrl } from '../channel.ts'

/** A misspelt option would be left out without a word, and nobody would find out before it is missed. */
export function refuseUnknown(
  { scheme, query }: ChannelUrl,
  known: readonly string[],
  mistake: (message: string) => void,
): void {
  const fix = known.length === 0 ? `write ${scheme}: without any` : `write one of ${known.join(', ')}`
  for (const name of Object.keys(query)) if (!known.includes(name)) mistake(`has an unknown ${name}=; ${fix}`)
}
