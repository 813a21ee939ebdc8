/** Tells secrets from what only looks like one. */

/** 32 random hexadecimal digits have fewer than 8 different ones once in 28 million times. */
const FEWEST_CHARACTERS = 8
const EXAMPLE = /change.?me|example|password|replace|your.?(key|secret)|posthouse|0123456789|abcdefgh/i

/** A sentence for each secret that somebody typed or copied instead of making it: whoever reads the same page knows it too. */
export function guessableAmong(values: Record<string, unknown>): string[] {
  const given = (['ADMIN_KEY', 'INBOX_JWT_SECRET', 'INBOX_JWT_SECRET_PREVIOUS'] as const).flatMap((name) => {
    const value = values[name]
    return typeof value === 'string' ? [{ name, value }] : []
  })
  return given.flatMap(({ name, value }, at) => {
    const same = given.slice(0, at).find((other) => other.value === value)
    if (new Set(value).size < FEWEST_CHARACTERS || EXAMPLE.test(value))
      return [`${name} looks like an example, not like a secret: use \`openssl rand -hex 32\``]
    return same === undefined ? [] : [`${name} is the same as ${same.name}: use another \`openssl rand -hex 32\``]
  })
}
