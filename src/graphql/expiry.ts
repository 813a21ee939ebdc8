/** The longest that setTimeout can wait; a longer one would go off at once. */
const LONGEST_MS = 2 ** 31 - 1

/** Acts when a token ends, or after 24 days, whichever comes first; gives how to call that off. */
export function at(time: Date, act: () => void): () => void {
  const timer = setTimeout(act, Math.min(Math.max(0, time.getTime() - Date.now()), LONGEST_MS))
  return () => clearTimeout(timer)
}
