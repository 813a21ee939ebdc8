/** The longest that setTimeout can wait; a longer one would go off at once. */
const LONGEST_MS = 2 ** 31 - 1

/** Acts when somebody's token ends, also if it was renewed meanwhile; gives how to call that off. */
export function atEnd(person: { expiresAt: Date }, act: () => void): () => void {
  let timer: NodeJS.Timeout
  const wait = () => {
    const left = person.expiresAt.getTime() - Date.now()
    timer = setTimeout(left > LONGEST_MS ? wait : end, Math.min(Math.max(0, left), LONGEST_MS))
  }
  const end = () => (person.expiresAt.getTime() > Date.now() ? wait() : act())
  wait()
  return () => clearTimeout(timer)
}
